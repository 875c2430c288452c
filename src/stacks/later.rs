//! Naming later what had no name: when a debug file has been installed, say.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Once;

use super::attempt::expect_panics;
use super::debug_files::Root;
use super::elf::Elf;
use super::names::{Detail, Named, Names};
use crate::site::{Frame, Site};

/// Files that are looked into: as many as stacks of a large program have.
const MAX_FILES: usize = 256;

/// A file, by its path and its build id.
type Module = (String, String);

/// Names frames that have no function, or no line, as far as this host's files tell: the module if
/// its build id is still the same, and debug files. What is known already stays.
///
/// It needs no rights, and no process.
pub fn name_again(sites: &mut [Site]) {
    static EXPECTED: Once = Once::new();
    EXPECTED.call_once(expect_panics);
    let Ok(root) = Root::open(Path::new("/")) else {
        return;
    };
    let mut wanted: HashMap<Module, BTreeSet<u64>> = HashMap::new();
    for frame in sites.iter().flat_map(|site| &site.frames) {
        let Some((module, offset)) = place_of(frame) else {
            continue;
        };
        if wanted.len() < MAX_FILES || wanted.contains_key(&module) {
            wanted.entry(module).or_default().insert(offset);
        }
    }
    let names: HashMap<Module, Found> = wanted
        .into_iter()
        .map(|(module, offsets)| {
            let found = Found::of(&root, &module, offsets.into_iter().collect());
            (module, found)
        })
        .collect();
    for site in sites {
        let frames = std::mem::take(&mut site.frames);
        let renamed = |frame: Frame| match place_of(&frame) {
            Some((module, offset)) => match names.get(&module) {
                Some(found) => found.renamed(frame, offset),
                None => vec![frame],
            },
            None => vec![frame],
        };
        site.frames = frames.into_iter().flat_map(renamed).collect();
    }
}

/// Where a frame is that is not fully named.
fn place_of(frame: &Frame) -> Option<(Module, u64)> {
    let is_wanting = frame.function.is_none() || frame.file.is_none();
    let module = frame.module.as_ref().filter(|path| path.starts_with('/'))?;
    let build_id = frame.build_id.as_ref()?;
    let offset = frame.offset.filter(|_| is_wanting && !frame.inlined)?;
    Some(((module.clone(), build_id.clone()), offset))
}

/// Whether a file is of root or of who runs this: what others have may be made to be read in vain,
/// or cut short meanwhile, and here no process of its own is lost by it.
fn is_trusted(file: &File) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let owner = file.metadata().map(|metadata| metadata.uid());
    owner.is_ok_and(|owner| owner == 0 || owner == own)
}

/// What is known of a file by now.
struct Found {
    names: HashMap<u64, Vec<Named>>,
    /// Whether another file has its path now.
    is_replaced: bool,
}

impl Found {
    fn of(root: &Root, (path, build_id): &Module, offsets: Vec<u64>) -> Self {
        let path = Path::new(path);
        let opened = root.open_file(path).ok().filter(is_trusted);
        let opened = opened.and_then(|file| Elf::read(&file).ok().map(|elf| (file, elf)));
        let is_same = |(_, elf): &(_, Elf)| elf.build_id.as_ref() == Some(build_id);
        let is_replaced = opened.as_ref().is_some_and(|opened| !is_same(opened));
        let own = opened.filter(is_same);
        let own = own.as_ref().map(|(file, elf)| (file, elf));
        let source = Names::find(&[root], own, Some(build_id), Some(path));
        let mut names = source.of(&offsets, Detail::Symbols);
        names.extend(source.of(&offsets, Detail::Lines));
        Self { names, is_replaced }
    }

    fn renamed(&self, frame: Frame, offset: u64) -> Vec<Frame> {
        match self.names.get(&offset) {
            Some(names) => names.iter().map(|named| named.put_into(&frame)).collect(),
            None if self.is_replaced && frame.function.is_none() => vec![Frame {
                unknown: Some("another file has its path by now".to_owned()),
                ..frame
            }],
            None => vec![frame],
        }
    }
}
