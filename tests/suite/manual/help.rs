//! What `--help` teaches: each command has examples, and each is one that its program takes.

use clap::Command;

use super::examples::words;
use super::programs::{commands, programs};

/// The lines below "Example:" or "Examples:".
fn examples(help: &str) -> Vec<String> {
    let lines = help.lines();
    let lines = lines.skip_while(|line| !["Example:", "Examples:"].contains(line));
    let lines = lines.skip(1).take_while(|line| line.starts_with("  "));
    lines.map(|line| line.trim().to_owned()).collect()
}

/// A line without what is said of it.
fn command_line(line: &str) -> &str {
    line.split("   ").next().unwrap_or(line)
}

#[test]
fn each_command_has_examples_that_are_taken() {
    let mut n_tried = 0;
    for (page, mut program) in programs() {
        let name = page.rsplit_once('.').expect("a name").0.to_owned();
        // What has commands, or is one, teaches; the others are started by their units.
        if commands(&program).is_empty() {
            continue;
        }
        let parser = program.clone();
        let mut of_commands: Vec<Command> = commands(&program).into_iter().cloned().collect();
        of_commands.retain(|command| command.get_name() != "help");
        let helps = [
            (name.clone(), program.render_help().to_string()),
            (name.clone(), program.render_long_help().to_string()),
        ];
        let of_commands = of_commands.into_iter().flat_map(|mut command| {
            let of = format!("{name} {}", command.get_name());
            [
                (of.clone(), command.render_help().to_string()),
                (of, command.render_long_help().to_string()),
            ]
        });
        for (of, help) in helps.into_iter().chain(of_commands) {
            let examples = examples(&help);
            assert!((1..=7).contains(&examples.len()), "{of}: {help}");
            for example in examples {
                assert!(example.len() <= 78, "{example}");
                let line = command_line(&example);
                let is_of_command = line == of || line.starts_with(&format!("{of} "));
                assert!(is_of_command || line.contains(&of), "{of}: {line}");
                let line = line.replace(" PID", " 7").replace(" ID", " 0123456789ab");
                if let Err(error) = parser.clone().try_get_matches_from(words(&line)) {
                    panic!("{of}: {line}: {error}");
                }
                n_tried += 1;
            }
        }
    }
    assert!(n_tried >= 60, "{n_tried}");
}
