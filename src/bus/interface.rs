//! `org.memleakd.Memleakd1`: what can be asked of memleakd, and by whom.

use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, ObjectPath, fdo, interface};

use super::audience::Audience;
use super::caller::{Action, Authority, Caller};
use super::dictionary::{Dictionary, from_dictionary, to_dictionary};
use super::{MAX_LISTED, Reply, Request, Shared, capture, curves, reports};
use crate::alert::{Alert, Matcher};
use crate::collect::Host;
use crate::quantity::Span;
use crate::sample::{Source, printable};

/// The object.
#[derive(Debug)]
pub(super) struct Memleakd1 {
    shared: Shared,
    authority: Authority,
}

impl Memleakd1 {
    /// Answers from what the daemon's loop has left, or asks it.
    pub fn new(shared: Shared) -> Self {
        Self {
            shared,
            authority: Authority::default(),
        }
    }

    async fn caller<'m>(
        &'m self,
        connection: &Connection,
        header: &'m Header<'m>,
    ) -> fdo::Result<Caller<'m>> {
        Caller::of(connection, header, &self.authority).await
    }

    /// Asks the loop for something that is done, and not told.
    async fn have_done(&self, request: Request) -> fdo::Result<String> {
        match self.shared.asker.ask(request).await? {
            Reply::Done(more) => Ok(more),
            _ => Err(unexpected()),
        }
    }

    /// A manager's name.
    async fn manager(&self, connection: &Connection, header: &Header<'_>) -> fdo::Result<String> {
        let caller = Caller::of(connection, header, &self.authority).await?;
        caller.demand(Action::Manage).await?;
        let name = Host::new("/").user(caller.uid);
        Ok(name.unwrap_or_else(|| caller.uid.to_string()))
    }

    fn find(&self, id: &str, audience: Audience) -> Option<Alert> {
        let snapshot = self.shared.lock();
        let found = snapshot.alerts.iter().find(|alert| alert.id == id);
        found.filter(|alert| audience.may_see(alert.uid)).cloned()
    }
}

/// Finds processes that leak memory. Users other than root see their own processes only, unless
/// polkit allows them more.
#[interface(name = "org.memleakd.Memleakd1")]
impl Memleakd1 {
    /// The open alerts, the most severe first.
    #[zbus(out_args("alerts"))]
    async fn list_alerts(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Vec<Dictionary>> {
        let caller = self.caller(connection, &header).await?;
        let audience = caller.audience(Action::ViewDetails).await;
        let alerts = self.shared.lock().alerts.clone();
        let seen = alerts.iter().filter(|alert| audience.may_see(alert.uid));
        Ok(seen.map(to_dictionary).collect::<zbus::Result<_>>()?)
    }

    /// One open alert, by its id.
    #[zbus(out_args("alert"))]
    async fn get_alert(
        &self,
        id: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Dictionary> {
        let caller = self.caller(connection, &header).await?;
        let found = match self.find(id, caller.own()) {
            None => self.find(id, caller.audience(Action::ViewDetails).await),
            found => found,
        };
        match found {
            Some(alert) => Ok(to_dictionary(&alert)?),
            None => Err(fdo::Error::UnknownObject(
                "there is no open alert with that id".to_owned(),
            )),
        }
    }

    /// Takes note of an open alert: there are no more reminders of it. That it becomes critical,
    /// and its end, are said all the same.
    async fn acknowledge(
        &self,
        id: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        let by = self.manager(connection, &header).await?;
        let request = Request::Acknowledge { id, by };
        self.have_done(request).await.map(drop)
    }

    /// Spares people some alerts for a time in seconds, those that are open and those to come. The
    /// matcher has one or more of Unit, Exe, Comm, User and Rule, each a text in which * is any text
    /// and ? any character. Returns what Unsilence takes.
    #[zbus(out_args("id"))]
    async fn silence(
        &self,
        matcher: Dictionary,
        secs: u64,
        comment: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<String> {
        let by = self.manager(connection, &header).await?;
        let matcher: Matcher = from_dictionary(matcher)
            .map_err(|error| fdo::Error::InvalidArgs(format!("the matcher is not one: {error}")))?;
        let request = Request::Silence {
            matcher: Box::new(matcher),
            time: Span::from_secs(secs),
            comment: printable(comment.as_bytes()),
            by,
        };
        match self.shared.asker.ask(request).await? {
            Reply::Silenced(id) => Ok(id),
            _ => Err(unexpected()),
        }
    }

    /// Takes a silence back.
    async fn unsilence(
        &self,
        id: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        self.manager(connection, &header).await?;
        self.have_done(Request::Unsilence(id)).await.map(drop)
    }

    /// The silences that stand, the one that ends first in front.
    #[zbus(out_args("silences"))]
    async fn list_silences(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Vec<Dictionary>> {
        let caller = self.caller(connection, &header).await?;
        caller.demand(Action::ViewDetails).await?;
        let silences = self.shared.lock().silences.clone();
        Ok(silences
            .iter()
            .map(to_dictionary)
            .collect::<zbus::Result<_>>()?)
    }

    /// Reads the configuration again. One that is wrong is an error, and leaves the old one in force.
    async fn reload(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        self.manager(connection, &header).await?;
        self.have_done(Request::Reload).await.map(drop)
    }

    /// Sends an alert that is marked as a test by a sink: "journal", "dbus", "desktop", "mail",
    /// "alertmanager" or "hook". Returns when it has got through, as far as memleakd can know, with
    /// what there is to say of that; or fails with the reason. That takes a minute at the most.
    #[zbus(out_args("result"))]
    async fn test_sink(
        &self,
        sink: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<String> {
        self.manager(connection, &header).await?;
        self.have_done(Request::Test(sink)).await
    }

    /// The fastest growing processes, at most `count` and not more than a hundred. Waits for the
    /// daemon's loop, for two seconds at the most.
    #[zbus(out_args("processes"))]
    async fn get_processes(
        &self,
        count: u32,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Vec<Dictionary>> {
        let caller = self.caller(connection, &header).await?;
        let audience = caller.audience(Action::ViewDetails).await;
        // Of whom somebody may not see all, it is not known how many are theirs.
        let asked = match audience {
            Audience::Everybody => (count as usize).min(MAX_LISTED),
            Audience::User(_) => MAX_LISTED,
        };
        let Reply::Processes(processes) = self.shared.asker.ask(Request::Processes(asked)).await?
        else {
            return Err(unexpected());
        };
        let seen = processes
            .iter()
            .filter(|process| audience.may_see(process.uid))
            .take(count as usize);
        Ok(seen.map(to_dictionary).collect::<zbus::Result<_>>()?)
    }

    /// The processes that are measured by probes, or were to be: `source` is "heap" or "kernel".
    /// The fastest growing come first, at most `count` and not more than a hundred. Kernel memory is
    /// measured from the next scan on if somebody asks who may see every process, for half a minute.
    #[zbus(out_args("measured"))]
    async fn get_measured(
        &self,
        source: &str,
        count: u32,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Vec<Dictionary>> {
        let source = probed(source)?;
        let caller = self.caller(connection, &header).await?;
        let audience = caller.audience(Action::ViewDetails).await;
        // It costs the whole host a little, so that it is not for everybody to begin.
        if source == Source::Kernel && matches!(audience, Audience::Everybody) {
            self.shared.ask_for_kernel();
        }
        let measured = self.shared.lock().measured.clone();
        let seen = measured
            .iter()
            .filter(|measured| measured.source == source && audience.may_see(measured.uid))
            .take(count.min(100) as usize);
        Ok(seen.map(to_dictionary).collect::<zbus::Result<_>>()?)
    }

    /// Begins to measure the heap of a process for 1 to 600 seconds. GetCapture has the result. A
    /// capture that nobody asks after for 20 seconds is over.
    #[zbus(out_args("id"))]
    async fn capture(
        &self,
        pid: u32,
        secs: f64,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<u64> {
        let caller = self.caller(connection, &header).await?;
        let host = Host::new("/");
        let process = match capture::subject(&host, caller.own(), pid) {
            Err(fdo::Error::AccessDenied(_)) => {
                capture::subject(&host, caller.audience(Action::Capture).await, pid)
            }
            process => process,
        }?;
        capture::start(&self.shared.prober, caller.uid, process, secs)
    }

    /// The result of a capture that the same user began, once; nothing as long as it runs.
    #[zbus(out_args("capture"))]
    async fn get_capture(
        &self,
        id: u64,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Dictionary> {
        let uid = self.caller(connection, &header).await?.uid;
        match self.shared.prober.captured(id, uid) {
            None => Ok(Dictionary::new()),
            Some(Ok(captured)) => Ok(to_dictionary(&captured)?),
            Some(Err(why)) => Err(fdo::Error::Failed(why)),
        }
    }

    /// Why a process is taken for one that leaks, or why not: what each gate finds and what it
    /// asks. Waits for the daemon's loop, for two seconds at the most.
    #[zbus(out_args("explanation"))]
    async fn explain(
        &self,
        pid: u32,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Dictionary> {
        let caller = self.caller(connection, &header).await?;
        let host = Host::new("/");
        let process = match capture::subject(&host, caller.own(), pid) {
            Err(fdo::Error::AccessDenied(_)) => {
                capture::subject(&host, caller.audience(Action::ViewDetails).await, pid)
            }
            process => process,
        }?;
        match self.shared.asker.ask(Request::Explain(process)).await? {
            Reply::Explained(explained) => Ok(to_dictionary(&explained)?),
            _ => Err(unexpected()),
        }
    }

    /// How a process came to its size, also one that has ended: what is kept of it if it grew like
    /// a leak or has an alert, or else what is remembered. It started at `start_time`, in clock
    /// ticks since boot; 0 is the one that runs. Waits as Explain does.
    #[zbus(out_args("curve"))]
    async fn get_curve(
        &self,
        pid: u32,
        start_time: u64,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Dictionary> {
        let caller = self.caller(connection, &header).await?;
        let Reply::Curve(found) = self
            .shared
            .asker
            .ask(Request::Curve { pid, start_time })
            .await?
        else {
            return Err(unexpected());
        };
        let host = Host::new("/");
        let found = found.as_ref();
        let curve = match curves::seen(&host, caller.own(), pid, start_time, found) {
            // Polkit is asked for what is there and belongs to others.
            Err(_) if found.is_some() => {
                let audience = caller.audience(Action::ViewDetails).await;
                curves::seen(&host, audience, pid, start_time, found)
            }
            curve => curve,
        }?;
        Ok(to_dictionary(curve)?)
    }

    /// What captures of stacks have shown of an alert, open or not, by its id: where the memory was
    /// allocated that stays.
    #[zbus(out_args("report"))]
    async fn get_report(
        &self,
        id: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Dictionary> {
        let caller = self.caller(connection, &header).await?;
        let reports = self.shared.reports.as_ref();
        let report = match reports::find(reports, caller.own(), id) {
            Err(fdo::Error::UnknownObject(_)) => {
                reports::find(reports, caller.audience(Action::ViewDetails).await, id)
            }
            report => report,
        }?;
        Ok(to_dictionary(&report)?)
    }

    /// Figures of the daemon.
    #[zbus(out_args("status"))]
    fn get_status(&self) -> fdo::Result<Dictionary> {
        Ok(to_dictionary(&self.shared.lock().status)?)
    }

    /// The daemon's version.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// Processes watched.
    #[zbus(property(emits_changed_signal = "false"))]
    fn processes_watched(&self) -> u64 {
        self.shared.lock().status.processes as u64
    }

    /// Processes that grow like a leak, whether or not for long enough.
    #[zbus(property(emits_changed_signal = "false"))]
    fn suspects(&self) -> u64 {
        self.shared.lock().status.suspects as u64
    }

    /// Open alerts, those that are stale as well.
    #[zbus(property(emits_changed_signal = "false"))]
    fn alerts_firing(&self) -> u64 {
        self.shared.lock().status.alerts as u64
    }

    /// An alert was raised. Details are to be asked for: signals reach every local user.
    #[zbus(signal)]
    pub async fn alert_raised(
        emitter: &SignalEmitter<'_>,
        alert: ObjectPath<'_>,
        severity: &str,
    ) -> zbus::Result<()>;

    /// An alert was escalated, reminded or updated.
    #[zbus(signal)]
    pub async fn alert_changed(
        emitter: &SignalEmitter<'_>,
        alert: ObjectPath<'_>,
        severity: &str,
    ) -> zbus::Result<()>;

    /// An alert was cleared.
    #[zbus(signal)]
    pub async fn alert_cleared(
        emitter: &SignalEmitter<'_>,
        alert: ObjectPath<'_>,
        severity: &str,
    ) -> zbus::Result<()>;
}

fn unexpected() -> fdo::Error {
    fdo::Error::Failed("memleakd has answered something else".to_owned())
}

/// The source that a caller names, if it is one that is measured by probes.
fn probed(name: &str) -> fdo::Result<Source> {
    match name {
        "heap" => Ok(Source::Heap),
        "kernel" => Ok(Source::Kernel),
        "pages" => Err(fdo::Error::InvalidArgs(
            "pages are not measured by probes: GetProcesses has them".to_owned(),
        )),
        _ => Err(fdo::Error::InvalidArgs(
            "the source is none that is measured: say \"heap\" or \"kernel\"".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_probes_measure_is_a_source_of_theirs() {
        for (name, source) in [
            ("heap", Some(Source::Heap)),
            ("kernel", Some(Source::Kernel)),
            ("pages", None),
            ("", None),
            ("Heap", None),
        ] {
            assert_eq!(probed(name).ok(), source, "{name}");
        }
    }
}
