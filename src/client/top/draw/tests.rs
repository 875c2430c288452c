use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::*;
use crate::alert::message::tests::alert;
use crate::alert::{Alert, Cause};
use crate::bus::Status;
use crate::client::Marks;
use crate::client::top::entry::tests::entry;
use crate::client::top::entry::{Entry, Mark};
use crate::client::top::key::Action;
use crate::client::top::key::Focus;
use crate::client::top::look::Look;
use crate::client::top::model::{Answer, Renewed};
use crate::config::Severity;
use crate::sample::Point;

const ALL: Look = Look {
    has_colour: true,
    has_signs: true,
};
const LITTLE: Look = Look {
    has_colour: false,
    has_signs: false,
};

/// What a terminal shows, line by line, and its cells.
fn shown(model: &mut Model, look: Look, columns: u16, lines: u16) -> (Vec<String>, Buffer) {
    model.resize(columns.into(), lines.into());
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a terminal");
    let drawn = terminal.draw(|frame| {
        draw(model, 1.0, 2.0, frame.buffer_mut());
        look.apply(frame.buffer_mut());
    });
    drawn.expect("it cannot fail");
    let buffer = terminal.backend().buffer().clone();
    let text = (0..lines).map(|y| {
        let cells = (0..columns).filter_map(|x| buffer.cell((x, y)));
        let line: String = cells.map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned()
    });
    (text.collect(), buffer)
}

fn curve() -> Vec<Point> {
    let point = |n: u32| Point {
        secs_ago: f64::from(60 - n) * 60.0,
        bytes: u64::from(n) << 20,
    };
    (0..=60).map(point).collect()
}

fn entries() -> Vec<Entry> {
    vec![
        Entry {
            mark: Mark::Alert {
                severity: Severity::Critical,
                is_answered: false,
            },
            alerts: vec![alert().id],
            curve: curve(),
            cause: Cause::Heap,
            net_bytes: Some(90 << 20),
            heap_growth: Some(1048576.0),
            left_secs: Some(5400),
            ..entry(4711, "postgres", 1048576.0, Some("postgresql.service"))
        },
        Entry {
            mark: Mark::Suspect,
            curve: curve(),
            ..entry(12, "nginx", 2048.0, Some("nginx.service"))
        },
        entry(999, "bash", 10.0, None),
    ]
}

fn model_of(entries: Vec<Entry>) -> Model {
    let mut model = Model::new(Listed::Pages, Marks::Words);
    let open = Alert {
        severity: Severity::Critical,
        ..alert()
    };
    let renewed = Renewed {
        status: Status {
            processes: 312,
            suspects: 2,
            alerts: 1,
            critical: 1,
            measured: 2,
            interval_secs: 5.0,
            round_secs: 0.0042,
            ..Status::default()
        },
        alerts: vec![open],
        listed: Listed::Pages,
        entries,
    };
    model.learn(Answer::Renewed(Box::new(renewed)), 1.0);
    model
}

fn model() -> Model {
    model_of(entries())
}

#[test]
fn a_usual_terminal_has_the_list_with_all_that_matters() {
    let (lines, buffer) = shown(&mut model(), ALL, 80, 24);
    assert_eq!(
        lines[..6],
        [
            " memleakd: 312 processes, 2 suspects, 1 alert open (1 critical)",
            " 1 Pages  2 Heap  3 Kernel  sorted by growth",
            "    PID PROCESS  LAST HOUR       GROWTH▼    SIZE NET HEAP HEAP GROWTH  TIME LEFT",
            "!! 4711 postgres ▁▂▂▃▄▅▅▆▇▇█  60 MiB/min 100 MiB   90 MiB  60 MiB/min 1 h 30 min",
            "?    12 nginx    ▁▂▂▃▄▅▅▆▇▇█ 120 KiB/min 100 MiB        -           -          -",
            "    999 bash                  35.2 KiB/h 100 MiB        -           -          -",
        ]
    );
    assert_eq!(
        lines[20],
        "postgres (pid 4711) · postgresql.service · user 0"
    );
    assert!(lines[21].starts_with("critical: "), "{}", lines[21]);
    assert!(lines[22].len() > 40, "it goes on: {}", lines[22]);
    assert!(lines[23].starts_with("q quit  ? help  Enter open"));
    let colour = |y, x| {
        buffer
            .cell((x, y))
            .map(|cell: &ratatui::buffer::Cell| cell.fg)
    };
    // The bar over what is chosen is of one piece; what is said of it below has the colour.
    assert_eq!(colour(3, 0), Some(Color::Reset));
    assert_eq!(colour(21, 0), Some(Color::Red));
    assert_eq!(colour(4, 0), Some(Color::Cyan));
}

#[test]
fn a_wide_terminal_has_every_column() {
    let (lines, _) = shown(&mut model(), ALL, 200, 50);
    for heading in [
        "AT LEAST",
        "CAUSE",
        "USER",
        "UNIT",
        "TIME LEFT",
        "LAST HOUR",
    ] {
        assert!(lines[2].contains(heading), "{heading}: {}", lines[2]);
    }
    assert!(lines[0].ends_with("2 measured · scan every 5 s, 4.2 ms"));
}

#[test]
fn columns_go_one_by_one_and_the_name_never() {
    let mut before = usize::MAX;
    for columns in (1..=200).rev() {
        let (lines, _) = shown(&mut model(), ALL, columns, 24);
        let n_headings = lines[2].split("  ").count();
        let (name, line) = ("postgres", &lines[3]);
        // As much of it as there is room for.
        let room = usize::from(columns).min(name.len() - 1).saturating_sub(1);
        assert!(line.contains(&name[..room]), "{columns}: {line:?}");
        before = before.min(n_headings);
    }
}

#[test]
fn no_size_is_too_small() {
    for (columns, lines) in [
        (0, 0),
        (1, 1),
        (2, 3),
        (5, 2),
        (10, 4),
        (19, 5),
        (40, 10),
        (300, 3),
        (3, 100),
        (400, 120),
    ] {
        for look in [ALL, LITTLE] {
            for actions in [
                &[][..],
                &[Action::Tree],
                &[Action::Enter],
                &[Action::Help],
                &[Action::Help, Action::Last],
                &[Action::Silence],
                &[Action::Silence, Action::Enter],
                &[Action::Filter, Action::Type('n')],
                &[Action::Capture],
                &[Action::NextView],
            ] {
                let mut model = model();
                for action in actions {
                    model.act(*action, 1.0);
                }
                shown(&mut model, look, columns, lines);
            }
        }
    }
}

#[test]
fn a_small_terminal_has_names_and_growth() {
    let (lines, _) = shown(&mut model(), ALL, 40, 10);
    assert_eq!(lines[3], "!! 4711 postgres  60 MiB/min 100 MiB");
    assert_eq!(lines[9], "q quit  ? help  Enter open  / filter");
}

#[test]
fn without_colour_and_beyond_ascii_nothing_is_lost_but_looks() {
    for actions in [
        &[][..],
        &[Action::Tree],
        &[Action::Enter],
        &[Action::Silence],
    ] {
        let mut model = model();
        for action in actions {
            model.act(*action, 1.0);
        }
        let (lines, buffer) = shown(&mut model, LITTLE, 80, 24);
        assert!(lines.iter().all(|line| line.is_ascii()), "{lines:#?}");
        // What has no likeness would be a question mark, which begins the line of a suspect only.
        for line in &lines {
            let rest = line.replace("? help", "").replace("so?", "");
            let is_alike = !rest.contains('?') || rest.rfind('?') == Some(0);
            assert!(is_alike, "{lines:#?}");
        }
        let plain =
            |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset);
        assert!(buffer.content.iter().all(plain));
    }
    let (lines, _) = shown(&mut model(), LITTLE, 80, 24);
    assert!(
        lines[3].starts_with("!! 4711 postgres _..,-==+**#"),
        "{}",
        lines[3]
    );
    assert!(lines[4].starts_with("?    12 nginx"), "{}", lines[4]);
}

#[test]
fn hostile_and_wide_names_stay_in_their_columns() {
    for name in [
        "\u{1b}[2J\u{1b}[31mred",
        "two\nlines\r\tand a tab",
        "漢字漢字漢字漢字",
        "e\u{301}\u{301}\u{301}\u{301}",
        "👩\u{200d}👩\u{200d}👧\u{200d}👦",
        "\u{202e}desrever",
        "\u{0}\u{7f}\u{9b}31m",
        "very-long-name-of-a-process-that-does-not-end",
        "",
    ] {
        let hostile = Entry {
            unit: Some(format!("{name}.service")),
            user: name.to_owned(),
            ..entry(7, name, 5.0, None)
        };
        let mut entries = entries();
        entries.push(hostile);
        for (columns, lines) in [(80, 24), (40, 10), (160, 45)] {
            for look in [ALL, LITTLE] {
                for actions in [&[][..], &[Action::Tree], &[Action::Last, Action::Enter]] {
                    let mut model = model_of(entries.clone());
                    for action in actions {
                        model.act(*action, 1.0);
                    }
                    let (text, buffer) = shown(&mut model, look, columns, lines);
                    let has_control =
                        |cell: &ratatui::buffer::Cell| cell.symbol().chars().any(char::is_control);
                    assert!(
                        !buffer.content.iter().any(has_control),
                        "{name:?}: {text:#?}"
                    );
                }
            }
            let (text, buffer) = shown(&mut model_of(entries.clone()), ALL, columns, lines);
            // The growth of the first ends in the same column as ever.
            let (plain, _) = shown(&mut model_of(vec![entry(7, "x", 5.0, None)]), ALL, 80, 24);
            assert_eq!(plain.len(), 24);
            let line = text
                .iter()
                .position(|line| line.contains("postgres"))
                .expect("it");
            let end = |y: usize| {
                let y = u16::try_from(y).expect("small");
                (0..columns).rev().find(|&x| {
                    let cell = buffer.cell((x, y));
                    cell.is_some_and(|cell| cell.symbol() != " ")
                })
            };
            assert!(end(line) < Some(columns), "{text:#?}");
        }
    }
}

#[test]
fn a_page_has_a_chart_with_its_limit_and_text_below() {
    let mut model = model();
    model.act(Action::Enter, 1.0);
    assert_eq!(model.focus(), Focus::Text);
    let (lines, _) = shown(&mut model, ALL, 80, 24);
    assert_eq!(
        lines[1],
        "!! postgres (pid 4711) · postgresql.service · user 0"
    );
    assert!(lines[2].contains("66 MiB"), "{lines:#?}");
    assert!(lines[9].trim_start().starts_with("1 h ago"), "{lines:#?}");
    assert!(lines[9].ends_with("now 60 MiB"), "{lines:#?}");
    assert_eq!(lines[10], "asking memleakd why …");
    assert!(
        lines.iter().any(|line| line.starts_with("Alert ")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line == "Allocated by"),
        "{lines:#?}"
    );
}

#[test]
fn trouble_with_the_daemon_takes_the_first_line() {
    let mut model = model();
    model.learn(Answer::Absent, 1.5);
    let (lines, _) = shown(&mut model, ALL, 80, 24);
    assert_eq!(
        lines[0],
        " memleakd does not run, for 0 s now: waiting for it"
    );
    assert!(
        lines[3].contains("postgres"),
        "what was known is still there"
    );
    let renewed = model_of(Vec::new());
    assert!(renewed.entries().is_some_and(<[Entry]>::is_empty));
    let (lines, _) = shown(&mut model_of(Vec::new()), ALL, 80, 24);
    assert_eq!(lines[2], "nothing grows, or nothing of what you may see");
}

#[test]
fn a_silence_is_a_window_that_asks_twice() {
    let mut model = model();
    model.act(Action::Silence, 1.0);
    let (lines, _) = shown(&mut model, ALL, 80, 24);
    let text = lines.join("\n");
    assert!(text.contains("alerts of unit postgresql.service"), "{text}");
    assert!(
        text.contains(" 30 min  1 h  4 h  1 d  7 d  30 d "),
        "{text}"
    );
    model.act(Action::Enter, 1.0);
    let (lines, _) = shown(&mut model, ALL, 80, 24);
    let text = lines.join("\n");
    assert!(
        text.contains("Nobody is told of them for 1 h. Is that so?"),
        "{text}"
    );
}

#[test]
fn a_capture_shows_how_far_it_is() {
    let mut model = model();
    model.act(Action::Capture, -13.0);
    let (lines, _) = shown(&mut model, ALL, 80, 24);
    assert!(
        lines[23].starts_with("measuring postgres (pid 4711), 15 s left ███"),
        "{}",
        lines[23]
    );
    assert!(lines[23].contains('░'));
}
