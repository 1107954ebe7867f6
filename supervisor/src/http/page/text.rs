//! Values as the page writes them.

use std::fmt::{self, Display, Write};

/// Text between tags or in quotes, with everything that HTML gives a meaning escaped.
pub(super) struct Text<T>(pub(super) T);

/// Cuts a text to what a cell of a table can show.
pub(super) fn short(text: &str) -> String {
    crate::cluster::cut(text, 300)
}

/// Says how long ago something was.
pub(super) fn ago(seconds: f64) -> String {
    match seconds {
        s if s < 1.5 => "now".to_owned(),
        s if s < 120.0 => format!("{s:.0} s ago"),
        s if s < 7_200.0 => format!("{:.0} min ago", s / 60.0),
        s => format!("{:.0} h ago", s / 3_600.0),
    }
}

/// Writes thousands apart, with a narrow space that does not break.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A name as one segment of a path.
pub(super) struct Url<'a>(pub(super) &'a str);

impl Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' => {
                    f.write_char(char::from(byte))?;
                }
                other => write!(f, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

impl<T: AsRef<str>> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.as_ref().chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_become_markup() {
        let text = Text("<img src=x onerror='alert(1)'>&\"").to_string();
        assert_eq!(
            text,
            "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot;"
        );
        assert_eq!(Url("a/../b?\"<").to_string(), "a%2F..%2Fb%3F%22%3C");
    }

    #[test]
    fn figures_are_readable() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1\u{202f}000"),
            (1_234_567, "1\u{202f}234\u{202f}567"),
        ] {
            assert_eq!(grouped(count), text);
        }
        let cases = [
            (0.2, "now"),
            (7.0, "7 s ago"),
            (300.0, "5 min ago"),
            (9_000.0, "2 h ago"),
        ];
        for (seconds, text) in cases {
            assert_eq!(ago(seconds), text);
        }
    }
}
