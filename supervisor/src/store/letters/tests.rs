#![allow(clippy::unwrap_used)]

use celeriac_protocol::Properties;

use super::*;

fn letter(id: &str, died_at: i64) -> Letter {
    let mut headers = Table::new();
    headers.insert("task", "mail.send");
    Letter {
        id: id.to_owned(),
        task_id: Some(format!("task-{id}")),
        name: Some("mail.send_100%".into()),
        queue: "mail".into(),
        reason: Reason::Failed,
        error: "ValueError('boom')".into(),
        error_type: Some("ValueError".into()),
        traceback: Some("line\0".into()),
        node: Some("n@h".into()),
        attempts: Some(4),
        died_at,
        root_id: None,
        parent_id: None,
        args: Some("[\"Ada\", 1]".into()),
        kwargs: Some("{}".into()),
        properties: Properties {
            priority: Some(3),
            ..Properties::default()
        },
        headers,
        body: Some(Bytes::from_static(b"\xff\x00")),
        body_size: 2,
        fate: Fate::Kept,
    }
}

async fn ids(store: &Store, filter: &Filter) -> Vec<String> {
    let found = store.letters(filter, None, 10).await.unwrap();
    assert_eq!(
        store.count_letters(filter).await.unwrap(),
        found.len() as u64
    );
    found.into_iter().map(|letter| letter.id).collect()
}

fn filter(change: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    change(&mut filter);
    filter
}

fn replayed(at: i64) -> Fate {
    Fate::Replayed {
        at,
        by: "ada".into(),
        task_id: Some("t".into()),
    }
}

// S46.
pub(in crate::store) async fn a_letter_comes_back_as_it_was_and_only_once(store: Store) {
    let first = letter("a", 5);
    assert_eq!(
        store.keep_letters(std::slice::from_ref(&first), 9).await,
        Ok(vec![true])
    );
    assert_eq!(
        store.keep_letters(std::slice::from_ref(&first), 9).await,
        Ok(vec![false])
    );
    let found = store.letter("a").await.unwrap().unwrap();
    let plain = Letter {
        traceback: Some("line\u{fffd}".into()),
        ..first.clone()
    };
    assert_eq!(found, plain);
    assert_eq!(store.letter_of_task("task-a").await.unwrap(), Some(plain));
    assert_eq!(store.letter("b").await.unwrap(), None);
    let listed = &store.letters(&Filter::default(), None, 10).await.unwrap()[0];
    assert_eq!((listed.body.clone(), listed.body_size), (None, 2));

    // What was dealt with stays so, until it dies again.
    assert_eq!(
        store.letters_to_send(&["a", "b"]).await,
        Ok(vec![true, false])
    );
    let fates = [("a".to_owned(), replayed(9)), ("b".to_owned(), replayed(9))];
    assert_eq!(store.settle_letters(&fates).await, Ok(vec![true, false]));
    assert_eq!(store.settle_letters(&fates).await, Ok(vec![false, false]));
    assert_eq!(store.letters_to_send(&["a"]).await, Ok(vec![false]));
    store.keep_letters(&[first], 9).await.unwrap();
    assert_eq!(store.letter("a").await.unwrap().unwrap().fate, replayed(9));
    let again = store.keep_letters(&[letter("a", 6)], 9).await;
    assert_eq!(again, Ok(vec![true]));
    assert_eq!(store.letter("a").await.unwrap().unwrap().fate, Fate::Kept);
}

pub(in crate::store) async fn letters_are_found_by_each_of_their_sides(store: Store) {
    let other = Letter {
        name: Some("mail.sendx100x".into()),
        queue: "other".into(),
        reason: Reason::Crashed,
        error: "gone".into(),
        error_type: None,
        node: None,
        args: None,
        kwargs: Some("{\"to\": \"Bob\"}".into()),
        ..letter("b", 7)
    };
    store
        .keep_letters(&[letter("a", 5), other], 9)
        .await
        .unwrap();
    let text = |text: &str| Some(text.to_owned());
    let cases: Vec<(Filter, &[&str])> = vec![
        (Filter::default(), &["b", "a"]),
        (filter(|f| f.reason = Some(Reason::Crashed)), &["b"]),
        (filter(|f| f.name = text("MAIL.*")), &["b", "a"]),
        (filter(|f| f.name = text("mail.send_100%")), &["a"]),
        (filter(|f| f.name = text("mail.send?100?")), &["b", "a"]),
        (filter(|f| f.name = text("mail")), &[]),
        (filter(|f| f.queue = text("mail")), &["a"]),
        (filter(|f| f.node = text("n@h")), &["a"]),
        (filter(|f| f.error = text("valueE")), &["a"]),
        (filter(|f| f.error = text("GONE")), &["b"]),
        (filter(|f| f.arguments = text("bob")), &["b"]),
        (filter(|f| f.arguments = text("ada")), &["a"]),
        (filter(|f| f.since = Some(7)), &["b"]),
        (filter(|f| f.until = Some(7)), &["a"]),
        (filter(|f| f.state = Some("discarded")), &[]),
        (filter(|f| f.task_id = text("task-b")), &["b"]),
        (
            filter(|f| f.ids = Some(vec!["a".into(), "z".into()])),
            &["a"],
        ),
        (filter(|f| f.ids = Some(Vec::new())), &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&store, &filter).await, expected, "{filter:?}");
    }
}

pub(in crate::store) async fn pages_follow_each_other_without_gap_or_repetition(store: Store) {
    let all: Vec<_> = (0..7).map(|n| letter(&n.to_string(), n / 3)).collect();
    store.keep_letters(&all, 9).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.letters(&Filter::default(), after.as_ref(), 2).await;
        let page = page.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(After {
            died_at: last.died_at,
            id: last.id.clone(),
        });
        seen.extend(page.into_iter().map(|letter| letter.id));
    }
    assert_eq!(seen, ["6", "5", "4", "3", "2", "1", "0"]);
}

pub(in crate::store) async fn what_is_dropped_unseen_is_counted(store: Store) {
    let all: Vec<_> = (0..6).map(|n| letter(&n.to_string(), n)).collect();
    // How long ago it died says nothing: it may have waited long with the broker.
    for letter in &all {
        let one = std::slice::from_ref(letter);
        store.keep_letters(one, letter.died_at + 100).await.unwrap();
    }
    let fates = ["0", "3"].map(|id| (id.to_owned(), replayed(9)));
    store.settle_letters(&fates).await.unwrap();
    // 0 and 1 are old; of the rest, 3 goes first, then 2.
    assert_eq!(store.drop_letters(102, 4).await, Ok(1));
    assert_eq!(store.drop_letters(102, 3).await, Ok(0));
    assert_eq!(ids(&store, &Filter::default()).await, ["5", "4", "2"]);
    assert_eq!(store.drop_letters(102, 2).await, Ok(1));
    assert_eq!(ids(&store, &Filter::default()).await, ["5", "4"]);
}
