//! A signature as JSON, with everything that hangs on it.
#![no_main]

use celeriac_protocol::{Embed, Signature, Value, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(value) = json::from_slice::<Value>(input, "signature") else {
        return;
    };
    let _ = Embed::from_value(value.clone()).map(|embed| embed.is_empty());
    let Ok(signature) = Signature::from_value(value) else {
        return;
    };
    let _ = (
        signature.link(),
        signature.link_error(),
        signature.chain(),
        signature.chord(),
    );
    let _ = (
        signature.eta(),
        signature.expires(),
        signature.countdown(),
        signature.priority(),
    );
    let again = json::to_vec(&signature).expect("what was read can be written");
    let again = json::from_slice(&again, "signature").expect("what was written can be read");
    let again = Signature::from_value(again).expect("and is a signature");
    assert_eq!(format!("{signature:?}"), format!("{again:?}"));
});
