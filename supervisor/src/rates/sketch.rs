//! A histogram whose buckets grow by the same factor.

/// Durations by size: each bucket reaches a quarter further than the one before, from a
/// tenth of a millisecond to more than a day. So a percentile is right to about a tenth
/// of itself, and a sketch takes the same few hundred bytes whatever it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sketch([u32; BUCKETS]);

const BUCKETS: usize = 96;
const FIRST: f64 = 1e-4;
const FACTOR: f64 = 1.25;

impl Default for Sketch {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Sketch {
    /// Counts a duration in seconds; what is no duration is left out.
    pub(crate) fn observe(&mut self, seconds: f64) {
        if let Some(bucket) = Self::bucket(seconds) {
            self.put(bucket, 1);
        }
    }

    /// Returns the bucket of a duration in seconds; `None` for what is no duration.
    fn bucket(seconds: f64) -> Option<usize> {
        if seconds.is_nan() || seconds < 0.0 {
            return None;
        }
        let at = ((seconds / FIRST).ln() / FACTOR.ln()).ceil();
        // The cast saturates, also for what is below the first bucket.
        Some((at as usize).min(BUCKETS - 1))
    }

    /// Counts durations of one bucket.
    pub(crate) fn put(&mut self, bucket: usize, count: u32) {
        let bucket = &mut self.0[bucket.min(BUCKETS - 1)];
        *bucket = bucket.saturating_add(count);
    }

    /// Returns the buckets that are not empty, with their counts.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let buckets = self.0.iter().copied().enumerate();
        buckets.filter(|(_, count)| *count > 0)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// Returns the duration that the share `q` of all stays below; `None` when nothing
    /// was counted.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let total: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let rank = ((total as f64 * q).ceil() as u64).max(1);
        let mut below = 0;
        let at = self.0.iter().position(|count| {
            below += u64::from(*count);
            below >= rank
        })?;
        let upper = FIRST * FACTOR.powi(i32::try_from(at).unwrap_or(i32::MAX));
        // The geometric middle of the bucket, where the error is the same on both sides.
        Some(upper / FACTOR.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_about_a_tenth() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.quantile(0.5), None);
        for n in 1..=1_000 {
            sketch.observe(f64::from(n) / 100.0);
        }
        for (q, expected) in [(0.5, 5.0), (0.95, 9.5), (0.99, 9.9)] {
            let found = sketch.quantile(q).unwrap_or_default();
            assert!((found / expected - 1.0).abs() < 0.13, "{q}: {found}");
        }
    }

    #[test]
    fn absurd_durations_have_a_bucket_or_none() {
        let mut sketch = Sketch::default();
        for odd in [f64::NAN, -1.0] {
            sketch.observe(odd);
        }
        assert_eq!(sketch, Sketch::default());
        for odd in [0.0, 1e-30, 1e30, f64::INFINITY] {
            sketch.observe(odd);
        }
        assert_eq!((sketch.0[0], sketch.0[BUCKETS - 1]), (2, 2));
    }
}
