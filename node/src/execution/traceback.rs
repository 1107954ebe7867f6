//! Traceback texts that Python programs can show.

use celeriac::protocol::{Exception, Value, repr};

/// Writes a traceback in Python's look: what was raised where, and its causes.
///
/// A Rust error knows no stack, so the one frame names the task.
pub(crate) fn text(task: &str, exception: &Exception, causes: &[String]) -> String {
    let mut text =
        format!("Traceback (most recent call last):\n  File \"{task}\", line 0, in run\n");
    match exception.exc_module.as_deref() {
        None | Some("builtins") => {}
        Some(module) => {
            text.push_str(module);
            text.push('.');
        }
    }
    text.push_str(&exception.exc_type);
    let message = message(exception);
    if !message.is_empty() {
        text.push_str(": ");
        text.push_str(&message);
    }
    text.push('\n');
    for cause in causes {
        text.push_str("  caused by: ");
        text.push_str(cause);
        text.push('\n');
    }
    text
}

/// Shows the arguments as `str(exception)` does.
pub(super) fn message(exception: &Exception) -> String {
    match exception.exc_message.as_slice() {
        [] => String::new(),
        [Value::Str(text)] => text.clone(),
        [one] => repr::python(one),
        many => repr::args(many, 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_like_python() {
        let exception = Exception::python("ValueError", "boom");
        assert_eq!(
            text("demo.add", &exception, &["inner".to_owned()]),
            "Traceback (most recent call last):\n  File \"demo.add\", line 0, in run\n\
             ValueError: boom\n  caused by: inner\n"
        );
        let exception = Exception::new("app.errors", "Own", vec!["a".into(), Value::Int(2)]);
        assert!(text("t", &exception, &[]).ends_with("\napp.errors.Own: ('a', 2)\n"));
        assert!(text("t", &Exception::soft_time_limit_exceeded(), &[]).ends_with("Exceeded\n"));
    }
}
