#![allow(clippy::unwrap_used)]

use super::*;

const TOKEN: &str = "0123456789abcdef";

fn doorman(change: impl FnOnce(&mut Config)) -> Doorman {
    let mut config = Config::default();
    change(&mut config);
    config.check().unwrap();
    Doorman::new(&config)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn proxy() -> TrustedProxy {
    TrustedProxy {
        header: "X-Forwarded-User".to_owned(),
        groups_header: Some("X-Forwarded-Groups".to_owned()),
        roles: vec![("ops".to_owned(), Role::Operator)],
        default_role: None,
        peers: vec!["10.0.0.0/8".parse().unwrap()],
    }
}

async fn ask(
    doorman: &Doorman,
    pairs: &[(&'static str, &str)],
    peer: &str,
) -> Result<(String, Role), u16> {
    let peer = Some(peer.parse().unwrap());
    let found = doorman
        .identify(&headers(pairs), peer, Instant::now())
        .await;
    found
        .map(|who| (who.name.to_string(), who.role))
        .map_err(|problem| problem.status())
}

#[tokio::test]
async fn tokens_have_names_and_roles() {
    let doorman = doorman(|config| {
        config.token = Some(TOKEN.to_owned());
        config.access.tokens = vec![
            Token::with_secret("ci", Role::Operator, "ci-0123456789abcdef").unwrap(),
            Token::with_secret("grafana", Role::Viewer, "g-0123456789abcdef").unwrap(),
        ];
    });
    for (header, expected) in [
        (
            format!("Bearer {TOKEN}"),
            Ok(("token".to_owned(), Role::Admin)),
        ),
        (
            "bearer  ci-0123456789abcdef ".to_owned(),
            Ok(("ci".to_owned(), Role::Operator)),
        ),
        (
            basic("any", "g-0123456789abcdef"),
            Ok(("grafana".to_owned(), Role::Viewer)),
        ),
        (format!("Bearer {TOKEN}x"), Err(401)),
        ("Bearer".to_owned(), Err(401)),
        ("Digest x".to_owned(), Err(401)),
        ("Basic !!!".to_owned(), Err(401)),
    ] {
        let found = ask(&doorman, &[("authorization", &header)], "127.0.0.1").await;
        assert_eq!(found, expected, "{header}");
    }
    assert_eq!(ask(&doorman, &[], "127.0.0.1").await, Err(401));
}

#[tokio::test]
async fn a_password_is_checked_once_and_then_known() {
    let doorman = doorman(|config| {
        config.access.users =
            vec![User::with_password("bob", Role::Viewer, "correct horse").unwrap()];
    });
    let right = basic("bob", "correct horse");
    let bob = Ok(("bob".to_owned(), Role::Viewer));
    assert_eq!(
        ask(&doorman, &[("authorization", &right)], "10.0.0.1").await,
        bob
    );
    assert_eq!(doorman.memory().known.len(), 1);
    // Nobody is left to check: what is known needs no check.
    doorman.checks.forget_permits(1);
    assert_eq!(
        ask(&doorman, &[("authorization", &right)], "10.0.0.1").await,
        bob
    );
    doorman.checks.add_permits(1);
    for wrong in [
        basic("bob", "wrong horse"),
        basic("eve", "correct horse"),
        basic("bob", ""),
    ] {
        assert_eq!(
            ask(&doorman, &[("authorization", &wrong)], "10.0.0.1").await,
            Err(401)
        );
    }
    assert_eq!(
        doorman.memory().known.len(),
        1,
        "what is wrong is not remembered"
    );
    let later = Instant::now() + KNOWN_FOR;
    let digest = access::keyed_digest(&doorman.key, "bob", "correct horse");
    assert_eq!(doorman.memory().recall(&digest, later), None);
}

#[tokio::test]
async fn guessing_is_slowed_down_but_being_right_is_not() {
    let doorman = doorman(|config| {
        config.token = Some(TOKEN.to_owned());
        config.access.users =
            vec![User::with_password("bob", Role::Viewer, "correct horse").unwrap()];
    });
    for guess in 0..10 {
        let guess = format!("Bearer guess-{guess}-0123456789");
        assert_eq!(
            ask(&doorman, &[("authorization", &guess)], "10.0.0.1").await,
            Err(401)
        );
    }
    let guess = [("authorization", "Bearer guess-0123456789")];
    assert_eq!(ask(&doorman, &guess, "10.0.0.1").await, Err(429));
    assert_eq!(ask(&doorman, &guess, "10.0.0.2").await, Err(401));
    // A password is not even checked any more, a token costs nothing.
    let right = basic("bob", "correct horse");
    assert_eq!(
        ask(&doorman, &[("authorization", &right)], "10.0.0.1").await,
        Err(429)
    );
    let token = format!("Bearer {TOKEN}");
    assert!(
        ask(&doorman, &[("authorization", &token)], "10.0.0.1")
            .await
            .is_ok()
    );
    let guess = headers(&guess);
    let answer = doorman.identify(&guess, Some("10.0.0.1".parse().unwrap()), Instant::now());
    use axum::response::IntoResponse;
    let answer = answer.await.unwrap_err().into_response();
    assert!(answer.headers().contains_key(header::RETRY_AFTER));
}

// S48: who asks is known by proof alone.
#[tokio::test]
async fn a_proxys_word_counts_from_where_it_is_trusted_alone() {
    let doorman = doorman(|config| config.access.proxy = Some(proxy()));
    let ops = [
        ("x-forwarded-user", "bob"),
        ("x-forwarded-groups", "dev, ops"),
    ];
    let bob = Ok(("bob".to_owned(), Role::Operator));
    assert_eq!(ask(&doorman, &ops, "10.1.1.1").await, bob);
    assert_eq!(ask(&doorman, &ops, "::ffff:10.1.1.1").await, bob);
    assert_eq!(ask(&doorman, &ops, "11.1.1.1").await, Err(401));
    assert_eq!(ask(&doorman, &ops, "127.0.0.1").await, Err(401));
    for (pairs, expected) in [
        (
            &[
                ("x-forwarded-user", "bob"),
                ("x-forwarded-groups", "opsx,xops"),
            ][..],
            Err(403),
        ),
        (&[("x-forwarded-user", "bob")], Err(403)),
        (&[("x-forwarded-user", "")], Err(401)),
        (&[("x-forwarded-groups", "ops")], Err(401)),
        // The proxy's own, and one that it let through.
        (
            &[
                ("x-forwarded-user", "bob"),
                ("x-forwarded-user", "root"),
                ("x-forwarded-groups", "ops"),
            ],
            Err(401),
        ),
        (
            &[
                ("x-forwarded-user", "bob"),
                ("x-forwarded-groups", "dev"),
                ("x-forwarded-groups", "ops"),
            ],
            Err(401),
        ),
    ] {
        assert_eq!(
            ask(&doorman, pairs, "10.1.1.1").await,
            expected,
            "{pairs:?}"
        );
    }
}

#[tokio::test]
async fn behind_a_proxy_wrong_tries_count_for_the_client_that_it_saw() {
    let doorman = doorman(|config| {
        config.token = Some(TOKEN.to_owned());
        config.access.proxy = Some(proxy());
    });
    fn guess(client: &str) -> [(&'static str, &str); 2] {
        [
            ("authorization", "Bearer guess-0123456789"),
            ("x-forwarded-for", client),
        ]
    }
    for _ in 0..10 {
        assert_eq!(
            ask(&doorman, &guess("1.1.1.1, 9.9.9.9"), "10.0.0.1").await,
            Err(401)
        );
    }
    assert_eq!(
        ask(&doorman, &guess("2.2.2.2, 9.9.9.9"), "10.0.0.1").await,
        Err(429)
    );
    assert_eq!(ask(&doorman, &guess("8.8.8.8"), "10.0.0.1").await, Err(401));
    // Nobody else is believed who they are for.
    for n in 0..10 {
        let client = format!("7.7.7.{n}");
        assert_eq!(ask(&doorman, &guess(&client), "12.0.0.1").await, Err(401));
    }
    assert_eq!(
        ask(&doorman, &guess("7.7.7.77"), "12.0.0.1").await,
        Err(429)
    );
}

#[test]
fn local_names_are_told_from_others() {
    for local in [
        "localhost",
        "LocalHost:9595",
        "127.0.0.1:1",
        "127.8.8.8",
        "[::1]:9595",
    ] {
        assert!(is_local(local), "{local}");
    }
    for other in [
        "",
        "example.org",
        "127.0.0.1.example.org",
        "localhost.org:80",
        "10.0.0.1",
    ] {
        assert!(!is_local(other), "{other}");
    }
}
