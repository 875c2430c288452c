//! A recording of any length is read in bounded memory.

use std::fs;
use std::io::{BufWriter, Write};
use std::process::Stdio;

use super::command;

const N_PROCESSES: u32 = 500;
const N_ROWS: u32 = 2_000_000;

#[test]
fn two_million_rows_fit_in_64_mib() {
    let mut child = command()
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("can be started");
    let mut stdin = BufWriter::new(child.stdin.take().expect("is a pipe"));
    writeln!(stdin, "time_secs,pid,comm,bytes,unit").expect("can be written");
    for row in 0..N_ROWS {
        let round = row / N_PROCESSES;
        let n = row % N_PROCESSES;
        // Half of them live for the whole time, the others for twenty rounds; some leak.
        let pid = if n.is_multiple_of(2) {
            n
        } else {
            n + round / 20 * N_PROCESSES
        };
        let bytes = 50_000_000 + u64::from(n.is_multiple_of(7)) * u64::from(round) * 100_000;
        let secs = round * 5;
        writeln!(stdin, "{secs},{pid},process-{n},{bytes},unit-{n}.service").expect("is read");
    }
    stdin.flush().expect("is read");
    // All but what is in the pipe has been read, and the program waits for more.
    let status =
        fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it is still there");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("is told");
    let peak_kib: u32 = peak
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("is a number");
    drop(stdin);
    assert!(child.wait().expect("ends").success());
    assert!(peak_kib < 64 << 10, "{peak_kib} KiB");
}
