//! What the environment says of settings.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use super::nearest::nearest;
use super::resolve::{Said, Value};
use super::service_link::is_service_link;
use super::{PREFIX, Source, file_variable, names, secret, variable};
use crate::error::Error;

/// The names of others for settings of ours: of Celery, and of OpenTelemetry. Of two for one
/// setting the latter weighs more.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("CELERY_BROKER_URL", "broker"),
    ("CELERY_RESULT_BACKEND", "result_backend"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "otlp_traces_endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "otlp_headers"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "otlp_headers"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp_timeout"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "otlp_timeout"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp_protocol"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "otlp_protocol"),
    ("OTEL_SERVICE_NAME", "service_name"),
    ("OTEL_RESOURCE_ATTRIBUTES", "resource_attributes"),
    ("OTEL_TRACES_SAMPLER", "traces_sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "traces_sampler_arg"),
];

/// What the variables of the project's own tests begin with.
const TESTS: &str = "CELERIAC_TEST_";

/// How many unknown variables one error names.
const NAMED: usize = 20;

/// An environment, read once.
#[derive(Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl Environment {
    /// Reads variables as the system has them.
    ///
    /// # Errors
    ///
    /// When one of ours is no UTF-8; those of others do not matter then.
    pub(crate) fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let mut read = BTreeMap::new();
        for (name, value) in variables {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => {
                    read.insert(name, value);
                }
                (Ok(name), Err(_)) if name.starts_with(PREFIX) => {
                    return Err(Error::Config(format!(
                        "environment: expected UTF-8 in {name}, found other bytes"
                    )));
                }
                _ => {}
            }
        }
        Ok(Self(read))
    }

    /// Returns a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns what the variables say, by setting. Ours weigh more than those of others.
    pub(super) fn said(&self) -> BTreeMap<String, Said> {
        let mut said = BTreeMap::new();
        for (other, name) in OTHER_NAMES {
            // OpenTelemetry: an empty one is as if it was not there.
            if let Some(value) = self.get(other).filter(|value| !value.is_empty()) {
                said.insert(name.to_owned(), text(value, other.to_owned()));
            }
        }
        for name in names() {
            let variable = variable(&name);
            if let Some(value) = self.get(&variable) {
                said.insert(name, text(value, variable));
            }
        }
        said
    }

    /// Returns the settings whose value is in a file, without reading it.
    ///
    /// # Errors
    ///
    /// When a setting that is read has a value and a file, or a variable names no file.
    pub(super) fn files(
        &self,
        is_read: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Said>, Error> {
        let mut files = BTreeMap::new();
        for name in names() {
            let Some(of_file) = file_variable(&name) else {
                continue;
            };
            let Some(path) = self.get(&of_file) else {
                continue;
            };
            let wrong =
                |reason: String| Err(Error::Config(format!("environment {of_file}: {reason}")));
            if path.is_empty() && is_read(&name) {
                return wrong("expected the path of a file, found nothing".to_owned());
            }
            let ours = variable(&name);
            if self.get(&ours).is_some() && is_read(&name) {
                return wrong(format!(
                    "expected this or {ours}, found both: remove one ({path:?} was not read)"
                ));
            }
            let source = Source::Secret {
                path: PathBuf::from(path),
                variable: of_file,
            };
            files.insert(name, (Value::Unread, source));
        }
        Ok(files)
    }

    /// Checks that each variable with our prefix is known: a setting, or one of `further`.
    /// Returns those that Kubernetes made of Services.
    ///
    /// # Errors
    ///
    /// Names all that are not, each with the known name that is nearest.
    pub(super) fn check(&self, further: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        let mut known = further.clone();
        for name in names() {
            known.extend(file_variable(&name));
            known.insert(variable(&name));
        }
        let strange = self.0.iter().filter(|(name, _)| {
            let internal = name.starts_with(TESTS) || *name == celeriac_node::isolation::VARIABLE;
            name.starts_with(PREFIX) && !internal && !known.contains(*name)
        });
        let (links, unknown): (Vec<_>, Vec<_>) =
            strange.partition(|(name, value)| is_service_link(name, value));
        if unknown.is_empty() {
            return Ok(links.into_iter().map(|(name, _)| name.clone()).collect());
        }
        let candidates = known.iter().filter_map(|name| name.strip_prefix(PREFIX));
        let one = |(name, _): &(&String, &String)| {
            let rest = name.strip_prefix(PREFIX).unwrap_or(name);
            let shown = name.escape_debug();
            match nearest(&rest.to_ascii_uppercase(), candidates.clone()) {
                Some(meant) => format!("{shown} (did you mean {PREFIX}{meant}?)"),
                None => shown.to_string(),
            }
        };
        let mut named: Vec<_> = unknown.iter().take(NAMED).map(one).collect();
        if unknown.len() > NAMED {
            named.push(format!("{} more", unknown.len() - NAMED));
        }
        Err(Error::Config(format!(
            "environment: expected known variables, found {}; correct or remove them: celeriac \
             check --print-schema lists all there are",
            named.join(", ")
        )))
    }
}

fn text(value: &str, variable: String) -> Said {
    (Value::Text(value.to_owned()), Source::Environment(variable))
}

/// Reads the file of a secret setting.
pub(super) fn fetch(name: &str, source: &Source) -> Result<String, Error> {
    let Source::Secret { variable, path } = source else {
        // Only these are unread.
        return Ok(String::new());
    };
    secret::read(path)
        .map_err(|error| Error::Config(format!("setting {name} (environment {variable}): {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn check(pairs: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let further = ["CELERIAC_CONFIG".to_owned()].into();
        let checked = environment(pairs).check(&further);
        checked.map_err(|error| error.to_string())
    }

    // S52: all that are wrong are named at once, each with what was meant.
    #[test]
    fn unknown_variables_are_named_with_what_was_meant() {
        let error = check(&[
            ("CELERIAC_BROKRE", "x"),
            ("CELERIAC_BROKER", "amqp://h"),
            ("CELERIAC_broker", "amqp://h"),
            ("CELERIAC_QQQQ", "x"),
            ("CELERY_BROKER_URL", "x"),
            ("CELERIAC_LOG_LEVEL", "x"),
        ])
        .unwrap_err();
        for part in [
            "CELERIAC_BROKRE (did you mean CELERIAC_BROKER?)",
            "CELERIAC_broker (did you mean CELERIAC_BROKER?)",
            "CELERIAC_LOG_LEVEL (did you mean CELERIAC_LOGLEVEL?)",
            "CELERIAC_QQQQ, ",
        ] {
            assert!(error.contains(part), "{error} lacks {part}");
        }
        assert!(!error.contains("found CELERIAC_BROKER,"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn many_unknown_variables_are_counted_and_none_breaks_the_line() {
        let many: Vec<_> = (0..50).map(|n| format!("CELERIAC_ZZZ\n{n}")).collect();
        let pairs: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
        let error = check(&pairs).unwrap_err();
        assert!(
            error.contains("30 more") && !error.contains('\n'),
            "{error}"
        );
    }

    #[test]
    fn what_is_known_passes_and_service_links_are_told_apart() {
        let links = check(&[
            ("CELERIAC_BROKER_FILE", "/run/secrets/broker"),
            ("CELERIAC_LISTEN", "0.0.0.0:9595"),
            ("CELERIAC_CONFIG", "x"),
            ("CELERIAC_TEST_DIR", "x"),
            ("CELERIAC_ISOLATED_BY", "7"),
            ("CELERIAC_SUPERVISOR_SERVICE_HOST", "10.96.0.7"),
            ("CELERIAC_SUPERVISOR_PORT", "tcp://10.96.0.7:9595"),
            ("OTHER", "x"),
        ])
        .unwrap();
        assert_eq!(
            links,
            [
                "CELERIAC_SUPERVISOR_PORT",
                "CELERIAC_SUPERVISOR_SERVICE_HOST"
            ]
        );
        // What is no secret does not come from a file.
        let error = check(&[("CELERIAC_LISTEN_FILE", "/x")]).unwrap_err();
        assert!(error.contains("CELERIAC_LISTEN_FILE"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_in_our_variables_alone() {
        use std::os::unix::ffi::OsStringExt as _;
        let bytes = || OsString::from_vec(vec![0xff]);
        assert!(Environment::read([("OTHER".into(), bytes())]).is_ok());
        let error = Environment::read([("CELERIAC_BROKER".into(), bytes())]).unwrap_err();
        assert!(error.to_string().contains("CELERIAC_BROKER"), "{error}");
    }
}
