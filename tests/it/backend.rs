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
