//! A remote control request or reply, and what a node does to see whether it is meant.
#![no_main]

use bytes::Bytes;
use celeriac_protocol::{
    Message, Value,
    control::{QueueInfo, Reply, Request, ScheduledInfo, TaskInfo},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let message = Message {
        body: Bytes::copy_from_slice(input),
        ..Message::default()
    };
    if let Ok(request) = Request::from_message(&message) {
        let _ = request.addresses("w1@example.org");
        let again = Request::from_message(&request.to_message()).expect("it can be read");
        assert_eq!(format!("{request:?}"), format!("{again:?}"));
    }
    if let Ok(reply) = Reply::from_message(&message) {
        for item in reply.payload.as_array().unwrap_or_default() {
            let item: Value = item.clone();
            let _ = TaskInfo::from_value(item.clone()).map(|info| info.to_value());
            let _ = ScheduledInfo::from_value(item.clone()).map(|info| info.to_value());
            let _ = QueueInfo::from_value(item).map(|info| info.to_value());
        }
        let again = Reply::from_message(&reply.to_message()).expect("it can be read");
        assert_eq!(format!("{reply:?}"), format!("{again:?}"));
    }
});
