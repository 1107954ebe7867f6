//! Arguments as workers show them, read as JSON. Pure.
//!
//! Workers show arguments as Python writes them: `('a', 1)`, `{'deep': True}`. What is cut
//! short, or is no plain value, cannot be read.

use std::str::Chars;

use serde_json::{Map, Number, Value};

/// Reads a text that Python or JSON wrote; `None` when it is no plain value, or not whole.
pub(super) fn read(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let mut reader = Reader(text.trim().chars());
    let value = reader.value(0)?;
    reader.skip();
    reader.0.as_str().is_empty().then_some(value)
}

/// Deeper values are not read: what is read here came from outside.
const DEEPEST: usize = 64;

struct Reader<'a>(Chars<'a>);

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.0.clone().next()
    }

    fn skip(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.0.next();
        }
    }

    fn takes(&mut self, expected: char) -> bool {
        self.skip();
        let there = self.peek() == Some(expected);
        if there {
            self.0.next();
        }
        there
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        self.skip();
        match self.peek()? {
            '(' => self.items(')', depth),
            '[' => self.items(']', depth),
            '{' => self.pairs(depth),
            '\'' | '"' => self.text().map(Value::String),
            _ => self.word(),
        }
    }

    fn items(&mut self, end: char, depth: usize) -> Option<Value> {
        self.0.next();
        let (mut items, mut commas) = (Vec::new(), 0);
        while !self.takes(end) {
            items.push(self.value(depth + 1)?);
            if self.takes(',') {
                commas += 1;
            } else if !self.takes(end) {
                return None;
            } else {
                break;
            }
        }
        // Parentheses without a comma group one value and make no tuple.
        match (end, items.len(), commas) {
            (')', 1, 0) => items.pop(),
            _ => Some(Value::Array(items)),
        }
    }

    fn pairs(&mut self, depth: usize) -> Option<Value> {
        self.0.next();
        let mut pairs = Map::new();
        while !self.takes('}') {
            let Value::String(name) = self.value(depth + 1)? else {
                return None;
            };
            if !self.takes(':') {
                return None;
            }
            pairs.insert(name, self.value(depth + 1)?);
            if !self.takes(',') {
                if !self.takes('}') {
                    return None;
                }
                break;
            }
        }
        Some(Value::Object(pairs))
    }

    fn text(&mut self) -> Option<String> {
        let quote = self.0.next()?;
        let mut text = String::new();
        loop {
            match self.0.next()? {
                '\\' => match self.0.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'x' => text.push(self.code(2)?),
                    'u' => text.push(self.code(4)?),
                    'U' => text.push(self.code(8)?),
                    plain @ ('\\' | '\'' | '"') => text.push(plain),
                    _ => return None,
                },
                end if end == quote => return Some(text),
                other => text.push(other),
            }
        }
    }

    fn code(&mut self, digits: usize) -> Option<char> {
        let text = self.0.as_str().get(..digits)?;
        let code = u32::from_str_radix(text, 16).ok()?;
        self.0 = self.0.as_str()[digits..].chars();
        char::from_u32(code)
    }

    fn word(&mut self) -> Option<Value> {
        let rest = self.0.as_str();
        let end = rest
            .find([',', ')', ']', '}', ':', ' ', '\n'])
            .unwrap_or(rest.len());
        let word = &rest[..end];
        self.0 = rest[end..].chars();
        match word {
            "True" | "true" => Some(Value::Bool(true)),
            "False" | "false" => Some(Value::Bool(false)),
            "None" | "null" => Some(Value::Null),
            word => word.parse::<Number>().ok().map(Value::Number),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let cases = [
            ("('no paper', 1)", json!(["no paper", 1])),
            ("(1,)", json!([1])),
            ("()", json!([])),
            ("{}", json!({})),
            ("[1.5, -2, None]", json!([1.5, -2, null])),
            (
                "{'deep': True, 'at': {'x': (1, 2)}}",
                json!({"deep": true, "at": {"x": [1, 2]}}),
            ),
            (
                r#"("it's", 'a "b"', 'tab\t\x41\u00e9\\')"#,
                json!(["it's", "a \"b\"", "tab\tAé\\"]),
            ),
            ("[1, \"two\"]", json!([1, "two"])),
            ("((1, 2))", json!([1, 2])),
        ];
        for (text, value) in cases {
            assert_eq!(read(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_cut_or_no_plain_value_is_not_read() {
        for text in [
            "(1, 2, ...)",
            "('abc...",
            "<Thing at 0x1>",
            "(1",
            "1 2",
            "{1: 2}",
            "(Decimal('1'),)",
            "",
            "'\\N{DASH}'",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"(".repeat(10_000)), None);
    }

    proptest! {
        #[test]
        fn no_text_harms(text in ".{0,80}") {
            let _ = read(&text);
        }

        #[test]
        fn json_stays_what_it_is(numbers in proptest::collection::vec(any::<i64>(), 0..8), text in ".{0,12}") {
            let value = json!([numbers, {"a": text}]);
            prop_assert_eq!(read(&value.to_string()), Some(value));
        }
    }
}
