use std::io::{self, BufRead, BufReader, Read};

/// No row is longer; a quote that is left open would swallow the rest of the file.
const MAX_ROW_BYTES: usize = 64 << 10;

/// Hands a text on by single lines, so that at the end of each row it is known which line that was.
///
/// A reader of CSV that is given more looks ahead, and counts neither empty lines nor the second
/// half of a CR LF where they belong. This also bounds what it may keep of one row.
#[derive(Debug)]
pub(super) struct Lines<R> {
    source: BufReader<R>,
    /// The line that was handed on last, from 1.
    line: u64,
    ends_line: bool,
    row_line: u64,
    row_bytes: usize,
}

impl<R: Read> Lines<R> {
    pub fn new(source: R) -> Self {
        Self {
            source: BufReader::new(source),
            line: 0,
            ends_line: true,
            row_line: 0,
            row_bytes: 0,
        }
    }

    /// What is read from here on belongs to the next row.
    pub fn begin_row(&mut self) {
        self.row_bytes = 0;
    }

    /// In which line the row begins, and in which it ends.
    pub fn row_lines(&self) -> (u64, u64) {
        (self.row_line, self.line)
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ahead = self.source.fill_buf()?;
        let ahead = &ahead[..ahead.len().min(buffer.len())];
        let n = ahead
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(ahead.len(), |newline| newline + 1);
        buffer[..n].copy_from_slice(&ahead[..n]);
        self.source.consume(n);

        let handed_on = &buffer[..n];
        if n > 0 && self.ends_line {
            self.line += 1;
        }
        self.ends_line = handed_on
            .last()
            .map_or(self.ends_line, |last| *last == b'\n');
        if self.row_bytes == 0 {
            self.row_line = self.line;
        }
        if self.row_bytes > 0 || !matches!(handed_on, b"\n" | b"\r\n") {
            self.row_bytes += n;
        }
        if self.row_bytes > MAX_ROW_BYTES {
            let message = format!(
                "is longer than {} KiB: is a quote left open?",
                MAX_ROW_BYTES >> 10
            );
            return Err(io::Error::other(message));
        }
        Ok(n)
    }
}
