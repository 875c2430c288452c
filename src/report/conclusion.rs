//! What several captures say together: what grows again leaks, what warms up ends. Pure.

use std::collections::HashSet;

use super::StackCapture;
use crate::site::culprit::culprit;
use crate::site::{Attribution, Frame, Site};

/// That a site is missing says that it has ended only if it was looked for as long as a part of
/// the time in which it was found.
const LONG_ENOUGH: f64 = 0.5;

/// The sites of all captures, oldest first, each as the latest that has it saw it.
///
/// First those of the latest capture that an earlier one has as well: they grow again. Then those
/// that are new in it: whether they do is not known, as they may have begun to leak, be what a new
/// job needs, or have been missed by the sample before. Last those that the latest has not. They have
/// ended, unless it was too short to tell, or has found the same function on another way there.
///
/// Within these the order is that of the capture, which ranks by what stays: by bytes alone what a
/// busy site has in flight at the moment would outrank a slow leak.
pub(super) fn conclude(captures: &[StackCapture]) -> Vec<Site> {
    let Some((latest, earlier)) = captures.split_last() else {
        return Vec::new();
    };
    let before: HashSet<_> = earlier
        .iter()
        .flat_map(|capture| keys(&capture.sites))
        .collect();
    let mut sites = latest.sites.clone();
    for site in &mut sites {
        let again = before.contains(&Key::of(site)).then_some(true);
        site.grows_again = again;
    }
    sites.sort_by_key(|site| site.grows_again.is_none());
    sites.extend(missing(latest, earlier));
    sites
}

/// What only earlier captures have, those of which it is not sure that they have ended first.
fn missing(latest: &StackCapture, earlier: &[StackCapture]) -> Vec<Site> {
    let mut known: HashSet<_> = keys(&latest.sites).collect();
    let places: HashSet<_> = latest.sites.iter().map(place).collect();
    let mut missing = Vec::new();
    for capture in earlier.iter().rev() {
        let is_long_enough = latest.secs >= capture.secs * LONG_ENOUGH;
        for site in &capture.sites {
            if known.insert(Key::of(site)) {
                let has_ended = is_long_enough && !places.contains(&place(site));
                let mut site = site.clone();
                site.grows_again = has_ended.then_some(false);
                missing.push(site);
            }
        }
    }
    missing.sort_by_key(|site| site.grows_again.is_some());
    missing
}

/// What makes two sites of one process the same.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    attribution: Attribution,
    frames: Vec<FrameKey<'a>>,
}

#[derive(PartialEq, Eq, Hash)]
enum FrameKey<'a> {
    Address(Option<&'a str>, u64),
    Name(Option<&'a str>, Option<&'a str>, Option<u32>),
}

impl<'a> Key<'a> {
    fn of(site: &'a Site) -> Self {
        // What was inlined lies within a frame that is there as well, and is only known where lines
        // could be read, which need not be so in each capture.
        let is_real = |frame: &&Frame| !frame.inlined;
        let real: Vec<_> = site
            .frames
            .iter()
            .filter(is_real)
            .map(FrameKey::of)
            .collect();
        let all = || site.frames.iter().map(FrameKey::of).collect();
        Self {
            attribution: site.attribution,
            frames: if real.is_empty() { all() } else { real },
        }
    }
}

impl<'a> FrameKey<'a> {
    fn of(frame: &'a Frame) -> Self {
        match frame.offset {
            Some(offset) => Self::Address(
                frame.build_id.as_deref().or(frame.module.as_deref()),
                offset,
            ),
            None => Self::Name(frame.function.as_deref(), frame.file.as_deref(), frame.line),
        }
    }
}

fn keys(sites: &[Site]) -> impl Iterator<Item = Key<'_>> {
    sites.iter().map(Key::of)
}

/// The function that allocates, whoever has called it.
fn place(site: &Site) -> (Attribution, Option<FrameKey<'_>>) {
    let function = culprit(site).map(|frame| match frame.function.as_deref() {
        Some(function) => FrameKey::Name(Some(function), None, None),
        None => FrameKey::of(frame),
    });
    (site.attribution, function)
}
