//! Compressed bytes; the first byte chooses the method.
#![no_main]

use celeriac_protocol::compression::Compression;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 64 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((choice, packed)) = input.split_first() else {
        return;
    };
    let method = match choice % 3 {
        0 => Compression::Zlib,
        1 => Compression::Bzip2,
        _ => Compression::Zstd,
    };
    let Ok(plain) = method.decompress(packed, LIMIT) else {
        return;
    };
    assert!(plain.len() <= LIMIT);
    let again = method.compress(&plain).expect("there is memory");
    assert_eq!(method.decompress(&again, LIMIT), Ok(plain));
});
