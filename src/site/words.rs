//! Sites in words, the same in alerts, in mail and at the terminal: a line for a site, a line for
//! each of its frames.

use super::culprit::{Chief, chief};
use super::{Attribution, Frame, Site};
use crate::quantity::{Bytes, count};

/// Characters of a function in a line.
const MAX_FUNCTION: usize = 60;
/// Characters of a file's path.
const MAX_FILE: usize = 40;
/// Characters of why there is no name.
const MAX_REASON: usize = 100;
/// Digits of a build id: as many as tell files apart.
const BUILD_ID_DIGITS: usize = 12;

/// How much of sites is told.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// So many sites.
    pub sites: usize,
    /// So many frames of each.
    pub frames: usize,
}

/// As much as a person reads of them in an alert. What they say in all is in a report.
pub const IN_ALERT: Room = Room {
    sites: 3,
    frames: 8,
};

/// As much as a person reads who has asked for them.
pub const IN_CAPTURE: Room = Room {
    sites: 10,
    frames: 32,
};

/// `12 MiB in 340 blocks, grew again, allocated by`. Its frames are to follow.
pub fn heading(site: &Site) -> String {
    let held = held(site.attribution, site.bytes, site.count);
    let by_size = match site.attribution {
        Attribution::BySize => ", by size: one of these",
        _ => "",
    };
    let again = match site.grows_again {
        Some(true) => ", grew again",
        Some(false) => ", did not grow again",
        None => "",
    };
    format!("{held}{by_size}{again}, {} by", done(site.attribution))
}

/// `12 MiB in 340 blocks`, or what else it is that is counted.
pub fn held(attribution: Attribution, bytes: u64, n: u64) -> String {
    let bytes = Bytes(bytes);
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    match attribution {
        Attribution::Paired | Attribution::BySize => {
            format!("{bytes} in {}", count(n, "block", "blocks"))
        }
        Attribution::Mapping => format!("{bytes} in {}", count(n, "mapping", "mappings")),
        Attribution::Touched => format!("{bytes} in {}", count(n, "page fault", "page faults")),
        Attribution::Kernel => {
            format!(
                "{bytes} of kernel memory in {}",
                count(n, "object", "objects")
            )
        }
    }
}

/// How bytes came to be counted for a site, as a sentence without its end.
pub fn attribution(attribution: Attribution) -> &'static str {
    match attribution {
        Attribution::Paired => "each sampled block was followed to its free",
        Attribution::BySize => {
            "blocks of its sizes grow in number: which of those that allocate them keeps them is not known, and each has its share"
        }
        Attribution::Mapping => "each mapping was followed to its end",
        Attribution::Touched => {
            "pages were touched there for the first time, which need not be where they leak"
        }
        Attribution::Kernel => "each object was followed to its free",
    }
}

/// `parse_row (query.c:120), inlined`, and of what has no name where it is and why it has none.
pub fn frame(frame: &Frame) -> String {
    let mut line = place(frame);
    if frame.inlined {
        line.push_str(", inlined");
    }
    if frame.function.is_none() {
        if let Some(id) = &frame.build_id {
            let short: String = id.chars().take(BUILD_ID_DIGITS).collect();
            let more = if short.len() < id.len() { "…" } else { "" };
            line.push_str(&format!(" (build id {short}{more})"));
        }
        if let Some(why) = &frame.unknown {
            line.push_str(&format!(": {}", shorten(why, MAX_REASON)));
        }
    }
    line
}

/// `parse_row (query.c:120)`, or as much of it as is known.
pub fn place(frame: &Frame) -> String {
    let file = frame.file.as_deref().map(|file| {
        let file = short_path(file);
        match frame.line {
            Some(line) => format!("{file}:{line}"),
            None => file,
        }
    });
    let module = || {
        let module = frame
            .module
            .as_deref()
            .map(|module| shorten(file_name(module), MAX_FILE));
        match (module, frame.offset) {
            (Some(module), Some(offset)) => Some(format!("{module}+{offset:#x}")),
            (None, Some(offset)) => Some(format!("{offset:#x}")),
            (module, None) => module,
        }
    };
    let place = file.or_else(module);
    let function = frame
        .function
        .as_deref()
        .map(|name| function(name, MAX_FUNCTION));
    match (function, place) {
        (Some(function), Some(place)) => format!("{function} ({place})"),
        (Some(function), None) => function,
        (None, Some(place)) => place,
        (None, None) => "?".to_owned(),
    }
}

/// The first sites with their first frames, a line each.
pub fn lines(sites: &[Site], room: Room) -> Vec<String> {
    let mut lines = Vec::new();
    for site in sites.iter().take(room.sites) {
        lines.push(heading(site));
        let frames = site.frames.iter().take(room.frames);
        lines.extend(frames.map(|each| format!("  {}", frame(each))));
        if site.frames.len() > room.frames || site.cut.is_some() {
            lines.push("  …".to_owned());
        }
    }
    if sites.len() > room.sites {
        let rest = sites.len() - room.sites;
        lines.push(format!("and {}", count(rest, "other site", "other sites")));
    }
    lines
}

/// `most of what stays is allocated in parse_row (query.c:120)`; nothing if all has ended.
pub fn whereabouts(sites: &[Site]) -> Option<String> {
    let chief = chief(sites).filter(|chief| chief.grows_again != Some(false))?;
    let Chief {
        frame,
        attribution,
        is_most,
        ..
    } = chief;
    let part = if is_most { "most" } else { "much" };
    let place = place(frame);
    let done = done(attribution);
    Some(match attribution {
        Attribution::BySize => format!("{part} of the sizes that grow is {done} in {place}"),
        Attribution::Touched => format!("{part} of what is new was {done} in {place}"),
        _ => format!("{part} of what stays is {done} in {place}"),
    })
}

/// What is done at a site.
fn done(attribution: Attribution) -> &'static str {
    match attribution {
        Attribution::Paired | Attribution::BySize | Attribution::Kernel => "allocated",
        Attribution::Mapping => "mapped",
        Attribution::Touched => "first touched",
    }
}

/// A function in at most so many characters: of templates and generics the inner arguments give
/// way first, `std::map<…>::insert(…)`.
pub fn function(name: &str, max: usize) -> String {
    let is_short = |name: &str| name.len() <= max || name.chars().count() <= max;
    if is_short(name) {
        return name.to_owned();
    }
    let folded = [3, 2, 1].map(|depth| fold(name, depth));
    match folded.iter().find(|name| is_short(name)) {
        Some(short) => short.clone(),
        None => shorten(&folded[2], max),
    }
}

/// A name without what lies in so many brackets.
fn fold(name: &str, max_depth: usize) -> String {
    let mut folded = String::new();
    let mut depth = 0_usize;
    let mut last = ' ';
    for c in name.chars() {
        // Arrows and the operators of C++ are no brackets.
        let is_bracket = last != '-' && !(c == '<' && folded.ends_with("operator"));
        if matches!(c, '>' | ')') && is_bracket {
            depth = depth.saturating_sub(1);
        }
        match depth < max_depth {
            true => folded.push(c),
            false if !folded.ends_with('…') => folded.push('…'),
            false => {}
        }
        if matches!(c, '<' | '(') && is_bracket {
            depth += 1;
        }
        last = c;
    }
    folded
}

/// At most so many characters: beginning and end with `…` between.
pub fn shorten(text: &str, max: usize) -> String {
    let n_chars = text.chars().count();
    if n_chars <= max {
        return text.to_owned();
    }
    let n_end = max.saturating_sub(1) / 2;
    let n_start = max.saturating_sub(1) - n_end;
    let start: String = text.chars().take(n_start).collect();
    let end: String = text.chars().skip(n_chars - n_end).collect();
    format!("{start}…{end}")
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(path)
}

/// A path, or as many of its last parts as there is room for.
fn short_path(path: &str) -> String {
    if path.chars().count() <= MAX_FILE {
        return path.to_owned();
    }
    let mut parts = path.match_indices('/').map(|(index, _)| &path[index..]);
    match parts.find(|rest| rest.chars().count() < MAX_FILE) {
        Some(rest) if rest.len() > 1 => format!("…{rest}"),
        _ => shorten(file_name(path), MAX_FILE),
    }
}

#[cfg(test)]
mod tests;
