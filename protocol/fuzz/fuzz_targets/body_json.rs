//! A body, and the values in it: what can be read can be written and read again.
#![no_main]

use celeriac_protocol::{Body, Codec, Value};
use libfuzzer_sys::fuzz_target;

const CODEC: Codec = Codec::Json;

fuzz_target!(|input: &[u8]| {
    if let Ok(parts) = Body::new(CODEC, input.to_vec()).parts() {
        for raw in parts
            .args
            .iter()
            .chain(parts.kwargs.iter().map(|(_, raw)| raw))
        {
            let _ = raw.to_value();
        }
    }
    let Ok(value) = CODEC.to_value(input, "value") else {
        return;
    };
    let again = CODEC.to_vec(&value).expect("what was read can be written");
    let again: Value = CODEC
        .to_value(&again, "value")
        .expect("what was written can be read");
    // Not a number is unequal to itself; texts are not.
    assert_eq!(format!("{value:?}"), format!("{again:?}"));
});
