//! What scripts rely on: the fields of each command's JSON.

use std::process::Command;

use serde_json::Value;

use crate::bus::Bus;
use crate::stage::{Running, SOON, eventually, program};

/// Of each command, the fields that its answer has. More may come; none goes, and none is renamed.
/// `ID` and `PID` are those of a leak. What is in a list is meant, and `a.b` is what is in `a`.
const FIELDS: &[(&[&str], &str)] = &[
    (
        &["status"],
        "version interval_secs round_secs processes suspects measured alerts critical stale held_back \
         undelivered dropped",
    ),
    (
        &["top", "--once"],
        "pid comm uid unit bytes growth_bytes_per_sec growth_bytes_per_sec_low",
    ),
    (
        &["top", "--once", "--heap"],
        "pid comm uid unit source net_bytes allocated_bytes freed_bytes calls lost \
         growth_bytes_per_sec span_secs seen_secs method cost_secs loss",
    ),
    (ALERTS, ALERT),
    (&["show", "ID"], ALERT),
    (
        &["report", "ID"],
        "id host rule source pid start_time comm exe unit user_unit uid container cause captures \
         captures_dropped sites loss sites.bytes sites.count sites.attribution \
         sites.allocated_bytes_per_sec sites.freed_bytes_per_sec sites.median_age_secs \
         sites.grows_again sites.cut sites.frames.function sites.frames.module \
         sites.frames.build_id sites.frames.offset sites.frames.file sites.frames.line \
         sites.frames.inlined sites.frames.unknown",
    ),
    (
        &["explain", "PID"],
        "pid comm uid exe unit user_unit container age_secs limit_bytes limit_kind headroom_bytes \
         plateau_bytes plateau_after_secs leaked_before heap_bytes_per_sec heap_method heap_loss alerts \
         sources sources.source sources.bytes sources.rule sources.thresholds sources.patience \
         sources.cause sources.exhausts_in_secs sources.doubted sources.explanation.verdict \
         sources.explanation.lane sources.explanation.fails sources.explanation.pending_secs \
         sources.explanation.lanes.lane sources.explanation.lanes.verdict \
         sources.explanation.lanes.window_secs sources.explanation.lanes.gates.gate \
         sources.explanation.lanes.gates.value sources.explanation.lanes.gates.passes",
    ),
    (
        &["capture", "--pid", "PID", "--for", "1s"],
        "pid secs method allocated_bytes freed_bytes net_bytes calls lost cost_secs sites loss",
    ),
    (&["silences"], "id matcher until since by comment"),
    (&["doctor"], "subject outcome found to_do"),
    (
        &["check"],
        "scan.interval heap.watch heap.ceiling stacks.time rule.default.growth \
         rule.default.min_growth rule.default.sustained alert.repeat journal.enabled dbus.enabled mail.to",
    ),
];
const ALERTS: &[&str] = &["alerts"];
/// But for `time_secs`, which a replay has.
const ALERT: &str = "change state id time raised host rule severity reason acknowledged \
    acknowledged_by silenced_until inhibited_by pid start_time comm exe unit user_unit uid user cgroup \
    container processes peers peers_growing source cause bytes heap_bytes_per_sec heap_method \
    growth_bytes growth_bytes_per_sec growth_bytes_per_sec_low since unseen_since limit_bytes limit_kind \
    exhausts_in_secs exhausts_in_secs_low exhausts_in_secs_high host_available_bytes host_total_bytes \
    host_pressure_percent curve next_reminder sites sites_missing gates gates.gate gates.value \
    gates.passes loss message";

/// Whether any answer has a field; in lists, whether any element has it.
fn has(value: &Value, path: &str) -> bool {
    if let Value::Array(elements) = value {
        return elements.iter().any(|element| has(element, path));
    }
    match path.split_once('.') {
        Some((first, rest)) => value.get(first).is_some_and(|inner| has(inner, rest)),
        None => value.get(path).is_some(),
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn the_fields_of_each_answer_stay() {
    let bus = Bus::start();
    let leak = Running::start(&mut Command::new(program("leak")));
    let daemon = bus.daemon();
    let raised = daemon.alert("raised", leak.pid(), SOON);
    let (id, pid) = (
        raised["id"].as_str().expect("an id"),
        leak.pid().to_string(),
    );
    // It begins with the alert, and has sites when they were captured.
    eventually("the report", || {
        let (_, output, _) = bus.ctl(None, &["report", id, "--json"]);
        output.contains("\"frames\"")
    });
    bus.ctl(None, &["silence", "--unit", "x", "--for", "1h"]);
    for (arguments, fields) in FIELDS {
        let arguments = arguments.iter().map(|word| match *word {
            "ID" => id,
            "PID" => &pid,
            word => word,
        });
        let arguments: Vec<_> = arguments.chain(["--json"]).collect();
        let (_, output, error) = bus.ctl(None, &arguments);
        assert_eq!(error, "", "{arguments:?}");
        let answer: Value = serde_json::from_str(&output).expect("JSON");
        let fields = fields.split_whitespace();
        let missing: Vec<_> = fields.filter(|field| !has(&answer, field)).collect();
        assert!(missing.is_empty(), "{arguments:?} {missing:?}: {output}");
    }
    // One that follows is a line for each change.
    let script = format!(
        "timeout 3 {} alerts --watch --json | head -n 1",
        env!("CARGO_BIN_EXE_memleakctl")
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)
        .output()
        .expect("sh runs");
    let line: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(has(&line, "is_open") && has(&line, "alert.id"), "{line}");
}
