use std::io::{stderr, stdout};
use std::path::Path;
use std::sync::mpsc::Sender;

use anyhow::Result;
use tracing::warn;

use super::{Event, Options};
use crate::alert::{Book, Packing, Reach};
use crate::bus::{Service, Shared};
use crate::config::{self, Config};
use crate::mail::has_recipients;
use crate::program::runtime_directory;
use crate::quantity::Span;
use crate::sink::{
    Alertmanager, Console, Delivery, Form, Hook, Journal, Mail, Outlet, Sink, Standing,
};

/// The sinks that the configuration asks for and that can be had.
pub(super) struct Outlets {
    running: Vec<Running>,
    /// How often and how they may speak.
    alert: config::Alert,
    shared: Shared,
    events: Sender<Event>,
}

/// The sinks that disturb people, or whose messages others pass on to them.
const FOR_PEOPLE: [&str; 3] = ["mail", "hook", "alertmanager"];
/// So many changes are one mail at the most.
const MAX_MAILED: usize = 500;

/// A sink, and the settings that it was started with.
struct Running {
    outlet: Outlet,
    settings: String,
}

impl Outlets {
    /// None yet. Sinks report to `events`; the one that is the bus answers from `shared`.
    pub fn new(shared: Shared, events: Sender<Event>) -> Self {
        Self {
            running: Vec::new(),
            alert: config::Alert::default(),
            shared,
            events,
        }
    }

    /// Starts what is asked for. One that cannot be had is said, and costs nothing else.
    ///
    /// What runs with the same settings stays, as the bus's name could not be taken twice; what is
    /// no longer asked for ends when it has worked off what it was given. A sink may begin with
    /// what the book has open.
    pub fn configure(
        &mut self,
        config: &Config,
        options: &Options,
        state_directory: Option<&Path>,
        book: &Book,
    ) {
        self.alert = config.alert.clone();
        let before = std::mem::take(&mut self.running);
        let mut next = Next {
            outlets: self,
            before,
        };
        if let Some(form) = options.output {
            let name = match form {
                Form::Json => "json",
                Form::Text => "text",
            };
            next.add(name, "", || Ok(Box::new(Console::new(stdout(), form))));
        }
        let socket = &config.journal.socket;
        let journal = config.journal.enabled && Journal::is_expected(socket);
        if config.journal.enabled && !journal {
            let socket = socket.display();
            warn!("there is no journal at {socket}, alerts go to standard error instead");
        }
        // Under a service manager, standard error is the journal that is not wanted.
        let is_unwanted = !config.journal.enabled && std::env::var_os("JOURNAL_STREAM").is_some();
        if journal {
            let settings = socket.display().to_string();
            next.add("journal", &settings, || {
                Ok(Box::new(Journal::new(socket.clone())))
            });
        } else if options.output != Some(Form::Text) && !is_unwanted {
            next.add("text", "", || {
                Ok(Box::new(Console::new(stderr(), Form::Text)))
            });
        }
        if config.dbus.enabled {
            let shared = next.outlets.shared.clone();
            next.add("dbus", "", || Ok(Box::new(Service::new(shared))));
        }
        if has_recipients(&config.mail) {
            let settings = format!("{:?}", config.mail);
            next.add("mail", &settings, || {
                Ok(Box::new(Mail::new(config.mail.clone(), state_directory)?))
            });
        }
        if !config.alertmanager.url.is_empty() {
            // All other settings are those of the program that posts.
            next.add("alertmanager", "", || {
                let told = book.told().cloned().collect();
                let all = book.standing();
                let standing = Standing { all, told };
                Ok(Box::new(Alertmanager::new(state_directory, standing)?))
            });
        } else if let Some(directory) = state_directory {
            Alertmanager::forget(directory);
        }
        let hook = &config.hook.unit;
        if !hook.is_empty() {
            next.add("hook", hook, || {
                Ok(Box::new(Hook::new(hook.clone(), runtime_directory())))
            });
        }
    }

    /// The names of the sinks.
    pub fn names(&self) -> Vec<&'static str> {
        self.for_whom(Reach::All)
    }

    /// The names of the sinks that a change is for.
    pub fn for_whom(&self, reach: Reach) -> Vec<&'static str> {
        let names = self.running.iter().map(|running| running.outlet.name());
        let names = names.filter(|name| match reach {
            Reach::All => true,
            Reach::Records => !FOR_PEOPLE.contains(name),
            Reach::People => FOR_PEOPLE.contains(name),
        });
        names.collect()
    }

    /// How changes become messages for a sink; nothing if it has each by itself.
    pub fn packing(&self, sink: &str) -> Option<Packing> {
        let (wait, max_changes) = match sink {
            "mail" => (self.alert.group_wait, MAX_MAILED),
            // It is started for each, but not for all at once.
            "hook" => (Span::from_secs(0), 1),
            _ => return None,
        };
        Some(Packing {
            wait,
            max_per_hour: self.alert.max_per_hour,
            max_changes,
        })
    }

    /// Has a sink tended soon.
    pub fn tend(&self, sink: &str) {
        let mut outlets = self.running.iter().map(|running| &running.outlet);
        if let Some(outlet) = outlets.find(|outlet| outlet.name() == sink) {
            outlet.tend();
        }
    }

    /// Hands a change to a sink. False if it cannot take it now.
    pub fn offer(&self, sink: &str, delivery: Delivery) -> bool {
        let mut outlets = self.running.iter().map(|running| &running.outlet);
        let outlet = outlets.find(|outlet| outlet.name() == sink);
        outlet.is_some_and(|outlet| outlet.offer(delivery))
    }
}

/// The outlets while they are put together anew.
struct Next<'a> {
    outlets: &'a mut Outlets,
    before: Vec<Running>,
}

impl Next<'_> {
    fn add(
        &mut self,
        name: &'static str,
        settings: &str,
        make: impl FnOnce() -> Result<Box<dyn Sink>>,
    ) {
        let same =
            |running: &Running| running.outlet.name() == name && running.settings == settings;
        if let Some(index) = self.before.iter().position(same) {
            self.outlets.running.push(self.before.swap_remove(index));
            return;
        }
        let events = self.outlets.events.clone();
        // The loop that no longer listens has ended, and with it all need to report.
        let report = move |report| drop(events.send(Event::Report(report)));
        match make().and_then(|sink| Outlet::start(name, sink, report)) {
            Ok(outlet) => self.outlets.running.push(Running {
                outlet,
                settings: settings.to_owned(),
            }),
            Err(error) => warn!("no alerts by {name}: {error:#}, continuing without"),
        }
    }
}
