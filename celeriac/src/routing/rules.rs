//! Rules from tasks to routes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use celeriac_protocol::pattern;
use regex_lite::Regex;

use super::{Route, RouteRequest};
use crate::error::{Error, Result};

/// Rules from tasks to routes, asked in the order in which they were added; the first that
/// fits wins. Between two functions an exact name wins over patterns.
#[derive(Debug, Clone, Default)]
pub struct Routes(Vec<Group>);

/// Names and patterns, and the function that is asked after them.
#[derive(Clone, Default)]
struct Group {
    exact: HashMap<String, Route>,
    patterns: Vec<(Pattern, Route)>,
    function: Option<Function>,
}

type Function = Arc<dyn Fn(&RouteRequest<'_>) -> Option<Route> + Send + Sync>;

#[derive(Debug, Clone)]
enum Pattern {
    Glob(String),
    Regex(Regex),
}

impl Routes {
    /// Adds a rule: a task name, or a pattern with `*`, `?`, `[a-z]` and `[!a-z]`.
    pub fn add(&mut self, pattern: impl Into<String>, route: Route) {
        let name = pattern.into();
        let group = self.open();
        if name.contains(['*', '?', '[']) {
            group.patterns.push((Pattern::Glob(name), route));
        } else {
            group.exact.entry(name).or_insert(route);
        }
    }

    /// Adds a rule of a regular expression, which must fit from the start of the name, as in
    /// Celery; a `$` holds it at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what is no regular expression.
    pub fn add_regex(&mut self, pattern: &str, route: Route) -> Result<()> {
        let regex = Regex::new(&format!("^(?:{pattern})")).map_err(|error| {
            Error::invalid(
                "route",
                "a regular expression",
                format!("{pattern:?} ({error})"),
            )
        })?;
        self.open().patterns.push((Pattern::Regex(regex), route));
        Ok(())
    }

    /// Adds a function; `None` leaves the call to the next rule. It is asked for every call
    /// that no earlier rule takes, so it must be quick. A panic in it is the error of the
    /// call that it was asked about.
    pub fn add_function(
        &mut self,
        function: impl Fn(&RouteRequest<'_>) -> Option<Route> + Send + Sync + 'static,
    ) {
        self.open().function = Some(Arc::new(function));
    }

    /// Returns the route of a call.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when a function that was asked panicked.
    pub fn find(&self, request: &RouteRequest<'_>) -> Result<Option<Cow<'_, Route>>> {
        for group in &self.0 {
            let fits = |(rule, _): &&(Pattern, Route)| match rule {
                Pattern::Glob(glob) => pattern::glob(glob, request.task),
                Pattern::Regex(regex) => regex.is_match(request.task),
            };
            let fitting = || group.patterns.iter().find(fits).map(|(_, route)| route);
            let named = group.exact.get(request.task).or_else(fitting);
            let found = match (named, &group.function) {
                (Some(route), _) => Some(Cow::Borrowed(route)),
                (None, Some(function)) => ask(function, request)?.map(Cow::Owned),
                (None, None) => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Returns the group that rules are added to: a function ends one.
    fn open(&mut self) -> &mut Group {
        if self.0.last().is_none_or(|group| group.function.is_some()) {
            self.0.push(Group::default());
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

/// Asks a function. It is the caller's own code: what follows a task is routed by who
/// delivers the outcomes of all, and must not end with it.
fn ask(function: &Function, request: &RouteRequest<'_>) -> Result<Option<Route>> {
    catch_unwind(AssertUnwindSafe(|| function(request))).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no message");
        Error::invalid(
            "route",
            format!("an answer of the routing function for {}", request.task),
            format!("a panic: {text}"),
        )
    })
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("exact", &self.exact)
            .field("patterns", &self.patterns)
            .field("function", &self.function.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use celeriac_protocol::Table;

    use super::*;

    fn found(routes: &Routes, task: &str) -> Option<Route> {
        let (kwargs, options) = (Table::new(), Table::new());
        let request = RouteRequest {
            task,
            args: &[2.into()],
            kwargs: &kwargs,
            options: &options,
            task_options: None,
        };
        routes.find(&request).unwrap().map(Cow::into_owned)
    }

    #[test]
    fn an_exact_name_wins_over_an_earlier_pattern() {
        let mut routes = Routes::default();
        routes.add("*", Route::queue("all"));
        routes.add("mail.send", Route::queue("mail"));
        routes.add("mail.send", Route::queue("late"));
        assert_eq!(found(&routes, "mail.send"), Some(Route::queue("mail")));
        assert_eq!(found(&routes, "other"), Some(Route::queue("all")));
    }

    #[test]
    fn rules_are_asked_in_their_order() {
        let mut routes = Routes::default();
        routes
            .add_regex(r"(video|image)\.", Route::queue("media"))
            .unwrap();
        routes.add_function(|call| {
            let big = call.args.first()?.as_i64()? > 1;
            (big && call.task != "mail.send").then(|| Route::queue("big"))
        });
        routes.add("mail.*", Route::queue("mail"));
        assert_eq!(found(&routes, "video.cut"), Some(Route::queue("media")));
        assert_eq!(found(&routes, "my.video.cut"), Some(Route::queue("big")));
        assert_eq!(found(&routes, "mail.read"), Some(Route::queue("big")));
        assert_eq!(found(&routes, "mail.send"), Some(Route::queue("mail")));
    }

    /// S13: A function that panics is the failure of the call it was asked about.
    #[test]
    fn a_function_that_panics_is_an_error() {
        let mut routes = Routes::default();
        routes.add_function(|call| Some(Route::queue(call.args[1].as_str()?)));
        let (kwargs, options) = (Table::new(), Table::new());
        let request = RouteRequest {
            task: "mail.send",
            args: &[2.into()],
            kwargs: &kwargs,
            options: &options,
            task_options: None,
        };
        let error = routes.find(&request).unwrap_err().to_string();
        assert!(
            error.starts_with("route: expected an answer of the routing function for mail.send, found a panic: index out of bounds"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_regular_expression_is_told() {
        let error = Routes::default()
            .add_regex("(", Route::queue("q"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("route: expected a regular expression, found \"(\""),
            "{error}"
        );
    }
}
