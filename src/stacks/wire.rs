//! What the daemon tells the process that resolves stacks: samples as the kernel made them, and
//! what stands at the end of each window.
//!
//! A message is a tag and a length, of 32 bits each, and so many bytes. All numbers are little-endian.

use std::io::{self, Read, Write};

/// The most that is copied of a stack, in bytes: `STACK_BYTES_MAX` of bpf/stack.h.
pub const STACK_BYTES_MAX: usize = 16 << 10;
/// What comes before the stack in a record.
const HEADER_BYTES: usize = 72;
/// No message is longer: a window of 65536 samples that stand.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

const SAMPLE: u32 = 1;
const WINDOW: u32 = 2;
const FINISH: u32 = 3;

/// A sampled allocation: `struct stack_sample` of bpf/stack.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackSample<'a> {
    /// Its number, by which it is found again among those that stand.
    pub id: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// What was asked for.
    pub bytes: u64,
    /// One byte in so many is sampled: the block stands for `max(1, sampling_bytes / bytes)` blocks.
    pub sampling_bytes: u64,
    /// Where the call returns to.
    pub ip: u64,
    /// The stack pointer once it has returned.
    pub sp: u64,
    /// The frame pointer of the caller, if it keeps one.
    pub fp: u64,
    /// Where a function that calls none goes back to, on machines that have it in a register.
    pub lr: u64,
    /// What was sampled.
    pub kind: Kind,
    /// The stack from `sp` on, as far as it was copied.
    pub stack: &'a [u8],
}

/// What a sample is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A block of the heap, followed to its free.
    Heap,
    /// One that is not followed: by its size it is known whether such blocks stay.
    Size,
    /// A mapping.
    Mapping,
    /// Memory that was touched for the first time, and stands until it is given back. Here `ip` is
    /// where that happened, no return.
    Fault,
}

/// A sample that has not been freed at the end of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The sample's number.
    pub id: u64,
    /// How long ago it was allocated.
    pub age_ns: u64,
    /// What it holds by now, in bytes; 0 if that is what its sample says.
    pub bytes: u64,
}

/// By how much blocks of a size have grown in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// The smallest request that gets such a block, in bytes.
    pub from_bytes: u64,
    /// The largest one.
    pub to_bytes: u64,
    /// Bytes allocated less bytes freed.
    pub net_bytes: i64,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// A sample.
    Sample(StackSample<'a>),
    /// A window has ended.
    Window {
        /// How long it was, in seconds.
        secs: f64,
        /// What stands.
        standing: Vec<Standing>,
        /// How sizes have grown.
        classes: Vec<Class>,
    },
    /// That was all.
    Finish {
        /// Samples that were lost on the way.
        n_lost: u64,
    },
}

/// Writes a sample, as the kernel made it.
pub fn write_sample(output: &mut impl Write, record: &[u8]) -> io::Result<()> {
    write(output, SAMPLE, record)
}

/// Writes the end of a window.
pub fn write_window(
    output: &mut impl Write,
    secs: f64,
    standing: &[Standing],
    classes: &[Class],
) -> io::Result<()> {
    let n_standing = standing.len() as u64;
    let mut bytes = Vec::with_capacity(16 + standing.len() * 24 + classes.len() * 24);
    bytes.extend(secs.to_le_bytes());
    bytes.extend(n_standing.to_le_bytes());
    for sample in standing {
        bytes.extend(sample.id.to_le_bytes());
        bytes.extend(sample.age_ns.to_le_bytes());
        bytes.extend(sample.bytes.to_le_bytes());
    }
    for class in classes {
        bytes.extend(class.from_bytes.to_le_bytes());
        bytes.extend(class.to_bytes.to_le_bytes());
        bytes.extend(class.net_bytes.to_le_bytes());
    }
    write(output, WINDOW, &bytes)
}

/// Writes that that was all.
pub fn write_finish(output: &mut impl Write, n_lost: u64) -> io::Result<()> {
    write(output, FINISH, &n_lost.to_le_bytes())
}

fn write(output: &mut impl Write, tag: u32, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    output.write_all(&tag.to_le_bytes())?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(bytes)
}

/// Reads the next message into a buffer; nothing at the end.
pub fn read<'a>(input: &mut impl Read, buffer: &'a mut Vec<u8>) -> io::Result<Option<Message<'a>>> {
    let mut head = [0; 8];
    match input.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (tag, length) = (word(0), word(4) as usize);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::other(format!("a message of {length} bytes")));
    }
    buffer.resize(length, 0);
    input.read_exact(buffer)?;
    parse(tag, buffer)
        .map(Some)
        .ok_or_else(|| io::Error::other(format!("a message {tag} that is none")))
}

fn parse(tag: u32, bytes: &[u8]) -> Option<Message<'_>> {
    match tag {
        SAMPLE => StackSample::parse(bytes).map(Message::Sample),
        FINISH => Some(Message::Finish {
            n_lost: number(bytes, 0)?,
        }),
        WINDOW => {
            let n_standing = usize::try_from(number(bytes, 8)?).ok()?;
            let rest = bytes.get(16..)?;
            let (standing, classes) = rest.split_at_checked(n_standing.checked_mul(24)?)?;
            Some(Message::Window {
                secs: f64::from_bits(number(bytes, 0)?),
                standing: standing
                    .chunks_exact(24)
                    .map(|bytes| {
                        Some(Standing {
                            id: number(bytes, 0)?,
                            age_ns: number(bytes, 8)?,
                            bytes: number(bytes, 16)?,
                        })
                    })
                    .collect::<Option<_>>()?,
                classes: classes
                    .chunks_exact(24)
                    .map(|bytes| {
                        Some(Class {
                            from_bytes: number(bytes, 0)?,
                            to_bytes: number(bytes, 8)?,
                            net_bytes: number(bytes, 16)?.cast_signed(),
                        })
                    })
                    .collect::<Option<_>>()?,
            })
        }
        _ => None,
    }
}

impl<'a> StackSample<'a> {
    /// Reads a record of the kernel's; `None` if it is none.
    pub fn parse(record: &'a [u8]) -> Option<Self> {
        let (header, rest) = record.split_at_checked(HEADER_BYTES)?;
        let kinds_and_length = number(header, 64)?;
        let stack_bytes = usize::try_from(kinds_and_length >> 32).ok()?;
        let kind = match kinds_and_length & 0xffff_ffff {
            0 => Kind::Heap,
            1 => Kind::Size,
            2 => Kind::Mapping,
            3 => Kind::Fault,
            _ => return None,
        };
        Some(Self {
            id: number(header, 0)?,
            time_ns: number(header, 8)?,
            bytes: number(header, 16)?,
            sampling_bytes: number(header, 24)?,
            ip: number(header, 32)?,
            sp: number(header, 40)?,
            fp: number(header, 48)?,
            lr: number(header, 56)?,
            kind,
            stack: rest.get(..stack_bytes)?,
        })
    }

    /// How many blocks it stands for.
    pub fn weight(&self) -> f64 {
        (self.sampling_bytes as f64 / self.bytes.max(1) as f64).max(1.0)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut record = Vec::new();
        for word in [
            7_u64,
            8,
            100,
            65536,
            0x1000,
            0x2000,
            0x3000,
            0x4000,
            4 << 32 | 2,
        ] {
            record.extend(word.to_le_bytes());
        }
        record.extend([1, 2, 3, 4, 0, 0, 0, 0]);
        let standing = [Standing {
            id: 7,
            age_ns: 9,
            bytes: 100,
        }];
        let classes = [Class {
            from_bytes: 25,
            to_bytes: 40,
            net_bytes: -48,
        }];
        let mut written = Vec::new();
        write_sample(&mut written, &record).expect("a vector");
        write_window(&mut written, 1.5, &standing, &classes).expect("a vector");
        write_finish(&mut written, 3).expect("a vector");
        let (mut input, mut buffer) = (written.as_slice(), Vec::new());
        let sample = StackSample {
            id: 7,
            time_ns: 8,
            bytes: 100,
            sampling_bytes: 65536,
            ip: 0x1000,
            sp: 0x2000,
            fp: 0x3000,
            lr: 0x4000,
            kind: Kind::Mapping,
            stack: &[1, 2, 3, 4],
        };
        for expected in [
            Some(Message::Sample(sample)),
            Some(Message::Window {
                secs: 1.5,
                standing: standing.to_vec(),
                classes: classes.to_vec(),
            }),
            Some(Message::Finish { n_lost: 3 }),
            None,
        ] {
            assert_eq!(read(&mut input, &mut buffer).expect("messages"), expected);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let message = |tag: u32, length: u32, bytes: &[u8]| {
            [&tag.to_le_bytes(), &length.to_le_bytes(), bytes].concat()
        };
        for bytes in [
            message(9, 0, &[]),
            message(SAMPLE, 8, &[0; 8]),
            message(FINISH, 4, &[0; 4]),
            message(FINISH, 8, &[0; 4]),
            message(WINDOW, u32::MAX, &[]),
            message(WINDOW, 16, &[0xff; 16]),
        ] {
            let mut buffer = Vec::new();
            let read = read(&mut bytes.as_slice(), &mut buffer);
            assert!(read.is_err(), "{bytes:?}: {read:?}");
        }
    }
}
