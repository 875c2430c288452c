use super::*;
use crate::config::Rule;
use crate::detect::assess;
use proptest::prelude::*;

const MIB: f64 = 1048576.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const GIB: u64 = 1 << 30;

/// The history of a process that is seen every five seconds.
fn history(secs: f64, bytes_at: impl Fn(f64) -> f64) -> History {
    let mut history = History::new(5.0, 0.0, bytes_at(0.0) as u64);
    for step in 1..=(secs / 5.0) as u32 {
        let now_secs = f64::from(step) * 5.0;
        history.observe(now_secs, bytes_at(now_secs) as u64);
    }
    history
}

fn rule(text: &str) -> Rule {
    toml::from_str(text).expect("a rule")
}

#[test]
fn each_verdict_has_its_reason() {
    let steady = |_: f64| 100.0 * MIB;
    let leak = |secs: f64| 100.0 * MIB + secs / MINUTE * MIB;
    let slow = |secs: f64| 100.0 * MIB + secs / HOUR * MIB;
    let fast = |secs: f64| 100.0 * MIB + secs * 10.0 * MIB;
    type Shape<'a> = &'a dyn Fn(f64) -> f64;
    type Case<'a> = (
        &'a str,
        f64,
        Shape<'a>,
        Option<u64>,
        Verdict,
        Lane,
        Option<Gate>,
    );
    let cases: [Case<'_>; 9] = [
        (
            "too new for the fast lane",
            50.0,
            &fast,
            Some(3 * GIB),
            Verdict::Quiet,
            Lane::Slow,
            Some(Gate::Remembered),
        ),
        (
            "new",
            30.0,
            &leak,
            None,
            Verdict::Quiet,
            Lane::Slow,
            Some(Gate::Remembered),
        ),
        (
            "within its warm-up",
            5.0 * MINUTE,
            &leak,
            None,
            Verdict::Quiet,
            Lane::Slow,
            Some(Gate::Remembered),
        ),
        (
            "steady",
            HOUR,
            &steady,
            None,
            Verdict::Quiet,
            Lane::Slow,
            Some(Gate::Gain),
        ),
        (
            "too slow",
            20.0 * HOUR,
            &slow,
            None,
            Verdict::Quiet,
            Lane::Slow,
            Some(Gate::Rate),
        ),
        (
            "grows for an hour",
            HOUR,
            &leak,
            None,
            Verdict::Pending,
            Lane::Slow,
            Some(Gate::Sustained),
        ),
        (
            "grows for long",
            9.0 * HOUR,
            &leak,
            None,
            Verdict::Leaking,
            Lane::Slow,
            None,
        ),
        // A limit in one hour: it need not last longer than that.
        (
            "grows to a limit",
            2.0 * HOUR,
            &leak,
            Some(60 << 20),
            Verdict::Leaking,
            Lane::Slow,
            None,
        ),
        (
            "runs into a limit",
            2.0 * MINUTE,
            &fast,
            Some(3 * GIB),
            Verdict::Leaking,
            Lane::Fast,
            None,
        ),
    ];
    for (name, secs, bytes_at, headroom_bytes, verdict, lane, fails) in cases {
        let history = history(secs, bytes_at);
        let rule = rule("");
        let found = explain(&history, secs, &Patience::new(&rule, 1.0), headroom_bytes);
        let is_expected = (found.verdict, found.lane, found.fails) == (verdict, lane, fails);
        assert!(is_expected, "{name}: {found:#?}");
        let lanes: Vec<_> = found.lanes.iter().map(|look| look.lane).collect();
        assert_eq!(lanes, [Lane::Slow, Lane::Sudden, Lane::Fast], "{name}");
        for look in &found.lanes {
            assert!(
                look.gates.is_sorted_by_key(|check| check.gate),
                "{name}: {look:#?}"
            );
            assert_eq!(
                look.window_secs.is_none(),
                look.gates[0].gate == Gate::Remembered
            );
            assert_eq!(
                look.failed().is_none(),
                look.verdict == Verdict::Leaking,
                "{look:#?}"
            );
        }
    }
}

#[test]
fn what_is_pending_says_for_how_long() {
    let history = history(HOUR, |secs| 100.0 * MIB + secs / MINUTE * MIB);
    for (sustained, factor, needed_secs) in [
        ("2h", 1.0, 2.0 * HOUR),
        ("2h", 3.0, 6.0 * HOUR),
        ("30min", 3.0, 1.5 * HOUR),
        ("4h", 0.5, 4.0 * HOUR),
    ] {
        let rule = rule(&format!("sustained = \"{sustained}\""));
        let found = explain(&history, HOUR, &Patience::new(&rule, factor), None);
        let lasted_secs = found.lanes[0].window_secs.expect("a window");
        assert!((0.4 * HOUR..HOUR).contains(&lasted_secs), "{lasted_secs}");
        assert_eq!(found.pending_secs, Some(needed_secs - lasted_secs));
        let check = found.lanes[0].failed().expect("a gate that fails");
        assert_eq!(
            (check.gate, check.bound),
            (Gate::Sustained, Bound::Least(needed_secs))
        );
    }
}

#[test]
fn too_little_is_said_with_what_is_enough() {
    // Six floors make a window of the slow lane, after five minutes that do not count.
    for (secs, remembered_secs) in [(10.0, 0.0), (300.0, 0.0), (310.0, 10.0), (320.0, 20.0)] {
        let history = history(secs, |_| MIB);
        let rule = rule("");
        let found = explain(&history, secs, &Patience::new(&rule, 1.0), None);
        let [check] = found.lanes[0].gates[..] else {
            panic!("{found:#?}");
        };
        assert_eq!(check.gate, Gate::Remembered);
        assert!(
            (check.value - remembered_secs).abs() <= 5.0,
            "{secs}: {check:?}"
        );
        assert_eq!(check.bound, Bound::Least(30.0));
    }
}

proptest! {
    /// What is explained is what is done: whatever is found is a leak by the explanation as well,
    /// and its gates all pass.
    #[test]
    fn what_is_found_is_explained(
        kib_per_step in 0u32..4000,
        noise in proptest::collection::vec(0u32..2000, 60..400),
        headroom in proptest::option::of(0u64..1 << 36),
        factor in 0.5f64..3.0,
        is_auto: bool,
    ) {
        let rule = rule(if is_auto { "" } else { "sustained = \"10min\"" });
        let patience = Patience::new(&rule, factor);
        let mut history = History::new(5.0, 0.0, 0);
        for (step, noise) in noise.iter().enumerate() {
            let secs = step as f64 * 5.0;
            let kib = step as u64 * u64::from(kib_per_step) + u64::from(*noise);
            let n_scales = history.observe(secs, kib << 10);
            let age_secs = secs + 1e5;
            let assessment = assess(&history, &rule, age_secs, n_scales);
            if let Some(growth) = assessment.leak(&patience, headroom) {
                let found = explain(&history, age_secs, &patience, headroom);
                prop_assert_eq!(found.verdict, Verdict::Leaking, "{:#?}", found);
                let checks = passed(&history, age_secs, &growth, &patience, headroom);
                prop_assert!(checks.len() > 7 && checks.iter().all(Check::passes), "{:#?}", checks);
            }
        }
    }
}
