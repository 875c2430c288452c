//! A report as a profile for pprof.
//!
//! Its addresses are those of the files' own symbols, so that `go tool pprof` finds them in the
//! executables and libraries without knowing where these were mapped.

mod profile;

use std::collections::HashMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use self::profile::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use super::Report;
use crate::site::{Attribution, Frame, Site, words};

/// The profile, as a gzip file. Each site is a sample with what it holds (`inuse_space`,
/// `inuse_objects`) and what it has allocated in the capture (`alloc_space`), and with labels
/// `attribution` and `grows_again`.
pub fn pprof(report: &Report) -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    let profile = Builder::default().profile(report).encode_to_vec();
    zip.write_all(&profile)
        .and_then(|()| zip.finish())
        .expect("a vector takes any bytes")
}

/// What samples refer to by numbers. These count from 1, but for texts, of which 0 is the empty one.
#[derive(Default)]
struct Builder {
    profile: Profile,
    texts: HashMap<String, i64>,
    mappings: HashMap<(String, String), u64>,
    functions: HashMap<(i64, i64), u64>,
    locations: HashMap<Location, u64>,
}

impl Builder {
    fn profile(mut self, report: &Report) -> Profile {
        self.text("");
        self.profile.sample_type = [
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
            ("alloc_space", "bytes"),
        ]
        .map(|(kind, unit)| self.value_type(kind, unit))
        .to_vec();
        self.profile.default_sample_type = self.text("inuse_space");
        let space = self.value_type("space", "bytes");
        self.profile.period_type = Some(space);
        // The first mapping is taken for the program.
        let frames = report.sites.iter().flat_map(|site| &site.frames);
        for frame in frames.filter(|frame| frame.module == report.exe) {
            self.mapping(frame);
        }
        for site in &report.sites {
            let sample = self.sample(report, site);
            self.profile.sample.push(sample);
        }
        if let Some(latest) = report.captures.last() {
            self.profile.time_nanos = i64::try_from(latest.time.as_nanosecond()).unwrap_or(0);
            self.profile.duration_nanos = (latest.span_secs * 1e9) as i64;
        }
        let about = format!(
            "{} (pid {}) on {}, alert {}",
            report.comm, report.pid, report.host, report.id
        );
        let losses = report.captures.iter().flat_map(|capture| &capture.loss);
        let losses = losses
            .chain(&report.loss)
            .map(|loss| format!("not seen: {loss}"));
        self.profile.comment = [about]
            .into_iter()
            .chain(losses)
            .map(|comment| self.text(&comment))
            .collect();
        self.profile
    }

    fn sample(&mut self, report: &Report, site: &Site) -> Sample {
        // An ended site was seen in an earlier capture, the others in the latest.
        let ended = site.grows_again == Some(false);
        let secs = report
            .captures
            .iter()
            .rev()
            .nth(usize::from(ended))
            .map_or(0.0, |capture| capture.secs);
        let allocated = (site.allocated_bytes_per_sec * secs) as i64;
        let held = i64::try_from(site.bytes).unwrap_or(i64::MAX);
        let attribution = match site.attribution {
            Attribution::Paired => "paired",
            Attribution::BySize => "by_size",
            Attribution::Mapping => "mapping",
            Attribution::Touched => "touched",
            Attribution::Kernel => "kernel",
        };
        let again = match site.grows_again {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let labels = [("attribution", attribution), ("grows_again", again)];
        Sample {
            location_id: self.locations(&site.frames),
            value: vec![
                i64::try_from(site.count).unwrap_or(i64::MAX),
                held,
                allocated.max(held),
            ],
            label: labels
                .map(|(key, text)| Label {
                    key: self.text(key),
                    str: self.text(text),
                })
                .to_vec(),
        }
    }

    /// The locations of a stack, innermost first: one for each real frame, which has a line for
    /// itself and before it one for each call that was inlined into it.
    fn locations(&mut self, frames: &[Frame]) -> Vec<u64> {
        let groups = frames.split_inclusive(|frame| !frame.inlined);
        groups.map(|group| self.location(group)).collect()
    }

    fn location(&mut self, group: &[Frame]) -> u64 {
        let mapping_id = group.last().map_or(0, |frame| self.mapping(frame));
        let line = group
            .iter()
            .filter(|frame| frame.function.is_some() || frame.file.is_some());
        let line: Vec<_> = line.map(|frame| self.line(frame)).collect();
        let address = group.last().and_then(|frame| frame.offset).unwrap_or(0);
        if let Some(index) = usize::try_from(mapping_id)
            .ok()
            .and_then(|id| id.checked_sub(1))
        {
            let mapping = &mut self.profile.mapping[index];
            mapping.memory_limit = mapping.memory_limit.max(address.saturating_add(1));
            // What has names is not to be named anew.
            mapping.has_functions |= !line.is_empty();
            mapping.has_filenames |= group.iter().any(|frame| frame.file.is_some());
            mapping.has_line_numbers |= group.iter().any(|frame| frame.line.is_some());
            mapping.has_inline_frames |= group.len() > 1;
        }
        let location = Location {
            id: 0,
            mapping_id,
            address,
            line,
        };
        let next = self.profile.location.len() as u64 + 1;
        let id = *self.locations.entry(location.clone()).or_insert(next);
        if id == next {
            self.profile.location.push(Location { id, ..location });
        }
        id
    }

    fn line(&mut self, frame: &Frame) -> Line {
        let function = frame
            .function
            .clone()
            .unwrap_or_else(|| words::place(frame));
        let name = self.text(&function);
        let filename = self.text(frame.file.as_deref().unwrap_or_default());
        let next = self.profile.function.len() as u64 + 1;
        let function_id = *self.functions.entry((name, filename)).or_insert(next);
        if function_id == next {
            self.profile.function.push(Function {
                id: function_id,
                name,
                system_name: name,
                filename,
            });
        }
        Line {
            function_id,
            line: frame.line.map_or(0, i64::from),
        }
    }

    /// The mapping of a file; none of code that is in no file.
    fn mapping(&mut self, frame: &Frame) -> u64 {
        let Some(module) = &frame.module else {
            return 0;
        };
        let key = (module.clone(), frame.build_id.clone().unwrap_or_default());
        if let Some(id) = self.mappings.get(&key) {
            return *id;
        }
        let id = self.profile.mapping.len() as u64 + 1;
        let mapping = Mapping {
            id,
            filename: self.text(&key.0),
            build_id: self.text(&key.1),
            ..Mapping::default()
        };
        self.profile.mapping.push(mapping);
        self.mappings.insert(key, id);
        id
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueType {
        ValueType {
            r#type: self.text(kind),
            unit: self.text(unit),
        }
    }

    fn text(&mut self, text: &str) -> i64 {
        if let Some(index) = self.texts.get(text) {
            return *index;
        }
        let index = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.texts.insert(text.to_owned(), index);
        index
    }
}
