//! A time: what can be read is written in a form that reads back.
#![no_main]

use celeriac_protocol::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Ok(timestamp) = Timestamp::parse(input) else {
        return;
    };
    assert_eq!(Timestamp::parse(&timestamp.to_text()), Ok(timestamp));
});
