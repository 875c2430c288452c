//! What the grammar alone cannot tell: values that are impossible, or impossible together.

mod sink;

use super::key::Key;
use super::{Config, Match, Rule, Sustained};
use crate::detect;
use crate::quantity::Span;

/// An impossible value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Impossible {
    /// Its key, and then others that have a part in it: the line is that of the first one which a
    /// file sets.
    pub keys: Vec<Key>,
    /// One phrase that says what would be right.
    pub message: String,
}

type Check = Result<(), Impossible>;

impl Config {
    /// The first impossible value, by key; the caller knows which file set it.
    pub(super) fn check(&self) -> Check {
        let interval = self.scan.interval;
        if !(Span::from_secs_f64(0.1)..=Span::from_mins(10)).contains(&interval) {
            return impossible(
                "scan.interval",
                format!("{interval:#} is not between 100ms and 10min"),
            );
        }
        if self.heap.ceiling.fraction() <= 0.0 {
            return impossible(
                "heap.ceiling",
                "must be more than 0%; to measure nothing, set heap.watch = \"off\"",
            );
        }
        if !(Span::from_secs(1)..=Span::from_mins(10)).contains(&self.stacks.time) {
            let time = self.stacks.time;
            return impossible(
                "stacks.time",
                format!("{time:#} is not between 1s and 10min"),
            );
        }
        if !(16..=1 << 30).contains(&self.stacks.sampling.0) {
            let sampling = self.stacks.sampling;
            return impossible(
                "stacks.sampling",
                format!("{sampling} is not between 16B and 1GiB"),
            );
        }
        self.check_rules()?;
        if self.alert.repeat < Span::from_mins(1) {
            return impossible("alert.repeat", "must be at least 1min");
        }
        if self.alert.max_per_hour == 0 {
            return impossible("alert.max_per_hour", "must be at least 1");
        }
        let group_wait = self.alert.group_wait;
        if group_wait > Span::from_mins(10) {
            return impossible(
                "alert.group_wait",
                format!("{group_wait:#} is more than 10min"),
            );
        }
        self.mail.check()?;
        self.metrics.check()?;
        self.alertmanager.check()?;
        self.hook.check()
    }

    /// The default rule comes first, so that what others inherit is told where it is written.
    fn check_rules(&self) -> Check {
        let (default, others): (Vec<_>, Vec<_>) =
            self.rule.0.iter().partition(|(name, _)| *name == "default");
        for (name, rule) in default.into_iter().chain(others) {
            let key = Key::new("rule").join(name);
            if name.is_empty()
                || name.contains(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c))
            {
                let message = "a rule's name has letters, digits, - and _ only".to_owned();
                return Err(Impossible {
                    keys: vec![key],
                    message,
                });
            }
            rule.check(&key, self.scan.interval)?;
        }
        Ok(())
    }
}

impl Rule {
    fn check(&self, key: &Key, interval: Span) -> Check {
        let fault = |keys, message| Err(Impossible { keys, message });
        if self.growth.bytes_per_sec() <= 0.0 {
            return fault(
                vec![key.join("growth")],
                "must be more than nothing, such as \"100KiB/min\"".to_owned(),
            );
        }
        let longest = detect::longest_window(interval);
        let fast_key = key.join("fast").join("sustained");
        let sustained = match self.sustained {
            Sustained::For(span) => span,
            Sustained::Auto => Span::from_secs(0),
        };
        for (key, sustained) in [
            (key.join("sustained"), sustained),
            (fast_key, self.fast.sustained),
        ] {
            if sustained > longest {
                let message = format!(
                    "{sustained:#} is more than the {longest:#} that are remembered at scan.interval = \"{interval:#}\""
                );
                return fault(vec![key, Key::new("scan.interval")], message);
            }
        }
        if self.ignore && self.matching == Match::default() {
            let message =
                "would ignore every process: say which, such as match.unit = [\"backup.service\"]"
                    .to_owned();
            return fault(vec![key.join("ignore")], message);
        }
        Ok(())
    }
}

fn impossible(key: &str, message: impl Into<String>) -> Check {
    Err(Impossible {
        keys: vec![Key::new(key)],
        message: message.into(),
    })
}
