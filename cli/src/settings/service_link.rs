//! Variables that Kubernetes makes of Services.
//!
//! A Service `celeriac-supervisor` gives every pod beside it `CELERIAC_SUPERVISOR_SERVICE_HOST`
//! and more, unless the pod says `enableServiceLinks: false`. They are no settings.

use std::net::IpAddr;

/// Tells whether a variable is one that Kubernetes makes of a Service whose name begins with
/// `celeriac`: by the exact shape of its name and of its value.
pub(super) fn is_service_link(variable: &str, value: &str) -> bool {
    let Some(rest) = variable.strip_prefix("CELERIAC") else {
        return false;
    };
    // What is left of the Service's name: nothing, or further words.
    let service =
        |rest: &str| rest.is_empty() || rest.starts_with('_') && !rest[1..].starts_with('_');
    if let Some((before, port)) = rest.split_once("_SERVICE_PORT") {
        let named = port.is_empty() || port.starts_with('_') && port.len() > 1;
        return service(before) && named && is_port(value);
    }
    if let Some(before) = rest.strip_suffix("_SERVICE_HOST") {
        return service(before) && is_address(value);
    }
    let mut places = rest.match_indices("_PORT_");
    if places.any(|(at, mark)| service(&rest[..at]) && is_of_port(&rest[at + mark.len()..], value))
    {
        return true;
    }
    let before = rest.strip_suffix("_PORT");
    before.is_some_and(|before| service(before) && is_endpoint(value))
}

/// `9595_TCP`, `9595_TCP_ADDR`, `9595_TCP_PORT`, `9595_TCP_PROTO`.
fn is_of_port(name: &str, value: &str) -> bool {
    let mut words = name.split('_');
    let port = words.next().is_some_and(is_port);
    let protocol = words.next().unwrap_or_default();
    let known = matches!(protocol, "TCP" | "UDP" | "SCTP");
    let fits = match words.next() {
        None => is_endpoint(value),
        Some("ADDR") => is_address(value),
        Some("PORT") => is_port(value),
        Some("PROTO") => value.eq_ignore_ascii_case(protocol),
        Some(_) => false,
    };
    port && known && fits && words.next().is_none()
}

/// `tcp://10.0.0.1:9595`, or `tcp://[fd00::1]:9595`.
fn is_endpoint(value: &str) -> bool {
    let Some((protocol, rest)) = value.split_once("://") else {
        return false;
    };
    let Some((host, port)) = rest.rsplit_once(':') else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    matches!(protocol, "tcp" | "udp" | "sctp") && is_address(host) && is_port(port)
}

fn is_address(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

fn is_port(value: &str) -> bool {
    value.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_makes_of_services_is_told_by_its_shape() {
        for (variable, value) in [
            ("CELERIAC_SUPERVISOR_SERVICE_HOST", "10.96.0.7"),
            ("CELERIAC_SUPERVISOR_SERVICE_PORT", "9595"),
            ("CELERIAC_SUPERVISOR_SERVICE_PORT_HTTP", "9595"),
            ("CELERIAC_SUPERVISOR_SERVICE_PORT_GRPC_WEB", "9596"),
            ("CELERIAC_SUPERVISOR_PORT", "tcp://10.96.0.7:9595"),
            ("CELERIAC_SUPERVISOR_PORT_9595_TCP", "tcp://10.96.0.7:9595"),
            ("CELERIAC_SUPERVISOR_PORT_9595_TCP_ADDR", "10.96.0.7"),
            ("CELERIAC_SUPERVISOR_PORT_9595_TCP_PORT", "9595"),
            ("CELERIAC_SUPERVISOR_PORT_9595_TCP_PROTO", "tcp"),
            ("CELERIAC_SUPERVISOR_PORT", "tcp://[fd00::7]:9595"),
            ("CELERIAC_SERVICE_HOST", "fd00::7"),
            ("CELERIAC_PORT", "tcp://10.96.0.7:9595"),
            ("CELERIAC_PORT_53_UDP", "udp://10.96.0.7:53"),
            ("CELERIAC_PORT_80_SERVICE_HOST", "10.96.0.7"),
        ] {
            assert!(is_service_link(variable, value), "{variable}={value}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for (variable, value) in [
            ("CELERIAC_HTTP_PORT", "9590"),
            ("CELERIAC_PORT", "9590"),
            ("CELERIAC_BROKER_SERVICE_HOST", "rabbit.example.org"),
            ("CELERIAC_SUPERVISOR_SERVICE_PORT", "http"),
            ("CELERIAC_SUPERVISOR_SERVICE_PORTS", "9595"),
            ("CELERIAC_SUPERVISOR_SERVICE_PORT_", "9595"),
            ("CELERIAC_SUPERVISOR_PORT_9595_TCP_HOST", "10.96.0.7"),
            ("CELERIAC_SUPERVISOR_PORT_9595_TCP_PROTO", "udp"),
            ("CELERIAC_SUPERVISOR_PORT_HTTP_TCP", "tcp://10.96.0.7:9595"),
            ("CELERIAC_SUPERVISOR_PORT", "http://10.96.0.7:9595"),
            ("CELERIACS_SERVICE_HOST", "10.96.0.7"),
            ("OTHER_SERVICE_HOST", "10.96.0.7"),
        ] {
            assert!(!is_service_link(variable, value), "{variable}={value}");
        }
    }
}
