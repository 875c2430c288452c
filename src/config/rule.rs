use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Glob, Sustained};
use crate::quantity::{Bytes, Rate, Span};
use crate::sample::Source;

/// The name of a rule: the `web` of `[rule.web]`.
pub type RuleName = String;

/// One rule: which processes, what growth is a leak, and what then.
///
/// A key that a rule does not set is taken from `[rule.default]`, except for `match`, `ignore`
/// and `enabled`, which each rule says for itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// A rule that is not enabled matches nothing.
    pub enabled: bool,
    /// Processes that match are left alone, whatever less specific rules say.
    pub ignore: bool,
    /// What is measured.
    pub source: Source,
    /// The sustained rate from which growth is a leak.
    pub growth: Rate,
    /// How much must have been gained.
    pub min_growth: Bytes,
    /// For how long.
    pub sustained: Sustained,
    /// Growth in this first part of a process's life is not counted, but by the fast lane.
    pub warm_up: Span,
    /// Whether the allocation stacks of the leaking process are captured.
    pub stacks: bool,
    /// When not to wait for `sustained`.
    pub fast: Fast,
    /// What makes an alert critical.
    pub critical: Critical,
    /// Which processes.
    #[serde(rename = "match")]
    pub matching: Match,
}

/// `fast`: growth that leaves too little time to wait is said at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fast {
    /// Steady growth that would reach a limit within this time.
    pub exhausts_within: Span,
    /// For how long it must have been steady.
    pub sustained: Span,
}

/// `critical`: when an alert is critical and not just a warning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Critical {
    /// The nearest limit would be reached within this time.
    pub exhausts_within: Span,
}

/// How bad a leak is. A later one is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To be looked at in working hours.
    Warning,
    /// A limit will be reached soon.
    Critical,
}

/// `match`: a process matches if each list that is not empty has a pattern for it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// Unit or user unit; a process in none has the empty name.
    pub unit: Vec<Glob>,
    /// Path of the executable.
    pub exe: Vec<Glob>,
    /// Name of the process.
    pub comm: Vec<Glob>,
    /// Effective user, by name or number.
    pub user: Vec<Glob>,
    /// Path in the cgroup hierarchy.
    pub cgroup: Vec<Glob>,
}

/// The facts of a process that rules match on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// System unit, empty if none.
    pub unit: &'a str,
    /// User unit, empty if none.
    pub user_unit: &'a str,
    /// Path of the executable, empty if unknown.
    pub exe: &'a str,
    /// Name of the process.
    pub comm: &'a str,
    /// Name of the effective user, empty if unknown.
    pub user: &'a str,
    /// Effective user id.
    pub uid: u32,
    /// Path in the cgroup hierarchy.
    pub cgroup: &'a str,
}

/// All rules by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rules(pub BTreeMap<RuleName, Rule>);

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            enabled: true,
            ignore: false,
            source: Source::Pages,
            growth: Rate::per_minute(Bytes(100 << 10)),
            min_growth: Bytes(10 << 20),
            sustained: Sustained::Auto,
            warm_up: Span::from_mins(5),
            stacks: true,
            fast: Fast::default(),
            critical: Critical::default(),
            matching: Match::default(),
        }
    }
}

impl Default for Fast {
    fn default() -> Self {
        Self {
            exhausts_within: Span::from_mins(30),
            sustained: Span::from_mins(1),
        }
    }
}

impl Default for Critical {
    fn default() -> Self {
        Self {
            exhausts_within: Span::from_mins(120),
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        let any = Glob::new("*").expect("* is a pattern");
        let default = Rule {
            matching: Match {
                unit: vec![any],
                ..Match::default()
            },
            ..Rule::default()
        };
        Self(BTreeMap::from([("default".into(), default)]))
    }
}

impl Rules {
    /// Whether any rule asks for a source to be measured.
    pub fn measure(&self, source: Source) -> bool {
        let mut rules = self.active();
        rules.any(|(_, rule)| rule.source == source && !rule.ignore)
    }

    /// The most specific enabled rule for a process and source, or none if that one says `ignore`.
    pub fn most_specific(
        &self,
        subject: &Subject<'_>,
        source: Source,
    ) -> Option<(&RuleName, &Rule)> {
        self.matching(subject, source)
            .filter(|(_, rule)| !rule.ignore)
    }

    /// The most specific enabled rule for a process and source, also if it says `ignore`.
    ///
    /// More kinds of match win, then longer patterns, then the later name.
    pub fn matching(&self, subject: &Subject<'_>, source: Source) -> Option<(&RuleName, &Rule)> {
        self.0
            .iter()
            .filter(|(_, rule)| rule.enabled && (rule.ignore || rule.source == source))
            .filter_map(|entry| Some((entry.1.matching.specificity(subject)?, entry)))
            // Names are in order, and of equals the last one is the greatest.
            .max_by_key(|(specificity, _)| *specificity)
            .map(|(_, entry)| entry)
    }

    /// The rules that can raise an alert.
    pub fn active(&self) -> impl Iterator<Item = (&RuleName, &Rule)> {
        self.0
            .iter()
            .filter(|(_, rule)| rule.enabled && !rule.ignore)
    }
}

impl Match {
    /// Whether a process matches.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.specificity(subject).is_some()
    }

    /// How many kinds match, and how many literal characters did; `None` if the process does not match.
    fn specificity(&self, subject: &Subject<'_>) -> Option<(usize, usize)> {
        let uid = subject.uid.to_string();
        let kinds: [(&[Glob], &[&str]); 5] = [
            (&self.unit, &[subject.unit, subject.user_unit]),
            (&self.exe, &[subject.exe]),
            (&self.comm, &[subject.comm]),
            (&self.user, &[subject.user, &uid]),
            (&self.cgroup, &[subject.cgroup]),
        ];
        let mut specificity = (0, 0);
        for (globs, texts) in kinds.into_iter().filter(|(globs, _)| !globs.is_empty()) {
            let n_literal = globs
                .iter()
                .filter(|glob| texts.iter().any(|text| glob.matches(text)))
                .map(Glob::n_literal)
                .max()?;
            if n_literal > 0 {
                specificity.0 += 1;
                specificity.1 += n_literal;
            }
        }
        Some(specificity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        toml::from_str(text).expect("rules")
    }

    #[test]
    fn most_specific_rule_wins() {
        let rules = rules(
            r#"
            [default]
            match.unit = ["*"]
            [backup]
            match.unit = ["backup-*.service"]
            ignore = true
            [nightly]
            match.unit = ["backup-nightly.service"]
            [java]
            match.exe = ["*/bin/java"]
            [java-of-tomcat]
            match.exe = ["*/java"]
            match.user = ["tomcat", "105"]
            [off]
            enabled = false
            match.comm = ["nothing-is-more-specific-than-this"]
            [heap]
            source = "heap"
            match.comm = ["redis-server"]
            "#,
        );
        let subject = Subject::default();
        for (expected, subject) in [
            (Some("default"), subject),
            (
                Some("default"),
                Subject {
                    unit: "cron.service",
                    ..subject
                },
            ),
            (
                None,
                Subject {
                    unit: "backup-weekly.service",
                    ..subject
                },
            ),
            (
                Some("nightly"),
                Subject {
                    unit: "backup-nightly.service",
                    ..subject
                },
            ),
            (
                Some("java"),
                Subject {
                    exe: "/usr/bin/java",
                    ..subject
                },
            ),
            (
                Some("java-of-tomcat"),
                Subject {
                    exe: "/usr/bin/java",
                    user: "tomcat",
                    ..subject
                },
            ),
            (
                Some("java-of-tomcat"),
                Subject {
                    exe: "/usr/bin/java",
                    uid: 105,
                    ..subject
                },
            ),
            (
                Some("nightly"),
                Subject {
                    user_unit: "backup-nightly.service",
                    ..subject
                },
            ),
            (
                Some("default"),
                Subject {
                    comm: "nothing-is-more-specific-than-this",
                    ..subject
                },
            ),
            (
                Some("default"),
                Subject {
                    comm: "redis-server",
                    ..subject
                },
            ),
        ] {
            let found = rules
                .most_specific(&subject, Source::Pages)
                .map(|(name, _)| name.as_str());
            assert_eq!(found, expected, "{subject:?}");
        }
        let redis = Subject {
            comm: "redis-server",
            ..subject
        };
        let found = rules
            .most_specific(&redis, Source::Heap)
            .map(|(name, _)| name.as_str());
        assert_eq!(found, Some("heap"));
    }

    #[test]
    fn without_a_matching_rule_a_process_is_left_alone() {
        let rules = rules("[web]\nmatch.unit = [\"nginx.service\"]");
        assert!(
            rules
                .most_specific(&Subject::default(), Source::Pages)
                .is_none()
        );
    }
}
