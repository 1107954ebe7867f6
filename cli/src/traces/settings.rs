//! What the settings say of traces.

use std::collections::HashMap;
use std::time::Duration;

use celeriac::trace::Sampler;
use opentelemetry::KeyValue;
use url::Url;

use crate::error::Error;
use crate::settings::Settings;

/// Where spans go, and which.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) endpoint: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) timeout: Duration,
    pub(super) resource: Vec<KeyValue>,
    pub(super) sampler: Sampler,
}

pub(crate) fn check(settings: &Settings) -> Result<(), Error> {
    collector(settings).map(drop)
}

/// Reads the settings; `None` when no collector is named.
pub(super) fn collector(settings: &Settings) -> Result<Option<Collector>, Error> {
    let whole = settings.with("otlp_traces_endpoint", |text| url(text).map(String::from))?;
    let base = settings.with("otlp_endpoint", |text| url(text).map(below))?;
    let headers = settings.with("otlp_headers", pairs)?.unwrap_or_default();
    let timeout = settings.with("otlp_timeout", |text| match text.trim().parse() {
        Ok(0) | Err(_) => Err(format!("expected milliseconds from 1, found {text:?}")),
        Ok(millis) => Ok(Duration::from_millis(millis)),
    })?;
    settings.with("otlp_protocol", |text| match text.trim() {
        "http/protobuf" => Ok(()),
        other => Err(format!("expected http/protobuf, found {other:?}")),
    })?;
    let mut resource: Vec<(String, String)> = settings
        .with("resource_attributes", pairs)?
        .unwrap_or_default();
    let named = resource.iter().any(|(name, _)| name == "service.name");
    match settings.text("service_name") {
        Some(name) => {
            resource.retain(|(other, _)| other != "service.name");
            resource.push(("service.name".to_owned(), name.to_owned()));
        }
        None if named => {}
        None => resource.push(("service.name".to_owned(), "celeriac".to_owned())),
    }
    let argument = settings.text("traces_sampler_arg");
    let sampler = settings.with("traces_sampler", |name| Sampler::parse(name, argument))?;
    let Some(endpoint) = whole.or(base) else {
        return Ok(None);
    };
    Ok(Some(Collector {
        endpoint,
        headers: headers.into_iter().collect(),
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
        resource: resource
            .into_iter()
            .map(|(name, value)| KeyValue::new(name, value))
            .collect(),
        sampler: sampler.unwrap_or_default(),
    }))
}

fn url(text: &str) -> Result<Url, String> {
    let url = text.trim().parse::<Url>().ok();
    let good = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    // It may hold a password.
    let wrong = || "expected a URL such as http://127.0.0.1:4318, found something else".to_owned();
    url.filter(good).ok_or_else(wrong)
}

/// Names what takes spans below a collector.
fn below(url: Url) -> String {
    format!("{}/v1/traces", url.as_str().trim_end_matches('/'))
}

/// Reads `name=value` between commas, the values percent-encoded as in W3C baggage.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let parts = text.split(',').map(str::trim);
    let parts = parts.filter(|part| !part.is_empty()).enumerate();
    let pair = |(at, part): (usize, &str)| match part.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), decoded(value.trim())))
        }
        // What stands there may be a secret.
        _ => Err(format!(
            "expected name=value between commas, found something else in place {}",
            at + 1
        )),
    };
    parts.map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| byte == b'%');
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(hex.unwrap_or(byte));
        rest = match hex {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::from_environment(pairs.iter().map(owned))
    }

    #[test]
    fn opentelemetrys_own_variables_are_read() {
        let read = |pairs: &[(&str, &str)]| collector(&settings(pairs)).unwrap();
        assert!(read(&[("OTEL_SERVICE_NAME", "x")]).is_none());
        assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).is_none());
        let found = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/in/"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b, x-key=one%20two"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=c"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,k=v%2Cw%zz"),
            ("OTEL_SERVICE_NAME", "shop"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ])
        .unwrap();
        assert_eq!(found.endpoint, "http://c:4318/in/v1/traces");
        let headers = [("a", "b"), ("x-key", "one two")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found.headers, headers.into());
        assert_eq!(found.timeout, Duration::from_millis(250));
        let resource = [
            KeyValue::new("k", "v,w%zz"),
            KeyValue::new("service.name", "shop"),
        ];
        assert_eq!(found.resource, resource);
        assert_eq!(found.sampler, Sampler::ParentBased(0.5));
        let found = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://d/spans"),
        ])
        .unwrap();
        assert_eq!(found.endpoint, "https://d/spans");
        assert_eq!(found.resource, [KeyValue::new("service.name", "celeriac")]);
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_shown() {
        for (name, value, error) in [
            (
                "OTLP_ENDPOINT",
                "c:4318",
                "setting otlp_endpoint (environment CELERIAC_OTLP_ENDPOINT): expected a URL",
            ),
            (
                "OTLP_HEADERS",
                "a=b,hush",
                "expected name=value between commas, found something else in place 2",
            ),
            (
                "OTLP_TIMEOUT",
                "10s",
                "expected milliseconds from 1, found \"10s\"",
            ),
            (
                "OTLP_PROTOCOL",
                "grpc",
                "expected http/protobuf, found \"grpc\"",
            ),
            ("TRACES_SAMPLER", "some", "expected always_on"),
        ] {
            let name = format!("CELERIAC_{name}");
            let found = collector(&settings(&[(&name, value)]))
                .unwrap_err()
                .to_string();
            assert!(found.contains(error), "{found} lacks {error}");
        }
        let shown = settings(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hush"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hush@c:4318"),
        ]);
        let shown = format!("{shown:?}");
        assert!(
            !shown.contains("hush") && shown.contains("c:4318"),
            "{shown}"
        );
    }
}
