//! What is read of an ELF file to unwind and to name: where it is loaded, its build id, and where
//! its sections are.
//!
//! Whoever started the process wrote the file. Everything is read at its place with a bound, never
//! mapped: a file that is cut short meanwhile is an error, no signal.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use object::LittleEndian;
use object::elf::{
    FileHeader64, PF_X, PT_LOAD, PT_NOTE, ProgramHeader64, SHF_COMPRESSED, SHT_NOBITS, SHT_NOTE,
    SectionHeader64,
};

use crate::collect::image::{Allowance, is_for_this_machine, records};

const LE: LittleEndian = LittleEndian;
const MAX_SEGMENTS: usize = 256;
const MAX_SECTIONS: usize = 4096;
const MAX_NAMES_BYTES: u64 = 256 << 10;
const MAX_NOTES_BYTES: u64 = 64 << 10;
/// A SHA-1 has 20 bytes, no build id more than 64.
const MAX_BUILD_ID_BYTES: usize = 64;
/// `NT_GNU_BUILD_ID`, whose owner is `GNU`.
const BUILD_ID_NOTE: u32 = 3;

/// The headers of an ELF file for this machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Elf {
    segments: Vec<Segment>,
    sections: Vec<Section>,
    /// In hexadecimal digits.
    pub(super) build_id: Option<String>,
}

/// A part of the file that is loaded.
#[derive(Debug, Clone, Copy)]
struct Segment {
    address: u64,
    offset: u64,
    length: u64,
    is_code: bool,
}

/// A section.
#[derive(Debug, Clone)]
pub(super) struct Section {
    name: Vec<u8>,
    /// As the file counts addresses, 0 if it is not loaded.
    pub(super) address: u64,
    pub(super) length: u64,
    offset: u64,
    is_compressed: bool,
    /// Debug files have sections of which only the headers are left.
    has_bytes: bool,
}

impl Elf {
    /// Reads a file's headers.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut allowance = Allowance::new();
        let headers = records::<FileHeader64<LittleEndian>>(file, 0, 1, &mut allowance);
        let header = match headers.map(|headers| headers.first().copied()) {
            Ok(header) => header.filter(is_for_this_machine),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        let header = header.ok_or_else(|| io::Error::other("no ELF file for this machine"))?;
        let n_segments = usize::from(header.e_phnum.get(LE)).min(MAX_SEGMENTS);
        let offset = header.e_phoff.get(LE);
        let segments: Vec<ProgramHeader64<LittleEndian>> =
            records(file, offset, n_segments, &mut allowance)?;
        // A file can do without sections.
        let sections = sections(file, &header, &mut allowance).unwrap_or_default();
        let mut elf = Self {
            segments: segments.iter().filter_map(segment).collect(),
            sections: sections
                .iter()
                .map(|(section, _)| section.clone())
                .collect(),
            build_id: None,
        };
        let of_segments = segments
            .iter()
            .filter(|header| header.p_type.get(LE) == PT_NOTE)
            .map(|header| (header.p_offset.get(LE), header.p_filesz.get(LE)));
        // Debug files keep the section, but their segments may have nothing behind them.
        let of_sections = sections
            .iter()
            .filter(|(_, is_note)| *is_note)
            .map(|(section, _)| (section.offset, section.length));
        elf.build_id = of_sections
            .chain(of_segments)
            .filter_map(|(offset, length)| read(file, offset, length, MAX_NOTES_BYTES).ok())
            .find_map(|notes| build_id_in(&notes));
        Ok(elf)
    }

    /// The first code of a part of the file: where it is in the file, and its address.
    pub(super) fn first_code_in(&self, in_file: Range<u64>) -> Option<(u64, u64)> {
        let code = self.segments.iter().filter(|segment| segment.is_code);
        code.filter_map(|segment| {
            let offset = segment.offset.max(in_file.start);
            let end = segment.offset.checked_add(segment.length)?.min(in_file.end);
            let address = segment.address.checked_add(offset - segment.offset)?;
            (offset < end).then_some((offset, address))
        })
        .min()
    }

    /// The lowest address that is loaded, as the file counts it.
    pub(super) fn base_address(&self) -> u64 {
        let addresses = self.segments.iter().map(|segment| segment.address);
        addresses.min().unwrap_or(0)
    }

    /// A section by its name, if it has bytes in the file.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        let mut sections = self.sections.iter();
        sections.find(|section| section.has_bytes && section.name == name.as_bytes())
    }

    /// Whether there is a section of a name, with bytes or without.
    pub(super) fn has(&self, name: &str) -> bool {
        let mut sections = self.sections.iter();
        sections.any(|section| section.name == name.as_bytes())
    }
}

impl Section {
    /// Its bytes; an error if there are more than `max_bytes`, or if they are compressed.
    pub(super) fn bytes(&self, file: &File, max_bytes: u64) -> io::Result<Vec<u8>> {
        if self.is_compressed {
            return Err(io::Error::other("a compressed section"));
        }
        read(file, self.offset, self.length, max_bytes)
    }
}

fn read(file: &File, offset: u64, length: u64, max_bytes: u64) -> io::Result<Vec<u8>> {
    // Asked first, so that no room is made for what a header promises and the file has not.
    let end = offset.checked_add(length);
    if length > max_bytes || end.is_none_or(|end| file.metadata().is_ok_and(|m| end > m.len())) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn segment(header: &ProgramHeader64<LittleEndian>) -> Option<Segment> {
    (header.p_type.get(LE) == PT_LOAD).then(|| Segment {
        address: header.p_vaddr.get(LE),
        offset: header.p_offset.get(LE),
        length: header.p_filesz.get(LE),
        is_code: header.p_flags.get(LE).contains(PF_X),
    })
}

/// All sections, and whether each has notes; an error if not all of them are seen.
fn sections(
    file: &File,
    header: &FileHeader64<LittleEndian>,
    allowance: &mut Allowance,
) -> io::Result<Vec<(Section, bool)>> {
    let n_sections = usize::from(header.e_shnum.get(LE));
    if n_sections > MAX_SECTIONS {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let headers: Vec<SectionHeader64<LittleEndian>> =
        records(file, header.e_shoff.get(LE), n_sections, allowance)?;
    let names = headers
        .get(usize::from(header.e_shstrndx.get(LE).0))
        .ok_or(io::ErrorKind::InvalidData)?;
    let (offset, length) = (names.sh_offset.get(LE), names.sh_size.get(LE));
    let names = read(file, offset, length, MAX_NAMES_BYTES)?;
    let section = |header: &SectionHeader64<LittleEndian>| {
        let kind = header.sh_type.get(LE);
        let start = usize::try_from(header.sh_name.get(LE)).ok()?;
        let name = names.get(start..)?.split(|byte| *byte == 0).next()?;
        let flags = header.sh_flags.get(LE);
        let section = Section {
            name: name.get(..name.len().min(64))?.to_vec(),
            address: header.sh_addr.get(LE),
            length: header.sh_size.get(LE),
            offset: header.sh_offset.get(LE),
            is_compressed: flags.contains(SHF_COMPRESSED),
            has_bytes: kind != SHT_NOBITS,
        };
        Some((section, kind == SHT_NOTE))
    };
    let sections = headers.iter().map(section).collect::<Option<_>>();
    sections.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Notes are a length of the owner, one of the description and a type, of 32 bits each, and both
/// texts, each filled up to four bytes.
fn build_id_in(mut notes: &[u8]) -> Option<String> {
    loop {
        let word = |at: usize| {
            let bytes = notes.get(at..at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let owner_length = usize::try_from(word(0)?).ok()?;
        let length = usize::try_from(word(4)?).ok()?;
        let kind = word(8)?;
        let start = 12_usize.checked_add(owner_length.checked_next_multiple_of(4)?)?;
        let end = start.checked_add(length)?;
        let owner = notes.get(12..12_usize.checked_add(owner_length)?)?;
        let description = notes.get(start..end)?;
        let is_bounded = (1..=MAX_BUILD_ID_BYTES).contains(&length);
        if kind == BUILD_ID_NOTE && owner == b"GNU\0" && is_bounded {
            return Some(
                description
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
            );
        }
        notes = notes.get(end.checked_next_multiple_of(4)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_searched_for_a_build_id() {
        let note = |owner: &[u8], kind: u32, description: &[u8]| {
            let mut note = Vec::new();
            let lengths = [owner.len() as u32, description.len() as u32, kind];
            note.extend(lengths.iter().flat_map(|word| word.to_le_bytes()));
            for text in [owner, description] {
                note.extend(text);
                note.resize(note.len().next_multiple_of(4), 0);
            }
            note
        };
        let id = note(b"GNU\0", 3, &[0xab, 0x01, 0xcd]);
        let other = note(b"Go\0\0", 4, b"a text");
        for (notes, expected) in [
            (id.clone(), Some("ab01cd")),
            ([other.clone(), id.clone()].concat(), Some("ab01cd")),
            (other, None),
            (note(b"GNU\0", 3, &[]), None),
            (note(b"GNU\0", 3, &[1; 65]), None),
            (note(b"XXX\0", 3, &[1]), None),
            (id[..13].to_vec(), None),
            (vec![0xff; 40], None),
            (Vec::new(), None),
        ] {
            assert_eq!(build_id_in(&notes).as_deref(), expected, "{notes:?}");
        }
    }

    #[test]
    fn this_program_has_what_it_was_built_with() {
        let file = File::open("/proc/self/exe").expect("this program");
        let elf = Elf::read(&file).expect("a program for this machine");
        let tables = elf.section(".eh_frame").expect("tables");
        assert!(tables.bytes(&file, 1 << 30).expect("bytes").len() > 1000);
        assert!(tables.bytes(&file, 10).is_err());
        assert!(elf.has(".bss") && elf.section(".bss").is_none());
        let (offset, address) = elf.first_code_in(0..u64::MAX).expect("code");
        assert_eq!(
            elf.first_code_in(offset + 8..offset + 9),
            Some((offset + 8, address + 8))
        );
        assert_eq!(elf.first_code_in(0..offset), None);
    }
}
