//! The client at an API server that is made up.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{ANOTHER, AUTHORITY, Server};
use super::*;

/// A made-up API server whose folder goes with the test.
pub(crate) struct Fake(pub(crate) Server, PathBuf);

impl std::ops::Deref for Fake {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let folder = format!("celeriac-kubernetes-{}", uuid::Uuid::new_v4());
        let folder = std::env::temp_dir().join(folder);
        Self(Server::start(&folder, "work\n").await, folder)
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::at(format!("https://{}", self.address), self.folder.clone())
    }

    pub(crate) fn collection(&self, kind: Kind) -> Collection {
        let client = Arc::new(Client::new(&self.cluster()).unwrap());
        Collection::new(&client, kind, "work", Duration::from_secs(5))
    }
}

fn pod(number: usize) -> Value {
    json!({
        "metadata": { "labels": { "app": "node" } },
        "spec": { "containers": [{ "name": "node", "number": number }] },
    })
}

#[tokio::test]
async fn who_is_not_vouched_for_by_the_clusters_authority_is_refused() {
    let fake = Fake::start().await;
    fake.give("ca.crt", ANOTHER);
    let pods = fake.collection(Kind::PODS);
    let error = pods.list::<Value>(None, Part::Whole).await.unwrap_err();
    let Failure::Unavailable { text, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(
        text.starts_with("cannot list the pods of namespace work: "),
        "{text}"
    );
    assert!(text.contains("certificate"), "{text}");
    assert_eq!(fake.count(""), 0, "nothing was asked, and no token shown");
    // Half a file changes nothing; the right one does, without a new client.
    fake.give("ca.crt", "-----BEGIN");
    assert!(pods.list::<Value>(None, Part::Whole).await.is_err());
    fake.give("ca.crt", AUTHORITY);
    assert_eq!(
        pods.list::<Value>(None, Part::Whole).await.unwrap().len(),
        0
    );
    fake.give("ca.crt", ANOTHER);
    assert!(pods.list::<Value>(None, Part::Whole).await.is_err());
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let fake = Fake::start().await;
    fake.kept(|kept| {
        for number in 0..1_203 {
            kept.put("pods", &format!("node-{number:04}"), pod(number));
        }
        kept.put(
            "pods",
            "other",
            json!({ "metadata": { "labels": { "app": "web" } } }),
        );
    });
    let pods = fake.collection(Kind::PODS);
    let selector: Selector = "app=node".parse().unwrap();
    let read = pods.list::<Value>(Some(&selector), Part::Metadata).await;
    let read = read.unwrap();
    assert_eq!(read.len(), 1_203);
    assert_eq!(read[1_202]["metadata"]["name"], "node-1202");
    assert!(read[0]["spec"].is_null(), "metadata alone was asked for");
    assert_eq!(fake.count("list pods"), 3);
    let whole = pods.list::<Value>(None, Part::Whole).await.unwrap();
    assert_eq!(whole.len(), 1_204);
    assert_eq!(whole[7]["spec"]["containers"][0]["number"], 7);
}

#[tokio::test]
async fn a_patch_changes_what_it_names_of_the_object_that_is_meant() {
    let fake = Fake::start().await;
    fake.kept(|kept| kept.put("pods", "node-1", pod(1)));
    let pods = fake.collection(Kind::PODS);
    let uid = fake.object("pods", "node-1")["metadata"]["uid"].clone();
    let patch = |uid: &Value| json!({ "metadata": { "uid": uid, "annotations": { "a": "b" } } });
    pods.patch("node-1", &patch(&uid)).await.unwrap();
    let found = fake.object("pods", "node-1");
    assert_eq!(found["metadata"]["annotations"], json!({ "a": "b" }));
    assert_eq!(found["metadata"]["labels"]["app"], "node");
    let other = pods.patch("node-1", &patch(&json!("another"))).await;
    assert_eq!(other, Err(Failure::Conflict("pod work/node-1".to_owned())));
    let none = pods.patch("node-2", &patch(&uid)).await;
    assert_eq!(none, Err(Failure::Missing("pod work/node-2".to_owned())));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let fake = Fake::start().await;
    fake.kept(|kept| {
        kept.put("pods", "node-1", pod(1));
        kept.forbidden.insert("patch pods".to_owned());
    });
    let pods = fake.collection(Kind::PODS);
    let patch = json!({ "metadata": {} });
    assert_eq!(
        pods.patch("node-1", &patch).await.unwrap_err().to_string(),
        "cannot patch the pod work/node-1: 403: the service account may not patch pods in \
         namespace work: see k8s/base, where a role allows apiGroups [\"\"], resources \
         [\"pods\"], verbs [\"list\", \"patch\"]; it said: pods is forbidden: User \"celeriac\" \
         cannot patch it"
    );
    fake.kept(|kept| {
        kept.forbidden.clear();
        kept.throttled = 1;
        kept.retry_after = 7;
    });
    let Err(Failure::Unavailable { text, wait }) = pods.patch("node-1", &patch).await else {
        panic!("not put off")
    };
    assert_eq!(wait, Some(Duration::from_secs(7)));
    assert!(
        text.ends_with("429 Too Many Requests; it said: too many requests"),
        "{text}"
    );
    fake.kept(|kept| kept.token = "two".to_owned());
    let error = pods.list::<Value>(None, Part::Whole).await.unwrap_err();
    assert!(error.to_string().ends_with("was refused"), "{error}");
    fake.give("token", "two\n");
    assert_eq!(
        pods.list::<Value>(None, Part::Whole).await.unwrap().len(),
        1
    );
    fake.kept(|kept| kept.broken = Some(410));
    let error = pods.list::<Value>(None, Part::Whole).await.unwrap_err();
    assert!(matches!(error, Failure::Expired(_)), "{error:?}");
    let reads = fake.count("list pods");
    assert_eq!(reads, 4, "an expired list is read anew once");
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_comes_too_late_is_not_waited_for() {
    let fake = Fake::start().await;
    let client = Arc::new(Client::new(&fake.cluster()).unwrap());
    let pods = Collection::new(&client, Kind::PODS, "work", Duration::from_millis(200));
    fake.kept(|kept| kept.mute = true);
    let error = pods.list::<Value>(None, Part::Whole).await.unwrap_err();
    assert!(
        error.to_string().ends_with("no answer within 200ms"),
        "{error}"
    );
    fake.kept(|kept| {
        kept.mute = false;
        kept.put("pods", "large", json!({ "spec": "x".repeat(9 << 20) }));
    });
    let pods = fake.collection(Kind::PODS);
    let error = pods.list::<Value>(None, Part::Whole).await.unwrap_err();
    assert!(
        error.to_string().ends_with("is larger than 8388608 bytes"),
        "{error}"
    );
}
