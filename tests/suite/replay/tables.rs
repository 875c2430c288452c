//! Tables that are not as they should be: each ends the program with one sentence that names the
//! line and what would be right.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use super::{alerts, command, run};

const HEADER: &str = "time_secs,pid,comm,bytes\n";

/// What is said of a table, without the names of program and file, and the exit status.
fn said_of(table: &[u8]) -> (String, Option<i32>) {
    let output = run(table);
    assert!(output.stdout.is_empty());
    let said = str::from_utf8(&output.stderr).expect("is UTF-8");
    assert!(said.lines().count() <= 1, "{said}");
    let sentence = said
        .split_once("x.csv: ")
        .map_or(said, |(_, sentence)| sentence);
    (sentence.trim_end().to_owned(), output.status.code())
}

#[test]
fn a_bad_header_is_told() {
    let is_refused = |table: &[u8], sentence: &str| {
        assert_eq!(said_of(table), (sentence.to_owned(), Some(1)));
    };
    let empty = "is empty: the first line is the header time_secs,pid,comm,bytes";
    is_refused(b"", empty);
    is_refused(b"\n\r\n\n", empty);
    let unknown = |line, name| {
        format!(
            "line {line}: unknown column \"{name}\": the header is time_secs,pid,comm,bytes, and may also have unit and limit_bytes"
        )
    };
    is_refused(b"secs,pid,comm,bytes\n", &unknown(1, "secs"));
    is_refused(b"0,1,a,1\n", &unknown(1, "0"));
    is_refused(b"\n\ntime_secs,pid,comm,bytes,rss\n", &unknown(3, "rss"));
    is_refused(b"time_secs,pid,comm,bytes,\n", &unknown(1, ""));
    is_refused(
        b"time_secs;pid;comm;bytes\n",
        &unknown(1, "time_secs;pid;comm;bytes"),
    );
    is_refused(b"a\nb\x1b[2J\xff,\"\n", &unknown(1, "a"));
    is_refused(
        &[b"x".repeat(1000), b"\n".to_vec()].concat(),
        &unknown(1, &("x".repeat(40) + "…")),
    );
    is_refused(
        b"time_secs,pid,comm\n",
        "line 1: column bytes is missing: the header is time_secs,pid,comm,bytes",
    );
    is_refused(
        b"comm,bytes,unit\n",
        "line 1: column time_secs is missing: the header is time_secs,pid,comm,bytes",
    );
    is_refused(
        b"time_secs,pid,comm,bytes,pid\n",
        "line 1: column pid is there twice",
    );
}

#[test]
fn a_bad_row_is_told_with_its_line() {
    let time = "a time in seconds from 0 to 100000000000";
    let is_pid = "a process id up to 4194304";
    let whole = "a whole number of bytes";
    for (row, sentence) in [
        ("then,2,b,1", format!("time_secs is \"then\", not {time}")),
        (",2,b,1", format!("time_secs is \"\", not {time}")),
        ("-1,2,b,1", format!("time_secs is \"-1\", not {time}")),
        ("NaN,2,b,1", format!("time_secs is \"NaN\", not {time}")),
        ("inf,2,b,1", format!("time_secs is \"inf\", not {time}")),
        ("1e308,2,b,1", format!("time_secs is \"1e308\", not {time}")),
        ("1e999,2,b,1", format!("time_secs is \"1e999\", not {time}")),
        (
            "100000000001,2,b,1",
            format!("time_secs is \"100000000001\", not {time}"),
        ),
        (
            "9.5,2,b,1",
            "time_secs is 9.5, before 10 of the row above: sort the rows by time".to_owned(),
        ),
        (
            "0,2,b,1",
            "time_secs is 0, before 10 of the row above: sort the rows by time".to_owned(),
        ),
        ("10,two,b,1", format!("pid is \"two\", not {is_pid}")),
        ("10,-2,b,1", format!("pid is \"-2\", not {is_pid}")),
        ("10,2.0,b,1", format!("pid is \"2.0\", not {is_pid}")),
        (
            "10,4194305,b,1",
            format!("pid is \"4194305\", not {is_pid}"),
        ),
        (
            "10,99999999999999999999,b,1",
            format!("pid is \"99999999999999999999\", not {is_pid}"),
        ),
        ("10,2,b,", format!("bytes is \"\", not {whole}")),
        ("10,2,b,-1", format!("bytes is \"-1\", not {whole}")),
        ("10,2,b,1.5", format!("bytes is \"1.5\", not {whole}")),
        ("10,2,b,1e9", format!("bytes is \"1e9\", not {whole}")),
        ("10,2,b,64MiB", format!("bytes is \"64MiB\", not {whole}")),
        (
            "10,2,b,18446744073709551616",
            format!("bytes is \"18446744073709551616\", not {whole}"),
        ),
        ("10,2,b", "has 3 fields where the header has 4".to_owned()),
        (
            "10,2,b,1,",
            "has 5 fields where the header has 4".to_owned(),
        ),
        (
            "10,2,b\0c,1",
            "comm is \"b\\u{0}c\", not a name without NUL bytes".to_owned(),
        ),
        (
            "10,\x002,b,1",
            format!("pid is \"\\u{{0}}2\", not {is_pid}"),
        ),
        (
            "10,\x1b[2J\u{202e},b,1",
            format!("pid is \"\\u{{1b}}[2J\\u{{202e}}\", not {is_pid}"),
        ),
        (
            "10,2,\"b,1\n15,2,b,1\n20,2,b,1",
            "has 3 fields where the header has 4, and ends in line 9: is a quote left open?"
                .to_owned(),
        ),
    ] {
        // Above it is what confuses the counting of lines.
        for above in [
            "0,1,a,1\n5,1,a,1\n10,1,a,1\n10,1,a,1\n10,1,a,1\n",
            "0,1,a,1\r\n\r\n\n5,1,a,1\r\n10,1,a,1\n",
            "0,1,a,1\r\n5,1,a,1\n\n10,1,\"a\n\",1\n",
        ] {
            for below in ["", "\n", "\r\n"] {
                let table = format!("{HEADER}{above}{row}{below}");
                let expected = (format!("line 7: {sentence}"), Some(1));
                assert_eq!(said_of(table.as_bytes()), expected, "{table:?}");
            }
        }
    }
}

#[test]
fn bad_names_are_told() {
    let header = "time_secs,pid,comm,bytes,unit,limit_bytes\n";
    let row = |name: &[u8], unit: &[u8], limit: &[u8]| {
        [
            header.as_bytes(),
            b"0,1,",
            name,
            b",1,",
            unit,
            b",",
            limit,
            b"\n",
        ]
        .concat()
    };
    for (table, sentence) in [
        (
            row(b"\xff\xfe", b"", b""),
            "comm is \"\u{fffd}\u{fffd}\", not UTF-8 text".to_owned(),
        ),
        (
            row(b"a", b"a\xff", b""),
            "unit is \"a\u{fffd}\", not UTF-8 text".to_owned(),
        ),
        (
            row(b"a", b"a\0", b""),
            "unit is \"a\\u{0}\", not a name without NUL bytes".to_owned(),
        ),
        (
            row(b"a", &b"u".repeat(256), b""),
            format!(
                "unit is \"{}…\", not the name of a unit, which has 255 bytes at most",
                "u".repeat(40)
            ),
        ),
        (
            row(b"a", b"", b"max"),
            "limit_bytes is \"max\", not a whole number of bytes, or empty".to_owned(),
        ),
    ] {
        assert_eq!(said_of(&table), (format!("line 2: {sentence}"), Some(1)));
    }
}

/// Nothing that has no end is read to its end.
#[test]
fn endless_rows_are_refused() {
    let refused = |line| {
        (
            format!("line {line}: is longer than 64 KiB: is a quote left open?"),
            Some(1),
        )
    };
    assert_eq!(said_of(&b"\0".repeat(1 << 20)), refused(1));
    let open = format!(
        "{HEADER}0,1,a,1\n5,1,\"a,1\n{}",
        "10,1,a,1\n".repeat(20_000)
    );
    assert_eq!(said_of(open.as_bytes()), refused(3));

    for endless in ["/dev/zero", "/dev/urandom"] {
        let stdin = File::open(endless).expect("is there");
        let output = command()
            .arg("-")
            .stdin(stdin)
            .output()
            .expect("can be started");
        assert_eq!(output.status.code(), Some(1), "{endless}");
    }
}

#[test]
fn more_processes_than_any_machine_has_are_refused() {
    let rows = |n: u32| -> String { (0..n).map(|pid| format!("3,{pid},a,1\n")).collect() };
    let sentence = "at time_secs 3 there are more than 100000 processes: are all times right?";
    let table = HEADER.to_owned() + &rows(100_001);
    assert_eq!(said_of(table.as_bytes()), (sentence.to_owned(), Some(1)));
    let table = HEADER.to_owned() + &rows(100_000);
    assert_eq!(said_of(table.as_bytes()), (String::new(), Some(0)));
}

#[test]
fn what_is_odd_but_right_is_taken() {
    let rows = "0,1,a,1\n5,1,a,1\n";
    for table in [
        HEADER.to_owned(),
        HEADER.trim_end().to_owned(),
        HEADER.to_owned() + rows,
        HEADER.to_owned() + rows.trim_end(),
        (HEADER.to_owned() + rows).replace('\n', "\r\n"),
        (HEADER.to_owned() + rows).replace('\n', "\n\n\r\n"),
        format!("\u{feff}{HEADER}{rows}"),
        format!("\"time_secs\", pid ,\"comm\",bytes\n 0 , 1 , \"a\" , 1 \n{rows}"),
        "limit_bytes,bytes,comm,unit,pid,time_secs\n,1,a,,1,0\n5,1,\"a,\"\"b\",u,1,5\n".to_owned(),
        format!("{HEADER}0,1,\"a\n\nb\",1\n5,1,,1\n"),
        format!("{HEADER}0,0,a,0\n0,4194304,a,0\n0,0,a,0\n1e11,1,a,0\n"),
        format!(
            "{HEADER}0,1,a,18446744073709551615\n5,1,a,0\n10,1,a,18446744073709551615\n90000,1,a,7\n"
        ),
    ] {
        assert_eq!(
            alerts(&run(table.as_bytes())),
            Vec::<serde_json::Value>::new(),
            "{table}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    for (file, sentence) in [
        (
            "/nonexistent.csv",
            "memleakd: opening /nonexistent.csv: No such file or directory (os error 2)\n",
        ),
        (
            "/",
            "memleakd: /: cannot be read: Is a directory (os error 21)\n",
        ),
    ] {
        let output = command().arg(file).output().expect("can be started");
        assert_eq!(str::from_utf8(&output.stderr), Ok(sentence));
        assert_eq!(output.status.code(), Some(1));
    }
}

/// What was found before a bad row has been said by then.
#[test]
fn alerts_before_a_bad_row_are_said() {
    let series = [super::Series::new(7, |secs| Some(secs * super::MIB))];
    let table = super::table(&series, super::HOUR) + "5000,7,process-7\n";
    let output = run(table.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    let first = output
        .stdout
        .split(|byte| *byte == b'\n')
        .next()
        .expect("is never empty");
    let alert: serde_json::Value = serde_json::from_slice(first).expect("is JSON");
    assert_eq!(alert["change"], "raised");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.ends_with("line 1444: has 3 fields where the header has 6\n"),
        "{said}"
    );
}

/// Whoever has read enough, such as head, is no error.
#[test]
fn a_reader_that_goes_is_no_error() {
    let series = [super::Series::new(7, |secs| Some(secs * super::MIB))];
    let table = super::table(&series, super::HOUR);
    let mut child = command()
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("can be started");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("is a pipe");
    // The program ends when it notices, and does not read the rest.
    drop(stdin.write_all(table.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(
        (output.status.code(), &output.stderr[..]),
        (Some(0), &b""[..])
    );
}
