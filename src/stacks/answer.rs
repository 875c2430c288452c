//! What is answered: the places that keep memory, with names as far as they are known by then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context, Result};

use super::debug_files::Root;
use super::modules::{Code, MappedFile, Modules};
use super::names::{Detail, Named, Names};
use super::perf_map;
use super::rank::{Place, Ranking, Tally};
use super::unwind::{Cut, MAX_DEPTH};
use crate::site::{Frame, Site, Sites};

/// Sites that are told.
const MAX_SITES: usize = 100;
/// Stacks that are named: some of them turn out to be the same place.
const MAX_NAMED: usize = 400;
/// A line of the answer; there are three.
const MAX_LINE_BYTES: usize = 3 << 19;
/// The number of what is of no file.
const WITHOUT_FILE: usize = usize::MAX;

/// Functions that nothing calls that matters.
const OUTERMOST: [&str; 10] = [
    "main",
    "_start",
    "__libc_start_main",
    "__libc_start_call_main",
    "start_thread",
    "clone",
    "__clone",
    "clone3",
    "runtime.goexit",
    "runtime.mstart",
];

/// The answer, as far as it is known.
pub(super) struct Answer<'a> {
    modules: &'a Modules,
    ranking: &'a Ranking,
    /// What was lost before it came here, a phrase each.
    lost: Vec<String>,
    /// Addresses by the number of their file.
    wanted: BTreeMap<usize, BTreeSet<u64>>,
    sources: HashMap<usize, Names>,
    names: HashMap<Place, Vec<Named>>,
}

impl<'a> Answer<'a> {
    /// One that has no names yet.
    pub(super) fn new(modules: &'a Modules, ranking: &'a Ranking, lost: Vec<String>) -> Self {
        Self {
            modules,
            ranking,
            lost,
            wanted: BTreeMap::new(),
            sources: HashMap::new(),
            names: HashMap::new(),
        }
    }

    /// Opens what names are to be looked up in.
    pub(super) fn open(&mut self) {
        // Ours first: what has the same build id is the same, and ours has been put there by root.
        let own = Root::open(Path::new("/")).ok();
        let roots: Vec<&Root> = own.iter().chain(self.modules.root()).collect();
        for tally in self.ranking.ranked().into_iter().take(MAX_NAMED) {
            for place in tally
                .stack
                .iter()
                .filter_map(|number| self.ranking.place(*number))
            {
                let of_file = place.file().unwrap_or(WITHOUT_FILE);
                self.wanted
                    .entry(of_file)
                    .or_default()
                    .insert(place.address);
            }
        }
        for number in self.wanted.keys() {
            let Some(file) = self.modules.file(*number) else {
                continue;
            };
            if let Ok((opened, elf)) = &file.opened {
                let build_id = elf.build_id.as_deref();
                let path = file.path_in_root.as_deref();
                let names = Names::find(&roots, Some((opened, elf)), build_id, path);
                self.sources.insert(*number, names);
            }
        }
    }

    /// The files that will be looked into.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.values().flat_map(Names::files)
    }

    /// Names all places that are told, and calls back after each file.
    pub(super) fn name(
        &mut self,
        detail: Detail,
        mut each: impl FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        for (number, addresses) in self.wanted.clone() {
            let addresses: Vec<u64> = addresses.into_iter().collect();
            if let Some(source) = self.sources.get(&number) {
                for (address, mut named) in source.of(&addresses, detail) {
                    let place = Place::of_file(number, address);
                    if let Some(known) = self.names.get(&place) {
                        keep_longer_name(&mut named, known);
                    }
                    self.names.insert(place, named);
                }
            } else if let (WITHOUT_FILE, Some(map)) = (number, self.modules.perf_map()) {
                let names = perf_map::names(map, &addresses);
                let names = names
                    .into_iter()
                    .map(|(at, name)| (Place::absolute(at), vec![Named::function(name)]));
                self.names.extend(names);
            }
            each(self)?;
        }
        Ok(())
    }

    /// The answer as a line of JSON.
    pub(super) fn line(&self) -> Result<String> {
        let mut sites = self.sites();
        let mut n_left_out = 0;
        loop {
            let line = serde_json::to_string(&sites).context("sites as JSON")?;
            if line.len() <= MAX_LINE_BYTES || sites.sites.is_empty() {
                return Ok(line);
            }
            let n_kept = sites.sites.len() / 2;
            n_left_out += sites.sites.len() - n_kept;
            sites.sites.truncate(n_kept);
            sites.loss.retain(|phrase| !phrase.ends_with(TOO_LONG));
            sites.loss.push(format!("{n_left_out} {TOO_LONG}"));
        }
    }

    fn sites(&self) -> Sites {
        let ranked = self.ranking.ranked();
        let (named, rest) = ranked.split_at(ranked.len().min(MAX_NAMED));
        let mut merged: Vec<(Tally, Vec<Frame>)> = Vec::new();
        let mut known: HashMap<Vec<Key>, usize> = HashMap::new();
        for tally in named {
            let frames = self.frames(tally);
            let mut key: Vec<Key> = frames.iter().map(Key::of).collect();
            key.push(Key::Attribution(tally.attribution));
            match known.get(&key) {
                Some(at) => merged[*at].0.merge(tally),
                None => {
                    known.insert(key, merged.len());
                    merged.push(((*tally).clone(), frames));
                }
            }
        }
        merged.sort_by(|(one, _), (other, _)| {
            let order = other.order().partial_cmp(&one.order());
            order.unwrap_or(std::cmp::Ordering::Equal)
        });
        let rest = rest
            .iter()
            .copied()
            .chain(merged.iter().skip(MAX_SITES).map(|(tally, _)| tally));
        let (n_rest, rest_bytes) = rest.fold((0_usize, 0.0), |(n, bytes), tally| {
            (n + 1, bytes + tally.bytes())
        });
        let mut loss = self.loss();
        if n_rest > 0 {
            loss.push(format!("{n_rest} further sites with {rest_bytes:.0} bytes"));
        }
        let sites = merged.into_iter().take(MAX_SITES);
        Sites {
            sites: sites
                .map(|(tally, frames)| self.site(&tally, frames))
                .collect(),
            loss,
        }
    }

    fn loss(&self) -> Vec<String> {
        let mut loss = self.ranking.loss();
        loss.extend(self.lost.iter().cloned());
        if let Some(error) = self.modules.error() {
            loss.push(format!("what the process had mapped: {error}"));
        }
        loss
    }

    fn site(&self, tally: &Tally, frames: Vec<Frame>) -> Site {
        let (allocated_bytes, freed_bytes) = tally.allocated_and_freed_bytes();
        let a_second = |bytes: f64| {
            let secs = self.ranking.secs();
            if secs > 0.0 { bytes / secs } else { 0.0 }
        };
        let mut functions = frames.iter().filter_map(|frame| frame.function.as_deref());
        let is_whole = functions.any(|function| OUTERMOST.contains(&function));
        Site {
            bytes: tally.bytes() as u64,
            count: tally.blocks().round() as u64,
            attribution: tally.attribution,
            allocated_bytes_per_sec: a_second(allocated_bytes),
            freed_bytes_per_sec: a_second(freed_bytes),
            median_age_secs: tally.median_age_secs(),
            grows_again: None,
            cut: tally.cut.filter(|_| !is_whole).map(|cut| self.why(cut)),
            frames,
        }
    }

    fn why(&self, cut: Cut) -> String {
        let of = |place: Place| match place.file().and_then(|file| self.modules.file(file)) {
            Some(file) => file.path.clone(),
            None => "code of no file".to_owned(),
        };
        match cut {
            Cut::CopyEnds(n_bytes) => format!("only {n_bytes} bytes of the stack were copied"),
            Cut::Deep => format!("it is deeper than {MAX_DEPTH} frames"),
            Cut::NoTables(place) => {
                format!(
                    "{} has neither unwind tables nor frame pointers there",
                    of(place)
                )
            }
            Cut::Unfit(place) => {
                format!(
                    "{} has no unwind tables there that fit the stack",
                    of(place)
                )
            }
        }
    }

    fn frames(&self, tally: &Tally) -> Vec<Frame> {
        let places = tally
            .stack
            .iter()
            .filter_map(|number| self.ranking.place(*number));
        places.flat_map(|place| self.frames_at(place)).collect()
    }

    fn frames_at(&self, place: Place) -> Vec<Frame> {
        let file = self.file_at(place);
        let elf = file
            .and_then(|file| file.opened.as_ref().ok())
            .map(|(_, elf)| elf);
        let bare = Frame {
            module: file.map(|file| file.path.clone()),
            build_id: elf.and_then(|elf| elf.build_id.clone()),
            offset: Some(place.address),
            ..Frame::default()
        };
        let Some(names) = self.names.get(&place) else {
            let unknown = Some(self.why_unknown(place));
            return vec![Frame { unknown, ..bare }];
        };
        names.iter().map(|named| named.put_into(&bare)).collect()
    }

    fn file_at(&self, place: Place) -> Option<&MappedFile> {
        let number = place
            .file()
            .or_else(|| match self.modules.at(place.address) {
                Code::OfFile(loaded) => Some(loaded.file),
                Code::WithoutFile(_) | Code::No => None,
            });
        self.modules.file(number?)
    }

    fn why_unknown(&self, place: Place) -> String {
        if let Some(Err(error)) = self.file_at(place).map(|file| &file.opened) {
            return error.clone();
        }
        if let Some(number) = place.file() {
            let source = self.sources.get(&number);
            return source.map_or(NOT_YET, |source| &source.without).to_owned();
        }
        match (self.modules.at(place.address), self.modules.perf_map()) {
            (Code::WithoutFile(""), None) => "code of no file, and the process keeps no perf map",
            (Code::WithoutFile(""), Some(_)) => "code of no file that is not in the perf map",
            (Code::WithoutFile(_), _) => "code of the kernel",
            (Code::OfFile(_) | Code::No, _) => "no code is known there",
        }
        .to_owned()
    }
}

/// Debug information has short names for what is local to a C++ function: the symbol says more.
fn keep_longer_name(named: &mut [Named], known: &[Named]) {
    if let (Some(named), Some(known)) = (named.last_mut(), known.last())
        && known.function.contains(&format!("::{}", named.function))
    {
        named.function.clone_from(&known.function);
    }
}

const NOT_YET: &str = "names were not looked up";
const TOO_LONG: &str = "further sites whose names are too long to be told";

/// What two frames have in common that are told as one.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    /// A line of a function.
    Line(Option<String>, String, String, u32),
    /// A place that is known less well.
    Place(Option<String>, Option<u64>),
    Attribution(crate::site::Attribution),
}

impl Key {
    fn of(frame: &Frame) -> Self {
        match (&frame.function, &frame.file, frame.line) {
            (Some(function), Some(file), Some(line)) => {
                Self::Line(frame.module.clone(), function.clone(), file.clone(), line)
            }
            _ => Self::Place(frame.module.clone(), frame.offset),
        }
    }
}
