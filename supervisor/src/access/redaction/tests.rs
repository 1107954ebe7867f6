#![allow(clippy::unwrap_used)]

use celeriac_protocol::Value;
use proptest::prelude::*;

use super::*;

fn args(text: &str) -> String {
    let mut text = text.to_owned();
    Redaction::default().arguments(Some("app.task"), &mut text);
    text
}

#[test]
fn keywords_are_hidden_in_what_python_and_json_write() {
    for (text, expected) in [
        ("[1, 2]", "[1, 2]"),
        ("{}", "{}"),
        ("", ""),
        (
            "{'user': 'bob', 'password': 'hush'}",
            "{'user': 'bob', 'password': '**'}",
        ),
        (
            r#"{"user":"bob","password":"hu\"sh"}"#,
            r#"{"user":"bob","password":'**'}"#,
        ),
        ("{'token': 17, 'n': 1}", "{'token': '**', 'n': 1}"),
        (
            "{'a': {'Api-Key': ['x', 'y']}, 'b': 2}",
            "{'a': {'Api-Key': '**'}, 'b': 2}",
        ),
        ("{'password': None}", "{'password': '**'}"),
        ("{'max_tokens': 5}", "{'max_tokens': 5}"),
        (
            "(User(name='bob', password='hush'),)",
            "(User(name='bob', password='**'),)",
        ),
        (
            "[('Authorization', 'Bearer hush'), ('X', 'y')]",
            "[('Authorization', '**'), ('X', 'y')]",
        ),
        ("['https://h/?access_token=hush&x=1', 2]", "['**', 2]"),
        (r#"['{"password": "hush"}']"#, "['**']"),
        ("{'password': b'hush'}", "{'password': '**'}"),
        (
            "{'secret': datetime.datetime(2026, 1, 1, 0, 0)}",
            "{'secret': '**'}",
        ),
        // Cut by its sender.
        ("{'a': 1, 'password': 'hus", "{'a': 1, 'password': '**'"),
        (
            "{'a': 1, 'password': ['hush', 'hu...', ...",
            "{'a': 1, 'password': '**'",
        ),
        (
            "['x', {'password': 'hush'}, ...]",
            "['x', {'password': '**'}, ...]",
        ),
        ("['password'", "['password'"),
    ] {
        assert_eq!(args(text), expected, "{text}");
    }
}

#[test]
fn a_text_that_is_not_understood_is_hidden_wholly_when_it_may_tell() {
    for text in [
        "(<User password=hush>,)",
        "{'a': <Token 'hush'>, 'password': 'hush'}",
        "{'password': 'it's hush', 'b': 2}",
        "{'password': 'a' 'hush'}",
        "[User(password=abc,hush)]",
        "{'password': 'x'}} hush",
        "{'password' 'hush'}",
        "password hush; 1",
    ] {
        assert_eq!(args(text), HIDDEN, "{text}");
    }
    // Nothing here can match.
    assert_eq!(args("(<Order 17 at 0x7f>,)"), "(<Order 17 at 0x7f>,)");
    let deep = format!("{}'password': 'hush'", "{'a': ".repeat(200));
    assert_eq!(args(&deep), HIDDEN);
}

#[test]
fn patterns_of_ones_own_add_to_those_that_are_there() {
    let redaction = Redaction::default()
        .key("card.number")
        .unwrap()
        .key("iban")
        .unwrap();
    let mut text = "{'card': {'number': 4111, 'name': 'b'}, 'number': 1, 'IBAN': 'x'}".to_owned();
    redaction.arguments(Some("pay"), &mut text);
    assert_eq!(
        text,
        "{'card': {'number': '**', 'name': 'b'}, 'number': 1, 'IBAN': '**'}"
    );
    let mut text = "{'password': 'shown'}".to_owned();
    Redaction::nothing().arguments(None, &mut text);
    assert_eq!(text, "{'password': 'shown'}");
}

#[test]
fn tasks_are_hidden_wholly_and_one_without_a_name_with_them() {
    let redaction = Redaction::nothing()
        .arguments_of("billing.*")
        .unwrap()
        .results_of("billing.pay")
        .unwrap();
    let cases = [
        (Some("billing.pay"), true, true),
        (Some("billing.list"), true, false),
        (Some("app.add"), false, false),
        (None, true, true),
    ];
    for (task, arguments, results) in cases {
        let (mut args, mut result) = ("[1]".to_owned(), "2".to_owned());
        redaction.arguments(task, &mut args);
        redaction.result(task, &mut result);
        assert_eq!(
            (args == HIDDEN, result == HIDDEN),
            (arguments, results),
            "{task:?}"
        );
        let mut failure = "ValueError('x')".to_owned();
        redaction.failure(task, &mut failure);
        assert_eq!(failure == HIDDEN, results);
    }
}

#[test]
fn prose_keeps_what_surrounds_a_value() {
    for (text, expected) in [
        ("KeyError: 'token'", "KeyError: 'token'"),
        (
            "ValueError('bad password=hush given')",
            "ValueError('bad password=** given')",
        ),
        (
            "Authorization: Bearer hush\nnext",
            "Authorization: **\nnext",
        ),
        (
            r#"HTTPError('{"token": "hush", "a": 1}')"#,
            r#"HTTPError('{"token": **, "a": 1}')"#,
        ),
        (
            r#"X("{\"secret\": \"hu sh\", 1}")"#,
            r#"X("{\"secret\": **, 1}")"#,
        ),
        ("secret={'a': 'hush', 'b': 'hush'}", "secret=**"),
        ("  token = get(1)\nx", "  token = **\nx"),
        ("https://h?api_key=hush&b=1", "https://h?api_key=**&b=1"),
        ("password:", "password:"),
    ] {
        let mut found = text.to_owned();
        Redaction::default().failure(Some("t"), &mut found);
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn values_are_hidden_by_path() {
    let value: Value = serde_json::from_str(
        r#"[{"user":"b","password":"hush"},["token=hush"],{"card":{"number":1}}]"#,
    )
    .unwrap();
    let redaction = Redaction::default().key("card.number").unwrap();
    let shown = serde_json::to_string(&redaction.result_value(Some("t"), value)).unwrap();
    let expected = r#"[{"user":"b","password":"**"},["**"],{"card":{"number":"**"}}]"#;
    assert_eq!(shown, expected);
}

/// A value as Python writes it.
fn repr(value: &serde_json::Value, out: &mut String) {
    use serde_json::Value as Json;
    match value {
        Json::Null => out.push_str("None"),
        Json::Bool(flag) => out.push_str(if *flag { "True" } else { "False" }),
        Json::Number(number) => out.push_str(&number.to_string()),
        Json::String(text) => {
            let escaped = text
                .replace('\\', "\\\\")
                .replace('\'', "\\'")
                .replace('\n', "\\n");
            out.push_str(&format!("'{escaped}'"));
        }
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                repr(item, out);
            }
            out.push(']');
        }
        Json::Object(entries) => {
            out.push('{');
            for (at, (key, item)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                repr(&Json::String(key.clone()), out);
                out.push_str(": ");
                repr(item, out);
            }
            out.push('}');
        }
    }
}

/// Values in which each text below a telling keyword holds the word `hush`.
fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value as Json, json};
    let leaf = prop_oneof![
        any::<i32>().prop_map(|n| json!(n)),
        Just(Json::Null),
        "[ -~äß]{0,12}".prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let secret = prop_oneof![
            Just(json!("hush")),
            "[ -~]{0,6}".prop_map(|text| json!(format!("{text}hush'\"{text}"))),
            inner
                .clone()
                .prop_map(|inner| json!([inner, "hush", {"x": "hush"}])),
        ];
        let telling = prop_oneof![Just("password"), Just("X-Api-Key"), Just("auth_token")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::vec(("[a-z ,:='\"]{1,8}", inner), 0..4)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
            (telling, secret, any::<bool>()).prop_map(|(key, secret, more)| {
                if more {
                    json!({key: secret, "z": 1})
                } else {
                    json!({key: secret})
                }
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// However values lie inside of each other and wherever a text is cut, nothing that
    /// belongs to a telling keyword is shown.
    #[test]
    fn nothing_told_is_shown(value in value(), cut in 0..400usize) {
        let mut python = String::new();
        repr(&value, &mut python);
        let json = value.to_string();
        for text in [python, json] {
            let mut end = cut.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            for text in [&text[..], &text[..end]] {
                let shown = args(text);
                prop_assert!(!shown.contains("hush"), "{text} became {shown}");
            }
        }
    }

    #[test]
    fn no_text_upsets_it(text in "\\PC{0,60}", keyed in "[a-z'\"{}:=,\\[\\]() \\\\]{0,40}") {
        args(&text);
        args(&format!("{{'password': {keyed}"));
        let mut prose = format!("token={text}{keyed}");
        Redaction::default().failure(None, &mut prose);
    }
}
