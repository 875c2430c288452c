//! Makes completions of the programs' command lines.
//!
//! What clap knows is told by clap. What only the machine knows, as which alerts are open, is added
//! for memleakctl: `memleakctl.bash` and its like beside this file.

use std::path::{Path, PathBuf};

use clap::{Arg, Command, ValueHint};
use clap_complete::Shell;

use crate::manual::command_lines;

/// What is added for bash, after what clap makes.
const BASH: &str = include_str!("memleakctl.bash");
/// The same for fish.
const FISH: &str = include_str!("memleakctl.fish");
/// For zsh, after the first lines.
const ZSH: &str = include_str!("memleakctl.zsh");

/// Where zsh is to offer more than nothing: how a line begins, how it ends, and how instead.
const ZSH_ACTIONS: [(&str, &str, &str); 6] = [
    ("':id -- Its id", ":'", ":_memleakctl_alerts'"),
    ("'::id -- An open alert", ":'", ":_memleakctl_alerts'"),
    ("':id -- Its number", ":'", ":_memleakctl_silences'"),
    ("':of -- ", ":_files'", ":_memleakctl_reports'"),
    ("':pid -- ", ":'", ":_memleakctl_processes'"),
    ("'--pid=[", ":'", ":_memleakctl_processes'"),
];

/// Each file that is shipped, with what is to be in it.
pub fn completions() -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    for (page, command_line) in command_lines() {
        let (name, _) = page.rsplit_once('.').expect("a name");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = generated(name, visible(name, &command_line), shell);
            let text = match (name, shell) {
                ("memleakctl", Shell::Bash) => text + BASH,
                ("memleakctl", Shell::Fish) => text + FISH + &fish_values(&command_line),
                ("memleakctl", _) => with_zsh(&text),
                _ => text,
            };
            all.push((path(name, shell), text));
        }
    }
    all
}

/// Where a shell looks for the completions of a program.
pub fn path(program: &str, shell: Shell) -> PathBuf {
    let share = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/usr/share");
    match shell {
        Shell::Bash => share.join("bash-completion/completions").join(program),
        Shell::Zsh => share.join(format!("zsh/site-functions/_{program}")),
        _ => share.join(format!("fish/vendor_completions.d/{program}.fish")),
    }
}

/// A command without what is hidden, which clap would offer, and without `help`, as each command
/// has `--help`.
fn visible(name: &str, command: &Command) -> Command {
    let arguments = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set());
    let commands = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    // clap takes names that last for ever, and these have to last as long as this test.
    let mut visible = Command::new(&*name.to_owned().leak())
        .disable_help_subcommand(true)
        .about(command.get_about().cloned().unwrap_or_default())
        .args(arguments.cloned().map(without_files))
        .subcommands(commands.map(|command| visible(command.get_name(), command)));
    if command.get_version().is_some() {
        visible = visible.version(env!("CARGO_PKG_VERSION"));
    }
    visible
}

/// An argument for which no files are offered, unless it says that it is one.
fn without_files(argument: Arg) -> Arg {
    let is_free = argument.get_action().takes_values() && argument.get_possible_values().is_empty();
    match argument.get_value_hint() {
        ValueHint::Unknown if is_free => argument.value_hint(ValueHint::Other),
        _ => argument,
    }
}

fn generated(name: &str, mut command: Command, shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    let text = String::from_utf8(text).expect("UTF-8");
    match shell {
        // The names of arguments are nothing to type.
        Shell::Bash => text
            .lines()
            .map(|line| without_names(line) + "\n")
            .collect(),
        Shell::Fish => with_value_at_the_end(name, &text),
        _ => text,
    }
}

/// Has fish know the value of a program's own option while it is typed: what clap makes takes the
/// option without its value for a mistake, and then offers files.
fn with_value_at_the_end(name: &str, text: &str) -> String {
    let name = name.replace('-', "_");
    let parse = |words| {
        format!("argparse -s (__fish_{name}_global_optspecs) -- {words} 2>/dev/null\n    or ")
    };
    let once = parse("$cmd");
    text.replace(&once, &(once.clone() + &parse("$cmd[1..-2]")))
}

/// A list of words for bash without those such as `<ID>`.
fn without_names(line: &str) -> String {
    let Some((before, words)) = line.split_once("opts=\"") else {
        return line.to_owned();
    };
    let words = words.trim_end_matches('"').split(' ');
    let words: Vec<_> = words.filter(|word| !word.starts_with(['<', '['])).collect();
    format!("{before}opts=\"{}\"", words.join(" "))
}

/// Values of arguments without a name, of which clap tells fish nothing. Files are offered where
/// nothing else is known, which is right for few commands.
fn fish_values(command_line: &Command) -> String {
    let mut lines = String::new();
    for command in command_line.get_subcommands() {
        let name = command.get_name();
        let condition = format!("-n \"__fish_memleakctl_using_subcommand {name}\"");
        let takes_file = command
            .get_positionals()
            .any(|argument| argument.get_value_hint() == ValueHint::FilePath);
        if !takes_file {
            lines += &format!("complete -c memleakctl {condition} -f\n");
        }
        for argument in command.get_positionals() {
            for value in argument.get_possible_values() {
                let value = value.get_name();
                lines += &format!("complete -c memleakctl {condition} -f -a {value}\n");
            }
        }
    }
    lines
}

fn with_zsh(text: &str) -> String {
    let first = "autoload -U is-at-least\n";
    assert_eq!(text.matches(first).count(), 1);
    let text = text.replace(first, &format!("{first}{ZSH}"));
    let mut n_replaced = [0; ZSH_ACTIONS.len()];
    let mut line = |line: &str| {
        for (index, (start, end, instead)) in ZSH_ACTIONS.iter().enumerate() {
            let Some(kept) = line
                .strip_suffix(" \\")
                .and_then(|line| line.strip_suffix(end))
            else {
                continue;
            };
            if line.starts_with(start) {
                n_replaced[index] += 1;
                return format!("{kept}{instead} \\\n");
            }
        }
        format!("{line}\n")
    };
    let text = text.lines().map(&mut line).collect();
    assert!(n_replaced.iter().all(|n| *n > 0), "{n_replaced:?}");
    text
}
