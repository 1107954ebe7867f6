//! The ids of traces and spans.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use uuid::Uuid;

/// The id of a trace: 16 bytes, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// The id of a span: 8 bytes, shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// Makes an id of random bytes.
    pub fn random() -> Self {
        let random = u128::from(random()) << 64 | u128::from(random());
        Self(NonZeroU128::new(random).unwrap_or(NonZeroU128::MIN))
    }

    /// Returns its bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }

    /// Returns the lower half, by which samplers decide.
    pub(super) const fn low(self) -> u64 {
        self.0.get() as u64
    }

    /// Reads 32 lowercase hexadecimal digits that are not all zero.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = u128::from_str_radix(hex(text, 32)?, 16).ok()?;
        NonZeroU128::new(number).map(Self)
    }
}

impl SpanId {
    /// Makes an id of random bytes.
    pub fn random() -> Self {
        Self(NonZeroU64::new(random()).unwrap_or(NonZeroU64::MIN))
    }

    /// Returns its bytes.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }

    /// Reads 16 lowercase hexadecimal digits that are not all zero.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = u64::from_str_radix(hex(text, 16)?, 16).ok()?;
        NonZeroU64::new(number).map(Self)
    }
}

/// Returns a text that is as many lowercase hexadecimal digits, and nothing else.
pub(super) fn hex(text: &str, digits: usize) -> Option<&str> {
    let good = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(good)).then_some(text)
}

/// Takes from a random UUID the bits that say neither version nor variant: samplers
/// elsewhere read an id as a number.
fn random() -> u64 {
    let bits = Uuid::new_v4().as_u128();
    ((bits >> 80) as u64) << 16 | (bits as u64 & 0xffff)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_use_every_bit() {
        let (mut ones, mut zeros) = (0, 0);
        for _ in 0..200 {
            let id = TraceId::random().0.get();
            ones |= id;
            zeros |= !id;
        }
        assert_eq!((ones, zeros), (u128::MAX, u128::MAX));
    }
}
