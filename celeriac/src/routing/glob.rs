//! Patterns as a shell has them.

/// A pattern of `*` (any run of characters), `?` (any one), `[abc]`, `[a-z]` and `[!abc]`.
#[derive(Debug, Clone)]
pub(super) struct Glob(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Run,
    Any,
    One(char),
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Piece {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Run => false,
            Self::Any => true,
            Self::One(own) => *own == c,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
        }
    }
}

impl Glob {
    /// Reads a pattern; `None` when it is a plain name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.contains(['*', '?', '[']).then(|| {
            let text: Vec<char> = text.chars().collect();
            let mut pieces = Vec::new();
            let mut at = 0;
            while let Some(c) = text.get(at) {
                at += 1;
                pieces.push(match c {
                    '*' => Piece::Run,
                    '?' => Piece::Any,
                    '[' => match set(&text[at..]) {
                        Some((set, length)) => {
                            at += length;
                            set
                        }
                        // Never closed, so it stands for itself.
                        None => Piece::One('['),
                    },
                    c => Piece::One(*c),
                });
            }
            Self(pieces)
        })
    }

    /// Tells whether a text fits as a whole.
    ///
    /// Linear in the product of both lengths: it goes back to the last run only.
    pub(super) fn matches(&self, text: &str) -> bool {
        let pieces = &self.0;
        let mut rest = text.chars();
        let mut at = 0;
        // After which piece, and with how much text left, the last run may grow.
        let mut run = None;
        loop {
            if let Some(Piece::Run) = pieces.get(at) {
                at += 1;
                run = Some((at, rest.clone()));
                continue;
            }
            match (rest.next(), pieces.get(at)) {
                (None, None) => return true,
                (None, Some(_)) => return false,
                (Some(c), Some(piece)) if piece.takes(c) => at += 1,
                _ => match &mut run {
                    Some((after, longer)) => {
                        if longer.next().is_none() {
                            return false;
                        }
                        at = *after;
                        rest = longer.clone();
                    }
                    None => return false,
                },
            }
        }
    }
}

/// Reads a set behind its `[`, and how many characters it takes with its `]`.
fn set(text: &[char]) -> Option<(Piece, usize)> {
    let negated = text.first() == Some(&'!');
    let from = usize::from(negated);
    // A `]` at the very start belongs to the set.
    let end = (from + 1..text.len()).find(|&at| text[at] == ']')?;
    let mut ranges = Vec::new();
    let mut inside = &text[from..end];
    while let Some((first, rest)) = inside.split_first() {
        inside = match rest {
            ['-', last, rest @ ..] => {
                ranges.push((*first, *last));
                rest
            }
            rest => {
                ranges.push((*first, *first));
                rest
            }
        };
    }
    Some((Piece::Set { negated, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
            ("*ab", "aab", true),
            ("v[0-9].*", "v2.run", true),
            ("v[!0-9].*", "v2.run", false),
            ("v[]x]", "v]", true),
            ("v[", "v[", true),
            ("*ż?", "aażó", true),
        ] {
            assert_eq!(
                Glob::parse(pattern).unwrap().matches(text),
                fits,
                "{pattern} {text}"
            );
        }
        assert!(Glob::parse("mail.send").is_none());
    }
}
