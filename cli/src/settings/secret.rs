//! Settings whose value nobody shall read.

/// Settings whose value is a secret, or a URL that may hold one: the one table. Each may come
/// from a file that a variable with the suffix `_FILE` names.
const SECRETS: [(&str, Shape); 9] = [
    ("broker", Shape::Url),
    ("result_backend", Shape::Url),
    ("token", Shape::Whole),
    ("management_url", Shape::Url),
    ("store", Shape::Url),
    ("smtp", Shape::Url),
    ("otlp_endpoint", Shape::Url),
    ("otlp_traces_endpoint", Shape::Url),
    ("otlp_headers", Shape::Whole),
];

/// How a value is secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// All of it.
    Whole,
    /// The password in it.
    Url,
}

/// Tells whether the value of a setting is a secret, or may hold one.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|(secret, _)| *secret == name)
}

/// Returns a setting's value as it may be shown.
pub(super) fn shown(name: &str, value: &str) -> String {
    match SECRETS.iter().find(|(secret, _)| *secret == name) {
        Some((_, Shape::Whole)) => "**".to_owned(),
        Some((_, Shape::Url)) if value.contains("://") => celeriac::broker::mask(value),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_is_a_setting() {
        let known = crate::settings::names();
        for (name, _) in SECRETS {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }
}
