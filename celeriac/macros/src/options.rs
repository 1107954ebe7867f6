//! What stands in the parentheses of `#[task(...)]`.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, Lit, LitBool, LitStr, Path, Result, Token};

use crate::duration;

/// What `#[task(...)]` says, checked; `None` where it says nothing.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    queue: Option<String>,
    priority: Option<u8>,
    max_retries: Option<Tries>,
    retry_delay: Option<Duration>,
    backoff: Option<(Duration, Option<Duration>)>,
    jitter: Option<(Ident, bool)>,
    soft_time_limit: Option<(Ident, Duration)>,
    time_limit: Option<Duration>,
    rate_limit: Option<(f64, u64)>,
    expires: Option<Duration>,
    acks_late: Option<bool>,
    acks_on_failure: Option<bool>,
    dead_letter: Option<bool>,
    ignore_result: Option<bool>,
    store_errors_even_if_ignored: Option<bool>,
    track_started: Option<bool>,
    isolated: Option<bool>,
    reject_on_worker_lost: Option<bool>,
    retry_for: Vec<String>,
    dont_retry_for: Vec<String>,
    errback: Option<bool>,
    hooks: Option<Expr>,
}

/// The name of an error's class: `OSError`, `requests::Timeout` or text.
struct ErrorName(String);

impl Parse for ErrorName {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            return Ok(Self(input.parse::<LitStr>()?.value()));
        }
        let path = Path::parse_mod_style(input)?;
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        Ok(Self(names.collect::<Vec<_>>().join(".")))
    }
}

#[derive(Clone, Copy)]
enum Tries {
    Limited(u32),
    Forever,
}

const KNOWN: &str = "acks_late, acks_on_failure, backoff, dead_letter, dont_retry_for, errback, \
    expires, hooks, ignore_result, isolated, jitter, max_retries, name, priority, queue, rate_limit, \
    reject_on_worker_lost, retry_delay, retry_for, soft_time_limit, \
    store_errors_even_if_ignored, time_limit, track_started";

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if seen.contains(&key) {
                return Err(Error::new(
                    key.span(),
                    format!("option {key} is given twice"),
                ));
            }
            if options.special(&key, input)? {
                seen.push(key);
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
                continue;
            }
            let value = if input.peek(Token![=]) {
                input.parse::<Token![=]>()?;
                Some(input.parse::<Lit>().map_err(|error| {
                    Error::new(error.span(), format!("option {key}: expected a literal"))
                })?)
            } else {
                None
            };
            options.set(&key, value)?;
            seen.push(key);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        options.check()
    }
}

impl Options {
    /// Reads an option whose value is no literal; tells whether it was one.
    fn special(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<bool> {
        let names = match key.to_string().as_str() {
            "hooks" => {
                input.parse::<Token![=]>()?;
                self.hooks = Some(input.parse()?);
                return Ok(true);
            }
            "retry_for" => &mut self.retry_for,
            "dont_retry_for" => &mut self.dont_retry_for,
            _ => return Ok(false),
        };
        let expected = format!("option {key}: expected names of errors, such as {key}(OSError)");
        let list;
        if !input.peek(syn::token::Paren) {
            return Err(Error::new(key.span(), expected));
        }
        syn::parenthesized!(list in input);
        let found = Punctuated::<ErrorName, Token![,]>::parse_terminated(&list)?;
        if found.is_empty() {
            return Err(Error::new(key.span(), expected));
        }
        names.extend(found.into_iter().map(|ErrorName(name)| name));
        Ok(true)
    }

    fn set(&mut self, key: &Ident, value: Option<Lit>) -> Result<()> {
        let option = Value { key, value };
        match key.to_string().as_str() {
            "name" => self.name = Some(option.text("a task name")?),
            "queue" => self.queue = Some(option.text("a queue name")?.value()),
            "priority" => self.priority = Some(option.number("a number from 0 to 255")?),
            "max_retries" => self.max_retries = Some(option.tries()?),
            "retry_delay" => self.retry_delay = Some(option.duration()?),
            "backoff" => self.backoff = Some(option.backoff()?),
            "jitter" => self.jitter = Some((key.clone(), option.flag()?)),
            "soft_time_limit" => self.soft_time_limit = Some((key.clone(), option.duration()?)),
            "time_limit" => self.time_limit = Some(option.duration()?),
            "rate_limit" => self.rate_limit = Some(option.rate()?),
            "errback" => self.errback = Some(option.flag()?),
            "expires" => self.expires = Some(option.duration()?),
            "acks_late" => self.acks_late = Some(option.flag()?),
            "acks_on_failure" => self.acks_on_failure = Some(option.flag()?),
            "dead_letter" => self.dead_letter = Some(option.flag()?),
            "ignore_result" => self.ignore_result = Some(option.flag()?),
            "store_errors_even_if_ignored" => {
                self.store_errors_even_if_ignored = Some(option.flag()?);
            }
            "track_started" => self.track_started = Some(option.flag()?),
            "isolated" => self.isolated = Some(option.flag()?),
            "reject_on_worker_lost" => self.reject_on_worker_lost = Some(option.flag()?),
            _ => {
                let text = format!("unknown option {key}, expected one of {KNOWN}");
                return Err(Error::new(key.span(), text));
            }
        }
        Ok(())
    }

    fn check(self) -> Result<Self> {
        if let (Some((key, _)), None) = (&self.jitter, &self.backoff) {
            return Err(Error::new(
                key.span(),
                "option jitter needs the option backoff",
            ));
        }
        if let (Some((key, soft)), Some(hard)) = (&self.soft_time_limit, self.time_limit)
            && *soft >= hard
        {
            return Err(Error::new(
                key.span(),
                "soft_time_limit must be shorter than time_limit",
            ));
        }
        Ok(self)
    }

    /// Returns the assignments that turn the defaults in `options` into these.
    pub(crate) fn assignments(&self, options: &Ident) -> TokenStream {
        let mut all = TokenStream::new();
        let mut set = |field: &str, value: Option<TokenStream>| {
            let field = Ident::new(field, options.span());
            all.extend(value.map(|value| quote!(#options.#field = #value;)));
        };
        let some = |value: TokenStream| quote!(::core::option::Option::Some(#value));
        let duration = |value: Duration| {
            // Durations come from whole milliseconds, so none is cut short.
            let (seconds, nanos) = (value.as_secs(), value.subsec_nanos());
            quote!(::core::time::Duration::new(#seconds, #nanos))
        };
        set(
            "queue",
            self.queue.as_ref().map(|name| some(quote!(#name.into()))),
        );
        set(
            "priority",
            self.priority.map(|number| some(quote!(#number))),
        );
        set(
            "max_retries",
            self.max_retries.map(|tries| match tries {
                Tries::Limited(number) => some(quote!(#number)),
                Tries::Forever => quote!(::core::option::Option::None),
            }),
        );
        set("retry_delay", self.retry_delay.map(duration));
        set(
            "backoff",
            self.backoff.map(|(base, max)| {
                let base = duration(base);
                let max = max.map(duration).map(|max| quote!(.max(#max)));
                let exact = matches!(self.jitter, Some((_, false))).then(|| quote!(.exact()));
                some(quote!(::celeriac::retry::Backoff::new(#base) #max #exact))
            }),
        );
        let soft = self.soft_time_limit.as_ref().map(|(_, limit)| *limit);
        set("soft_time_limit", soft.map(|limit| some(duration(limit))));
        set(
            "time_limit",
            self.time_limit.map(|limit| some(duration(limit))),
        );
        set(
            "rate_limit",
            self.rate_limit.map(|(count, seconds)| {
                some(quote!(::celeriac::task::RateLimit {
                    count: #count,
                    period: ::core::time::Duration::from_secs(#seconds),
                }))
            }),
        );
        set("expires", self.expires.map(|after| some(duration(after))));
        for (field, names) in [
            ("retry_for", &self.retry_for),
            ("dont_retry_for", &self.dont_retry_for),
        ] {
            let list = quote!(::std::vec![#(#names.into()),*]);
            set(field, (!names.is_empty()).then_some(list));
        }
        set(
            "hooks",
            self.hooks
                .as_ref()
                .map(|hooks| some(quote!(::celeriac::task::TaskHooks::new(#hooks)))),
        );
        for (field, flag) in [
            ("errback", self.errback),
            ("acks_late", self.acks_late),
            ("acks_on_failure", self.acks_on_failure),
            ("dead_letter", self.dead_letter),
            ("ignore_result", self.ignore_result),
            (
                "store_errors_even_if_ignored",
                self.store_errors_even_if_ignored,
            ),
            ("track_started", self.track_started),
            ("isolated", self.isolated),
            ("reject_on_worker_lost", self.reject_on_worker_lost),
        ] {
            set(field, flag.map(|flag| quote!(#flag)));
        }
        all
    }
}

/// The value of one option, and whose it is.
struct Value<'a> {
    key: &'a Ident,
    value: Option<Lit>,
}

impl Value<'_> {
    fn wrong<T>(&self, expected: &str) -> Result<T> {
        let span = self.value.as_ref().map_or(self.key.span(), Lit::span);
        Err(Error::new(
            span,
            format!("option {}: expected {expected}", self.key),
        ))
    }

    fn text(&self, expected: &str) -> Result<LitStr> {
        match &self.value {
            Some(Lit::Str(text)) if !text.value().is_empty() => Ok(text.clone()),
            _ => self.wrong(expected),
        }
    }

    fn flag(&self) -> Result<bool> {
        match &self.value {
            None => Ok(true),
            Some(Lit::Bool(LitBool { value, .. })) => Ok(*value),
            Some(_) => self.wrong("true or false"),
        }
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Display>>(&self, expected: &str) -> Result<T> {
        match &self.value {
            Some(Lit::Int(number)) => number.base10_parse().or_else(|_| self.wrong(expected)),
            _ => self.wrong(expected),
        }
    }

    fn tries(&self) -> Result<Tries> {
        match &self.value {
            Some(Lit::Str(text)) if text.value() == "forever" => Ok(Tries::Forever),
            _ => self.number("a number or \"forever\"").map(Tries::Limited),
        }
    }

    fn duration(&self) -> Result<Duration> {
        match &self.value {
            Some(Lit::Str(text)) => self.period(&text.value()),
            _ => self
                .number("a duration such as \"10s\", or a number of seconds")
                .map(Duration::from_secs),
        }
    }

    fn backoff(&self) -> Result<(Duration, Option<Duration>)> {
        let Some(Lit::Str(text)) = &self.value else {
            return Ok((self.duration()?, None));
        };
        let text = text.value();
        let Some((base, max)) = text.split_once("..") else {
            return Ok((self.period(&text)?, None));
        };
        let (base, max) = (self.period(base)?, self.period(max)?);
        if base > max {
            return self.wrong("the shorter delay first, such as \"2s..10m\"");
        }
        Ok((base, Some(max)))
    }

    fn rate(&self) -> Result<(f64, u64)> {
        let expected = "a number with /s, /m or /h, such as \"100/m\"";
        let text = self.text(expected)?.value();
        let (count, unit) = text.split_once('/').unwrap_or((&text, "s"));
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return self.wrong(expected),
        };
        match count.trim().parse() {
            Ok(count) if (1e-6..=4e9).contains(&count) => Ok((count, seconds)),
            _ => self.wrong(expected),
        }
    }

    fn period(&self, text: &str) -> Result<Duration> {
        duration::parse(text).map_err(|error| {
            let span = self.value.as_ref().map_or(self.key.span(), Lit::span);
            Error::new(span, format!("option {}: {error}", self.key))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn error(text: &str) -> String {
        syn::parse_str::<Options>(text).err().unwrap().to_string()
    }

    #[test]
    fn every_option_is_understood() {
        let options: Options = syn::parse_str(
            r#"name = "demo.add", queue = "fast", priority = 5, max_retries = "forever",
            retry_delay = "10s", backoff = "2s..10m", jitter = false, soft_time_limit = 30,
            time_limit = "1m", acks_late = false, acks_on_failure, dead_letter = false, rate_limit = "10/m",
            ignore_result, store_errors_even_if_ignored, expires = "1h", track_started,
            errback, hooks = Audit::new(1), retry_for(OSError, net::Timeout), dont_retry_for("a.B"), isolated,
            reject_on_worker_lost,"#,
        )
        .unwrap();
        let text = options.assignments(&Ident::new("o", proc_macro2::Span::call_site()));
        let text = text.to_string().replace(' ', "");
        for part in [
            "o.queue=::core::option::Option::Some(\"fast\".into());",
            "o.priority=::core::option::Option::Some(5u8);",
            "o.max_retries=::core::option::Option::None;",
            "o.retry_delay=::core::time::Duration::new(10u64,0u32);",
            "Backoff::new(::core::time::Duration::new(2u64,0u32)).max(::core::time::Duration::new(600u64,0u32)).exact()",
            "o.soft_time_limit=::core::option::Option::Some(::core::time::Duration::new(30u64,0u32));",
            "RateLimit{count:10f64,period:::core::time::Duration::from_secs(60u64),}",
            "o.retry_for=::std::vec![\"OSError\".into(),\"net.Timeout\".into()];",
            "o.dont_retry_for=::std::vec![\"a.B\".into()];",
            "o.hooks=::core::option::Option::Some(::celeriac::task::TaskHooks::new(Audit::new(1)));",
            "o.errback=true;",
            "o.acks_late=false;o.acks_on_failure=true;o.dead_letter=false;o.ignore_result=true;",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.matches(';').count(), 21);
    }

    #[test]
    fn no_options_change_nothing() {
        let options: Options = syn::parse_str("").unwrap();
        assert!(
            options
                .assignments(&Ident::new("o", proc_macro2::Span::call_site()))
                .is_empty()
        );
    }

    #[test]
    fn a_wrong_option_says_what_it_wants() {
        for (text, expected) in [
            ("name = 1", "option name: expected a task name"),
            ("name = \"\"", "option name: expected a task name"),
            ("queue", "option queue: expected a queue name"),
            (
                "priority = 256",
                "option priority: expected a number from 0 to 255",
            ),
            (
                "priority = -1",
                "option priority: expected a number from 0 to 255",
            ),
            (
                "max_retries = \"often\"",
                "option max_retries: expected a number or \"forever\"",
            ),
            (
                "jitter = 1, backoff = 2",
                "option jitter: expected true or false",
            ),
            ("jitter = false", "option jitter needs the option backoff"),
            (
                "backoff = \"10m..2s\"",
                "option backoff: expected the shorter delay first, such as \"2s..10m\"",
            ),
            (
                "rate_limit = \"5/d\"",
                "option rate_limit: expected a number with /s, /m or /h, such as \"100/m\"",
            ),
            (
                "soft_time_limit = \"1m\", time_limit = 60",
                "soft_time_limit must be shorter than time_limit",
            ),
            (
                "ignore_result, ignore_result",
                "option ignore_result is given twice",
            ),
            ("queue = fast", "option queue: expected a literal"),
            (
                "retry_for = OSError",
                "option retry_for: expected names of errors, such as retry_for(OSError)",
            ),
            (
                "retry_for()",
                "option retry_for: expected names of errors, such as retry_for(OSError)",
            ),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
        assert!(error("expires = \"1y\"").starts_with("option expires: expected a duration"));
        assert!(error("expires = 1.5").starts_with("option expires: expected a duration"));
        let unknown = error("retries = 3");
        assert!(unknown.starts_with("unknown option retries, expected one of acks_late, "));
        assert!(unknown.ends_with("time_limit, track_started"));
    }
}
