use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use tracing::{debug, info, warn};
use zbus::{Connection, connection};

use super::daemon::{self, Daemon};
use super::inbox::{Inbox, News, Reaction};
use super::memory::Memory;
use super::server::{self, Action, Server};
use super::{Call, Incident, Place, Shown, Subject, lock, pages, reconcile, words};
use crate::alert::Alert;
use crate::wait::Backoff;

/// How long the server of notifications may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What comes so shortly after a change is looked at together with it.
const SETTLING: Duration = Duration::from_millis(500);
/// So many questions of memleakd's are on the screen at most, for a password.
const MAX_ASKED: usize = 4;
/// So many programs that show pages are waited for at most.
const MAX_OPENED: usize = 8;
/// The specification's reason for a bubble that is gone: the person has put it away.
const DISMISSED: u32 = 2;

const NOT_ACKNOWLEDGED: &str = "The alert was not acknowledged";
const NOT_SILENCED: &str = "The alert was not silenced";

/// Shows the alerts of memleakd to the person of this session, until that is over.
///
/// SIGTERM may end it anywhere: what is remembered is replaced as a whole, and what is on the screen
/// stays there.
pub fn run() -> Result<()> {
    let _lock = lock::take()?;
    let session = zbus::block_on(
        connection::Builder::session()
            .method_timeout(TIMEOUT)
            .build(),
    )
    .map_err(|error| {
        anyhow!("there is no session bus to show notifications by ({error}): is this a session of a desktop?")
    })?;
    let inbox = Arc::new(Inbox::default());
    spawn("session bus", {
        let (session, inbox) = (session.clone(), inbox.clone());
        move || server::watch(&session, &inbox)
    })?;
    spawn("system bus", {
        let inbox = inbox.clone();
        move || daemon::watch(&inbox)
    })?;
    Agent::new(session, inbox).run()
}

/// The one who waits, asks, shows and remembers.
struct Agent {
    inbox: Arc<Inbox>,
    session: Connection,
    server: Server,
    /// The session bus, which is a part of the screen's name.
    bus: String,
    /// On which screen bubbles are, by the server that shows them.
    screen: String,
    has_met_server: bool,
    daemon: Option<Daemon>,
    /// The alerts as memleakd last told them.
    alerts: Vec<Alert>,
    /// Whether it has.
    is_told: bool,
    shown: Shown,
    memory: Memory,
    /// The bubble of the last test, and of the last failure.
    test: Option<u32>,
    failure: Option<u32>,
    n_asked: Arc<AtomicUsize>,
    n_opened: Arc<AtomicUsize>,
    /// When to ask memleakd, and when to try to show again what could not be shown.
    ask_at: Option<Instant>,
    show_at: Option<Instant>,
    asking: Backoff,
    showing: Backoff,
}

impl Agent {
    fn new(session: Connection, inbox: Arc<Inbox>) -> Self {
        let memory = Memory::of_user();
        let (shown, screen) = memory.load();
        Self {
            inbox,
            bus: session.server_guid().to_string(),
            server: Server::new(session.clone()),
            session,
            screen,
            has_met_server: false,
            daemon: None,
            alerts: Vec::new(),
            is_told: false,
            shown,
            memory,
            test: None,
            failure: None,
            n_asked: Arc::default(),
            n_opened: Arc::default(),
            ask_at: None,
            show_at: None,
            asking: Backoff::default(),
            showing: Backoff::default(),
        }
    }

    fn run(mut self) -> Result<()> {
        loop {
            let news = self.inbox.wait(self.wake());
            if news.is_session_over {
                bail!("the session bus has closed the connection");
            }
            let before = self.shown.clone();
            self.take(news);
            if is_due(self.ask_at) {
                self.ask();
            }
            if is_due(self.show_at) && self.is_told && self.has_met_server {
                self.show();
            }
            if before != self.shown {
                self.memory.save(&self.shown, &self.screen);
            }
        }
    }

    /// When there is something to do if nothing comes.
    fn wake(&self) -> Option<Instant> {
        let now = Timestamp::now();
        let silences = self.alerts.iter().filter_map(|alert| alert.silenced_until);
        let ends = silences.filter(|until| *until > now).min().map(|until| {
            let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            // A little later, so that memleakd has noticed.
            Instant::now() + left.min(Duration::from_secs(86_400)) + Duration::from_secs(1)
        });
        let shows = self.show_at.filter(|_| self.is_told && self.has_met_server);
        [self.ask_at, shows, ends].into_iter().flatten().min()
    }

    fn take(&mut self, news: News) {
        if let Some(server) = news.server {
            self.meet(server);
        }
        for reaction in news.reactions {
            self.react(reaction);
        }
        if let Some(daemon) = news.daemon {
            match (&self.daemon, &daemon) {
                (_, Some(_)) => info!("memleakd runs"),
                (Some(_), None) => info!("memleakd has gone, waiting for it"),
                (None, None) => {}
            }
            self.ask_at = daemon.is_some().then(Instant::now);
            self.asking.reset();
            self.daemon = daemon;
        }
        if news.is_hinted && self.daemon.is_some() {
            let soon = Instant::now() + SETTLING;
            self.ask_at = Some(self.ask_at.map_or(soon, |at| at.min(soon)));
        }
        if news.is_test {
            match self.server.show(&words::test(), self.test, &[]) {
                Ok(id) => self.test = Some(id),
                Err(error) => warn!("memleakd's test cannot be shown: {error:#}"),
            }
        }
        for subject in news.details {
            self.shown.detail(&subject);
        }
        for (what, why) in news.failures {
            self.fail(what, &why);
        }
        // What was silenced may be told of now.
        self.show_at.get_or_insert_with(Instant::now);
    }

    /// A server of notifications has come, or gone. What its predecessor had shown is gone.
    fn meet(&mut self, owner: Option<String>) {
        let screen = match &owner {
            Some(owner) => format!("{} {owner}", self.bus),
            None => String::new(),
        };
        let is_same = owner.is_some() && screen == self.screen;
        match self.has_met_server {
            // What is remembered from before this program may be from another login.
            false if !is_same => self.shown.clear_screen(),
            true if !is_same => self.shown.lose_bubbles(),
            _ => {}
        }
        self.screen = screen;
        self.has_met_server = true;
        (self.test, self.failure) = (None, None);
        self.server.is_now(owner);
        self.showing.reset();
        self.show_at = Some(Instant::now());
    }

    fn react(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::Closed { id, reason } => {
                if let Some(subject) = self.shown.subject(id) {
                    let to = match reason {
                        DISMISSED => Place::Dismissed,
                        _ => Place::Away,
                    };
                    self.shown.leave(&subject, to);
                }
                for other in [&mut self.test, &mut self.failure] {
                    other.take_if(|other| *other == id);
                }
            }
            Reaction::Chosen { id, action } => {
                let subject = self.shown.subject(id);
                if let (Some(subject), Some(action)) = (subject, Action::of(&action)) {
                    // Most servers take a bubble away when an action is chosen, and say that the
                    // person did. From here on that number means nothing, whatever is said of it.
                    match (action, &subject) {
                        (Action::Details, Subject::Group) => self.shown.detail(&subject),
                        _ => self.shown.leave(&subject, Place::Away),
                    }
                    if let Err(error) = self.server.close(id) {
                        warn!("{error:#}, ignoring");
                    }
                    self.act(&subject, action);
                }
            }
        }
    }

    fn act(&mut self, subject: &Subject, action: Action) {
        let Subject::Incident(incident) = subject else {
            return;
        };
        let alert = self
            .alerts
            .iter()
            .find(|alert| Incident::of(alert) == *incident);
        let what = match action {
            Action::Details => return self.open(subject.clone(), alert.cloned()),
            Action::Acknowledge => NOT_ACKNOWLEDGED,
            Action::Silence => NOT_SILENCED,
        };
        let (Some(daemon), Some(alert)) = (self.daemon.clone(), alert.cloned()) else {
            return self.inbox.fail(what, "memleakd is not there.".to_owned());
        };
        if self.n_asked.fetch_add(1, Ordering::Relaxed) >= MAX_ASKED {
            self.n_asked.fetch_sub(1, Ordering::Relaxed);
            let why = "Answer first what you are asked already.".to_owned();
            return self.inbox.fail(what, why);
        }
        let (inbox, n_asked) = (self.inbox.clone(), self.n_asked.clone());
        // It may take as long as a person takes to find a password.
        let asked = spawn("question", move || {
            let done = match action {
                Action::Silence => daemon.silence(&alert),
                Action::Acknowledge | Action::Details => daemon.acknowledge(&alert.id),
            };
            if let Err(why) = done {
                inbox.fail(what, why);
            }
            // Its signal is on the way; a memleakd that sends none is asked all the same.
            inbox.hint();
            n_asked.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = asked {
            self.n_asked.fetch_sub(1, Ordering::Relaxed);
            self.inbox.fail(what, format!("{error:#}"));
        }
    }

    /// Opens the report of an alert in a browser. Where that cannot be done, the bubble tells all that
    /// there is room for.
    fn open(&mut self, subject: Subject, alert: Option<Alert>) {
        let (Some(daemon), Some(alert)) = (self.daemon.clone(), alert) else {
            return self.shown.detail(&subject);
        };
        if self.n_opened.fetch_add(1, Ordering::Relaxed) >= MAX_OPENED {
            self.n_opened.fetch_sub(1, Ordering::Relaxed);
            return self.shown.detail(&subject);
        }
        let (inbox, n_opened) = (self.inbox.clone(), self.n_opened.clone());
        let (session, subject_there) = (self.session.clone(), subject.clone());
        let opening = spawn("page", move || {
            let report = daemon.report(&alert);
            pages::open(&session, &report, |opened| {
                if let Err(error) = opened {
                    debug!("the page of alert {} is not opened: {error:#}", alert.id);
                    inbox.detail(subject_there);
                }
            });
            n_opened.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = opening {
            warn!("{error:#}");
            self.n_opened.fetch_sub(1, Ordering::Relaxed);
            self.shown.detail(&subject);
        }
    }

    fn ask(&mut self) {
        self.ask_at = None;
        let Some(daemon) = &self.daemon else {
            return;
        };
        match daemon.alerts() {
            Ok(alerts) => {
                self.asking.reset();
                self.alerts = alerts;
                self.is_told = true;
                self.show_at = Some(Instant::now());
            }
            Err(error) => {
                let wait = self.asking.next(0.0);
                warn!("{error:#}, trying again in {} s", wait.as_secs());
                self.ask_at = Some(Instant::now() + wait);
            }
        }
    }

    fn show(&mut self) {
        self.show_at = None;
        for step in reconcile(&self.shown, &self.alerts, Timestamp::now()) {
            let done = match &step.call {
                Call::Nothing => Ok(None),
                Call::Close(id) => self.server.close(*id).map(|()| None),
                Call::Show {
                    subject,
                    replaces,
                    bubble,
                } => {
                    let actions: &[_] = match subject {
                        Subject::Incident(_) => {
                            &[Action::Details, Action::Acknowledge, Action::Silence]
                        }
                        Subject::Group => &[Action::Details],
                    };
                    self.server.show(bubble, *replaces, actions).map(Some)
                }
            };
            match done {
                Ok(id) => self.shown.done(step, id),
                Err(error) => {
                    let wait = self.showing.next(0.0);
                    warn!("{error:#}, trying again in {} s", wait.as_secs());
                    self.show_at = Some(Instant::now() + wait);
                    return;
                }
            }
        }
        self.showing.reset();
    }

    /// Tells the person that what was asked for has not been done.
    fn fail(&mut self, what: &str, why: &str) {
        warn!("{what}: {why}");
        match self
            .server
            .show(&words::failure(what, why), self.failure, &[])
        {
            Ok(id) => self.failure = Some(id),
            Err(error) => warn!("{error:#}, ignoring"),
        }
    }
}

fn is_due(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at <= Instant::now())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread
        .map(drop)
        .with_context(|| format!("starting the thread of the {name}"))
}
