//! Completions as the shells give them. Which alerts and silences there are is told by a busctl of
//! the test's, with what the real one prints.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use clap_complete::Shell;
use tempfile::TempDir;

use super::generate::path;

/// What busctl prints of the tree of objects, and of a call of ListSilences.
const BUSCTL: &str = r#"#!/bin/sh
case "$*" in
*"--auto-start=no"*"--list tree org.memleakd.Memleakd1")
	echo /
	echo /org/memleakd/Memleakd1
	echo /org/memleakd/Memleakd1/alert/0123456789ab
	echo /org/memleakd/Memleakd1/alert/fedcba987654
	;;
*"--allow-interactive-authorization=no"*" ListSilences")
	echo '{"type":"aa{sv}","data":[[{"Id":{"type":"s","data":"3"},"Comment":{"type":"s","data":""}},{"By":{"type":"s","data":"root"},"Id":{"type":"s","data":"14"}}]]}'
	;;
*) exit 1 ;;
esac
"#;

/// Gives what a line is completed to in bash: as the shell does it, which calls the function that
/// is registered for the program.
const BASH: &str = r#"
source "$1"
# Bash lets nobody else call the real one.
without_default=
compopt() { [[ $* == *'+o default'* ]] && without_default=1; true; }
COMP_LINE=$2
read -ra COMP_WORDS <<<"$COMP_LINE"
[[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_POINT=${#COMP_LINE}
function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.* -F \([^ ]*\) .*/\1/')
"$function" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
# What bash itself does then.
if ((${#COMPREPLY[@]} == 0)) && [[ -z $without_default && $(complete -p "${COMP_WORDS[0]}") == *' -o default '* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
fi
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// The same in fish.
const FISH: &str = r#"
source $argv[1]
complete -C $argv[2]
"#;

/// The same in zsh, which completes at a terminal only. What is offered is written into a file.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "PROMPT=; unsetopt zle_bracketed_paste 2>/dev/null; bindkey '^I' complete-word"
zpty -w inner "fpath=(${1:h} \$fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' verbose no"
zpty -w inner "compadd() { local -a hits; builtin compadd -O hits \"\$@\"; print -rl -- \$hits >>$3; builtin compadd \"\$@\" }"
zpty -w inner "zle -C complete-word complete-word _main_complete"
zpty -w inner ": >$3.ready"
integer n
until [[ -e $3.ready ]] { (( n++ < 200 )) || exit 1; sleep 0.05 }
zpty -w -n inner "$2"$'\t'
zpty -w -n inner $'\x15'": >$3.done"$'\n'
until [[ -e $3.done ]] { (( n++ < 400 )) || exit 1; sleep 0.05 }
zpty -d inner
[[ -e $3 ]] && cat $3
true
"#;

/// What a line is completed to.
fn offered(shell: Shell, line: &str) -> Vec<String> {
    let scene = TempDir::new().expect("a directory");
    let busctl = scene.path().join("busctl");
    fs::write(&busctl, BUSCTL).expect("written");
    fs::set_permissions(&busctl, fs::Permissions::from_mode(0o755)).expect("a program");
    let (program, script) = match shell {
        Shell::Bash => (&["bash", "--norc", "-c"][..], BASH),
        Shell::Zsh => (&["zsh", "-f", "-c"][..], ZSH),
        _ => (&["fish", "--no-config", "-c"][..], FISH),
    };
    let (name, _) = line.split_once(' ').expect("a program");
    let search = env::var("PATH").expect("a path");
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(script);
    if matches!(shell, Shell::Bash | Shell::Zsh) {
        // The name of the script.
        command.arg(program[0]);
    }
    let output = command
        .arg(path(name, shell))
        .arg(line)
        .arg(scene.path().join("offered"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"))
        .env("PATH", format!("{}:{search}", scene.path().display()))
        .env("HOME", scene.path())
        .env("TERM", "dumb")
        .output()
        .expect("the shell runs");
    assert!(output.status.success(), "{shell} {line}: {output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "{shell} {line}"
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // fish has a description after a tab.
    let words = text.lines().filter_map(|line| line.split('\t').next());
    // zsh quotes nothing here, and may offer a word twice, as an option and by its description.
    let mut words: Vec<_> = words.map(|word| word.trim().to_owned()).collect();
    words.sort();
    words.dedup();
    words.retain(|word| !word.is_empty());
    words
}

const ALERTS: &[&str] = &["0123456789ab", "fedcba987654"];

/// Lines, what each is completed to at least, and what must not be offered.
const LINES: &[(&str, &[&str], &[&str])] = &[
    (
        "memleakctl s",
        &["show", "silence", "silences", "status"],
        &["alerts", "self-test-calls"],
    ),
    ("memleakctl show ", ALERTS, &["<ID>", "memleakd.toml"]),
    ("memleakctl show m", &[], &["memleakd.toml"]),
    ("memleakctl silence --unit ", &[], &["memleakd.toml"]),
    ("memleakctl show 01", &["0123456789ab"], &["fedcba987654"]),
    ("memleakctl ack ", ALERTS, &["memleakd.toml"]),
    ("memleakctl silence f", &["fedcba987654"], &["0123456789ab"]),
    (
        "memleakctl silence --",
        &["--for", "--comment", "--unit", "--user"],
        &["--json"],
    ),
    ("memleakctl silence --user ro", &["root"], &[]),
    ("memleakctl silence --exe m", &["memleakd.toml"], &[]),
    ("memleakctl unsilence ", &["3", "14"], &["0123456789ab"]),
    ("memleakctl report 0", &["0123456789ab"], &["fedcba987654"]),
    ("memleakctl report m", &["memleakd.toml"], &[]),
    ("memleakctl check m", &["memleakd.toml"], &[]),
    (
        "memleakctl report --format ",
        &["text", "folded", "pprof", "svg", "json"],
        &[],
    ),
    (
        "memleakctl test ",
        &["journal", "dbus", "desktop", "mail", "alertmanager", "hook"],
        &["<SINK>"],
    ),
    ("memleakctl test m", &["mail"], &["hook"]),
    (
        "memleakctl capture --",
        &["--pid", "--for", "--json"],
        &["--unit"],
    ),
    ("memleakctl capture --pid ", &["1"], &["memleakd.toml"]),
    ("memleakctl explain ", &["1"], &["memleakd.toml"]),
    (
        "memleakd --",
        &["--config", "--check", "--output", "--version"],
        &["--json"],
    ),
    ("memleakd --output ", &["json", "text"], &[]),
    ("memleakd r", &["replay"], &["resolve-stacks"]),
    (
        "memleakd-mail --",
        &["--spool", "--watch", "--until-empty"],
        &[],
    ),
    (
        "memleakd-alertmanager --",
        &["--alerts", "--watch", "--until-empty"],
        &[],
    ),
    ("memleakd-notify --", &["--help", "--version"], &[]),
];

fn each_line_in(shell: Shell) {
    for (line, wanted, unwanted) in LINES {
        let offered = offered(shell, line);
        for word in *wanted {
            assert!(
                offered.iter().any(|it| it == word),
                "{shell} {line}{word}: {offered:?}"
            );
        }
        for word in *unwanted {
            assert!(
                !offered.iter().any(|it| it == word),
                "{shell} {line}{word}: {offered:?}"
            );
        }
    }
}

#[test]
fn bash_offers_what_can_follow() {
    each_line_in(Shell::Bash);
}

#[test]
fn zsh_offers_what_can_follow() {
    each_line_in(Shell::Zsh);
}

#[test]
fn fish_offers_what_can_follow() {
    each_line_in(Shell::Fish);
}
