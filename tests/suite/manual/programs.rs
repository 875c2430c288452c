//! Pages of programs against their command lines.

use std::collections::BTreeMap;

use ::memleakd::arguments::{
    memleakctl, memleakd, memleakd_alertmanager, memleakd_mail, memleakd_notify,
};
use clap::{Arg, Command, CommandFactory};

use super::page::{Item, Page};

/// The heads of items, by the command that they are of: empty is the program itself.
type Heads = BTreeMap<String, Vec<String>>;

/// Each program's page and command line, as it is declared.
pub fn command_lines() -> [(&'static str, Command); 5] {
    [
        ("memleakctl.1", memleakctl::Arguments::command()),
        ("memleakd.8", memleakd::Arguments::command()),
        (
            "memleakd-alertmanager.8",
            memleakd_alertmanager::Arguments::command(),
        ),
        ("memleakd-mail.8", memleakd_mail::Arguments::command()),
        ("memleakd-notify.1", memleakd_notify::Arguments::command()),
    ]
}

/// The same as clap parses it, with what it adds.
pub fn programs() -> [(&'static str, Command); 5] {
    command_lines().map(|(page, mut command)| {
        command.build();
        (page, command)
    })
}

/// The name of an argument's value, as help shows it.
fn value_name(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let name = names.first().map(ToString::to_string);
    name.unwrap_or_else(|| argument.get_id().as_str().to_uppercase())
}

fn is_visible(argument: &&Arg) -> bool {
    !argument.is_hide_set()
}

/// How an option is headed: `Fl s , Fl Fl long Ar VALUE`.
fn option(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("Fl {short}"));
    let long = argument.get_long().map(|long| format!("Fl Fl {long}"));
    let names: Vec<_> = short.into_iter().chain(long).collect();
    let value = match argument.get_action().takes_values() {
        true => format!(" Ar {}", value_name(argument)),
        false => String::new(),
    };
    names.join(" , ") + &value
}

/// How a command is headed: its name, and what has to be given or may be.
fn head(command: &Command) -> String {
    let mut head = format!("Cm {}", command.get_name());
    for argument in command.get_arguments().filter(is_visible) {
        head += &match (argument.is_positional(), argument.is_required_set()) {
            (true, true) => format!(" Ar {}", value_name(argument)),
            (true, false) => format!(" Op Ar {}", value_name(argument)),
            (false, true) => format!(" {}", option(argument)),
            (false, false) => continue,
        };
    }
    head
}

/// Options of a command of its own: those of the program are told once.
fn own_options<'a>(command: &'a Command, program: &'a Command) -> Vec<&'a Arg> {
    let of_program = |argument: &Arg| {
        command.get_name() != program.get_name()
            && (argument.is_global_set() || argument.get_id() == "help")
    };
    let arguments = command.get_arguments().filter(is_visible);
    let options = arguments.filter(|argument| !argument.is_positional());
    options.filter(|option| !of_program(option)).collect()
}

pub fn commands(program: &Command) -> Vec<&Command> {
    let commands = program.get_subcommands();
    commands.filter(|command| !command.is_hide_set()).collect()
}

fn expected(program: &Command) -> Heads {
    let mut heads = Heads::new();
    let mut add = |of: String, command: &Command| {
        let mut options: Vec<_> = own_options(command, program)
            .into_iter()
            .map(option)
            .collect();
        options.sort();
        heads.insert(of, options);
    };
    add(String::new(), program);
    for command in commands(program) {
        // Its arguments are made up by clap.
        match command.get_name() {
            "help" => add("Cm help Op Ar COMMAND".to_owned(), &Command::new("help")),
            _ => add(head(command), command),
        }
    }
    heads
}

/// The items that head a command or an option.
fn is_head(item: &&Item) -> bool {
    let is_of_arguments = item.section == "DESCRIPTION";
    is_of_arguments && (item.line.starts_with("Fl ") || is_command(item))
}

/// Commands are items of lists by themselves; values of options are in the options' items.
fn is_command(item: &Item) -> bool {
    item.line.starts_with("Cm ") && item.parent.is_none()
}

fn found(page: &Page) -> Heads {
    let mut heads = Heads::from([(String::new(), Vec::new())]);
    for item in page.items().iter().filter(is_head) {
        if is_command(item) {
            heads.entry(item.line.clone()).or_default();
            continue;
        }
        let of = item.parent.clone().unwrap_or_default();
        heads.entry(of).or_default().push(item.line.clone());
    }
    heads.values_mut().for_each(|options| options.sort());
    heads
}

#[test]
fn each_command_and_option_is_in_its_page_and_no_other() {
    for (name, program) in programs() {
        assert_eq!(found(&Page::named(name)), expected(&program), "{name}");
    }
}

#[test]
fn each_value_and_default_is_told_where_its_option_is() {
    let mut n_told = 0;
    for (name, program) in programs() {
        let items = Page::named(name).items();
        let of_program = (&program, None);
        let of_commands = commands(&program).into_iter();
        let of_commands = of_commands.filter(|command| command.get_name() != "help");
        for (command, head) in [of_program]
            .into_iter()
            .chain(of_commands.map(|command| (command, Some(head(command)))))
        {
            let positional = command.get_arguments().filter(|arg| arg.is_positional());
            let options = own_options(command, &program).into_iter();
            for argument in positional.chain(options) {
                let item =
                    items
                        .iter()
                        .filter(is_head)
                        .find(|item| match argument.is_positional() {
                            true => Some(&item.line) == head.as_ref(),
                            false => item.parent == head && item.line == option(argument),
                        });
                let item = item.unwrap_or_else(|| panic!("{name}: {argument}"));
                for told in told(argument) {
                    let is_told = item.words().contains(&told.as_str());
                    assert!(is_told, "{name}: {argument} has {told:?}: {item:?}");
                    n_told += 1;
                }
            }
        }
    }
    assert!(n_told >= 10, "{n_told}");
}

/// What an argument may be, and what it is by itself.
fn told(argument: &Arg) -> Vec<String> {
    if !argument.get_action().takes_values() {
        return Vec::new();
    }
    let values = argument.get_possible_values();
    let values = values.iter().filter(|value| !value.is_hide_set());
    let defaults = argument.get_default_values().iter();
    let defaults = defaults.map(|value| value.to_string_lossy().into_owned());
    values
        .map(|value| value.get_name().to_owned())
        .chain(defaults)
        .filter(|value| !value.is_empty())
        .collect()
}

/// `--version` says the name as well.
#[test]
fn each_program_knows_its_name() {
    for (page, program) in command_lines() {
        assert_eq!(
            page.rsplit_once('.').map(|(name, _)| name),
            Some(program.get_name())
        );
    }
}

#[test]
fn what_help_says_of_where_files_are_is_in_the_pages() {
    // These defaults are of the environment, so that clap does not know them.
    for (name, wanted) in [
        ("memleakd-mail.8", "$STATE_DIRECTORY/spool"),
        ("memleakd-mail.8", "/var/lib/memleakd/spool"),
        ("memleakd-alertmanager.8", "$STATE_DIRECTORY/alertmanager"),
        ("memleakd-alertmanager.8", "/var/lib/memleakd/alertmanager"),
    ] {
        let (_, program) = programs()
            .into_iter()
            .find(|(page, _)| *page == name)
            .expect("a program");
        let mut program = program;
        let help = program.render_long_help().to_string();
        assert!(help.contains(wanted), "{help}");
        assert!(Page::named(name).text().contains(&format!(".Pa {wanted}")));
    }
}
