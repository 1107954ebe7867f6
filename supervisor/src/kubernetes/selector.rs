//! Picks objects by their labels.

use std::collections::BTreeMap;
use std::str::FromStr;

/// A label selector of Kubernetes, such as `app=celeriac,tier in (a, b),!old`.
///
/// The API server reads the text itself; it is read here too, so that a mistake is told at
/// the start and not by the first request, and to pick by the labels of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    text: String,
    rules: Vec<Rule>,
}

/// What one label has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    key: String,
    must: Must,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Must {
    Exist,
    NotExist,
    BeIn(Vec<String>),
    /// It may also be missing.
    NotBeIn(Vec<String>),
}

/// The longest selector, in bytes.
const LONGEST: usize = 1024;

impl Selector {
    /// Returns it as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Tells whether labels are what it wants.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.rules.iter().all(|rule| {
            let value = labels.get(&rule.key);
            match &rule.must {
                Must::Exist => value.is_some(),
                Must::NotExist => value.is_none(),
                Must::BeIn(values) => value.is_some_and(|value| values.contains(value)),
                Must::NotBeIn(values) => value.is_none_or(|value| !values.contains(value)),
            }
        })
    }
}

impl FromStr for Selector {
    /// What was found in place of a selector.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("an empty one, which is every pod".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("{} bytes", text.len()));
        }
        let rules = split(text)?.into_iter().map(rule);
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            text: text.to_owned(),
        })
    }
}

/// Splits at the commas outside of brackets.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut start, mut open) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if !open => open = true,
            ')' if open => open = false,
            '(' | ')' => return Err(format!("a '{c}' too many in '{text}'")),
            ',' if !open => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if open {
        return Err(format!("no ')' in '{text}'"));
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn rule(text: &str) -> Result<Rule, String> {
    let text = text.trim();
    let rule = |key: &str, must| {
        let key = key.trim();
        match is_key(key) {
            true => Ok(Rule {
                key: key.to_owned(),
                must,
            }),
            false => Err(format!("'{key}', which is no label, in '{text}'")),
        }
    };
    if let Some(key) = text.strip_prefix('!') {
        return rule(key, Must::NotExist);
    }
    if let Some(open) = text.find('(') {
        let values = text[open + 1..].strip_suffix(')');
        let values = values.ok_or_else(|| format!("something behind the ')' in '{text}'"))?;
        let values = values.split(',').map(|one| value(one, text));
        let values = values.collect::<Result<_, _>>()?;
        let head = text[..open].trim_end();
        return match head.rsplit_once(char::is_whitespace) {
            Some((key, "in")) => rule(key, Must::BeIn(values)),
            Some((key, "notin")) => rule(key, Must::NotBeIn(values)),
            _ => Err(format!(
                "neither 'in' nor 'notin' before the '(' in '{text}'"
            )),
        };
    }
    for (sign, is) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, wanted)) = text.split_once(sign) {
            let values = vec![value(wanted, text)?];
            let must = match is {
                true => Must::BeIn(values),
                false => Must::NotBeIn(values),
            };
            return rule(key, must);
        }
    }
    rule(text, Must::Exist)
}

fn value(value: &str, text: &str) -> Result<String, String> {
    let value = value.trim();
    match value.is_empty() || is_name(value) {
        true => Ok(value.to_owned()),
        false => Err(format!(
            "'{value}', which is no value of a label, in '{text}'"
        )),
    }
}

/// Tells whether it is a label's key: a name, behind a domain and a slash perhaps.
fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        None => is_name(text),
        Some((domain, name)) => {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
            let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            let plain = domain.chars().all(inner) && domain.len() <= 253;
            plain && domain.starts_with(ends) && domain.ends_with(ends) && is_name(name)
        }
    }
}

fn is_name(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| ends(c) || "-_.".contains(c);
    text.len() <= 63 && text.chars().all(inner) && text.starts_with(ends) && text.ends_with(ends)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_selector_picks_as_the_api_server_does() {
        let node = labels(&[
            ("app.kubernetes.io/name", "celeriac"),
            ("app.kubernetes.io/component", "node"),
            ("celeriac.dev/pool", "large"),
        ]);
        for (text, picks) in [
            (
                "app.kubernetes.io/name=celeriac,app.kubernetes.io/component=node",
                true,
            ),
            (
                "app.kubernetes.io/name == celeriac , app.kubernetes.io/component != node",
                false,
            ),
            ("celeriac.dev/pool", true),
            ("!celeriac.dev/pool", false),
            ("!other,other!=x", true),
            ("celeriac.dev/pool in (small, large)", true),
            ("celeriac.dev/pool notin (small, large)", false),
            ("other notin (x)", true),
            ("other in (x),celeriac.dev/pool", false),
            ("other=", false),
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.matches(&node), picks, "{text}");
            assert_eq!(selector.as_str(), text);
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_its_place() {
        for (text, found) in [
            (" ", "an empty one"),
            ("a=b,", "'', which is no label"),
            ("a=b c", "'b c', which is no value"),
            ("-a=b", "'-a', which is no label"),
            ("A.b/c=d", "'A.b/c', which is no label"),
            ("a in (b", "no ')'"),
            ("a in b)", "a ')' too many"),
            ("a in ((b)", "a '(' too many"),
            ("a (b)", "neither 'in' nor 'notin'"),
            ("a in (b) c", "something behind the ')'"),
            ("a/b/c=d", "'a/b/c', which is no label"),
        ] {
            let error = text.parse::<Selector>().unwrap_err();
            assert!(error.starts_with(found), "{text}: {error}");
        }
        assert!("a".repeat(2_000).parse::<Selector>().is_err());
    }
}
