//! Amounts of resources, such as `250m` and `512Mi`.

/// Returns an amount, or `None` for what is none.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let end = text
        .find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024f64,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?;
            10f64.powi(exponent.parse().ok()?)
        }
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[test]
fn amounts_are_numbers_with_the_suffixes_of_kubernetes() {
    assert_eq!(parse("250m"), Some(0.25));
    assert_eq!(parse("1Gi"), Some(1_073_741_824.0));
    assert_eq!(parse("1e3"), Some(1000.0));
    for bad in ["128MB", "1 Gi", "", "Mi", "1K", "0.5gi", "1e"] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}
