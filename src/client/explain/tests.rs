use super::*;
use crate::alert::Cause;
use crate::bus::ExplainedSource;
use crate::config::Rule;
use crate::detect::{self, History, Patience};
use crate::sample::Source;

/// A process that is two hours old and has gained so much every five seconds since it was one.
fn explained(kib_per_step: u64, rule: Option<&str>) -> Explained {
    let mut history = History::new(5.0, 0.0, 0);
    for step in 1..=1440u64 {
        let kib = step.saturating_sub(720) * kib_per_step;
        history.observe(step as f64 * 5.0, (100 << 20) + (kib << 10));
    }
    let rule: Option<Rule> = rule.map(|rule| toml::from_str(rule).expect("a rule"));
    let heeded = rule.as_ref().filter(|rule| !rule.ignore);
    let explanation =
        heeded.map(|rule| detect::explain(&history, 7200.0, &Patience::new(rule, 1.0), None));
    Explained {
        pid: 7,
        comm: "server".to_owned(),
        uid: 0,
        exe: Some("/usr/bin/server".to_owned()),
        unit: None,
        user_unit: None,
        container: None,
        age_secs: 7200.0,
        limit_bytes: None,
        limit_kind: None,
        headroom_bytes: None,
        plateau_bytes: Some(1 << 30),
        plateau_after_secs: Some(600.0),
        leaked_before: false,
        heap_bytes_per_sec: None,
        heap_method: None,
        heap_loss: vec!["it does not grow like a leak".to_owned()],
        alerts: Vec::new(),
        sources: vec![ExplainedSource {
            source: Source::Pages,
            bytes: history.bytes(),
            rule: rule.as_ref().map(|_| "web".to_owned()),
            thresholds: rule,
            patience: 3.0,
            explanation,
            cause: Cause::Unknown,
            exhausts_in_secs: None,
            doubted: false,
        }],
    }
}

fn text(explained: &Explained, all: bool, columns: usize) -> String {
    let mut text = Vec::new();
    explain(&mut text, explained, all, Marks::Words, columns).expect("can be written");
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn the_verdict_comes_first() {
    let half_an_hour = Some("sustained = \"30min\"");
    let five_hours = Some("sustained = \"5h\"");
    for (kib_per_step, rule, open, doubted, begins, ends) in [
        (
            100,
            half_an_hour,
            false,
            false,
            "leaking: server (pid 7) grows by ",
            "; an alert is raised when these are tested again",
        ),
        (
            100,
            half_an_hour,
            true,
            false,
            "leaking: ",
            " passes every gate",
        ),
        (
            100,
            half_an_hour,
            false,
            true,
            "doubted: ",
            "its exact size does not show it",
        ),
        (
            100,
            five_hours,
            false,
            false,
            "pending: server (pid 7) grows like a leak since ",
            " more",
        ),
        (
            100,
            five_hours,
            true,
            false,
            "pending: ",
            "; its alert is still open",
        ),
        (
            0,
            five_hours,
            false,
            false,
            "quiet: server (pid 7) does not grow like a leak: it has not gained enough (0 B, at least ",
            " is asked)",
        ),
        (
            100,
            Some("ignore = true"),
            false,
            false,
            "ignored: rule web says ",
            "server (pid 7) is to be left alone",
        ),
        (
            100,
            None,
            false,
            false,
            "not watched: no rule matches server (pid 7)",
            "",
        ),
    ] {
        let mut explained = explained(kib_per_step, rule);
        explained.sources[0].doubted = doubted;
        explained
            .alerts
            .extend(open.then(|| "0123456789ab".to_owned()));
        let text = text(&explained, false, usize::MAX);
        let first = text.lines().next().expect("a line");
        assert!(
            first.starts_with(begins) && first.ends_with(ends),
            "{first}"
        );
        assert_eq!(text.contains("0123456789ab is open"), open, "{text}");
    }
}

#[test]
fn it_fits_a_terminal_and_has_a_line_for_each_gate() {
    let explained = explained(100, Some("sustained = \"5h\""));
    for (columns, all, n_gates, has_meaning) in [
        (usize::MAX, false, 9, true),
        (usize::MAX, true, 28, true),
        (80, true, 28, false),
        (80, false, 9, false),
    ] {
        let text = text(&explained, all, columns);
        assert!(
            text.lines().all(|line| line.chars().count() <= columns),
            "{text}"
        );
        let is_gate = |line: &&str| line.starts_with("  ok  ") || line.starts_with("  no  ");
        assert_eq!(text.lines().filter(is_gate).count(), n_gates, "{text}");
        assert_eq!(
            text.contains("rises in the order of time"),
            has_meaning,
            "{text}"
        );
        assert!(text.contains("\n  no  lasted "), "{text}");
        let past = "\n  past        has levelled off at 1 GiB before, 10 min after its start; ";
        assert!(
            text.replace("its\n              start", "its start")
                .contains(past),
            "{text}"
        );
    }
}

#[test]
fn the_help_has_every_gate() {
    let help = gates();
    assert_eq!(help.lines().count(), 1 + Gate::ALL.len());
    assert!(Gate::ALL.is_sorted() && help.lines().all(|line| line.chars().count() <= 80));
}

/// What a quiet verdict says would have to happen: the figures are worked out by hand.
#[test]
fn what_is_missing_is_said_with_how_long_that_takes() {
    for (kib_per_step, rule, expected) in [
        // 100 KiB in 5 s are 1.2 MiB/min; an hour of them is 70.3 MiB, of 1 GiB.
        (
            100,
            "min_growth = \"1GiB\"",
            "; at this rate that takes about 1",
        ),
        // The window that gets furthest has the quiet hour as well: 682 KiB/min, of 11.8 MiB/min.
        (
            100,
            "growth = \"12MiB/min\"",
            "; it would have to be 17.7 times as fast",
        ),
        (100, "warm_up = \"3h\"", "; that takes "),
        (100, "growth = \"1TiB/min\"", " is asked)"),
        (0, "sustained = \"5h\"", " is asked)"),
    ] {
        let text = text(&explained(kib_per_step, Some(rule)), false, usize::MAX);
        let first = text.lines().next().expect("a line");
        assert!(first.starts_with("quiet: "), "{first}");
        let (_, end) = first.split_at(first.rfind(&expected[..2]).expect(first));
        assert!(end.starts_with(expected), "{rule}: {first}");
        let failed = text.lines().find(|line| line.starts_with("  no  "));
        let words = expected.trim_start_matches("; ").trim_end_matches(')');
        let words = words.strip_prefix(" is asked").unwrap_or(words);
        assert!(failed.is_some_and(|line| line.contains(words)), "{text}");
    }
}

#[test]
fn the_gate_that_is_pending_says_when_there_is_an_alert() {
    let text = text(
        &explained(100, Some("sustained = \"5h\"")),
        false,
        usize::MAX,
    );
    let first = text.lines().next().expect("a line");
    let (_, end) = first.split_once("; ").expect(first);
    let line = text.lines().find(|line| line.starts_with("  no  lasted "));
    let line = line.expect("the gate");
    let end = end
        .strip_suffix(", or earlier if a limit comes near")
        .unwrap_or(end);
    assert!(line.ends_with(&format!("  {end}")), "{text}");
}
