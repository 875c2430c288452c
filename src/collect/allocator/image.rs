//! An ELF file read piece by piece: its symbols, where they are in it, and its code.
//!
//! Nothing is held that grows with the file. String tables are searched for the names that are
//! wanted as they pass by, then symbols are compared with what was found.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use object::LittleEndian;
use object::elf::{
    ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_AARCH64, EM_X86_64, FileHeader64, Machine, PF_X, PT_LOAD,
    ProgramHeader64, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STB_LOCAL, STT_FUNC, STT_GNU_IFUNC,
    STT_NOTYPE, STV_HIDDEN, STV_INTERNAL, SectionHeader64, Sym64,
};
use object::pod::{Pod, bytes_of_slice_mut, slice_from_bytes};

use super::catalogue::{Catalogue, Name};

/// What is read of all files of one process at most: more than any program has, but for symbol
/// tables of the largest with debug information.
const MAX_BYTES_READ: u64 = 512 << 20;

const MAX_HEADERS: usize = 256;
const MAX_SECTIONS: usize = 4096;
/// How much is read at once.
const BLOCK_BYTES: u64 = 128 << 10;
const BLOCK_SYMBOLS: u64 = 4096;
const LE: LittleEndian = LittleEndian;

/// A file for this machine.
#[derive(Debug)]
pub(super) struct Image {
    file: File,
    segments: Vec<Segment>,
    tables: Vec<Table>,
}

/// A symbol whose name is in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) name: Name,
    pub(super) place: Place,
    /// Whether other files can call it.
    pub(super) is_exported: bool,
}

/// Where a symbol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In another file.
    Elsewhere,
    /// It is chosen among others when the program starts.
    ChosenLater,
    /// In this file's code.
    Code {
        /// In the file.
        offset: u64,
        /// What the symbol says, 0 if it does not.
        length: u64,
    },
    /// In this file, but no code.
    Data,
}

#[derive(Debug)]
struct Segment {
    address: u64,
    offset: u64,
    length: u64,
    is_code: bool,
}

#[derive(Debug)]
struct Table {
    is_dynamic: bool,
    symbols: Extent,
    strings: Extent,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    offset: u64,
    length: u64,
}

/// The machine that this program was built for.
const THIS: Machine = if cfg!(target_arch = "aarch64") {
    EM_AARCH64
} else {
    EM_X86_64
};

/// Names of the catalogue in one table, and symbols that have them: hundreds in earnest.
const MAX_NAMES: usize = 4096;

/// What may still be read.
#[derive(Debug)]
pub(crate) struct Allowance {
    bytes_left: u64,
}

impl Allowance {
    pub(crate) fn new() -> Self {
        Self {
            bytes_left: MAX_BYTES_READ,
        }
    }

    fn take(&mut self, n_bytes: u64) -> io::Result<()> {
        self.bytes_left = self.bytes_left.checked_sub(n_bytes).ok_or_else(|| {
            io::Error::other(format!(
                "more than {MAX_BYTES_READ} bytes would have to be read"
            ))
        })?;
        Ok(())
    }
}

impl Image {
    /// Reads the headers; none if it is no ELF file for this machine.
    pub(super) fn read(file: File, allowance: &mut Allowance) -> io::Result<Option<Self>> {
        let header = records::<FileHeader64<LittleEndian>>(&file, 0, 1, allowance);
        let header = match header.map(|headers| headers.first().copied()) {
            Ok(header) => header,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        let Some(header) = header.filter(is_for_this_machine) else {
            return Ok(None);
        };
        let n_headers = usize::from(header.e_phnum.get(LE)).min(MAX_HEADERS);
        let headers = records(&file, header.e_phoff.get(LE), n_headers, allowance)?;
        let n_sections = usize::from(header.e_shnum.get(LE)).min(MAX_SECTIONS);
        // A file can do without sections, and then has no table that could be read.
        let sections = records(&file, header.e_shoff.get(LE), n_sections, allowance);
        let sections = sections.unwrap_or_default();
        let tables = sections
            .iter()
            .filter_map(|section| table(section, &sections));
        Ok(Some(Self {
            segments: headers.iter().filter_map(segment).collect(),
            tables: tables.collect(),
            file,
        }))
    }

    /// Every symbol whose name is in the catalogue. What cannot be read has none.
    pub(super) fn symbols(&self, catalogue: &Catalogue, allowance: &mut Allowance) -> Vec<Symbol> {
        let mut found = Vec::new();
        for table in &self.tables {
            // The first error ends a table, not the search: the other one may be whole.
            let of_table = self.symbols_in(table, catalogue, allowance);
            found.extend(of_table.unwrap_or_default());
        }
        found
    }

    /// The code at a place in the file, as much as there is of a length.
    pub(super) fn code(&self, offset: u64, length: u64) -> Vec<u8> {
        let of_segment = self.segments.iter().find_map(|segment| {
            let into = offset.checked_sub(segment.offset)?;
            segment.length.checked_sub(into).filter(|_| segment.is_code)
        });
        let length = of_segment.unwrap_or(0).min(length);
        let mut code = vec![0; usize::try_from(length).unwrap_or(0)];
        match self.file.read_exact_at(&mut code, offset) {
            Ok(()) => code,
            Err(_) => Vec::new(),
        }
    }

    /// Up to 32 bytes of what is behind a text in what is no code.
    pub(super) fn text_behind(
        &self,
        text: &[u8; 16],
        allowance: &mut Allowance,
    ) -> Option<Vec<u8>> {
        for segment in self.segments.iter().filter(|segment| !segment.is_code) {
            let extent = Extent {
                offset: segment.offset,
                length: segment.length,
            };
            let mut behind = None;
            // Overlapping blocks, so that no text is cut where two of them meet.
            let read = self.pass_by(extent, 64, allowance, |_, block| {
                let mut starts = (0..block.len()).filter(|start| block[*start] == text[0]);
                let start = starts.find(|start| block[*start..].starts_with(text));
                if let Some(start) = start.filter(|_| behind.is_none()) {
                    let rest = &block[start + text.len()..];
                    behind = Some(rest[..rest.len().min(32)].to_vec());
                }
            });
            if read.is_ok() && behind.is_some() {
                return behind;
            }
        }
        None
    }

    fn symbols_in(
        &self,
        table: &Table,
        catalogue: &Catalogue,
        allowance: &mut Allowance,
    ) -> io::Result<Vec<Symbol>> {
        let mut names: HashMap<u64, &Name> = HashMap::new();
        let overlap = Catalogue::MAX_NAME_BYTES;
        self.pass_by(table.strings, overlap, allowance, |start, block| {
            let ends = block.iter().enumerate().filter(|(_, byte)| **byte == 0);
            for (end, _) in ends {
                let text = &block[end.saturating_sub(overlap)..end];
                for name in catalogue.ends_of(text) {
                    if names.len() < MAX_NAMES {
                        names.insert(start + (end - name.text.len()) as u64, name);
                    }
                }
            }
        })?;

        let mut symbols = Vec::new();
        if names.is_empty() {
            return Ok(symbols);
        }
        let n_symbols = table.symbols.length / size_of::<Sym64<LittleEndian>>() as u64;
        let mut n_read = 0;
        while n_read < n_symbols {
            let n = (n_symbols - n_read).min(BLOCK_SYMBOLS);
            let offset = n_read * size_of::<Sym64<LittleEndian>>() as u64;
            let offset = table.symbols.offset.saturating_add(offset);
            let count = usize::try_from(n).unwrap_or(0);
            for symbol in records::<Sym64<LittleEndian>>(&self.file, offset, count, allowance)? {
                if symbols.len() >= MAX_NAMES {
                    return Ok(symbols);
                }
                if let Some(name) = names.get(&u64::from(symbol.st_name.get(LE))) {
                    symbols.push(Symbol {
                        name: (*name).clone(),
                        place: self.place(&symbol),
                        is_exported: table.is_dynamic && is_visible(&symbol),
                    });
                }
            }
            n_read += n;
        }
        Ok(symbols)
    }

    fn place(&self, symbol: &Sym64<LittleEndian>) -> Place {
        if symbol.st_shndx.get(LE) == SHN_UNDEF {
            return Place::Elsewhere;
        }
        let kind = symbol.st_type();
        if kind == STT_GNU_IFUNC {
            return Place::ChosenLater;
        }
        // Symbols of assembler files may have no type.
        let is_function = kind == STT_FUNC || kind == STT_NOTYPE;
        let address = symbol.st_value.get(LE);
        let offset = self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.address)?;
            let is_within = into < segment.length && segment.is_code;
            segment.offset.checked_add(into).filter(|_| is_within)
        });
        match offset.filter(|_| is_function) {
            Some(offset) => Place::Code {
                offset,
                length: symbol.st_size.get(LE),
            },
            None => Place::Data,
        }
    }

    /// Reads a part of the file in blocks, each with the last bytes of the one before it.
    fn pass_by(
        &self,
        extent: Extent,
        overlap: usize,
        allowance: &mut Allowance,
        mut each: impl FnMut(u64, &[u8]),
    ) -> io::Result<()> {
        let mut block = Vec::new();
        let mut n_read = 0;
        while n_read < extent.length {
            let n = (extent.length - n_read).min(BLOCK_BYTES);
            allowance.take(n)?;
            block.drain(..block.len().saturating_sub(overlap));
            let kept = block.len();
            block.resize(kept + usize::try_from(n).unwrap_or(0), 0);
            let offset = extent
                .offset
                .checked_add(n_read)
                .ok_or(io::ErrorKind::InvalidData)?;
            self.file.read_exact_at(&mut block[kept..], offset)?;
            each(n_read - kept as u64, &block);
            n_read += n;
        }
        Ok(())
    }
}

/// Whether a file's header says that its code is for the machine that this program was built for.
pub(crate) fn is_for_this_machine(header: &FileHeader64<LittleEndian>) -> bool {
    header.e_ident.magic == ELFMAG
        && header.e_ident.class == ELFCLASS64
        && header.e_ident.data == ELFDATA2LSB
        && header.e_machine.get(LE) == THIS
}

fn segment(header: &ProgramHeader64<LittleEndian>) -> Option<Segment> {
    (header.p_type.get(LE) == PT_LOAD).then(|| Segment {
        address: header.p_vaddr.get(LE),
        offset: header.p_offset.get(LE),
        length: header.p_filesz.get(LE),
        is_code: header.p_flags.get(LE).contains(PF_X),
    })
}

fn table(
    section: &SectionHeader64<LittleEndian>,
    sections: &[SectionHeader64<LittleEndian>],
) -> Option<Table> {
    let kind = section.sh_type.get(LE);
    if kind != SHT_DYNSYM && kind != SHT_SYMTAB {
        return None;
    }
    let extent = |section: &SectionHeader64<LittleEndian>| Extent {
        offset: section.sh_offset.get(LE),
        length: section.sh_size.get(LE),
    };
    let strings = sections.get(usize::try_from(section.sh_link.get(LE)).ok()?)?;
    Some(Table {
        is_dynamic: kind == SHT_DYNSYM,
        symbols: extent(section),
        strings: extent(strings),
    })
}

fn is_visible(symbol: &Sym64<LittleEndian>) -> bool {
    let visibility = symbol.st_visibility();
    symbol.st_bind() != STB_LOCAL && visibility != STV_HIDDEN && visibility != STV_INTERNAL
}

/// Reads records that lie one behind the other.
pub(crate) fn records<T: Pod>(
    file: &File,
    offset: u64,
    count: usize,
    allowance: &mut Allowance,
) -> io::Result<Vec<T>> {
    // Words, as records must lie at addresses that words lie at.
    let n_words = (count * size_of::<T>()).div_ceil(size_of::<u64>());
    let mut words = vec![0_u64; n_words];
    let bytes = bytes_of_slice_mut(&mut words);
    allowance.take(bytes.len() as u64)?;
    file.read_exact_at(bytes, offset)?;
    let (records, _) = slice_from_bytes(bytes, count).map_err(|()| io::ErrorKind::InvalidData)?;
    Ok(records.to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn image(bytes: &[u8]) -> Option<Image> {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(bytes, 0).expect("room");
        Image::read(file, &mut Allowance::new()).unwrap_or(None)
    }

    fn see_all(bytes: &[u8]) -> usize {
        let Some(image) = image(bytes) else {
            return 0;
        };
        let mut allowance = Allowance::new();
        let symbols = image.symbols(&Catalogue::new(), &mut allowance);
        for symbol in &symbols {
            if let Place::Code { offset, .. } = symbol.place {
                image.code(offset, 4096);
            }
        }
        image.text_behind(b"release version ", &mut allowance);
        symbols.len()
    }

    #[test]
    fn this_program_is_read_as_far_as_it_may() {
        let program = std::env::current_exe().expect("this program");
        let open = || File::open(&program).expect("this program");
        let image = Image::read(open(), &mut Allowance::new()).expect("readable");
        let image = image.expect("a program for this machine");
        let symbols = image.symbols(&Catalogue::new(), &mut Allowance::new());
        let malloc = symbols.iter().find(|symbol| symbol.name.text == "malloc");
        assert_eq!(malloc.expect("a call").place, Place::Elsewhere);

        let mut little = Allowance { bytes_left: 63 };
        let error = Image::read(open(), &mut little).expect_err("too little");
        assert!(error.to_string().starts_with("more than "), "{error}");
        let mut little = Allowance { bytes_left: 4096 };
        assert_eq!(image.symbols(&Catalogue::new(), &mut little), []);
    }

    #[test]
    fn what_is_for_other_machines_is_none() {
        let program = fs::read("/proc/self/exe").expect("this program");
        let start = &program[..program.len().min(64 << 10)];
        assert!(image(start).is_some());
        for (name, at, value) in [
            ("magic", 1, b'F'),
            ("class", 4, 1),
            ("data", 5, 2),
            ("machine", 18, 3),
        ] {
            let mut other = start.to_vec();
            other[at] = value;
            assert!(image(&other).is_none(), "{name}");
        }
        assert!(image(&start[..63]).is_none());
        assert!(image(b"").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_headers_are_read_or_refused(
            changes in proptest::collection::vec((0..2000_usize, any::<u8>()), 1..40),
            tail in proptest::collection::vec(any::<u8>(), 0..3000),
        ) {
            // A header with tables close behind it, then changed at random.
            let mut bytes = vec![0; 64];
            let program = fs::read("/proc/self/exe").expect("this program");
            bytes.copy_from_slice(&program[..64]);
            bytes[32] = 64;
            bytes[33..40].fill(0);
            bytes[40..48].copy_from_slice(&512_u64.to_le_bytes());
            bytes[56] = 8;
            bytes[60] = 16;
            bytes.extend(tail);
            bytes.resize(4096, 0);
            for section in bytes[512..1536].chunks_mut(64) {
                section[4] = 2 + 9 * (section[4] & 1);
                section[26..32].fill(0);
                section[34..40].fill(0);
                section[41..44].fill(0);
                section[40] &= 15;
            }
            for (at, value) in changes {
                bytes[at] = value;
            }
            see_all(&bytes);
        }
    }
}
