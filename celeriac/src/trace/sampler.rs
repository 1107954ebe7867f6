//! Which traces are recorded: a pure decision.

use super::ids::TraceId;

/// Which traces are recorded: the samplers of OpenTelemetry, under its names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// All: `always_on`.
    AlwaysOn,
    /// None: `always_off`.
    AlwaysOff,
    /// This part of them, from 0 to 1, by the id, as every other service with the same part:
    /// `traceidratio`.
    Ratio(f64),
    /// As whoever began it decides, the part of those that begin here:
    /// `parentbased_traceidratio`; with 1 `parentbased_always_on`, with 0
    /// `parentbased_always_off`.
    ParentBased(f64),
}

impl Default for Sampler {
    fn default() -> Self {
        Self::ParentBased(1.0)
    }
}

impl Sampler {
    /// Reads the names that `OTEL_TRACES_SAMPLER` has, and the text of
    /// `OTEL_TRACES_SAMPLER_ARG`.
    ///
    /// # Errors
    ///
    /// What was expected, for another name or what is no part from 0 to 1.
    pub fn parse(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let ratio = || match argument.map(str::trim).filter(|text| !text.is_empty()) {
            None => Ok(1.0),
            Some(text) => {
                let ratio = text.parse().ok();
                ratio
                    .filter(|ratio| (0.0..=1.0).contains(ratio))
                    .ok_or_else(|| format!("expected a part from 0 to 1, found {text:?}"))
            }
        };
        match name.trim() {
            "always_on" => Ok(Self::AlwaysOn),
            "always_off" => Ok(Self::AlwaysOff),
            "traceidratio" => ratio().map(Self::Ratio),
            "parentbased_always_on" => Ok(Self::ParentBased(1.0)),
            "parentbased_always_off" => Ok(Self::ParentBased(0.0)),
            "parentbased_traceidratio" => ratio().map(Self::ParentBased),
            other => Err(format!(
                "expected always_on, always_off, traceidratio, parentbased_always_on, \
                 parentbased_always_off or parentbased_traceidratio, found {other:?}"
            )),
        }
    }

    /// Decides; `parent` is what the caller decided, if there is one.
    pub fn samples(self, trace: TraceId, parent: Option<bool>) -> bool {
        let ratio = match (self, parent) {
            (Self::AlwaysOn, _) => return true,
            (Self::AlwaysOff, _) => return false,
            (Self::ParentBased(_), Some(decided)) => return decided,
            (Self::Ratio(ratio) | Self::ParentBased(ratio), _) => ratio,
        };
        // 2^63: of the lower half, without its highest bit, as OpenTelemetry's SDKs do.
        const RANGE: f64 = 9_223_372_036_854_775_808.0;
        ratio >= 1.0 || trace.low() >> 1 < (ratio * RANGE) as u64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_parent_decides_unless_told_otherwise() {
        let id = TraceId::random();
        for (name, argument, alone, sampled, unsampled) in [
            ("always_on", None, true, true, true),
            ("always_off", None, false, false, false),
            ("traceidratio", Some("0"), false, false, false),
            ("traceidratio", Some("1"), true, true, true),
            ("parentbased_always_on", Some("0"), true, true, false),
            ("parentbased_always_off", None, false, true, false),
            ("parentbased_traceidratio", Some("0.0"), false, true, false),
            ("parentbased_traceidratio", None, true, true, false),
        ] {
            let sampler = Sampler::parse(name, argument).unwrap();
            let decided = [None, Some(true), Some(false)].map(|parent| sampler.samples(id, parent));
            assert_eq!(decided, [alone, sampled, unsampled], "{name} {argument:?}");
        }
    }

    #[test]
    fn a_part_is_about_that_part() {
        let sampler = Sampler::Ratio(0.25);
        let sampled = (0..4000).filter(|_| sampler.samples(TraceId::random(), None));
        let sampled = sampled.count();
        assert!((800..1200).contains(&sampled), "{sampled} of 4000");
        let id = |text: &str| TraceId::parse(text).unwrap();
        assert!(sampler.samples(id("ffffffffffffffff3fffffffffffffff"), None));
        assert!(!sampler.samples(id("00000000000000014000000000000000"), None));
    }

    #[test]
    fn a_wrong_sampler_is_told() {
        let error = Sampler::parse("sometimes", None).unwrap_err();
        assert!(error.starts_with("expected always_on") && error.ends_with("found \"sometimes\""));
        for wrong in ["2", "-0.1", "x", "NaN"] {
            let error = Sampler::parse("traceidratio", Some(wrong)).unwrap_err();
            assert_eq!(
                error,
                format!("expected a part from 0 to 1, found {wrong:?}")
            );
        }
    }
}
