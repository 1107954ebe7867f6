//! An event message: one event or a list.
#![no_main]

use celeriac_protocol::event::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(events) = Event::decode_batch(input) else {
        return;
    };
    for event in &events {
        let _ = (
            event.routing_key(),
            event.kind.task_id(),
            event.kind.task_state(),
        );
    }
    let again = Event::encode_batch(&events);
    let again = Event::decode_batch(&again).expect("what was written can be read");
    assert_eq!(format!("{events:?}"), format!("{again:?}"));
});
