#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;
use crate::json;

/// Texts that Celery 5.7 on Python 3.11 made of these values.
fn cases(text: &str) -> Vec<Table> {
    json::from_slice(text.as_bytes(), "cases").unwrap()
}

fn limit(case: &Table) -> usize {
    case.get("max")
        .and_then(Value::as_i64)
        .unwrap()
        .try_into()
        .unwrap()
}

fn text<'a>(case: &'a Table, key: &str) -> &'a str {
    case.get(key).and_then(Value::as_str).unwrap()
}

#[test]
fn values_look_as_in_python() {
    let cases = cases(include_str!("../../tests/golden/repr/values.json"));
    assert_eq!(cases.len(), 690);
    for case in &cases {
        let shown = case.get("value").unwrap();
        assert_eq!(python(shown), text(case, "python"));
        assert_eq!(value(shown, limit(case)), text(case, "display"), "{case:?}");
    }
}

#[test]
fn arguments_look_as_in_python() {
    let cases = cases(include_str!("../../tests/golden/repr/args.json"));
    assert_eq!(cases.len(), 56);
    for case in &cases {
        let shown = case.get("value").and_then(Value::as_array).unwrap();
        assert_eq!(args(shown, limit(case)), text(case, "display"), "{case:?}");
    }
}

#[test]
fn keyword_arguments_look_like_a_dict() {
    let table: Table = [
        ("x".to_owned(), Value::Int(2)),
        ("y".to_owned(), Value::Null),
    ]
    .into_iter()
    .collect();
    assert_eq!(kwargs(&table, 1024), "{'x': 2, 'y': None}");
    assert_eq!(kwargs(&Table::new(), 1024), "{}");
}

#[test]
fn bytes_have_their_own_looks() {
    let bytes = |bytes: &'static [u8]| Value::Bytes(Bytes::from_static(bytes));
    assert_eq!(
        python(&bytes(b"a'\"\\\n\x00\xff")),
        r#"b'a\'"\\\n\x00\xff'"#
    );
    assert_eq!(python(&bytes(b"it's")), r#"b"it's""#);
    assert_eq!(value(&bytes(b"abc"), 1024), "b'abc'");
    assert_eq!(value(&bytes(b"\xff\x00"), 1024), "b'ff00'");
    assert_eq!(value(&bytes(b"abcdef"), 3), "b'abc...'");
}

#[test]
fn numbers_that_are_none() {
    assert_eq!(python(&Value::Float(f64::NAN)), "nan");
    assert_eq!(python(&Value::Float(f64::INFINITY)), "inf");
    assert_eq!(python(&Value::Float(f64::NEG_INFINITY)), "-inf");
}

#[test]
fn an_exception_looks_like_its_call() {
    let boom = Exception {
        exc_type: "ValueError".to_owned(),
        exc_message: vec!["boom".into(), Value::Int(42)],
        exc_module: Some("builtins".to_owned()),
    };
    assert_eq!(exception(&boom), "ValueError('boom', 42)");
    assert_eq!(
        exception(&Exception {
            exc_message: vec!["x".into()],
            ..boom
        }),
        "ValueError('x')"
    );
}

#[test]
fn depth_is_bounded() {
    let deep = (0..1000).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    assert!(python(&deep).contains("[...]"));
    assert_eq!(value(&deep, 1024), "[[[[...]]]]");
}
