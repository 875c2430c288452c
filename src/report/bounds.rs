//! How much of a report is kept. Pure.

use serde::Serialize;

use super::{Report, StackCapture};
use crate::quantity::Bytes;
use crate::site::{Frame, Site, words};

/// The largest file.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Sites of a capture, and of the conclusion.
pub(super) const MAX_SITES: usize = 50;
/// Frames of a site: 128 of the stack, and what was inlined into them.
const MAX_FRAMES: usize = 256;
/// Characters of a name: the beginning and the end of those of templates and generics, which may
/// have tens of thousands.
const MAX_NAME: usize = 1000;
/// Phrases of what could not be seen, and the characters of one.
const MAX_LOSS: usize = 30;

/// Cuts what a capture says to what may be kept of it.
pub(super) fn cut(capture: &mut StackCapture) {
    capture.loss.truncate(MAX_LOSS);
    for text in capture.loss.iter_mut().chain([&mut capture.method]) {
        shorten(text);
    }
    keep(&mut capture.sites, MAX_SITES, &mut capture.loss);
    keep_frames(&mut capture.sites, MAX_FRAMES);
    for frame in capture.sites.iter_mut().flat_map(|site| &mut site.frames) {
        names(frame).for_each(shorten);
    }
}

/// Keeps the first sites, and says what is left out.
pub(super) fn keep(sites: &mut Vec<Site>, at_most: usize, loss: &mut Vec<String>) {
    let n_sites = sites.len();
    let rest = sites.get(at_most..).unwrap_or_default();
    let bytes = rest
        .iter()
        .fold(0, |sum: u64, site| sum.saturating_add(site.bytes));
    if n_sites > at_most {
        sites.truncate(at_most);
        let rest = n_sites - at_most;
        let bytes = Bytes(bytes);
        loss.push(format!(
            "{rest} of {n_sites} sites, which have {bytes} in all"
        ));
    }
}

/// Keeps as many sites of each capture and of the conclusion as fit into a file, and if that is
/// not even one, as many of their frames.
pub(super) fn fit(report: &mut Report) {
    let size_bytes = size(report);
    if size_bytes <= MAX_BYTES {
        return;
    }
    let lists = report.captures.iter().map(|capture| &capture.sites);
    let lists: Vec<Vec<usize>> = lists
        .chain([&report.sites])
        .map(|sites| sites.iter().map(size).collect())
        .collect();
    let without = |n_sites| -> usize {
        let left_out = lists.iter().flat_map(|sizes| sizes.iter().skip(n_sites));
        left_out.sum()
    };
    // What is said of the cut takes room as well.
    let fits = |n_sites: &usize| size_bytes - without(*n_sites) <= MAX_BYTES - 4096;
    let n_sites = (1..MAX_SITES).rev().find(fits).unwrap_or(1);
    for capture in &mut report.captures {
        keep(&mut capture.sites, n_sites, &mut capture.loss);
    }
    keep(&mut report.sites, n_sites, &mut report.loss);
    let mut n_frames = MAX_FRAMES;
    while size(report) > MAX_BYTES && n_frames > 1 {
        n_frames /= 2;
        for capture in &mut report.captures {
            keep_frames(&mut capture.sites, n_frames);
        }
        keep_frames(&mut report.sites, n_frames);
    }
}

fn size(thing: &impl Serialize) -> usize {
    // What cannot be written is found out by who writes it.
    serde_json::to_vec(thing).map_or(0, |text| text.len())
}

fn keep_frames(sites: &mut [Site], at_most: usize) {
    for site in sites {
        if site.frames.len() > at_most {
            let n_frames = site.frames.len();
            site.frames.truncate(at_most);
            site.cut = Some(format!("the first {at_most} of {n_frames} frames are kept"));
        }
        if let Some(why) = &mut site.cut {
            shorten(why);
        }
    }
}

fn names(frame: &mut Frame) -> impl Iterator<Item = &mut String> {
    [
        &mut frame.function,
        &mut frame.module,
        &mut frame.build_id,
        &mut frame.file,
        &mut frame.unknown,
    ]
    .into_iter()
    .flatten()
}

fn shorten(text: &mut String) {
    // No name has fewer bytes than characters.
    if text.len() > MAX_NAME {
        *text = words::shorten(text, MAX_NAME);
    }
}
