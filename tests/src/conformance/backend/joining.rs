//! Counting the members of a chord's header.

use celeriac::backend::{Addition, Joined, Member};
use celeriac::protocol::{ResultTuple, State, Value};

use super::{Bench, Ends, task_id};
use crate::eventually::within;

fn member(group: &str, index: u32) -> Member {
    Member {
        group: group.to_owned(),
        index: Some(index),
        task_id: format!("{group}-{index}"),
        state: if index == 1 {
            State::Failure
        } else {
            State::Success
        },
        result: Value::Int(index.into()),
    }
}

async fn begin(ends: &Ends, size: u32) -> String {
    let group = task_id();
    within("beginning", ends.client.begin_join(&group, size))
        .await
        .unwrap();
    group
}

async fn join(ends: &Ends, member: Member) -> Option<Vec<Joined>> {
    within("joining", ends.node.join(member)).await.unwrap()
}

/// Who counts last gets all results by their place, failures too.
pub async fn the_last_member_joins_all(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().join {
        return;
    }
    let group = begin(&ends, 12).await;
    for index in (1..12).rev() {
        assert_eq!(join(&ends, member(&group, index)).await, None);
    }
    let all = join(&ends, member(&group, 0)).await.unwrap();
    for (index, joined) in (0..).zip(&all) {
        let Member {
            task_id,
            state,
            result,
            ..
        } = member(&group, index);
        assert_eq!(
            *joined,
            Joined {
                task_id,
                state,
                result
            }
        );
    }
    assert_eq!(all.len(), 12);
}

/// A member that ran twice counts once (S29).
pub async fn a_member_counts_once(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().join {
        return;
    }
    let group = begin(&ends, 2).await;
    for _ in 0..3 {
        assert_eq!(join(&ends, member(&group, 0)).await, None);
    }
    // Who counted last is told each time: its first answer may have been lost.
    for _ in 0..2 {
        assert_eq!(
            join(&ends, member(&group, 1)).await.map(|all| all.len()),
            Some(2)
        );
    }
    // While the one who counted last is about to send the body, nobody else is told more
    // than to ask again.
    match within("joining", ends.node.join(member(&group, 0))).await {
        Ok(joined) => assert_eq!(joined, None),
        Err(error) => assert!(error.is_retryable(), "{error}"),
    }
}

/// After the body was sent nobody is told again.
pub async fn a_finished_chord_is_not_joined_again(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().join {
        return;
    }
    let group = begin(&ends, 1).await;
    assert!(join(&ends, member(&group, 0)).await.is_some());
    within("ending", ends.node.end_join(&group)).await.unwrap();
    assert_eq!(join(&ends, member(&group, 0)).await, None);
}

/// A client may send the same chord again as soon as it has the body's result, which may
/// be before the first one is said to have ended.
pub async fn a_chord_that_was_begun_anew_goes_on(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().join {
        return;
    }
    let group = begin(&ends, 1).await;
    assert!(join(&ends, member(&group, 0)).await.is_some());
    within("beginning anew", ends.node.begin_join(&group, 1))
        .await
        .unwrap();
    within("ending", ends.node.end_join(&group)).await.unwrap();
    assert!(join(&ends, member(&group, 0)).await.is_some());
}

/// Only who has the claim sends the body; nobody has it once the body was sent.
pub async fn a_claim_is_held_by_one(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().join {
        return;
    }
    let group = begin(&ends, 2).await;
    let [first, last] = [0, 1].map(|index| member(&group, index));
    let (early, claim) = (first.claim(), last.claim());
    assert_eq!(join(&ends, first).await, None);
    assert!(join(&ends, last).await.is_some());
    let holds = async |claim| within("holding", ends.node.hold_join(claim)).await.unwrap();
    assert!(!holds(&early).await);
    assert!(holds(&claim).await);
    assert!(holds(&claim).await);
    within("ending", ends.node.end_join(&group)).await.unwrap();
    assert!(!holds(&claim).await);
    assert!(!holds(&early).await);
}

/// A member may add more to its header while it runs.
pub async fn a_header_grows_while_it_runs(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().join {
        return;
    }
    let group = begin(&ends, 1).await;
    // What was added stands in the place of who added it.
    let added = |id: &str| Member {
        task_id: format!("{group}-{id}"),
        ..member(&group, 0)
    };
    let ids = ["a", "b", "c"].map(|id| added(id).task_id);
    let [a, b, c] = ids.each_ref().map(|id| Addition::Expected(id.as_str()));
    // An answer may be lost, and what could not be sent does not come.
    for addition in [
        a,
        b,
        c,
        a,
        Addition::Withdrawn(&ids[2]),
        Addition::Withdrawn(&ids[2]),
    ] {
        within("extending", ends.node.extend_join(&group, addition))
            .await
            .unwrap();
    }
    assert_eq!(join(&ends, member(&group, 0)).await, None);
    assert_eq!(join(&ends, added("a")).await, None);
    let all = join(&ends, added("b")).await.unwrap();
    assert_eq!(all.len(), 3);
}

/// A member that is a group is one result: the list of its members' values.
pub async fn a_nested_header_keeps_its_form(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().join {
        return;
    }
    let group = task_id();
    let id = |index: u32| ResultTuple::new(member(&group, index).task_id);
    let inner = ResultTuple::group(task_id(), [id(3), id(2)]);
    let header = ResultTuple::group(group.as_str(), [id(0), inner]);
    within("saving", ends.client.save_group(&header))
        .await
        .unwrap();
    within("beginning", ends.client.begin_join(&group, 3))
        .await
        .unwrap();
    assert_eq!(join(&ends, member(&group, 2)).await, None);
    assert_eq!(join(&ends, member(&group, 3)).await, None);
    let all = join(&ends, member(&group, 0)).await.unwrap();
    let results: Vec<_> = all.into_iter().map(|joined| joined.result).collect();
    let nested = Value::Array(vec![Value::Int(3), Value::Int(2)]);
    assert_eq!(results, [Value::Int(0), nested]);
}

/// A group that was saved can be restored by anybody, until it is deleted.
pub async fn a_group_is_saved_and_restored(bench: &dyn Bench) {
    let ends = bench.open().await;
    let group = ResultTuple::group(task_id(), [ResultTuple::new(task_id())])
        .with_parent(ResultTuple::new(task_id()));
    if !ends.capabilities().fetch {
        let refused = ends.client.save_group(&group).await.unwrap_err();
        assert!(
            matches!(refused, celeriac::Error::Unsupported { .. }),
            "{refused}"
        );
        return;
    }
    assert_eq!(ends.node.restore_group(&group.id).await.unwrap(), None);
    within("saving", ends.client.save_group(&group))
        .await
        .unwrap();
    let restored = within("restoring", ends.node.restore_group(&group.id)).await;
    assert_eq!(restored.unwrap().as_ref(), Some(&group));
    within("deleting", ends.node.delete_group(&group.id))
        .await
        .unwrap();
    assert_eq!(ends.node.restore_group(&group.id).await.unwrap(), None);
}

/// A chord whose body will never be sent is not joined again either.
pub async fn a_broken_chord_is_not_joined_again(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().join {
        return;
    }
    let group = begin(&ends, 1).await;
    assert!(join(&ends, member(&group, 0)).await.is_some());
    within("ending", ends.node.break_join(&group))
        .await
        .unwrap();
    for index in 0..2 {
        assert_eq!(join(&ends, member(&group, index)).await, None);
    }
}
