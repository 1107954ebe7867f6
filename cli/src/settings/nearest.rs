//! Which known name somebody may have meant.

use std::collections::BTreeSet;

/// Returns the known name that is nearest to one that nobody knows: by letters if they are
/// almost the same, else by whole words, which is how people guess names.
pub(super) fn nearest<'a>(
    unknown: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let few = (unknown.len() / 5).max(1);
    let by_letters = known
        .clone()
        .map(|name| (distance(unknown, name), name))
        .filter(|(distance, _)| *distance <= few)
        .min();
    if let Some((_, name)) = by_letters {
        return Some(name);
    }
    let words = |name: &str| -> BTreeSet<String> { name.split('_').map(str::to_owned).collect() };
    let asked = words(unknown);
    let by_words = known.filter_map(|name| {
        let other = words(name);
        let both = asked.intersection(&other).count();
        let all = asked.union(&other).count();
        // In thousandths, because floats have no order.
        (both > 0).then(|| (both * 1_000 / all, std::cmp::Reverse(name)))
    });
    let (_, std::cmp::Reverse(name)) = by_words.max()?;
    Some(name)
}

/// Counts the letters to insert, delete, replace or swap with the next one.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (row[j] + usize::from(a != b))
                .min(row[j + 1] + 1)
                .min(next[j] + 1);
            if i > 0 && j > 0 && one[i - 1] == *b && other[j - 1] == *a {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_what_was_meant() {
        let known = [
            "BROKER",
            "BROKER_FILE",
            "CONCURRENCY",
            "DRAIN_DEADLINE",
            "HTTP",
            "LOGLEVEL",
            "LOG_FORMAT",
            "RESULT_BACKEND",
            "RESULT_BACKEND_FILE",
        ];
        for (unknown, meant) in [
            ("BROKRE", Some("BROKER")),
            ("CONCURENCY", Some("CONCURRENCY")),
            ("LOG_LEVEL", Some("LOGLEVEL")),
            ("BROKER_URL", Some("BROKER")),
            ("BACKEND_URL", Some("RESULT_BACKEND")),
            ("HTPT", Some("HTTP")),
            ("DRAIN_TIMEOUT", Some("DRAIN_DEADLINE")),
            ("XYZ", None),
        ] {
            assert_eq!(nearest(unknown, known.into_iter()), meant, "{unknown}");
        }
    }

    #[test]
    fn a_swap_is_one_letter() {
        assert_eq!(distance("BROKRE", "BROKER"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
