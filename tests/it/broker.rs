//! Every broker runs the whole conformance suite.

mod memory {
    use celeriac_tests::conformance::broker::MemoryBench;

    celeriac_tests::broker_suite!(MemoryBench::new());
}

mod amqp {
    use celeriac_tests::conformance::broker::UrlBench;
    use celeriac_tests::servers::amqp_url;

    celeriac_tests::broker_suite!(UrlBench(amqp_url()));
}
