//! Who is answered, and how.

use super::*;

#[tokio::test]
async fn answers_are_those_of_a_celery_worker() {
    let (shared, mut commands) = office();
    // In an order in which a worker in the same state gave them.
    for name in [
        "control/ping",
        "control/unknown_command",
        "control/bad_arguments",
        "control/rate_limit",
        "control/rate_limit_disable",
        "control/rate_limit_invalid",
        "control/rate_limit_unknown_task",
        "control/time_limit",
        "control/time_limit_unknown",
        "control/add_consumer",
        "control/add_consumer_full",
        "control/cancel_consumer",
        "control/pool_grow",
        "control/pool_shrink",
        "control/pool_restart_not_enabled",
        "control/autoscale_not_enabled",
        "control/disable_events",
        "control2/enable_events",
        "control/enable_events_again",
        "control/revoke_noreply",
        "control/revoke_terminate_unknown",
        "control/terminate_cmd",
        "control2/revoke_active_no_terminate",
        "control/revoke_by_stamped_headers",
        "control2/revoke_by_stamped_headers_list_form",
    ] {
        let (request, expected) = captured(name);
        let answer = answered(&shared, &request).await;
        if expected.is_some() {
            assert_eq!(answer, expected, "{name}");
        }
    }
    assert_eq!(shared.slots.capacity(), 2);
    assert!(shared.events.enabled());
    let mut received = Vec::new();
    for _ in 0..3 {
        received.push(commands.recv().await.unwrap());
    }
    let added = TaskQueue::new("extra_q2")
        .exchange("ex2", ExchangeKind::Topic)
        .routing_key("a.#");
    assert!(
        received.contains(&Command::AddConsumer(added)),
        "{received:?}"
    );
    assert!(
        received.contains(&Command::CancelConsumer("extra_q".to_owned())),
        "{received:?}"
    );
}

#[tokio::test]
async fn some_requests_get_no_reply() {
    let (shared, _commands) = office();
    for name in [
        "control/heartbeat",
        "control2/shutdown_one",
        "control/election",
    ] {
        let (request, expected) = captured(name);
        assert_eq!((run(&shared, &request), expected), (None, None), "{name}");
    }
    assert_eq!(shared.shutdown.wish(), Wish::Drain);
    // A second request to stop does not make the first one impatient.
    ask(&shared, "shutdown", "{}");
    assert_eq!(shared.shutdown.wish(), Wish::Drain);
}

#[tokio::test]
async fn a_request_for_others_or_too_late_is_dropped() {
    let (shared, _commands) = office();
    let reply_to = celeriac::protocol::control::ReplyTo {
        exchange: naming::REPLY_EXCHANGE.to_owned(),
        routing_key: "me".to_owned(),
    };
    let ping = Request {
        method: "ping".to_owned(),
        ticket: Some("t".to_owned()),
        reply_to: Some(reply_to),
        clock: 41,
        ..Request::default()
    };
    let deliver = |request: &Request| {
        let delivery = Delivery {
            message: Arc::new(request.to_message()),
            exchange: naming::CONTROL_EXCHANGE.to_owned(),
            routing_key: String::new(),
            queue: "w1@vm.celery.pidbox".into(),
            redelivered: false,
            receipt: Receipt::settled(),
        };
        answer(&shared, &Arc::new(Semaphore::new(1)), delivery).and_then(|(request, payload)| {
            match payload {
                command::Reply::Now(payload) => reply(&shared, request, payload),
                command::Reply::Later(..) => None,
            }
        })
    };
    let reply = deliver(&ping).unwrap();
    assert_eq!(
        (reply.exchange.as_str(), reply.routing_key.as_str()),
        ("reply.celery.pidbox", "me")
    );
    let reply = Reply::from_message(&reply.message).unwrap();
    assert_eq!(
        (reply.node.as_str(), reply.ticket.as_deref()),
        ("w1@vm", Some("t"))
    );
    assert_eq!(reply.clock, 43);

    assert_eq!(
        deliver(&Request {
            expires: Some(1.0),
            ..ping.clone()
        }),
        None
    );
    assert_eq!(
        deliver(&Request {
            destination: Some(vec!["w2@vm".into()]),
            ..ping.clone()
        }),
        None
    );
    assert_eq!(
        deliver(&Request {
            reply_to: None,
            ..ping
        }),
        None
    );
}

#[tokio::test]
async fn it_answers_over_a_broker_until_it_is_stopped() {
    let (shared, _commands) = office();
    let stop = CancellationToken::new();
    let listening = tokio::spawn(listen(Arc::clone(&shared), stop.clone(), Pulse::default()));
    let queue = naming::control_queue(shared.name());
    let consumers = || async {
        let status = shared.app.broker().queue(&queue).await.unwrap();
        status.map_or(0, |status| status.consumers)
    };
    while consumers().await == 0 {
        tokio::task::yield_now().await;
    }
    let control = shared.app.control().to([shared.name()]);
    let control = control.within(Duration::from_secs(10));
    let replies = control.ask(control::Command::ping()).await.unwrap();
    assert_eq!(repr::python(&replies["w1@vm"]), "{'ok': 'pong'}");
    stop.cancel();
    listening.await.unwrap();
    assert_eq!(consumers().await, 0);
}

#[tokio::test]
async fn what_waits_for_a_server_does_not_silence_the_rest() {
    let (shared, _commands) = office();
    let none = Arc::new(Semaphore::new(0));
    let now = |method: &str, arguments: &str| match command::run(
        &shared,
        &request(method, arguments),
        &none,
    ) {
        command::Reply::Now(payload) => text(payload),
        command::Reply::Later(..) => panic!("{method} has no place to wait"),
    };
    assert_eq!(now("ping", "{}"), "{'ok': 'pong'}");
    let answer = now("revoke", r#"{"task_id": "one"}"#);
    assert!(answer.contains("done in this node"), "{answer}");
    assert_eq!(known(&shared), ["one"]);
}

#[tokio::test]
async fn a_program_adds_commands_of_its_own() {
    let app = App::builder("test")
        .control_command("double", async |asked: control::Invocation| {
            let number = asked.arguments().get("n").and_then(Value::as_i64);
            let number = number.ok_or_else(|| Exception::python("TypeError", "no number"))?;
            Ok((number * 2).into())
        })
        .control_command("ping", async |asked: control::Invocation| {
            Ok(asked.node().into())
        })
        .control_command("bug", async |_| panic!("as bugs do"))
        .build();
    let config = Config {
        name: "w1@vm".to_owned(),
        ..Config::default()
    };
    let (sender, _commands) = mpsc::channel(8);
    let handle = tokio::runtime::Handle::current();
    let shared = Shared::new(app.unwrap(), config, handle, sender);
    assert_eq!(text(asked(&shared, "double", r#"{"n": 4}"#).await), "8");
    assert_eq!(
        text(asked(&shared, "double", "{}").await),
        r#"{'error': "TypeError('no number')"}"#
    );
    assert_eq!(text(asked(&shared, "ping", "{}").await), "'w1@vm'");
    assert!(text(asked(&shared, "bug", "{}").await).contains("RuntimeError"));
}
