//! What one delivery comes to in mails: who gets which changes, in how many messages.

use std::collections::BTreeSet;

use super::envelope::MAX_RECIPIENTS;
use super::route::{everybody, recipients};
use super::thread::{Thread, change_name, digest_name, incident};
use super::told::Told;
use crate::alert::{Alert, Change};
use crate::config;

/// One message to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter<'a> {
    /// Who gets it: somebody, and not more than one message may have.
    pub(super) to: Vec<String>,
    /// What it tells: one incident is an alert's message, several are a digest.
    pub(super) stories: Vec<Story<'a>>,
    /// The same message to more people than one may have is in parts.
    part: usize,
}

/// What is told of one incident.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Story<'a> {
    /// Its thread, as it began.
    pub thread: Thread,
    /// What has happened, in order; at least one change, of which the last one is told in full.
    pub changes: Vec<&'a Alert>,
    /// Whether those who get it have not been told anything of it before.
    pub is_first: bool,
}

impl<'a> Story<'a> {
    /// How it stands now.
    pub fn last(&self) -> &'a Alert {
        self.changes[self.changes.len() - 1]
    }

    /// Whether its mail is the one that the others refer to.
    pub fn is_root(&self) -> bool {
        self.changes
            .iter()
            .any(|alert| alert.change == Change::Raised)
    }
}

/// What to write for the changes of one delivery, in the order of what happened first.
///
/// Several changes of an incident become one, and incidents with the same recipients one message.
pub fn letters<'a>(changes: &'a [Alert], mail: &config::Mail, told: &Told) -> Vec<Letter<'a>> {
    let known_to_all: BTreeSet<_> = everybody(mail).collect();
    let mut groups: Vec<(BTreeSet<String>, Vec<Story<'a>>)> = Vec::new();
    for changes in incidents(changes) {
        let known = told.of(changes[0]);
        let before = known.map(|incident| {
            let before = incident.to.iter();
            let before = before.filter(|address| known_to_all.contains(address));
            before.cloned().collect::<BTreeSet<_>>()
        });
        // What was the first thing to be told is so still when it is written once more. An end is
        // never the first, even if what came before is forgotten.
        let first = (changes[0].change, changes[0].time);
        let is_first = changes[0].change != Change::Cleared
            && (known.is_none_or(|incident| incident.first == first)
                || before.as_ref().is_none_or(BTreeSet::is_empty));
        let mut to = BTreeSet::new();
        for change in &changes {
            match &before {
                // Who was told of it is told that it is over, and nobody else.
                Some(before) if change.change == Change::Cleared => to.extend(before.clone()),
                Some(before) => {
                    to.extend(before.clone());
                    to.extend(recipients(change, mail));
                }
                None => to.extend(recipients(change, mail)),
            }
        }
        let story = Story {
            thread: known.map_or_else(
                || Thread::of(changes[0]),
                |incident| incident.thread.clone(),
            ),
            changes,
            is_first,
        };
        match groups.iter_mut().find(|(others, _)| *others == to) {
            Some((_, stories)) => stories.push(story),
            None => groups.push((to, vec![story])),
        }
    }
    let letters = groups.into_iter().flat_map(|(to, stories)| {
        let to: Vec<_> = to.into_iter().collect();
        let parts: Vec<_> = to.chunks(MAX_RECIPIENTS).map(<[_]>::to_vec).collect();
        parts.into_iter().enumerate().map(move |(part, to)| Letter {
            to,
            stories: stories.clone(),
            part,
        })
    });
    letters.collect()
}

impl Letter<'_> {
    /// The name of its file: the same when the delivery is tried again, and that of no other.
    pub fn name(&self, sequence: u64) -> String {
        let name = self.id(sequence);
        match self.part {
            0 => name,
            part => format!("{name}.{part}"),
        }
    }

    /// What tells its text from all others, and is in its Message-ID.
    pub(super) fn id(&self, sequence: u64) -> String {
        let last = self.stories[self.stories.len() - 1].last();
        match &self.stories[..] {
            [story] if story.is_root() => incident(last),
            [story] => change_name(story.last(), sequence),
            _ => digest_name(last, &self.to, sequence),
        }
    }

    /// Takes note of who is told by it.
    pub fn note(&self, told: &mut Told) {
        for change in self.stories.iter().flat_map(|story| &story.changes) {
            told.note(change, &self.to);
        }
    }
}

/// Changes by incident, in the order of the first of each.
fn incidents(changes: &[Alert]) -> Vec<Vec<&Alert>> {
    let mut incidents: Vec<Vec<&Alert>> = Vec::new();
    for change in changes {
        let same = |incident: &&mut Vec<&Alert>| {
            incident[0].id == change.id && incident[0].raised == change.raised
        };
        match incidents.iter_mut().find(same) {
            Some(incident) => incident.push(change),
            None => incidents.push(vec![change]),
        }
    }
    incidents
}
