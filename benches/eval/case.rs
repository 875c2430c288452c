use std::fmt::Write;

/// What was held by the processes of one unit, and whether it leaks: ground truth.
#[derive(Debug, Clone)]
pub struct Case {
    /// What kind of behaviour it is.
    pub family: &'static str,
    /// What it was made from.
    pub seed: u64,
    /// The leak in it; none is a healthy case.
    pub leak: Option<Leak>,
    /// The usual time between two samples, in seconds.
    pub step_secs: f64,
    /// The unit of all processes; empty is none.
    pub unit: String,
    /// The limit that they would reach, each.
    pub limit_bytes: Option<u64>,
    /// One or several, that may start and end at any time.
    pub processes: Vec<Process>,
}

/// When and how fast it leaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leak {
    /// From when on, in seconds of the case's time.
    pub from_secs: f64,
    /// On average, of all processes together, while the program runs.
    pub bytes_per_sec: f64,
}

/// One process of a case.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number, which may come again in a later process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Time in seconds and bytes held, in the order of time.
    pub samples: Vec<(f64, u64)>,
}

impl Case {
    /// When it is over, in seconds.
    pub fn end_secs(&self) -> f64 {
        let ends = self
            .processes
            .iter()
            .filter_map(|process| process.samples.last());
        ends.fold(0.0, |end_secs, (secs, _)| end_secs.max(*secs))
    }

    /// The case as the table that `memleakd replay` takes.
    pub fn table(&self) -> String {
        let mut rows: Vec<(f64, &Process, u64)> = Vec::new();
        for process in &self.processes {
            rows.extend(
                process
                    .samples
                    .iter()
                    .map(|(secs, bytes)| (*secs, process, *bytes)),
            );
        }
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let limit = self
            .limit_bytes
            .map(|bytes| bytes.to_string())
            .unwrap_or_default();
        let mut table = "time_secs,pid,comm,bytes,unit,limit_bytes\n".to_owned();
        for (secs, process, bytes) in rows {
            let Process { pid, comm, .. } = process;
            writeln!(table, "{secs},{pid},{comm},{bytes},{},{limit}", self.unit)
                .expect("a String takes any text");
        }
        table
    }
}
