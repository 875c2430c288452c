//! What is shipped as examples can be used as it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use memleakd::metrics::render;
use serde_json::Value;

use super::figures::figures;
use super::services::tool;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/usr/share/doc/memleakd/examples")
        .join(name)
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c))
        .filter(|word| word.starts_with("memleakd_"))
        .collect()
}

#[test]
fn prometheus_takes_the_rules_and_they_fire_as_they_should() {
    let path = |name: &str| example(name).to_str().expect("UTF-8").to_owned();
    let rules = path("prometheus-rules.yml");
    let (is_content, said) = tool("promtool", &["check", "rules", &rules], "");
    assert!(is_content && said.contains("6 rules found"), "{said}");
    let tests = path("prometheus-rules.test.yml");
    let (is_content, said) = tool("promtool", &["test", "rules", &tests], "");
    assert!(is_content && said.contains("SUCCESS"), "{said}");
}

#[test]
fn alertmanager_takes_its_settings_and_routes_by_severity() {
    let config = example("alertmanager.yml");
    let config = config.to_str().expect("UTF-8");
    let (is_content, said) = tool("amtool", &["check-config", config], "");
    assert!(is_content, "{said}");
    let file = format!("--config.file={config}");
    for (severity, receiver) in [("warning", "operators"), ("critical", "on-call")] {
        let severity = format!("severity={severity}");
        let labels = ["alertname=MemoryLeak", &severity, "instance=db1"];
        let arguments = [&["config", "routes", "test", &file][..], &labels].concat();
        let (is_content, said) = tool("amtool", &arguments, "");
        // It also warns of the file that it is given, on some machines.
        let has = said.lines().any(|line| line.trim() == receiver);
        assert!(is_content && has, "{said}");
    }
}

#[test]
fn rules_and_dashboard_ask_for_nothing_that_is_not_there() {
    let text = render(&figures());
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let there: BTreeSet<_> = lines
        .filter_map(|line| line.split([' ', '{']).next())
        .collect();
    for file in [
        "prometheus-rules.yml",
        "prometheus-rules.test.yml",
        "grafana-dashboard.json",
    ] {
        let content = fs::read_to_string(example(file)).expect("is there");
        let asked = names(&content);
        assert!(asked.len() >= 4, "{file}: {asked:?}");
        let missing: Vec<_> = asked.difference(&there).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
    }
}

#[test]
fn the_dashboard_is_whole() {
    let content = fs::read_to_string(example("grafana-dashboard.json")).expect("is there");
    let dashboard: Value = serde_json::from_str(&content).expect("is JSON");
    let panels = dashboard["panels"].as_array().expect("a list");
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(
            ids.insert(panel["id"].as_u64().expect("a number")),
            "{panel}"
        );
        let targets = panel["targets"].as_array().expect("a list");
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            assert!(!names(target["expr"].as_str().expect("one")).is_empty());
        }
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
        for x in place("x")..place("x") + place("w") {
            assert!(x < 24, "{panel}");
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{panel} lies on another one");
            }
        }
    }
    assert!(panels.len() > 10);
}
