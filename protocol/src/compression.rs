//! Body compression, with an output limit.
//!
//! The body of a message is serialized first and compressed after, so a receiver
//! decompresses first; content type and encoding stay those of the serializer.

use std::io::{self, Read, Write};

use crate::error::{DecodeError, Fault};

/// A compression method that this crate reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// `application/x-gzip`: despite the name a zlib stream, as kombu writes it. Real
    /// gzip is read too.
    Zlib,
    /// `application/x-bz2`.
    Bzip2,
    /// `application/zstd`.
    Zstd,
}

/// Methods that Celery knows and this crate does not carry.
const KNOWN_ELSEWHERE: [&str; 5] = [
    "application/x-lzma",
    "lzma",
    "xz",
    "application/x-brotli",
    "brotli",
];

const ACCEPTED: &str = "application/x-gzip, application/x-bz2 or application/zstd";

impl Compression {
    /// Reads the message header `compression`: a MIME name or one of Celery's aliases.
    ///
    /// # Errors
    /// `Fault::Content` for every other name; the text says whether Celery knows it.
    pub fn from_header(name: &str) -> Result<Self, DecodeError> {
        match name {
            "application/x-gzip" | "application/gzip" => Ok(Self::Zlib),
            "application/x-bz2" => Ok(Self::Bzip2),
            "application/zstd" => Ok(Self::Zstd),
            alias => Self::from_name(alias).map_err(|error| error.within("header")),
        }
    }

    /// Reads a setting: `gzip`, `zlib`, `bzip2`, `bzip`, `zstd` or `zstandard`.
    ///
    /// # Errors
    /// `Fault::Content` for every other name.
    pub fn from_name(name: &str) -> Result<Self, DecodeError> {
        match name {
            "gzip" | "zlib" => Ok(Self::Zlib),
            "bzip2" | "bzip" => Ok(Self::Bzip2),
            "zstd" | "zstandard" => Ok(Self::Zstd),
            known if KNOWN_ELSEWHERE.contains(&known) => Err(unknown(format!(
                "'{known}', which is known but not supported"
            ))),
            other => Err(unknown(format!("'{other}'"))),
        }
    }

    /// Returns the MIME name that the header `compression` carries.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Zlib => "application/x-gzip",
            Self::Bzip2 => "application/x-bz2",
            Self::Zstd => "application/zstd",
        }
    }

    /// Returns the name in settings: `zlib`, `bzip2`, `zstd`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
        }
    }

    /// Compresses with the method's default level, as Celery's clients do.
    ///
    /// # Errors
    /// When the compressor cannot get its memory; no input is refused.
    pub fn compress(self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zlib => {
                let mut out = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
                out.write_all(plain)?;
                out.finish()
            }
            Self::Bzip2 => {
                let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                out.write_all(plain)?;
                out.finish()
            }
            Self::Zstd => zstd::bulk::compress(plain, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }

    /// Decompresses to at most `limit` bytes.
    ///
    /// The output grows as it is written, so a small message that claims to be large
    /// costs nothing.
    ///
    /// # Errors
    /// `Fault::TooLarge` when there would be more than `limit` bytes,
    /// `Fault::Malformed` when the input is damaged or cut short.
    pub fn decompress(self, packed: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        let malformed = |found: String| {
            DecodeError::new(
                Fault::Malformed,
                "compressed body",
                format!("{} data", self.name()),
                found,
            )
        };
        if packed.is_empty() {
            return Err(malformed("no bytes".to_owned()));
        }
        let reader = self
            .reader(packed, limit)
            .map_err(|error| malformed(error.to_string()))?;
        match read_at_most(reader, limit) {
            Ok(Some(plain)) => Ok(plain),
            Ok(None) => Err(DecodeError::new(
                Fault::TooLarge,
                "compressed body",
                format!("at most {limit} bytes when decompressed"),
                format!("more, from {} compressed bytes", packed.len()),
            )),
            Err(error) => Err(malformed(error.to_string())),
        }
    }

    fn reader<'a>(self, packed: &'a [u8], limit: usize) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Zlib if packed.starts_with(&[0x1f, 0x8b]) => {
                Box::new(flate2::read::MultiGzDecoder::new(packed))
            }
            Self::Zlib => Box::new(flate2::read::ZlibDecoder::new(packed)),
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(packed)),
            Self::Zstd => {
                let mut reader = zstd::stream::read::Decoder::new(packed)?;
                reader.window_log_max(window_log(limit))?;
                Box::new(reader)
            }
        })
    }
}

/// Bounds the buffer that a zstd frame may ask for before it has written a byte: up
/// to the limit, but never below the 8 MiB that the usual levels ask for.
fn window_log(limit: usize) -> u32 {
    let bits = usize::BITS - limit.leading_zeros();
    bits.clamp(23, 27)
}

/// Returns `None` when there is more than `limit`.
fn read_at_most(mut reader: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut plain = Vec::new();
    reader.by_ref().take(limit as u64).read_to_end(&mut plain)?;
    // One more read also makes the decoder check its end mark and checksum.
    let more = plain.len() == limit && reader.read(&mut [0])? > 0;
    Ok((!more).then_some(plain))
}

fn unknown(found: String) -> DecodeError {
    DecodeError::new(Fault::Content, "compression", ACCEPTED, found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ALL: [Compression; 3] = [Compression::Zlib, Compression::Bzip2, Compression::Zstd];

    #[test]
    fn what_is_compressed_comes_back() {
        let plain = b"[[2, 3], {}, null]".repeat(100);
        for method in ALL {
            let packed = method.compress(&plain).unwrap();
            assert!(packed.len() < plain.len());
            assert_eq!(method.decompress(&packed, plain.len()).unwrap(), plain);
            assert_eq!(Compression::from_header(method.header()).unwrap(), method);
            assert_eq!(Compression::from_name(method.name()).unwrap(), method);
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let plain = vec![0; 20 << 20];
        for method in ALL {
            let bomb = method.compress(&plain).unwrap();
            assert!(bomb.len() < 64 << 10, "{method:?} {}", bomb.len());
            for limit in [0, 1, 1000, plain.len() - 1] {
                let error = method.decompress(&bomb, limit).unwrap_err();
                assert_eq!(error.fault, Fault::TooLarge, "{method:?}: {error}");
            }
            assert_eq!(
                method.decompress(&bomb, plain.len()).unwrap().len(),
                plain.len()
            );
        }
    }

    #[test]
    fn damage_is_malformed() {
        for method in ALL {
            let packed = method.compress(b"hello hello hello hello").unwrap();
            for cut in 0..packed.len() {
                let error = method.decompress(&packed[..cut], 1000).unwrap_err();
                assert_eq!(
                    error.fault,
                    Fault::Malformed,
                    "{method:?} cut at {cut}: {error}"
                );
            }
            assert_eq!(
                method.decompress(b"[[], {}]", 1000).unwrap_err().fault,
                Fault::Malformed
            );
        }
    }

    #[test]
    fn an_exact_limit_still_checks_the_end() {
        let packed = Compression::Zlib.compress(b"hello").unwrap();
        let cut = &packed[..packed.len() - 1];
        assert_eq!(
            Compression::Zlib.decompress(cut, 5).unwrap_err().fault,
            Fault::Malformed
        );
    }

    #[test]
    fn real_gzip_is_read() {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        out.write_all(b"hello").unwrap();
        let packed = out.finish().unwrap();
        assert_eq!(
            Compression::from_header("application/gzip").unwrap(),
            Compression::Zlib
        );
        assert_eq!(Compression::Zlib.decompress(&packed, 10).unwrap(), b"hello");
    }

    #[test]
    fn an_unknown_method_says_what_is_accepted() {
        let error = Compression::from_header("application/x-lzma").unwrap_err();
        assert_eq!(error.fault, Fault::Content);
        assert_eq!(
            error.to_string(),
            "header, compression: expected application/x-gzip, application/x-bz2 or \
             application/zstd, found 'application/x-lzma', which is known but not supported"
        );
        assert_eq!(
            Compression::from_header("").unwrap_err().fault,
            Fault::Content
        );
    }
}
