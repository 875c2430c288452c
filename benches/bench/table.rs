//! The figures as a table for a terminal and for Markdown.

use std::fmt;

/// What was measured.
pub struct Table {
    machine: String,
    rows: Vec<[String; 4]>,
    notes: Vec<String>,
    /// What was not measured, and why.
    left_out: Vec<(String, String)>,
}

const HEADER: [&str; 4] = ["figure", "measured", "aim", "reached"];

impl Table {
    /// No figures yet.
    pub fn new(machine: String) -> Self {
        Self {
            machine,
            rows: Vec::new(),
            notes: vec![
                "Times are CPU time, as medians. All processes but this machine's own just sleep."
                    .to_owned(),
            ],
            left_out: Vec::new(),
        }
    }

    /// A figure that has no aim.
    pub fn say(&mut self, figure: impl Into<String>, measured: impl Into<String>) {
        self.rows
            .push([figure.into(), measured.into(), String::new(), String::new()]);
    }

    /// A figure that should be at most, or at least, something.
    pub fn aim(
        &mut self,
        figure: impl Into<String>,
        measured: impl Into<String>,
        aim: impl Into<String>,
        reached: bool,
    ) {
        let reached = if reached { "yes" } else { "NO" };
        self.rows.push([
            figure.into(),
            measured.into(),
            aim.into(),
            reached.to_owned(),
        ]);
    }

    /// What is to be known of some figures.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Figures that cannot be had.
    pub fn leave_out(&mut self, figures: &str, why: &anyhow::Error) {
        let why = format!("{why:#}");
        match self.left_out.last_mut().filter(|(_, other)| *other == why) {
            Some((others, _)) => others.extend([", ", figures]),
            None => self.left_out.push((figures.to_owned(), why)),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "memleakd {} on {}\n",
            env!("CARGO_PKG_VERSION"),
            self.machine
        )?;
        let header = HEADER.map(str::to_owned);
        let mut widths = [0; 4];
        for row in self.rows.iter().chain([&header]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let [figure, measured, aim, reached] = widths;
        let rule = [
            "-".repeat(figure),
            "-".repeat(measured - 1) + ":",
            "-".repeat(aim - 1) + ":",
            "-".repeat(reached),
        ];
        for [name, value, goal, verdict] in [&header, &rule].into_iter().chain(&self.rows) {
            writeln!(
                f,
                "| {name:figure$} | {value:>measured$} | {goal:>aim$} | {verdict:reached$} |"
            )?;
        }
        writeln!(f)?;
        for note in &self.notes {
            writeln!(f, "- {note}")?;
        }
        if !self.left_out.is_empty() {
            writeln!(f, "\nLEFT OUT:")?;
        }
        for (figures, why) in &self.left_out {
            writeln!(f, "- {figures}: {why}")?;
        }
        Ok(())
    }
}

/// A number with its thousands apart: `10,010`.
pub fn grouped(number: usize) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}
