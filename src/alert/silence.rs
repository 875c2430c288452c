//! What somebody does not want to be told of for a time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Alert;
use crate::config::{Glob, Subject};

/// So many silences may stand.
pub const MAX_SILENCES: usize = 100;
/// A comment has at most so many characters.
const MAX_COMMENT: usize = 200;
/// A pattern has at most so many.
const MAX_PATTERN: usize = 256;

/// Which alerts: those that every pattern fits. `*` is any text, `?` any character.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// The unit or user unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Glob>,
    /// The path of the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<Glob>,
    /// The name of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<Glob>,
    /// The user, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Glob>,
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Glob>,
}

/// A wish not to be told, until a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// What it is taken back by.
    pub id: String,
    /// Which alerts.
    pub matcher: Matcher,
    /// When it ends.
    pub until: Timestamp,
    /// When it was made.
    pub since: Timestamp,
    /// Who made it, as a user's name or number.
    pub by: String,
    /// Why.
    pub comment: String,
}

/// All silences. They are kept across restarts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Silences {
    last_id: u64,
    standing: Vec<Silence>,
}

impl Matcher {
    /// Whether an alert is one of those.
    pub fn matches(&self, alert: &Alert) -> bool {
        let subject = alert.subject();
        let uid = subject.uid.to_string();
        let kinds: [(&Option<Glob>, &[&str]); 5] = [
            (&self.unit, &[subject.unit, subject.user_unit]),
            (&self.exe, &[subject.exe]),
            (&self.comm, &[subject.comm]),
            (&self.user, &[subject.user, &uid]),
            (&self.rule, &[&alert.rule]),
        ];
        kinds.into_iter().all(|(glob, texts)| {
            glob.as_ref()
                .is_none_or(|glob| texts.iter().any(|text| glob.matches(text)))
        })
    }

    fn patterns(&self) -> impl Iterator<Item = &Glob> {
        let all = [&self.unit, &self.exe, &self.comm, &self.user, &self.rule];
        all.into_iter().flatten()
    }
}

impl Silences {
    /// Adds one. Errors are sentences.
    pub fn add(
        &mut self,
        now: Timestamp,
        matcher: Matcher,
        until: Timestamp,
        by: String,
        comment: &str,
    ) -> Result<Silence, String> {
        self.expire(now);
        if matcher.patterns().next().is_none() {
            return Err(
                "a silence needs at least one of unit, exe, comm, user and rule: \"*\" is everything"
                    .to_owned(),
            );
        }
        if matcher
            .patterns()
            .any(|glob| glob.to_string().chars().count() > MAX_PATTERN)
        {
            return Err(format!(
                "a pattern of a silence has at most {MAX_PATTERN} characters"
            ));
        }
        if until <= now {
            return Err("a silence ends after now: say for how long, such as 1h".to_owned());
        }
        if self.standing.len() >= MAX_SILENCES {
            return Err(format!(
                "there are {MAX_SILENCES} silences already: take one back first"
            ));
        }
        self.last_id += 1;
        let silence = Silence {
            id: self.last_id.to_string(),
            matcher,
            until,
            since: now,
            by,
            comment: comment.chars().take(MAX_COMMENT).collect(),
        };
        self.standing.push(silence.clone());
        Ok(silence)
    }

    /// Takes one back. Whether there was one.
    pub fn remove(&mut self, id: &str) -> bool {
        let n_before = self.standing.len();
        self.standing.retain(|silence| silence.id != id);
        self.standing.len() < n_before
    }

    /// Forgets those that have ended.
    pub fn expire(&mut self, now: Timestamp) {
        self.standing.retain(|silence| silence.until > now);
    }

    /// Those that stand, the one that ends first in front.
    pub fn standing(&self) -> Vec<Silence> {
        let mut standing = self.standing.clone();
        standing.sort_by_key(|silence| silence.until);
        standing
    }

    /// Until when an alert is silenced, if it is.
    pub fn until(&self, now: Timestamp, alert: &Alert) -> Option<Timestamp> {
        let standing = self.standing.iter().filter(|silence| silence.until > now);
        let covering = standing.filter(|silence| silence.matcher.matches(alert));
        covering.map(|silence| silence.until).max()
    }
}

impl Alert {
    /// What rules, routes and silences match on.
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            unit: self.unit.as_deref().unwrap_or_default(),
            user_unit: self.user_unit.as_deref().unwrap_or_default(),
            exe: self.exe.as_deref().unwrap_or_default(),
            comm: &self.comm,
            user: self.user.as_deref().unwrap_or_default(),
            uid: self.uid,
            cgroup: &self.cgroup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::message::tests::alert;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + secs).expect("in range")
    }

    fn glob(pattern: &str) -> Option<Glob> {
        Some(Glob::new(pattern).expect("a pattern"))
    }

    fn of_unit(pattern: &str) -> Matcher {
        Matcher {
            unit: glob(pattern),
            ..Matcher::default()
        }
    }

    #[test]
    fn every_pattern_that_is_set_must_fit() {
        for (matcher, matches) in [
            (of_unit("postgresql.service"), true),
            (of_unit("postgres*"), true),
            (of_unit("mysql.service"), false),
            (of_unit("*"), true),
            (
                Matcher {
                    user: glob("105"),
                    comm: glob("postgres"),
                    rule: glob("def*"),
                    exe: glob("/usr/lib/*/postgres"),
                    ..Matcher::default()
                },
                true,
            ),
            (
                Matcher {
                    user: glob("postgres"),
                    rule: glob("web"),
                    ..Matcher::default()
                },
                false,
            ),
        ] {
            assert_eq!(matcher.matches(&alert()), matches, "{matcher:?}");
        }
    }

    #[test]
    fn silences_end_by_themselves_or_are_taken_back() {
        let mut silences = Silences::default();
        let mut add = |pattern, until| {
            let silence =
                silences.add(at(0), of_unit(pattern), at(until), "root".to_owned(), "why");
            silence.expect("a silence").id
        };
        let (short, long, other) = (add("post*", 60), add("*", 120), add("mysql*", 600));
        let until = |silences: &Silences, secs| silences.until(at(secs), &alert());
        assert_eq!(until(&silences, 0), Some(at(120)));
        assert!(silences.remove(&long));
        assert!(!silences.remove(&long));
        assert_eq!(until(&silences, 59), Some(at(60)));
        assert_eq!(until(&silences, 60), None);
        let ids: Vec<_> = silences.standing().into_iter().map(|one| one.id).collect();
        assert_eq!(ids, [short, other.clone()]);
        silences.expire(at(60));
        assert_eq!(silences.standing().len(), 1);
        assert_eq!(silences.standing()[0].id, other);
    }

    #[test]
    fn what_is_no_silence_is_refused() {
        let mut silences = Silences::default();
        let mut add = |matcher, secs| {
            let added = silences.add(at(0), matcher, at(secs), "root".to_owned(), "");
            added.map(|silence| silence.id)
        };
        for (matcher, secs, expected) in [
            (Matcher::default(), 60, "a silence needs at least one of"),
            (of_unit("a"), 0, "a silence ends after now"),
            (of_unit("a"), -5, "a silence ends after now"),
            (of_unit(&"a".repeat(257)), 60, "a pattern of a silence has"),
        ] {
            let error = add(matcher, secs).expect_err(expected);
            assert!(error.starts_with(expected), "{error}");
        }
        for _ in 0..MAX_SILENCES {
            add(of_unit("a"), 60).expect("there is room");
        }
        assert!(add(of_unit("a"), 60).is_err());
        let long = "x".repeat(1000);
        let mut silences = Silences::default();
        let added = silences.add(at(0), of_unit("a"), at(60), "root".to_owned(), &long);
        assert_eq!(added.expect("a silence").comment.len(), MAX_COMMENT);
    }
}
