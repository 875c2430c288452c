use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A shell-style pattern: `*`, `?`, `[a-z]`; everything else stands for itself.
///
/// `*` also matches `/` and the empty text, so that `*` means "any, or none".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(glob::Pattern);

impl Glob {
    /// Reads a pattern, or says what is wrong with it.
    pub fn new(pattern: &str) -> Result<Self, String> {
        glob::Pattern::new(pattern).map(Self).map_err(|error| {
            format!(
                "{pattern:?} is not a pattern: {} at character {}",
                error.msg,
                error.pos + 1
            )
        })
    }

    /// The pattern that matches this text and no other.
    pub fn exactly(text: &str) -> Self {
        let escaped = glob::Pattern::escape(text);
        Self(glob::Pattern::new(&escaped).expect("what is escaped is a pattern"))
    }

    /// Whether the whole of the text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }

    /// How many characters the pattern prescribes: the measure of how specific it is. A class in
    /// brackets is one, however many it lists.
    pub fn n_literal(&self) -> usize {
        let mut n_literal = 0;
        let mut chars = self.0.as_str().chars();
        while let Some(c) = chars.next() {
            n_literal += usize::from(!matches!(c, '*' | '?'));
            if c == '[' {
                // The first member of a class may be a bracket itself, as in "[]]" and "[!]]".
                if chars.next() == Some('!') {
                    chars.next();
                }
                chars.find(|c| *c == ']');
            }
        }
        n_literal
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specific_is_what_prescribes_more() {
        for (pattern, n_literal) in [
            ("*", 0),
            ("", 0),
            ("?*", 0),
            ("nginx.service", 13),
            ("web-[0-9].service", 13),
            ("[]]a", 2),
            ("[!]]a", 2),
            ("[é]*é", 2),
        ] {
            assert_eq!(
                Glob::new(pattern).expect(pattern).n_literal(),
                n_literal,
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_bad_pattern_says_where() {
        let error = Glob::new("a[b").expect_err("is no pattern");
        assert_eq!(
            error,
            "\"a[b\" is not a pattern: invalid range pattern at character 2"
        );
    }
}
