use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use tracing::{debug, info, warn};

use super::standing::{Refused, Standing};
use super::{Incident, Incidents, Post, Server, Verdict};
use crate::quantity::count;
use crate::sample::printable;

/// Alerts that fire are posted so often.
pub const REFRESH: Duration = Duration::from_secs(60);

/// So many incidents go with one request.
const AT_ONCE: usize = 50;

/// The end of an alert that could not be told for so long is not told any more: it has come by
/// itself long ago.
const TOO_LATE: SignedDuration = SignedDuration::from_hours(24);

/// Posts the incidents of one directory to one server.
#[derive(Debug)]
pub struct Reporter {
    incidents: Incidents,
    server: Server,
    labels: BTreeMap<String, String>,
    known: HashMap<PathBuf, Standing>,
    /// What does not work at present, so that each is said once and not each time.
    trouble: BTreeMap<&'static str, String>,
}

/// What one round over the directory came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Incidents that are left.
    pub left: usize,
    /// Whether all that was to be said could be said.
    pub is_said: bool,
    /// When there is something to be said again.
    pub next: Instant,
}

impl Reporter {
    /// Posts nothing yet. The labels are further ones, of every alert.
    pub fn new(incidents: Incidents, server: Server, labels: BTreeMap<String, String>) -> Self {
        Self {
            incidents,
            server,
            labels,
            known: HashMap::new(),
            trouble: BTreeMap::new(),
        }
    }

    /// The directory that it reads.
    pub fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// Posts once what is due, and logs what came of it. The time is that of both clocks.
    ///
    /// Between two requests it asks whether to stop. Only a directory that cannot be read at all
    /// is an error.
    pub fn round(
        &mut self,
        time: Timestamp,
        now: Instant,
        stop: impl Fn() -> bool,
    ) -> Result<Round> {
        let mut is_said = self.look()?;
        let are_true = self.incidents.are_true()?;
        let superseded = self.superseded();
        let mut due: Vec<PathBuf> = self
            .known
            .values()
            .filter(|standing| are_true || standing.incident.is_over())
            .filter(|standing| !superseded.contains(&standing.path))
            .filter(|standing| standing.due(now, REFRESH) <= now)
            .map(|standing| standing.path.clone())
            .collect();
        // Where one has followed another, the end of the one comes before the other.
        due.sort_by_key(|path| (self.known[path].incident.began(), path.clone()));
        self.tell_of_lapse(are_true);
        for paths in due.chunks(AT_ONCE) {
            if stop() {
                is_said = false;
                break;
            }
            if let Err(why) = self.post(paths, time, now) {
                self.postpone(&due, time, why);
                is_said = false;
                break;
            }
        }
        self.drop_superseded(&superseded);
        let firing = self.known.values();
        let firing = firing.filter(|standing| are_true || standing.incident.is_over());
        let next = firing.map(|standing| standing.due(now, REFRESH)).min();
        Ok(Round {
            left: self.known.len(),
            is_said,
            next: next.unwrap_or(now + REFRESH).min(now + REFRESH),
        })
    }

    /// Reads the directory anew. False if something there cannot be read for the time being.
    fn look(&mut self) -> Result<bool> {
        let files = self.incidents.list()?;
        let mut known = HashMap::new();
        let mut is_read = true;
        for (_, path) in files {
            let incident = match self.incidents.read(&path) {
                Ok(Some(incident)) => incident,
                Ok(None) => continue,
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    self.park(&path, &error.to_string());
                    continue;
                }
                // A permission can be given, and a disk may come back.
                Err(error) => {
                    self.complain("reading", format!("{}: {error}", shown(&path)));
                    is_read = false;
                    continue;
                }
            };
            let standing = match self.known.remove(&path) {
                Some(mut standing) => {
                    standing.renew(incident);
                    standing
                }
                None => Standing::new(path.clone(), incident),
            };
            known.insert(path, standing);
        }
        self.known = known;
        if is_read {
            self.settle("reading");
        }
        Ok(is_read)
    }

    /// Incidents that another one has followed which is the same alert in Alertmanager.
    fn superseded(&self) -> HashSet<PathBuf> {
        let mut latest: BTreeMap<BTreeMap<String, String>, &Standing> = BTreeMap::new();
        let mut superseded = HashSet::new();
        for standing in self.known.values() {
            let identity = standing.incident.identity(&self.labels);
            let began = |standing: &Standing| (standing.incident.began(), standing.path.clone());
            let other = latest.get(&identity).copied();
            match other.filter(|other| began(other) > began(standing)) {
                Some(_) => superseded.insert(standing.path.clone()),
                None => latest
                    .insert(identity, standing)
                    .is_some_and(|older| superseded.insert(older.path.clone())),
            };
        }
        superseded
    }

    /// Posts incidents together, or one by one if the server refuses something in it. An error is
    /// that nothing goes through now.
    fn post(&mut self, paths: &[PathBuf], time: Timestamp, now: Instant) -> Result<(), String> {
        let posts: Vec<Post> = paths
            .iter()
            .flat_map(|path| self.posts(&self.known[path], time))
            .collect();
        match (self.server.post(&posts), paths) {
            (Verdict::Later(why), _) => Err(why),
            (Verdict::Taken, _) => {
                self.settle("posting");
                for path in paths {
                    self.take(path, now);
                }
                Ok(())
            }
            (Verdict::Refused(words), [path]) => {
                self.settle("posting");
                self.refuse(path, now, &words);
                Ok(())
            }
            (Verdict::Refused(_), paths) => paths
                .iter()
                .try_for_each(|path| self.post(std::slice::from_ref(path), time, now)),
        }
    }

    fn posts(&self, standing: &Standing, time: Timestamp) -> Vec<Post> {
        let incident = &standing.incident;
        let past = incident
            .past(&self.labels, time)
            .filter(|_| !standing.is_told());
        let present = incident.present(&self.labels, time);
        past.into_iter().chain([present]).collect()
    }

    fn take(&mut self, path: &Path, now: Instant) {
        let Some(standing) = self.known.get_mut(path) else {
            return;
        };
        let is_news = standing.take(now);
        let name = shown(path);
        if !standing.incident.is_over() {
            if is_news {
                let Incident { alert, .. } = &standing.incident;
                info!("{name} is told: {}, {}", alert.change, alert.severity);
            }
            return;
        }
        // The time for which it is remembered as told does not matter: the end comes once more.
        match self.incidents.remove(path) {
            Ok(()) => {
                info!("{name} is told: cleared");
                self.known.remove(path);
            }
            Err(error) => self.complain("tidying", format!("{error:#}")),
        }
    }

    fn refuse(&mut self, path: &Path, now: Instant, words: &str) {
        let Some(standing) = self.known.get_mut(path) else {
            return;
        };
        let server = self.server.name();
        let name = shown(path);
        match standing.refuse(now, words) {
            Refused::Newly => warn!("{server} refuses {name}, trying again later: {words}"),
            Refused::Still => debug!("{server} still refuses {name}: {words}"),
            Refused::ForGood => {
                self.park(path, words);
                self.known.remove(path);
            }
        }
    }

    /// Nothing more goes through now. What nobody needs to know any more is put aside.
    fn postpone(&mut self, due: &[PathBuf], time: Timestamp, why: String) {
        let is_too_late = |standing: &Standing| {
            let incident = &standing.incident;
            incident.is_over() && time.duration_since(incident.alert.time) > TOO_LATE
        };
        for path in due {
            if self.known.get(path).is_some_and(is_too_late) {
                self.park(path, &why);
                self.known.remove(path);
            }
        }
        let server = self.server.name();
        let n_waiting = count(self.known.len(), "alert waits", "alerts wait");
        self.complain_of(
            "posting",
            &why,
            format!("{server}: {why}; trying again, {n_waiting}"),
        );
    }

    fn park(&mut self, path: &Path, why: &str) {
        let name = shown(path);
        let rejected = self.incidents.rejected();
        match self.incidents.park(path) {
            Ok(()) => warn!(
                "{name} is given up and put into {}: {}",
                rejected.display(),
                printable(why.as_bytes())
            ),
            Err(error) => self.complain("tidying", format!("{error:#}")),
        }
    }

    fn drop_superseded(&mut self, superseded: &HashSet<PathBuf>) {
        let told: HashSet<_> = self
            .known
            .values()
            .filter(|standing| standing.is_told())
            .map(|standing| standing.incident.identity(&self.labels))
            .collect();
        for path in superseded {
            let followed = self
                .known
                .get(path)
                .is_some_and(|standing| told.contains(&standing.incident.identity(&self.labels)));
            if !followed {
                continue;
            }
            match self.incidents.remove(path) {
                Ok(()) => drop(self.known.remove(path)),
                Err(error) => self.complain("tidying", format!("{error:#}")),
            }
        }
    }

    /// Says that alerts end by themselves, as nobody knows whether they still stand.
    fn tell_of_lapse(&mut self, are_true: bool) {
        let firing = self.known.values();
        let n_firing = firing
            .filter(|standing| !standing.incident.is_over())
            .count();
        if are_true || n_firing == 0 {
            return self.settle("memleakd");
        }
        let n_firing = count(n_firing, "alert ends", "alerts end");
        self.complain_of(
            "memleakd",
            "",
            format!("memleakd does not run: {n_firing} in Alertmanager unless it comes back"),
        );
    }

    fn complain(&mut self, about: &'static str, what: String) {
        self.complain_of(about, &what.clone(), what);
    }

    fn complain_of(&mut self, about: &'static str, why: &str, what: String) {
        let before = self.trouble.insert(about, why.to_owned());
        match before.is_some_and(|before| before == why) {
            true => debug!("{what}"),
            false => warn!("{what}"),
        }
    }

    fn settle(&mut self, about: &'static str) {
        if self.trouble.remove(about).is_some() {
            info!("{about} works again");
        }
    }
}

fn shown(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default();
    printable(name.as_encoded_bytes())
}
