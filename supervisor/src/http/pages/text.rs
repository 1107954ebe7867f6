//! Values as pages write them.

use std::borrow::Borrow;
use std::fmt::{self, Display, Write};
use std::time::SystemTime;

use askama::filters::HtmlSafe;
use jiff::{SignedDuration, Timestamp};

/// Markup that was made here; what came from outside is escaped in it already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Markup(pub(super) String);

impl Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Markup {}

/// Text with everything that HTML gives a meaning escaped.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
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

/// Writes a name as one segment of a path, or as a value of a query.
pub(super) fn url(name: &str) -> Markup {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' => {
                out.push(char::from(byte));
            }
            other => {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    Markup(out)
}

/// Writes a name so that it can be part of an element's id.
pub(super) fn key(name: &str) -> Markup {
    Markup(url(name).0.replace(['%', '@', '~'], "_"))
}

/// Shows the beginning of an id.
pub(super) fn short(id: &str, most: usize) -> &str {
    id.char_indices()
        .nth(most)
        .map_or(id, |(end, _)| &id[..end])
}

/// Cuts a text to one line that a table can show.
pub(super) fn line(text: &str) -> String {
    let mut words = String::new();
    for word in text.split_whitespace() {
        if words.len() > 300 {
            break;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    crate::cluster::cut(&words, 300)
}

/// Writes thousands apart, with a narrow space that does not break.
pub(super) fn grouped(count: impl Borrow<u64>) -> String {
    let digits = count.borrow().to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Writes how many there are of something: `one task`, `5 tasks`.
pub(super) fn many(count: u64, what: &str) -> String {
    match count {
        1 => format!("one {what}"),
        count => format!("{} {what}s", grouped(count)),
    }
}

/// Writes a figure, or a dash where nothing is known.
pub(super) fn count(figure: impl Borrow<Option<u64>>) -> String {
    figure.borrow().map_or_else(dash, grouped)
}

/// What stands where nothing is known.
pub(super) fn dash() -> String {
    "–".to_owned()
}

/// Writes a span of time with three digits or so.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.000_999_5 => format!("{:.0} µs", s.max(0.0) * 1e6),
        s if s < 0.01 => format!("{:.1} ms", s * 1e3),
        s if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 119.5 => format!("{s:.1} s"),
        s if s < 7_170.0 => format!(
            "{:.0} min {:02.0} s",
            (s / 60.0).floor(),
            (s % 60.0).floor()
        ),
        s if s < 172_800.0 => format!(
            "{:.0} h {:02.0} min",
            (s / 3_600.0).floor(),
            (s % 3_600.0 / 60.0).floor()
        ),
        s => format!("{:.0} d", s / 86_400.0),
    }
}

/// Writes a span of time, or a dash.
pub(super) fn maybe_span(seconds: Option<f64>) -> String {
    seconds.map_or_else(dash, span)
}

/// Writes how many per second.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        r if r < 9.995 => format!("{r:.2}"),
        r if r < 99.95 => format!("{r:.1}"),
        r => grouped(r.round() as u64),
    }
}

/// Writes a share as per cent.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// Writes a moment in the page's relative form; scripts keep it up to date.
pub(super) fn when(moment: Option<&str>) -> Markup {
    time(moment, "")
}

/// Writes a moment of the clock in the relative form.
pub(super) fn at(moment: SystemTime) -> Markup {
    let moment = Timestamp::try_from(moment).map(|at| at.to_string()).ok();
    when(moment.as_deref())
}

/// Writes a moment as the clocks of a zone show it; UTC where the zone is not known.
pub(super) fn civil(moment: SystemTime, zone: Option<&str>) -> Markup {
    let Ok(moment) = Timestamp::try_from(moment) else {
        return Markup(dash());
    };
    let zone = zone.and_then(|name| jiff::tz::TimeZone::get(name).ok());
    let zoned = moment.to_zoned(zone.unwrap_or(jiff::tz::TimeZone::UTC));
    Markup(zoned.strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string())
}

/// Writes a moment exactly.
pub(super) fn exact(moment: Option<&str>) -> Markup {
    time(moment, "exact")
}

/// Writes the time of day of a moment, with milliseconds.
pub(super) fn clock(moment: Option<&str>) -> Markup {
    time(moment, "clock")
}

fn time(moment: Option<&str>, show: &str) -> Markup {
    let Some(moment) = moment else {
        return Markup(dash());
    };
    let Ok(at) = moment.parse::<Timestamp>() else {
        return Markup(Escaped(moment).to_string());
    };
    let text = match show {
        "exact" => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        "clock" => at.strftime("%H:%M:%S%.3f").to_string(),
        _ => relative(now().duration_since(at)),
    };
    let attribute = if show.is_empty() {
        String::new()
    } else {
        format!(" data-show=\"{show}\"")
    };
    Markup(format!(
        "<time datetime=\"{at}\" title=\"{}\"{attribute}>{text}</time>",
        at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC")
    ))
}

/// The wall clock, as a timestamp.
pub(super) fn now() -> Timestamp {
    let now = celeriac::clock::now();
    Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn relative(past: SignedDuration) -> String {
    let seconds = past.as_secs_f64();
    let text = match seconds.abs() {
        s if s < 1.0 => return "now".to_owned(),
        s if s < 90.0 => format!("{:.0} s", s.floor()),
        s if s < 5_400.0 => format!("{:.0} min", (s / 60.0).floor()),
        s if s < 129_600.0 => format!("{:.0} h", (s / 3_600.0).floor()),
        s => format!("{:.0} d", (s / 86_400.0).floor()),
    };
    if seconds > 0.0 {
        format!("{text} ago")
    } else {
        format!("in {text}")
    }
}

/// Which colour a state has.
pub(super) fn tone(state: &str) -> &'static str {
    match state {
        "SUCCESS" | "online" | "on" | "leading" | "steady" | "done" | "replayed" => "good",
        "FAILURE" | "REJECTED" | "lost" | "failed" | "late" | "no consumer" | "failing" => "bad",
        "STARTED" | "PROGRESS" | "running" => "busy",
        "RETRY" | "REVOKED" | "suspect" | "draining" | "paused" | "refused" | "growing" => "warn",
        _ => "",
    }
}

/// Writes a state as a coloured word.
pub(super) fn pill(state: &str) -> Markup {
    let tone = tone(state);
    Markup(format!(
        "<span class=\"pill {tone}\">{}</span>",
        Escaped(state)
    ))
}

/// Draws how much of something is used.
pub(super) fn meter(used: f64, of: f64) -> Markup {
    if !(used.is_finite() && of > 0.0) {
        return Markup::default();
    }
    let share = (used / of).clamp(0.0, 1.0);
    let tone = match share {
        s if s >= 0.999 && used > of * 2.0 => "bad",
        s if s >= 0.999 => "warn",
        _ => "",
    };
    Markup(format!(
        "<svg class=\"meter {tone}\" width=\"44\" height=\"9\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"44\" height=\"9\" rx=\"3\"/>\
         <rect class=\"fill\" width=\"{:.1}\" height=\"9\" rx=\"3\"/></svg>",
        share * 44.0
    ))
}

/// Writes the arguments of a call as the reader would: one text, cut to a line.
pub(super) fn call(args: Option<&str>, kwargs: Option<&str>) -> String {
    let present = [args, kwargs].into_iter().flatten();
    let shown =
        present.filter(|text| !matches!(text.trim(), "" | "()" | "[]" | "{}" | "None" | "null"));
    line(&shown.collect::<Vec<_>>().join(" "))
}

/// Writes the arguments of a call whole.
pub(super) fn arguments(args: &Option<String>, kwargs: &Option<String>) -> String {
    let part =
        |name: &str, text: &Option<String>| text.as_ref().map(|text| format!("{name}  {text}"));
    let parts = [part("args  ", args), part("kwargs", kwargs)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_become_markup() {
        let text = Escaped("<img src=x onerror='alert(1)'>&\"").to_string();
        assert_eq!(
            text,
            "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot;"
        );
        assert_eq!(url("a/../b?\"<").0, "a%2F..%2Fb%3F%22%3C");
        assert_eq!(key("w 1@host").0, "w_201_host");
        assert!(!pill("<b>").0.contains("<b>"));
        assert!(!when(Some("<b>")).0.contains("<b>"));
    }

    #[test]
    fn figures_are_readable() {
        for (count, text) in [
            (0_u64, "0"),
            (999, "999"),
            (1_000, "1\u{202f}000"),
            (1_234_567, "1\u{202f}234\u{202f}567"),
        ] {
            assert_eq!(grouped(count), text);
        }
        let spans = [
            (0.0, "0 µs"),
            (0.000_25, "250 µs"),
            (0.0042, "4.2 ms"),
            (0.25, "250 ms"),
            (0.9996, "1.00 s"),
            (12.34, "12.3 s"),
            (125.0, "2 min 05 s"),
            (7_200.0, "2 h 00 min"),
            (864_000.0, "10 d"),
        ];
        for (seconds, text) in spans {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(6.2512), "6.25");
        assert_eq!(percent(0.0123), "1.2 %");
        assert_eq!(short("0123456789", 8), "01234567");
        assert_eq!(short("é", 8), "é");
    }

    #[test]
    fn a_moment_is_told_relative_and_exact() {
        let moment = (now() - SignedDuration::from_secs(200)).to_string();
        let time = when(Some(&moment)).0;
        assert!(time.contains(">3 min ago</time>"), "{time}");
        assert!(time.contains(&format!("datetime=\"{moment}\"")), "{time}");
        assert_eq!(when(None).0, "–");
        assert_eq!(relative(SignedDuration::from_secs(-7_200)), "in 2 h");
    }

    #[test]
    fn calls_are_shown_without_empty_parts() {
        assert_eq!(call(Some("(1, 2)"), Some("{}")), "(1, 2)");
        assert_eq!(call(Some("[]"), Some("{\"a\":\n 1}")), "{\"a\": 1}");
        assert_eq!(call(None, None), "");
    }
}
