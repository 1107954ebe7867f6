//! What a search finds without a store.

use super::*;

// S35: without a history the same searches look through memory.
#[test]
fn searches_find_the_same_in_memory() {
    let history = crate::cluster::History::new(100);
    for n in 0..30 {
        for (said, sender, fact) in life(&format!("id{n:02}")).into_iter().take(n % 7 + 1) {
            let id = format!("id{n:02}").into();
            history.merge(&id, said, &sender.into(), fact, &mut None);
        }
    }
    let text = |text: &str| Some(text.to_owned());
    let find = |search: TaskSearch| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = TaskSearch {
                limit: 7,
                after,
                ..search.clone()
            };
            let page = page.in_memory(&history);
            assert!(page.tasks.len() <= 7);
            found.extend(page.tasks.into_iter().map(|task| task.id));
            let Some(next) = page.next else { break };
            // As a client sends it back.
            after = Some(next.to_string().parse().unwrap());
        }
        found
    };
    let none = TaskSearch::default();
    let all = find(none.clone());
    let newest_first = (0..30).rev().map(|n| format!("id{n:02}"));
    assert_eq!(all, newest_first.collect::<Vec<_>>());
    for (search, first, count) in [
        (
            TaskSearch {
                name: text("se*"),
                states: vec!["PENDING".into(), "SUCCESS".into()],
                ..none.clone()
            },
            "id28",
            9,
        ),
        (
            TaskSearch {
                worker: text("w2"),
                queue: text("mail"),
                root: text("root"),
                ..none.clone()
            },
            "id27",
            12,
        ),
        (
            TaskSearch {
                error: text("VALUEerror"),
                ..none.clone()
            },
            "id24",
            4,
        ),
        (
            TaskSearch {
                argument: text("1, 2"),
                id: text("id1"),
                ..none.clone()
            },
            "id19",
            9,
        ),
        (
            TaskSearch {
                from: Some(1_000_000),
                to: Some(1_000_001),
                id: text("id2"),
                ..none.clone()
            },
            "id29",
            10,
        ),
    ] {
        let found = find(search.clone());
        assert_eq!((&*found[0], found.len()), (first, count), "{search:?}");
    }
    assert!(
        find(TaskSearch {
            worker: text("w9"),
            ..none
        })
        .is_empty()
    );
}
