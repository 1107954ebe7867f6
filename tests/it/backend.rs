//! Every result backend runs the whole conformance suite.

mod memory {
    use celeriac_tests::conformance::backend::MemoryBench;

    celeriac_tests::backend_suite!(MemoryBench);
}

mod redis {
    use celeriac_tests::conformance::backend::RedisBench;
    use celeriac_tests::servers::redis_url;

    celeriac_tests::backend_suite!(RedisBench(redis_url()));
}

mod redis_faults {
    use celeriac::backend::Member;
    use celeriac::protocol::ResultTuple;
    use celeriac::{Error, State, Value};
    use celeriac_tests::conformance::backend::{Bench, RedisBench, success, task_id};
    use celeriac_tests::eventually::{eventually, within};
    use celeriac_tests::servers::redis_url;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// The database of the test that loses its connections: others keep theirs.
    const OWN: &str = "9";

    fn own_url() -> String {
        let mut url = url::Url::parse(&redis_url()).unwrap();
        url.set_path(OWN);
        url.to_string()
    }

    /// Makes Redis close every connection to the test's own database.
    async fn close_own_connections() {
        let mut stream = connect().await;
        stream.write_all(b"CLIENT LIST\r\nQUIT\r\n").await.unwrap();
        let mut list = String::new();
        within("the list", stream.read_to_string(&mut list))
            .await
            .unwrap();
        let own = list
            .lines()
            .filter(|line| line.contains(&format!(" db={OWN} ")));
        let ids = own.filter_map(|line| line.strip_prefix("id=")?.split(' ').next());
        tell(ids.map(|id| format!("CLIENT KILL ID {id}\r\n"))).await;
    }

    async fn connect() -> TcpStream {
        let url = url::Url::parse(&redis_url()).unwrap();
        let address = (url.host_str().unwrap(), url.port().unwrap_or(6379));
        TcpStream::connect(address).await.unwrap()
    }

    /// Gives Redis commands that it answers with numbers.
    async fn tell(commands: impl IntoIterator<Item = String>) {
        let mut stream = connect().await;
        for command in commands {
            number(&mut stream, &command).await;
        }
    }

    /// Returns the number with which Redis answers a command.
    async fn ask(command: &str) -> i64 {
        number(&mut connect().await, command).await
    }

    async fn number(stream: &mut TcpStream, command: &str) -> i64 {
        stream.write_all(command.as_bytes()).await.unwrap();
        let mut answer = [0; 64];
        let length = within("the answer", stream.read(&mut answer))
            .await
            .unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        let number = answer.strip_prefix(':').map(str::trim_end);
        number.unwrap_or(&answer).parse().unwrap()
    }

    /// A key that holds no text is replaced, and does not fail the batch that it is in.
    #[tokio::test]
    async fn a_key_of_another_type_is_replaced() {
        let ends = RedisBench(redis_url()).open().await;
        let ids = [task_id(), task_id(), task_id()];
        tell([format!("LPUSH celery-task-meta-{} x\r\n", ids[1])]).await;
        eventually("storing", || async {
            let stores = ids.iter().map(|id| celeriac::backend::Store {
                document: success(id, 1),
                reply_to: None,
                correlation_id: None,
            });
            let answers = ends.node.store(stores.collect()).await;
            answers.iter().all(Result::is_ok).then_some(())
        })
        .await;
        eventually("all can be read", || async {
            let stored = ends.client.fetch(&ids).await.ok()?;
            stored.iter().all(Option::is_some).then_some(())
        })
        .await;
    }

    fn member(group: &str) -> Member {
        Member {
            group: group.to_owned(),
            index: Some(0),
            task_id: format!("{group}-0"),
            state: State::Success,
            result: Value::Int(1),
        }
    }

    /// S29: A member that is run again while a worker that is gone has the claim is not
    /// told that it is done: it is the last one who can see to the body.
    #[tokio::test]
    async fn a_claim_of_somebody_else_is_waited_for() {
        let ends = RedisBench(redis_url()).open().await;
        let group = task_id();
        within("beginning", ends.node.begin_join(&group, 1))
            .await
            .unwrap();
        tell([format!("SETNX celery-taskset-meta-{group}.c another\r\n")]).await;
        let claimed = ends.node.join(member(&group)).await.unwrap_err();
        assert!(claimed.is_retryable(), "{claimed}");
        tell([format!("DEL celery-taskset-meta-{group}.c\r\n")]).await;
        assert!(ends.node.join(member(&group)).await.unwrap().is_some());
        // Not so when the chord has ended.
        within("ending", ends.node.end_join(&group)).await.unwrap();
        assert_eq!(ends.node.join(member(&group)).await.unwrap(), None);
    }

    /// A member that is counted does not cut the life of its saved header to the chord's.
    #[tokio::test]
    async fn a_saved_group_lives_as_long_as_results() {
        let mut url = url::Url::parse(&redis_url()).unwrap();
        url.set_query(Some("result_chord_expires=60"));
        let ends = RedisBench(url.to_string()).open().await;
        let group = task_id();
        let header = ResultTuple::group(group.as_str(), [ResultTuple::new(format!("{group}-0"))]);
        within("saving", ends.node.save_group(&header))
            .await
            .unwrap();
        within("beginning", ends.node.begin_join(&group, 2))
            .await
            .unwrap();
        assert_eq!(ends.node.join(member(&group)).await.unwrap(), None);
        let left = ask(&format!("TTL celery-taskset-meta-{group}\r\n")).await;
        assert!((60 + 1..=86_400).contains(&left), "{left} seconds");
        let left = ask(&format!("TTL celery-taskset-meta-{group}.j\r\n")).await;
        assert!((0..=60).contains(&left), "{left} seconds");
    }

    /// S29: Results that another worker keeps in another form will be in that form when
    /// they are asked for again; a member that could not be counted is counted later.
    #[tokio::test]
    async fn results_of_another_form_are_a_final_error() {
        let ends = RedisBench(redis_url()).open().await;
        let group = task_id();
        within("beginning", ends.node.begin_join(&group, 1))
            .await
            .unwrap();
        let results = format!("celery-taskset-meta-{group}.j");
        tell([format!("RPUSH {results} x\r\n")]).await;
        let mixed = ends.node.join(member(&group)).await.unwrap_err();
        assert!(
            matches!(mixed, Error::Invalid { .. })
                && mixed.to_string().contains("result_chord_ordered"),
            "{mixed}"
        );
        tell([format!("DEL {results}\r\n")]).await;
        assert!(ends.node.join(member(&group)).await.unwrap().is_some());
    }

    /// A waiter hears of a result although the connection is lost around it, again and
    /// again.
    #[tokio::test]
    async fn a_lost_connection_loses_no_result() {
        let ends = RedisBench(own_url()).open().await;
        for round in 0..5 {
            let id = task_id();
            let mut waiter =
                eventually("watching", || async { ends.client.watch(&id).await.ok() }).await;
            close_own_connections().await;
            eventually("storing", || async {
                let store = celeriac::backend::Store {
                    document: success(&id, round),
                    reply_to: None,
                    correlation_id: None,
                };
                ends.node.store(vec![store]).await.remove(0).ok()
            })
            .await;
            let done = within("the result", waiter.ready()).await;
            assert_eq!(done.result, celeriac::Value::Int(round));
        }
    }
}

mod rpc_over_memory {
    use celeriac::broker::MemoryBroker;
    use celeriac_tests::conformance::backend::RpcBench;

    celeriac_tests::backend_suite!(RpcBench::Memory(MemoryBroker::new()));
}

mod rpc_over_amqp {
    use celeriac_tests::conformance::backend::RpcBench;
    use celeriac_tests::servers::amqp_url;

    celeriac_tests::backend_suite!(RpcBench::Url(amqp_url()));
}
