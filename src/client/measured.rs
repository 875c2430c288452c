use super::table::Table;
use crate::bus::Measured;
use crate::quantity::{Bytes, signed};

/// Processes that are measured, as a table, and below it what could not be seen of each.
pub(super) fn table(measured: &[Measured], columns: usize) -> String {
    let mut table = Table::new(&[
        ">PID",
        ">GROWTH",
        ">NET",
        ">ALLOCATED",
        ">FREED",
        ">CALLS/S",
        ">SEEN",
        ">LOST",
        "PROCESS",
        "UNIT",
    ]);
    for process in measured {
        let figures = match process.is_measured() {
            true => figures(process),
            false => std::array::from_fn(|_| "-".to_owned()),
        };
        let unit = process.unit.clone().unwrap_or_else(|| "-".to_owned());
        let row = std::iter::once(process.pid.to_string()).chain(figures);
        table.row(row.chain([process.comm.clone(), unit]));
    }
    let mut text = table.render(columns);
    for (index, note) in notes(measured).into_iter().enumerate() {
        if index == 0 {
            text.push('\n');
        }
        text += &wrapped(&note, columns);
    }
    text
}

/// A sentence in lines of a width, broken between words.
pub(super) fn wrapped(sentence: &str, columns: usize) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in sentence.split(' ') {
        let length = word.chars().count().min(columns);
        if width > 0 && length >= columns.saturating_sub(width) {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.extend(word.chars().take(columns));
        width += length;
    }
    text + "\n"
}

/// What is to be known of the figures, a line each; what is the same of several processes is said
/// once.
fn notes(measured: &[Measured]) -> Vec<String> {
    let is_partial = |process: &Measured| process.is_measured() && share_seen(process) < 0.995;
    let partial = measured.iter().any(is_partial).then(|| {
        "SEEN below 100%: ALLOCATED and FREED are of that part, NET of all the time".to_owned()
    });

    let mut notes: Vec<(&str, bool, Vec<&Measured>)> = Vec::new();
    for process in measured {
        for why in &process.loss {
            let is_measured = process.is_measured();
            let known = notes
                .iter_mut()
                .find(|(other, measured, _)| other == why && *measured == is_measured);
            match known {
                Some((_, _, of)) => of.push(process),
                None => notes.push((why, is_measured, vec![process])),
            }
        }
    }
    let line = |(why, is_measured, of): (&str, bool, Vec<&Measured>)| {
        let what = match is_measured {
            true => "not seen",
            false => "not measured",
        };
        match of[..] {
            [process] => format!("{} ({}) {what}: {why}", process.pid, process.comm),
            _ => format!("{} processes {what}: {why}", of.len()),
        }
    };
    partial
        .into_iter()
        .chain(notes.into_iter().map(line))
        .collect()
}

fn figures(process: &Measured) -> [String; 7] {
    let calls_per_sec = process.calls as f64 / process.seen_secs.max(1e-3);
    [
        signed::rate(process.growth_bytes_per_sec),
        signed::size(process.net_bytes),
        Bytes(process.allocated_bytes).to_string(),
        Bytes(process.freed_bytes).to_string(),
        match calls_per_sec < 10.0 {
            true => format!("{calls_per_sec:.1}"),
            false => format!("{calls_per_sec:.0}"),
        },
        format!("{:.0}%", share_seen(process) * 100.0),
        process.lost.to_string(),
    ]
}

/// What the ceiling leaves of the time, from 0.0 to 1.0.
fn share_seen(process: &Measured) -> f64 {
    (process.seen_secs / process.span_secs.max(1e-3)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Source;

    fn measured() -> Measured {
        Measured {
            pid: 4711,
            comm: "leaky".to_owned(),
            uid: 0,
            unit: Some("leaky.service".to_owned()),
            source: Source::Heap,
            net_bytes: 10 << 20,
            allocated_bytes: 2 << 20,
            freed_bytes: 1 << 20,
            calls: 500,
            lost: 0,
            growth_bytes_per_sec: 1048576.0,
            span_secs: 100.0,
            seen_secs: 10.0,
            method: "glibc, by chunk headers".to_owned(),
            cost_secs: 0.1,
            loss: Vec::new(),
        }
    }

    #[test]
    fn what_grows_shrinks_or_is_not_measured_is_in_the_table() {
        let shrinks = Measured {
            pid: 12,
            comm: "a-name-of-fifte".to_owned(),
            unit: None,
            net_bytes: -(300 << 10),
            growth_bytes_per_sec: -100.0,
            calls: 5,
            lost: 3,
            span_secs: 10.0,
            loss: vec!["3 calls with a chunk that could not be read".to_owned()],
            ..measured()
        };
        let fails = Measured {
            pid: 7,
            method: String::new(),
            loss: vec!["it has no allocator".to_owned()],
            ..measured()
        };
        assert_eq!(
            table(&[measured(), shrinks, fails], usize::MAX),
            "\x20PID        GROWTH       NET  ALLOCATED  FREED  CALLS/S  SEEN  LOST  PROCESS          UNIT
4711    60 MiB/min    10 MiB      2 MiB  1 MiB       50   10%     0  leaky            leaky.service
  12  -5.9 KiB/min  -300 KiB      2 MiB  1 MiB      0.5  100%     3  a-name-of-fifte  -
   7             -         -          -      -        -     -     -  leaky            leaky.service

SEEN below 100%: ALLOCATED and FREED are of that part, NET of all the time
12 (a-name-of-fifte) not seen: 3 calls with a chunk that could not be read
7 (leaky) not measured: it has no allocator
"
        );
    }

    #[test]
    fn what_is_the_same_of_several_is_said_once() {
        let of = |pid, why: &str| Measured {
            pid,
            loss: vec![why.to_owned()],
            ..measured()
        };
        let text = table(&[of(1, "frees"), of(2, "frees"), of(3, "calls")], 200);
        assert!(
            text.ends_with(
                "all the time\n2 processes not seen: frees\n3 (leaky) not seen: calls\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn sentences_are_broken_between_words() {
        for (columns, text) in [
            (usize::MAX, "a bc def\n"),
            (8, "a bc def\n"),
            (7, "a bc\ndef\n"),
            (4, "a bc\ndef\n"),
            (3, "a\nbc\ndef\n"),
            (2, "a\nbc\nde\n"),
        ] {
            assert_eq!(wrapped("a bc def", columns), text, "{columns}");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let long = Measured {
            comm: "é".repeat(200),
            unit: Some("u".repeat(300)),
            loss: vec!["w".repeat(300)],
            ..measured()
        };
        let text = table(&[long], 80);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(text.contains("ééé"), "{text}");
    }
}
