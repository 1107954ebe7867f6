//! A result document, as JSON and as MessagePack.
#![no_main]

use celeriac_protocol::{Codec, ResultDocument};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for codec in [Codec::Json, Codec::Msgpack] {
        let Ok(document) = ResultDocument::decode(codec, input) else {
            continue;
        };
        let _ = document.exception().map(|exception| exception.repr());
        let again = document
            .encode(codec)
            .expect("what was read can be written");
        let again = ResultDocument::decode(codec, &again).expect("what was written can be read");
        assert_eq!(format!("{document:?}"), format!("{again:?}"));
    }
});
