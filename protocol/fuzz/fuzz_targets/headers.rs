//! The headers of a task message, from a table in JSON.
#![no_main]

use celeriac_protocol::{Table, TaskHeaders, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(table) = json::from_slice::<Table>(input, "headers") else {
        return;
    };
    let Ok(headers) = TaskHeaders::from_table(table) else {
        return;
    };
    let again = TaskHeaders::from_table(headers.clone().into_table()).expect("it can be read");
    assert_eq!(format!("{headers:?}"), format!("{again:?}"));
});
