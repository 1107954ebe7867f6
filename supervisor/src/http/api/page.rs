//! Pages of lists: how many items, and where the next page starts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};

use crate::cluster::cut;

/// How many items a page holds: 1 to 1,000, 100 unless told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Limit(pub(in crate::http) usize);

/// Where the next page starts: opaque to clients, `T` inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Cursor<T>(pub(in crate::http) T);

const MOST: usize = 1_000;

/// Takes a page of what is left, and says where the next one starts.
pub(in crate::http) fn cut_page<T, K: ToString>(
    mut rest: impl Iterator<Item = T>,
    limit: Option<Limit>,
    key: impl Fn(&T) -> K,
) -> (Vec<T>, Option<String>) {
    let items: Vec<T> = rest.by_ref().take(limit.unwrap_or_default().0).collect();
    let more = rest.next().and(items.last());
    let next = more.map(|last| Cursor(key(last)).text());
    (items, next)
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.parse().ok();
        let number = number.filter(|number| (1..=MOST).contains(number));
        number.map(Self).ok_or_else(|| {
            let found = cut(&text, 60);
            let wrong = format!("expected a whole number of 1 to {MOST}, found '{found}'");
            serde::de::Error::custom(wrong)
        })
    }
}

impl<T: std::str::FromStr> Cursor<T> {
    /// Reads what clients got as `next_cursor`.
    pub(in crate::http) fn read(text: &str) -> Option<Self> {
        let inside = URL_SAFE_NO_PAD.decode(text).ok()?;
        String::from_utf8(inside).ok()?.parse().ok().map(Self)
    }
}

impl<T: ToString> Cursor<T> {
    /// Writes the cursor as clients get it.
    pub(in crate::http) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.to_string())
    }
}

impl<'de, T: std::str::FromStr> Deserialize<'de> for Cursor<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| {
            let found = cut(&text, 60);
            let wrong = format!("expected next_cursor of the page before, found '{found}'");
            serde::de::Error::custom(wrong)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
        serde_json::from_value(text.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_held() {
        assert_eq!(read::<Limit>("1000").unwrap(), Limit(1_000));
        for wrong in ["0", "1001", "-1", "1.5", "", "x"] {
            let error = read::<Limit>(wrong).unwrap_err();
            assert!(
                error.starts_with("expected a whole number of 1 to 1000"),
                "{error}"
            );
        }
    }

    #[test]
    fn pages_join_without_holes() {
        let (items, next) = cut_page(1..=5, Some(Limit(2)), |n| *n);
        let cursor: Cursor<u64> = read(&next.unwrap()).unwrap();
        assert_eq!((items, cursor), (vec![1, 2], Cursor(2)));
        let (items, next) = cut_page(4..=5, Some(Limit(2)), |n| *n);
        assert_eq!((items, next), (vec![4, 5], None));
    }

    #[test]
    fn a_cursor_comes_back_and_others_are_refused() {
        let cursor = Cursor(17_u64);
        assert_eq!(read::<Cursor<u64>>(&cursor.text()).unwrap(), cursor);
        for wrong in ["17", "", "!", "LTE"] {
            assert!(read::<Cursor<u64>>(wrong).is_err(), "{wrong}");
        }
    }
}
