//! Candidates for a Lease at an API server that is made up, over HTTP.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::kubernetes::tests::Fake;

fn candidate(server: &Fake, who: &str) -> ByLease {
    let spans = Duration::from_secs(3);
    ByLease::new(&server.cluster(), "work", "beat".into(), spans, who).unwrap()
}

fn lease(server: &Fake) -> Value {
    server.object("leases", "beat")
}

/// Changes the Lease, as somebody else would.
fn change(server: &Fake, change: impl FnOnce(&mut Value)) {
    let mut lease = lease(server);
    change(&mut lease);
    server.kept(|kept| kept.put("leases", "beat", lease));
}

fn writes(server: &Fake) -> usize {
    server.count("update leases") + server.count("create leases")
}

/// Stands as the beat does, until it leads.
async fn elected(candidate: &ByLease) -> Elected {
    let stood = async {
        loop {
            if let Ok(Some(elected)) = candidate.stand().await {
                return elected;
            }
            tokio::time::sleep(Duration::from_millis(800)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), stood)
        .await
        .unwrap()
}

async fn within(time: Duration, what: &str, future: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(time, future).await;
    assert!(ended.is_ok(), "{what} not within {time:?}");
}

// S41: one of two leads, and goes on while it renews; the other leads at once when the Lease is
// given back, in a later term.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_leads_until_it_gives_the_lease_back() {
    let server = Fake::start().await;
    let (a, b) = (candidate(&server, "a"), candidate(&server, "b"));
    assert_eq!(a.kind(), "lease");
    let first = a.stand().await.unwrap().unwrap();
    assert!(b.stand().await.unwrap().is_none());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        assert!(b.stand().await.unwrap().is_none(), "a renews it");
        assert!(first.lock.is_held());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(writes(&server) > 2);
    assert_eq!(lease(&server)["spec"]["leaseTransitions"], json!(0));
    drop(first.lock);
    a.resign().await;
    assert_eq!(lease(&server)["spec"]["holderIdentity"], json!(""));
    let second = b.stand().await.unwrap().expect("nobody holds it");
    assert!(second.least > first.least, "terms grow");
    let spec = lease(&server)["spec"].clone();
    assert_eq!(spec["leaseTransitions"], json!(1));
    assert!(spec["holderIdentity"].as_str().unwrap().starts_with("b_"));
    assert_eq!(spec["leaseDurationSeconds"], json!(3));
}

// S41: a leader that dies gives nothing back, and is followed within 5 s; never before it would
// have stopped itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_leader_is_followed_within_five_seconds() {
    let server = Fake::start().await;
    let (a, b) = (candidate(&server, "a"), candidate(&server, "b"));
    let first = a.stand().await.unwrap().unwrap();
    assert!(b.stand().await.unwrap().is_none());
    let tenure = a.candidate.state.lock().await.tenure.take().unwrap();
    tenure.abort();
    let died = Instant::now();
    let second = elected(&b).await;
    let took = died.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!first.lock.is_held(), "it stopped before another one leads");
    assert!(second.least > first.least);
    assert_eq!(lease(&server)["spec"]["leaseTransitions"], json!(1));
}

// S41: a leader that cannot reach the API server stops before anybody else can lead.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_steps_down_in_time() {
    for mute in [false, true] {
        let server = Fake::start().await;
        let a = candidate(&server, "a");
        let first = a.stand().await.unwrap().unwrap();
        server.kept(|kept| {
            kept.mute = mute;
            kept.broken = Some(503);
        });
        within(Duration::from_millis(2_900), "lost", first.lock.lost()).await;
        assert!(!first.lock.is_held());
        server.kept(|kept| (kept.mute, kept.broken) = (false, None));
        let again = elected(&a).await;
        assert!(again.lock.is_held());
        assert!(!first.lock.is_held(), "what is lost stays lost");
        assert_eq!(lease(&server)["spec"]["leaseTransitions"], json!(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_or_a_taken_lease_is_lost() {
    let server = Fake::start().await;
    let a = candidate(&server, "a");
    let first = a.stand().await.unwrap().unwrap();
    server.kept(|kept| kept.remove("leases", "beat"));
    within(Duration::from_secs(2), "lost", first.lock.lost()).await;
    drop(first);
    let second = elected(&a).await;
    change(&server, |lease| {
        lease["spec"]["holderIdentity"] = json!("somebody");
    });
    within(Duration::from_secs(2), "lost", second.lock.lost()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_second_does_not_lead_and_a_leader_outlives_a_race() {
    let server = Fake::start().await;
    let a = candidate(&server, "a");
    let first = a.stand().await.unwrap().unwrap();
    drop(first);
    a.resign().await;
    server.kept(|kept| kept.races = 1);
    assert!(a.stand().await.unwrap().is_none(), "409");
    let first = a.stand().await.unwrap().unwrap();
    // Somebody puts a label on it: the next renewal is refused, and the one after it not.
    change(&server, |lease| {
        lease["metadata"]["labels"] = json!({ "team": "a" });
    });
    let before = writes(&server);
    let renewed = async {
        while writes(&server) < before + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(10), "renewed", renewed).await;
    assert!(first.lock.is_held());
    assert_eq!(lease(&server)["metadata"]["labels"]["team"], json!("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_leads() {
    let server = Fake::start().await;
    let all: Vec<_> = (0..8).map(|_| candidate(&server, "same-name")).collect();
    let stood = futures_util::future::join_all(all.iter().map(Election::stand)).await;
    let leading = stood
        .iter()
        .filter(|stood| stood.as_ref().is_ok_and(Option::is_some));
    assert_eq!(leading.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_replaced_is_used() {
    let server = Fake::start().await;
    let a = candidate(&server, "a");
    let first = a.stand().await.unwrap().unwrap();
    server.kept(|kept| kept.token = "two".to_owned());
    let error = candidate(&server, "b").stand().await.err().unwrap();
    assert!(error.ends_with("was refused"), "{error}");
    server.give("token", "two\n");
    let before = writes(&server);
    let renewed = async {
        while writes(&server) < before + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(10), "renewed", renewed).await;
    assert!(first.lock.is_held());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named() {
    let server = Fake::start().await;
    let a = candidate(&server, "a");
    server.kept(|kept| kept.forbidden.insert("get leases".to_owned()));
    let error = a.stand().await.err().unwrap();
    assert_eq!(
        error,
        "cannot get the Lease work/beat: 403: the service account may not get leases in namespace \
         work: see k8s/base, where a role allows apiGroups [\"coordination.k8s.io\"], resources \
         [\"leases\"], verbs [\"get\", \"create\", \"update\"]; it said: leases is forbidden: \
         User \"celeriac\" cannot get it"
    );
    assert_eq!(a.candidate.trouble.lock().unwrap().as_ref(), Some(&error));
    server.kept(|kept| kept.forbidden.clear());
    assert!(a.stand().await.unwrap().is_some(), "it keeps trying");
    assert_eq!(*a.candidate.trouble.lock().unwrap(), None);
}
