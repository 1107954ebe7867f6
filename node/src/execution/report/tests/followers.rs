//! What follows a task and cannot be had.

use super::*;

#[test]
fn a_callback_that_is_no_signature_fails_the_task() {
    let broken = Signature {
        subtask_type: Some("group".into()),
        ..Signature::default()
    };
    let embed = Embed {
        callbacks: Some(vec![broken]),
        ..Embed::default()
    };
    let (headers, properties) = (headers(), Properties::default());
    let options = TaskOptions::default();
    let facts = Facts {
        headers: &headers,
        properties: &properties,
        options: &options,
        now: UNIX_EPOCH,
        runtime: Duration::ZERO,
        children: Vec::new(),
        stores: true,
        acknowledged: false,
        redelivered: false,
        keeps: false,
        events: false,
        plan: &|signature, rest| Ok(plan(signature, rest, None, &mut || "new".to_owned())?),
        again: &|_| Ok(Publication::to_queue("celery", Message::default())),
    };
    let report = report(Outcome::Success(Value::Int(1)), embed, facts);
    let (state, exception) = stored(&report).unwrap();
    assert_eq!(state, "FAILURE");
    assert!(
        exception.starts_with("InvalidTaskError('what follows the task: "),
        "{exception}"
    );
    assert!(report.steps.is_empty());
}

/// S19: What follows a task and cannot be planned fails it, and all who wait hear of it.
#[test]
fn a_follower_that_is_malformed_breaks_the_chord_around() {
    let (headers, properties) = (headers(), Properties::default());
    let options = TaskOptions::default();
    let facts = Facts {
        headers: &headers,
        properties: &properties,
        options: &options,
        now: UNIX_EPOCH,
        runtime: Duration::ZERO,
        children: Vec::new(),
        stores: true,
        acknowledged: false,
        redelivered: false,
        keeps: false,
        events: false,
        plan: &|signature, rest| Ok(plan(signature, rest, None, &mut || "new".to_owned())?),
        again: &|_| Ok(Publication::to_queue("celery", Message::default())),
    };
    let empty = Signature {
        subtask_type: Some("chain".into()),
        ..Signature::new("celery.chain")
    };
    let embed = Embed {
        callbacks: Some(vec![empty.clone()]),
        errbacks: Some(vec![empty, Signature::new("hears")]),
        chain: Some(vec![Signature::new("next").with_option("task_id", "next")]),
        chord: Some(Box::new(Signature::new("body"))),
    };
    let report = report(Outcome::Success(Value::Int(1)), embed, facts);
    let stored: Vec<_> = report
        .stores
        .iter()
        .map(|store| {
            let document = &store.document;
            (document.task_id.as_str(), document.status.clone())
        })
        .collect();
    assert_eq!(stored.len(), 2);
    assert!(stored.contains(&("id", State::Failure)));
    assert!(stored.contains(&("next", State::Failure)));
    let joins =
        |step: &Step| matches!(step, Step::Join { member, .. } if member.state == State::Failure);
    assert!(report.steps.iter().any(joins));
    // An errback that is malformed does not silence the others.
    let told = report.steps.iter().find_map(|step| match step {
        Step::Tell { plan, .. } => Some(plan.sends[0].signature.task.as_str()),
        _ => None,
    });
    assert_eq!(told, Some("hears"));
}

/// S29: A chord that cannot be counted is broken once, however many members it has.
#[test]
fn what_is_broken_is_not_counted_and_errbacks_keep_nobody_waiting() {
    let join = |group: &str| Step::Join {
        member: Box::new(celeriac::backend::Member {
            group: group.to_owned(),
            index: None,
            task_id: "member".to_owned(),
            state: State::Failure,
            result: Value::Null,
        }),
        body: Box::default(),
        lineage: celeriac::producer::Lineage::default(),
    };
    let call = || Step::Call {
        errbacks: Vec::new(),
        failure: Box::new(celeriac::task::Failure::new("id")),
        trace: None,
    };
    let end = || Step::BreakJoin("g".to_owned());
    let mut report = Report {
        steps: [join("g"), join("g"), join("around"), join("g")].into(),
        ..Report::default()
    };
    report.put_for(0, [call(), end()].into());
    assert_eq!(report.steps, [call(), end(), join("around")]);
    // The chord around does not wait for the call; the end of the broken one does.
    assert_eq!(report.next_step(), Some((2, &join("around"))));
    report.put_for(2, VecDeque::new());
    assert_eq!(report.next_step(), Some((0, &call())));
    report.put_for(0, VecDeque::new());
    assert_eq!(report.next_step(), Some((0, &end())));
}
