use std::collections::{BTreeMap, VecDeque};
use std::io::Read;

use anyhow::{Context, Result, anyhow, bail};
use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::lines::Lines;
use crate::sample::{Comm, printable};

/// Columns that a recording has, and those that it may have.
const COLUMNS: [&str; 6] = ["time_secs", "pid", "comm", "bytes", "unit", "limit_bytes"];
const N_REQUIRED: usize = 4;
const TIME_SECS: usize = 0;
const PID: usize = 1;
const COMM: usize = 2;
const BYTES: usize = 3;
const UNIT: usize = 4;
const LIMIT_BYTES: usize = 5;
/// The kernel's PID_MAX_LIMIT.
const MAX_PID: u32 = 4 << 20;
/// Later than any date that is meant; beyond, seconds lose their fractions.
const MAX_SECS: f64 = 1e11;
/// systemd's longest name of a unit.
const MAX_UNIT_BYTES: usize = 255;
/// So much of a field is shown where it is refused.
const MAX_SHOWN: usize = 40;
/// Rows that are looked at to learn the time between two samples, and for how many processes.
const MAX_LOOK_AHEAD: usize = 100_000;
const MAX_LOOKED_AT: usize = 64;
/// Samples of one process that are enough to learn from.
const ENOUGH_SAMPLES: usize = 6;

/// Rows of a recording, one at a time: CSV with the header `time_secs,pid,comm,bytes` and, if
/// there is more to tell, `unit` and `limit_bytes`. Times do not go backwards.
#[derive(Debug)]
pub struct Recording<R> {
    reader: csv::Reader<Lines<R>>,
    /// Where each of [`COLUMNS`] is.
    places: [Option<usize>; COLUMNS.len()],
    n_columns: usize,
    ahead: VecDeque<Row>,
    record: ByteRecord,
    last_secs: f64,
}

/// One sample of one process.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub time_secs: f64,
    pub pid: u32,
    pub comm: Comm,
    pub bytes: u64,
    pub unit: Option<String>,
    pub limit_bytes: Option<u64>,
}

impl<R: Read> Recording<R> {
    /// Reads the header. Errors name the line and what would be right.
    pub fn new(source: R) -> Result<Self> {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(Lines::new(source));
        let mut recording = Self {
            reader,
            places: [None; COLUMNS.len()],
            n_columns: 0,
            ahead: VecDeque::new(),
            record: ByteRecord::new(),
            last_secs: 0.0,
        };
        let Some(line) = recording.next_record()? else {
            bail!("is empty: the first line is the header {}", required());
        };
        recording
            .take_header()
            .with_context(|| format!("line {line}"))?;
        Ok(recording)
    }

    /// The usual time between two samples of one process, by the first that is there often enough,
    /// or else the most often; `None` if none is there twice.
    pub fn interval_secs(&mut self) -> Result<Option<f64>> {
        let mut times: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        let mut most = 0;
        while self.ahead.len() < MAX_LOOK_AHEAD && most < ENOUGH_SAMPLES {
            let Some(row) = self.read()? else { break };
            if times.len() < MAX_LOOKED_AT || times.contains_key(&row.pid) {
                let times = times.entry(row.pid).or_default();
                times.push(row.time_secs);
                times.dedup();
                most = most.max(times.len());
            }
            self.ahead.push_back(row);
        }
        let longest = times.into_values().max_by_key(Vec::len).unwrap_or_default();
        let mut intervals: Vec<f64> = longest.windows(2).map(|pair| pair[1] - pair[0]).collect();
        intervals.sort_by(f64::total_cmp);
        Ok(intervals.get(intervals.len() / 2).copied())
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        match self.ahead.pop_front() {
            Some(row) => Ok(Some(row)),
            None => self.read(),
        }
    }

    /// Gives back the row that was taken last.
    pub(super) fn put_back(&mut self, row: Row) {
        self.ahead.push_front(row);
    }

    fn read(&mut self) -> Result<Option<Row>> {
        let Some(line) = self.next_record()? else {
            return Ok(None);
        };
        let row = self.row().with_context(|| format!("line {line}"))?;
        self.last_secs = row.time_secs;
        Ok(Some(row))
    }

    /// The line in which the next record begins; `None` at the end.
    fn next_record(&mut self) -> Result<Option<u64>> {
        self.reader.get_mut().begin_row();
        let read = self.reader.read_byte_record(&mut self.record);
        let (line, _) = self.reader.get_ref().row_lines();
        match read {
            Ok(true) => Ok(Some(line)),
            Ok(false) => Ok(None),
            Err(error) => match error.into_kind() {
                ErrorKind::Io(error) if error.raw_os_error().is_some() => {
                    bail!("cannot be read: {error}")
                }
                ErrorKind::Io(error) => bail!("line {line}: {error}"),
                kind => bail!("line {line}: {kind:?}"),
            },
        }
    }

    fn take_header(&mut self) -> Result<()> {
        self.n_columns = self.record.len();
        for (place, name) in self.record.iter().enumerate() {
            let Some(column) = COLUMNS.iter().position(|known| known.as_bytes() == name) else {
                let optional = COLUMNS[N_REQUIRED..].join(" and ");
                bail!(
                    "unknown column {}: the header is {}, and may also have {optional}",
                    shown(name),
                    required()
                );
            };
            if self.places[column].replace(place).is_some() {
                bail!("column {} is there twice", COLUMNS[column]);
            }
        }
        match self.places[..N_REQUIRED].iter().position(Option::is_none) {
            Some(missing) => bail!(
                "column {} is missing: the header is {}",
                COLUMNS[missing],
                required()
            ),
            None => Ok(()),
        }
    }

    fn row(&self) -> Result<Row> {
        if self.record.len() != self.n_columns {
            let (begin, end) = self.reader.get_ref().row_lines();
            let hint = if end > begin {
                format!(", and ends in line {end}: is a quote left open?")
            } else {
                String::new()
            };
            bail!(
                "has {} fields where the header has {}{hint}",
                self.record.len(),
                self.n_columns
            );
        }
        let time_secs: f64 = self.parse(TIME_SECS, "a time in seconds from 0 to 100000000000")?;
        if !(0.0..=MAX_SECS).contains(&time_secs) {
            return Err(self.refused(TIME_SECS, "a time in seconds from 0 to 100000000000"));
        }
        if time_secs < self.last_secs {
            bail!(
                "time_secs is {time_secs}, before {} of the row above: sort the rows by time",
                self.last_secs
            );
        }
        let pid = self.parse(PID, "a process id up to 4194304")?;
        if pid > MAX_PID {
            return Err(self.refused(PID, "a process id up to 4194304"));
        }
        let comm = Comm::new(self.name(COMM)?);
        let bytes = self.parse(BYTES, "a whole number of bytes")?;
        let unit = self.name(UNIT)?;
        if unit.len() > MAX_UNIT_BYTES {
            return Err(self.refused(UNIT, "the name of a unit, which has 255 bytes at most"));
        }
        let unit = Some(unit)
            .filter(|unit| !unit.is_empty())
            .map(|unit| printable(unit.as_bytes()));
        let limit_bytes = match self.field(LIMIT_BYTES) {
            b"" => None,
            _ => Some(self.parse(LIMIT_BYTES, "a whole number of bytes, or empty")?),
        };
        Ok(Row {
            time_secs,
            pid,
            comm,
            bytes,
            unit,
            limit_bytes,
        })
    }

    /// The field of a column; empty if there is no such column.
    fn field(&self, column: usize) -> &[u8] {
        self.places[column]
            .and_then(|place| self.record.get(place))
            .unwrap_or_default()
    }

    fn parse<T: std::str::FromStr>(&self, column: usize, expected: &str) -> Result<T> {
        let text = str::from_utf8(self.field(column)).ok();
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| self.refused(column, expected))
    }

    fn name(&self, column: usize) -> Result<&str> {
        match str::from_utf8(self.field(column)) {
            Ok(name) if !name.contains('\0') => Ok(name),
            Ok(_) => Err(self.refused(column, "a name without NUL bytes")),
            Err(_) => Err(self.refused(column, "UTF-8 text")),
        }
    }

    fn refused(&self, column: usize, expected: &str) -> anyhow::Error {
        anyhow!(
            "{} is {}, not {expected}",
            COLUMNS[column],
            shown(self.field(column))
        )
    }
}

fn required() -> String {
    COLUMNS[..N_REQUIRED].join(",")
}

/// A field in quotes, made harmless and not too long.
fn shown(field: &[u8]) -> String {
    let text = printable(field);
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}
