//! Which queue a call goes to.

/// Where a call goes: a queue by name, or an exchange with a routing key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// The queue, reached through the default exchange.
    pub queue: Option<String>,
    /// The exchange, when not through the default one.
    pub exchange: Option<String>,
    /// The routing key; the queue's name when absent.
    pub routing_key: Option<String>,
    /// The priority, when the call has none.
    pub priority: Option<u8>,
}

impl Route {
    /// Makes a route to a queue.
    pub fn queue(name: impl Into<String>) -> Self {
        Self {
            queue: Some(name.into()),
            ..Self::default()
        }
    }

    /// Makes a route to an exchange.
    pub fn exchange(name: impl Into<String>, routing_key: impl Into<String>) -> Self {
        Self {
            exchange: Some(name.into()),
            routing_key: Some(routing_key.into()),
            ..Self::default()
        }
    }

    /// Sets the priority of calls that have none.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }
}

/// Rules from task names to routes. The first rule that fits wins, exact names before
/// patterns.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    rules: Vec<(String, Route)>,
}

impl Routes {
    /// Adds a rule: a task name, or a pattern with `*` and `?`.
    pub fn add(&mut self, pattern: impl Into<String>, route: Route) {
        self.rules.push((pattern.into(), route));
    }

    /// Returns the route of a task name.
    pub fn find(&self, task: &str) -> Option<&Route> {
        let exact = self.rules.iter().find(|(pattern, _)| pattern == task);
        exact
            .or_else(|| {
                self.rules
                    .iter()
                    .find(|(pattern, _)| matches(pattern, task))
            })
            .map(|(_, route)| route)
    }
}

/// Matches `*` (any run of characters) and `?` (any one character).
///
/// Linear in the product of both lengths: it goes back to the last star only.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_a_shell() {
        for (pattern, text, fits) in [
            ("mail.*", "mail.send", true),
            ("mail.*", "mailer.send", false),
            ("*", "", true),
            ("*.send", "a.b.send", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn an_exact_name_wins_over_an_earlier_pattern() {
        let mut routes = Routes::default();
        routes.add("*", Route::queue("all"));
        routes.add("mail.send", Route::queue("mail"));
        assert_eq!(routes.find("mail.send"), Some(&Route::queue("mail")));
        assert_eq!(routes.find("other"), Some(&Route::queue("all")));
    }
}
