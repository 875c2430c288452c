//! The table: whole lines, whatever happens.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write, stdout};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result};

use crate::sample::Comm;

/// One sample of one process.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub pid: u32,
    pub comm: Comm,
    pub bytes: u64,
    pub unit: Option<String>,
    pub limit_bytes: Option<u64>,
}

const HEADER: [&str; 6] = ["time_secs", "pid", "comm", "bytes", "unit", "limit_bytes"];

/// A file or a stream that is written row by row.
#[derive(Debug)]
pub(super) struct Sheet {
    file: File,
    name: String,
}

impl Sheet {
    /// Begins one, in the place of what the file has been.
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let (file, name) = match path {
            Some(path) => {
                let name = path.display().to_string();
                let file = File::create(path).with_context(|| format!("writing {name}"))?;
                (file, name)
            }
            None => {
                let file = stdout().as_fd().try_clone_to_owned();
                let file = file.context("opening standard output")?;
                (File::from(file), "standard output".to_owned())
            }
        };
        let mut sheet = Self { file, name };
        sheet.put(&lines([HEADER.map(str::to_owned)])?)?;
        Ok(sheet)
    }

    /// Adds the rows of a time, in seconds since 1970. After an error none of them is there.
    pub fn write(&mut self, secs: f64, rows: &[Row]) -> Result<()> {
        let text = |number: Option<u64>| number.map_or_else(String::new, |it| it.to_string());
        let records = rows.iter().map(|row| {
            [
                format!("{secs:.3}"),
                row.pid.to_string(),
                row.comm.to_string(),
                row.bytes.to_string(),
                row.unit.clone().unwrap_or_default(),
                text(row.limit_bytes),
            ]
        });
        self.put(&lines(records)?)
    }

    fn put(&mut self, lines: &[u8]) -> Result<()> {
        let mut n_put = 0;
        while n_put < lines.len() {
            let put = match self.file.write(&lines[n_put..]) {
                Ok(0) => Err(io::Error::from(ErrorKind::WriteZero)),
                put => put,
            };
            match put {
                Ok(n) => n_put += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.take_back(n_put as u64);
                    return Err(error).with_context(|| format!("writing {}", self.name));
                }
            }
        }
        Ok(())
    }

    /// Takes back what was written last, where that is the end of a file.
    fn take_back(&mut self, n_bytes: u64) {
        let end = self.file.stream_position();
        let (Ok(end), Ok(metadata)) = (end, self.file.metadata()) else {
            return;
        };
        if n_bytes > 0 && metadata.is_file() && metadata.len() == end {
            // The error that this follows is the one to tell.
            self.file.set_len(end.saturating_sub(n_bytes)).ok();
        }
    }
}

fn lines(records: impl IntoIterator<Item = [String; HEADER.len()]>) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    for record in records {
        table.write_record(&record).context("writing a row")?;
    }
    table.into_inner().context("writing a row")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_apart_from_columns_and_lines() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("table.csv");
        let mut sheet = Sheet::create(Some(&path)).expect("a table");
        let row = |comm, unit: Option<&str>, limit_bytes| Row {
            pid: 7,
            comm: Comm::new(comm),
            bytes: 4096,
            unit: unit.map(str::to_owned),
            limit_bytes,
        };
        let rows = [
            row("a, \"b\"", Some("c.service"), Some(1 << 30)),
            row("a\nb", None, None),
        ];
        sheet.write(1.5, &rows).expect("written");
        sheet.write(2.0, &[]).expect("written");
        let text = std::fs::read_to_string(&path).expect("a table");
        assert_eq!(
            text,
            "time_secs,pid,comm,bytes,unit,limit_bytes\n\
             1.500,7,\"a, \"\"b\"\"\",4096,c.service,1073741824\n\
             1.500,7,a\\u{a}b,4096,,\n"
        );
    }
}
