//! Figures of the daemon as text for Prometheus, by way of node_exporter's textfile collector.
//!
//! This module is pure: [`render`] makes the text of plain [`Figures`], which `daemon` fills in and
//! writes. The text is read alike by parsers of Prometheus's classic text format, as node_exporter
//! is one, and of OpenMetrics. The two differ in counters: the family of `x_total` is called
//! `x_total` in the one and `x` in the other, and each refuses or misreads what the other asks for.
//! So what adds up has no `# TYPE` line: node_exporter calls it untyped, OpenMetrics unknown, and
//! `rate()` works as for any counter. All else is a gauge.
//!
//! Programs that grow are told by name and unit, not by pid: a pid is new with every restart, and
//! each one would be a new series that Prometheus keeps for as long as it keeps anything.

mod family;
mod program;

pub use program::{Program, programs};

use family::Text;

/// What is told, of one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// The daemon's version.
    pub version: String,
    /// Processes watched.
    pub processes: usize,
    /// Processes that grow like a leak, whether or not for long enough.
    pub suspects: usize,
    /// Processes whose heap is measured.
    pub heaps: usize,
    /// Processes whose heap was to be measured and is not.
    pub heaps_failed: usize,
    /// Open alerts by severity and state.
    pub alerts: Alerts,
    /// Programs that grow, the fastest first.
    pub programs: Vec<Program>,
    /// Calls whose bytes could not be told, of the heaps that are measured now.
    pub lost_heap_calls: u64,
    /// The same of kernel memory.
    pub lost_kernel_calls: u64,
    /// Changes of alerts that some sink has not yet had.
    pub undelivered: usize,
    /// Changes and leaks that were given up since the state was new, as there were too many.
    pub dropped: u64,
    /// How long the last round took, in seconds.
    pub round_secs: f64,
    /// The time between two rounds, in seconds.
    pub interval_secs: f64,
    /// When the last scan was, in seconds since 1970.
    pub scanned_at_secs: f64,
    /// CPU time that the daemon has used since its start, in seconds.
    pub own_cpu_secs: f64,
    /// What the daemon itself holds in memory, in bytes.
    pub own_resident_bytes: u64,
}

/// How many alerts are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alerts {
    /// Of severity warning, firing.
    pub warning_firing: usize,
    /// Of severity warning, with nothing seen of them for long.
    pub warning_stale: usize,
    /// Of severity critical, firing.
    pub critical_firing: usize,
    /// Of severity critical, with nothing seen of them for long.
    pub critical_stale: usize,
    /// Of which somebody has taken note.
    pub acknowledged: usize,
    /// Of which nobody is told for a time, as somebody wishes.
    pub silenced: usize,
    /// Of which nobody is told, as a worse one of the same unit stands.
    pub inhibited: usize,
    /// That wait for the hour's budget of messages.
    pub held_back: usize,
}

/// The text of a file for node_exporter. Families are always the same, with a row of zero where
/// there is nothing, so that a missing one means that the daemon is missing.
pub fn render(figures: &Figures) -> String {
    let mut text = Text::default();
    text.gauge("build_info", "The daemon's version, always 1.")
        .row(&[("version", &figures.version)], 1.0);
    text.gauge("processes_watched", "Processes watched.")
        .value(figures.processes as f64);
    text.gauge(
        "suspects",
        "Processes that grow like a leak, whether or not for long enough.",
    )
    .value(figures.suspects as f64);
    text.gauge("heaps_measured", "Processes whose heap is measured.")
        .value(figures.heaps as f64);
    text.gauge(
        "heaps_failed",
        "Processes whose heap was to be measured and is not.",
    )
    .value(figures.heaps_failed as f64);
    alerts(&mut text, &figures.alerts);
    programs_of(&mut text, &figures.programs);
    let mut lost = text.gauge(
        "lost_calls",
        "Calls whose bytes could not be told, of what is measured now.",
    );
    lost.row(&[("source", "heap")], figures.lost_heap_calls as f64);
    lost.row(&[("source", "kernel")], figures.lost_kernel_calls as f64);
    text.gauge(
        "changes_undelivered",
        "Changes of alerts that some sink has not yet had.",
    )
    .value(figures.undelivered as f64);
    text.adding_up(
        "dropped_total",
        "Changes and leaks that were given up, as there were too many.",
    )
    .value(figures.dropped as f64);
    text.gauge("round_duration_seconds", "How long the last round took.")
        .value(figures.round_secs);
    text.gauge("scan_interval_seconds", "The time between two scans.")
        .value(figures.interval_secs);
    text.gauge(
        "last_scan_timestamp_seconds",
        "When the last scan was. One that is old means that the daemon is dead or cannot scan.",
    )
    .value(figures.scanned_at_secs);
    text.adding_up(
        "own_cpu_seconds_total",
        "CPU time that the daemon itself has used.",
    )
    .value(figures.own_cpu_secs);
    text.gauge(
        "own_resident_bytes",
        "Memory that the daemon itself has resident.",
    )
    .value(figures.own_resident_bytes as f64);
    text.end()
}

fn alerts(text: &mut Text, alerts: &Alerts) {
    let mut family = text.gauge("alerts", "Open alerts.");
    for (severity, state, n) in [
        ("warning", "firing", alerts.warning_firing),
        ("warning", "stale", alerts.warning_stale),
        ("critical", "firing", alerts.critical_firing),
        ("critical", "stale", alerts.critical_stale),
    ] {
        family.row(&[("severity", severity), ("state", state)], n as f64);
    }
    let mut family = text.gauge(
        "alerts_muted",
        "Open alerts that are not repeated or not told at all, and why.",
    );
    for (why, n) in [
        ("acknowledged", alerts.acknowledged),
        ("silenced", alerts.silenced),
        ("inhibited", alerts.inhibited),
        ("held_back", alerts.held_back),
    ] {
        family.row(&[("why", why)], n as f64);
    }
}

fn programs_of(text: &mut Text, programs: &[Program]) {
    let mut each = |name, help, value: fn(&Program) -> f64| {
        let mut family = text.gauge(name, help);
        for program in programs {
            let labels = [
                ("comm", program.comm.as_str()),
                ("unit", program.unit.as_str()),
            ];
            family.row(&labels, value(program));
        }
    };
    each(
        "program_growth_bytes_per_second",
        "Growth of the programs that grow fastest, all growing processes of one together.",
        |program| program.growth_bytes_per_sec,
    );
    each(
        "program_memory_bytes",
        "What the growing processes of these programs hold.",
        |program| program.bytes as f64,
    );
    each(
        "program_processes",
        "How many processes of these programs grow.",
        |program| program.processes as f64,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(figures: &Figures) -> Vec<String> {
        render(figures).lines().map(str::to_owned).collect()
    }

    fn has(lines: &[String], line: &str) {
        assert!(lines.iter().any(|have| have == line), "{line}\n{lines:#?}");
    }

    #[test]
    fn every_figure_is_told() {
        let figures = Figures {
            version: "1.2.3".to_owned(),
            processes: 312,
            suspects: 3,
            heaps: 2,
            heaps_failed: 1,
            alerts: Alerts {
                warning_firing: 4,
                warning_stale: 5,
                critical_firing: 6,
                critical_stale: 7,
                acknowledged: 8,
                silenced: 9,
                inhibited: 10,
                held_back: 11,
            },
            programs: vec![Program {
                comm: "worker".to_owned(),
                unit: "shop.service".to_owned(),
                processes: 2,
                bytes: 5 << 30,
                growth_bytes_per_sec: 1234.5,
            }],
            lost_heap_calls: 12,
            lost_kernel_calls: 13,
            undelivered: 14,
            dropped: 15,
            round_secs: 0.016,
            interval_secs: 10.0,
            scanned_at_secs: 1_795_312_867.25,
            own_cpu_secs: 0.5,
            own_resident_bytes: 20 << 20,
        };
        let lines = rendered(&figures);
        for line in [
            "memleakd_build_info{version=\"1.2.3\"} 1",
            "memleakd_processes_watched 312",
            "memleakd_suspects 3",
            "memleakd_heaps_measured 2",
            "memleakd_heaps_failed 1",
            "memleakd_alerts{severity=\"warning\",state=\"firing\"} 4",
            "memleakd_alerts{severity=\"warning\",state=\"stale\"} 5",
            "memleakd_alerts{severity=\"critical\",state=\"firing\"} 6",
            "memleakd_alerts{severity=\"critical\",state=\"stale\"} 7",
            "memleakd_alerts_muted{why=\"acknowledged\"} 8",
            "memleakd_alerts_muted{why=\"silenced\"} 9",
            "memleakd_alerts_muted{why=\"inhibited\"} 10",
            "memleakd_alerts_muted{why=\"held_back\"} 11",
            "memleakd_program_growth_bytes_per_second{comm=\"worker\",unit=\"shop.service\"} 1234.5",
            "memleakd_program_memory_bytes{comm=\"worker\",unit=\"shop.service\"} 5368709120",
            "memleakd_program_processes{comm=\"worker\",unit=\"shop.service\"} 2",
            "memleakd_lost_calls{source=\"heap\"} 12",
            "memleakd_lost_calls{source=\"kernel\"} 13",
            "memleakd_changes_undelivered 14",
            "memleakd_dropped_total 15",
            "memleakd_round_duration_seconds 0.016",
            "memleakd_scan_interval_seconds 10",
            "memleakd_last_scan_timestamp_seconds 1795312867.25",
            "memleakd_own_cpu_seconds_total 0.5",
            "memleakd_own_resident_bytes 20971520",
        ] {
            has(&lines, line);
        }
    }

    #[test]
    fn without_anything_there_are_the_same_families_with_zeros() {
        let lines = rendered(&Figures::default());
        has(
            &lines,
            "memleakd_alerts{severity=\"critical\",state=\"firing\"} 0",
        );
        has(&lines, "memleakd_alerts_muted{why=\"silenced\"} 0");
        has(
            &lines,
            "# TYPE memleakd_program_growth_bytes_per_second gauge",
        );
        assert_eq!(lines.last().map(String::as_str), Some("# EOF"));
    }
}
