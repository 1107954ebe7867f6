//! The header `tracestate`: a check, since its parts are other people's.

/// The most members of a list.
const MAX_MEMBERS: usize = 32;

/// Tells whether a text is a list of members as the W3C writes them. What is not is left
/// out as a whole, and the trace goes on without it.
pub(super) fn is_sound(text: &str) -> bool {
    let members = text
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']));
    let mut keys: Vec<&str> = Vec::new();
    for member in members.filter(|member| !member.is_empty()) {
        let Some((key, value)) = member.split_once('=') else {
            return false;
        };
        if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == MAX_MEMBERS {
            return false;
        }
        keys.push(key);
    }
    !keys.is_empty()
}

fn is_key(key: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = key.bytes();
    key.len() <= 256
        && bytes.next().is_some_and(first)
        && bytes.all(|byte| first(byte) || b"_-*/@".contains(&byte))
}

fn is_value(value: &str) -> bool {
    let good = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(good) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_checked_as_the_w3c_writes_it() {
        let members = |count: usize| {
            let one = |n| format!("k{n}=v");
            (0..count).map(one).collect::<Vec<_>>().join(",")
        };
        for (text, sound) in [
            ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE".to_owned(), true),
            (" a=1 ,\tb=2,,".to_owned(), true),
            ("fw529a3039@dt=FfD, 1a=x".to_owned(), true),
            ("a=a b".to_owned(), true),
            (members(32), true),
            (members(33), false),
            (format!("{}=v", "a".repeat(256)), true),
            (format!("{}=v", "a".repeat(257)), false),
            (format!("a={}", "v".repeat(256)), true),
            (format!("a={}", "v".repeat(257)), false),
            ("a=1,a=2".to_owned(), false),
            ("A=1".to_owned(), false),
            ("@a=1".to_owned(), false),
            ("a".to_owned(), false),
            ("a=".to_owned(), false),
            ("a=b=c".to_owned(), false),
            ("a=ü".to_owned(), false),
            ("a =1".to_owned(), false),
            (String::new(), false),
            (" , ".to_owned(), false),
        ] {
            assert_eq!(is_sound(&text), sound, "{text:?}");
        }
    }
}
