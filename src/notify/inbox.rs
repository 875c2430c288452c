use std::collections::VecDeque;
use std::mem::take;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::warn;

use super::Subject;
use super::daemon::Daemon;

/// So many reactions of a person wait at most.
const MAX_REACTIONS: usize = 256;

/// What the agent has yet to look at. Others put it in, and none of them ever waits.
///
/// Most of it says no more than that something has changed, so that it takes no more room however
/// often that is said.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    news: Mutex<News>,
    came: Condvar,
}

/// What has come since the agent last looked.
#[derive(Debug, Default)]
pub(super) struct News {
    /// memleakd has come, by another connection or as another process, or it has gone.
    pub daemon: Option<Option<Daemon>>,
    /// Some alert has changed.
    pub is_hinted: bool,
    /// memleakd tests the way to the screen.
    pub is_test: bool,
    /// The server of notifications has come (its unique name), or gone.
    pub server: Option<Option<String>>,
    /// The session is over.
    pub is_session_over: bool,
    /// What the person, or the server, did with bubbles.
    pub reactions: VecDeque<Reaction>,
    /// What could not be done that the person has asked for: what, and why not.
    pub failures: Vec<(&'static str, String)>,
    /// Whose page cannot be opened, so that their bubbles are to tell all.
    pub details: Vec<Subject>,
}

/// What happened to a bubble.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// It is gone, with the reason's number of the specification.
    Closed { id: u32, reason: u32 },
    /// The person has chosen an action.
    Chosen { id: u32, action: String },
}

impl Inbox {
    pub fn put_daemon(&self, daemon: Option<Daemon>) {
        self.put(|news| news.daemon = Some(daemon));
    }

    pub fn hint(&self) {
        self.put(|news| news.is_hinted = true);
    }

    pub fn test(&self) {
        self.put(|news| news.is_test = true);
    }

    /// What another server has said of bubbles is about none of this one's.
    pub fn put_server(&self, server: Option<String>) {
        self.put(|news| {
            news.reactions.clear();
            news.server = Some(server);
        });
    }

    pub fn end_session(&self) {
        self.put(|news| news.is_session_over = true);
    }

    pub fn react(&self, reaction: Reaction) {
        self.put(|news| match news.reactions.len() < MAX_REACTIONS {
            true => news.reactions.push_back(reaction),
            false => warn!("too much happens to the bubbles at once, ignoring {reaction:?}"),
        });
    }

    pub fn fail(&self, what: &'static str, why: String) {
        self.put(|news| news.failures.push((what, why)));
    }

    pub fn detail(&self, subject: Subject) {
        self.put(|news| news.details.push(subject));
    }

    /// Waits for something to come, until a time if there is one.
    pub fn wait(&self, until: Option<Instant>) -> News {
        let mut news = self.lock();
        while news.is_nothing() {
            let came = match until {
                None => self.came.wait(news).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.came.wait_timeout(news, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            news = came;
        }
        take(&mut news)
    }

    fn put(&self, put: impl FnOnce(&mut News)) {
        put(&mut self.lock());
        self.came.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        // Nothing in here can be half done.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
    fn is_nothing(&self) -> bool {
        self.daemon.is_none()
            && self.server.is_none()
            && self.reactions.is_empty()
            && self.failures.is_empty()
            && self.details.is_empty()
            && !(self.is_hinted || self.is_test || self.is_session_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_often_is_said_once() {
        let inbox = Inbox::default();
        for _ in 0..1000 {
            inbox.hint();
            inbox.test();
        }
        let news = inbox.wait(None);
        assert!(news.is_hinted && news.is_test);
        assert!(inbox.wait(Some(Instant::now())).is_nothing());
    }

    #[test]
    fn reactions_are_bounded_and_end_with_their_server() {
        let inbox = Inbox::default();
        for id in 0..1000 {
            inbox.react(Reaction::Closed { id, reason: 1 });
        }
        assert_eq!(inbox.wait(None).reactions.len(), MAX_REACTIONS);
        inbox.react(Reaction::Closed { id: 1, reason: 1 });
        inbox.put_server(Some(":1.7".to_owned()));
        inbox.react(Reaction::Closed { id: 2, reason: 1 });
        let news = inbox.wait(None);
        assert_eq!(news.server, Some(Some(":1.7".to_owned())));
        assert_eq!(news.reactions, [Reaction::Closed { id: 2, reason: 1 }]);
    }
}
