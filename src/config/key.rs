use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::sample::printable;

/// So many characters of each part are shown.
const MAX_SHOWN: usize = 60;

/// Where a value stands: `rule.web.growth`, whether it was written as a dotted key, in an inline
/// table or below a `[table]`. Parts that are no bare keys are quoted, as TOML has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Key(pub Vec<String>);

impl Key {
    /// From parts that have no dot in them, as `mail.tls`.
    pub fn new(dotted: &str) -> Self {
        Self(dotted.split('.').map(str::to_owned).collect())
    }

    /// The key of something in this table.
    pub fn join(&self, part: &str) -> Self {
        Self(
            self.0
                .iter()
                .map(String::as_str)
                .chain([part])
                .map(str::to_owned)
                .collect(),
        )
    }

    /// Where a document sets this key: an offset in its text.
    pub fn offset_in(&self, document: &DeTable<'_>) -> Option<usize> {
        let (last, tables) = self.0.split_last()?;
        let innermost = tables.iter().try_fold(document, |table, part| {
            match entry(table, part)?.1.get_ref() {
                DeValue::Table(inner) => Some(inner),
                _ => None,
            }
        })?;
        entry(innermost, last).map(|(name, _)| name.span().start)
    }

    /// The key whose value, which is no table, spans an offset of a document's text.
    pub fn at_offset(document: &DeTable<'_>, at: usize) -> Option<Self> {
        document.iter().find_map(|(name, value)| {
            let mut path = vec![name.get_ref().to_string()];
            match value.get_ref() {
                DeValue::Table(inner) => path.extend(Self::at_offset(inner, at)?.0),
                _ if !value.span().contains(&at) => return None,
                _ => {}
            }
            Some(Self(path))
        })
    }
}

type Name<'i> = Spanned<std::borrow::Cow<'i, str>>;

fn entry<'t, 'i>(
    table: &'t DeTable<'i>,
    part: &str,
) -> Option<(&'t Name<'i>, &'t Spanned<DeValue<'i>>)> {
    table.iter().find(|(name, _)| name.get_ref() == part)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if !part.is_empty() && part.chars().all(is_bare) {
                f.write_str(shorten(part))?;
            } else {
                write!(f, "\"{}\"", shorten(&printable(part.as_bytes())))?;
            }
        }
        Ok(())
    }
}

fn shorten(part: &str) -> &str {
    part.char_indices()
        .nth(MAX_SHOWN)
        .map_or(part, |(end, _)| &part[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        scan.interval = "5s"
        rule = { "a.b" = { match.unit = ["x"] } }
        [mail]
        "from" = ""
    "#;

    #[test]
    fn is_found_however_it_was_written() {
        let document = DeTable::parse(TEXT).expect("is TOML");
        for (path, written, value) in [
            (&["scan", "interval"][..], "interval", "\"5s\""),
            (&["rule", "a.b", "match", "unit"], "unit", "[\"x\"]"),
            (&["mail", "from"], "\"from\"", "\"\"\n"),
        ] {
            let key = Key(path.iter().map(|part| (*part).to_owned()).collect());
            assert_eq!(
                key.offset_in(document.get_ref()),
                TEXT.find(written),
                "{key}"
            );
            let at = TEXT.find(value).expect("is there");
            assert_eq!(Key::at_offset(document.get_ref(), at), Some(key));
        }
        assert_eq!(Key::new("mail.to").offset_in(document.get_ref()), None);
        assert_eq!(
            Key::new("scan.interval.x").offset_in(document.get_ref()),
            None
        );
    }

    #[test]
    fn is_quoted_where_it_must_be() {
        for (path, text) in [
            (&["rule", "web-1_A"][..], "rule.web-1_A"),
            (&["rule", "a.b"], "rule.\"a.b\""),
            (&["rule", "", "ü"], "rule.\"\".\"ü\""),
            (&["a\nb\u{202e}"], "\"a\\u{a}b\\u{202e}\""),
        ] {
            assert_eq!(
                Key(path.iter().map(|part| (*part).to_owned()).collect()).to_string(),
                text
            );
        }
    }
}
