//! Examples in the help of each command. A test parses each of them with the command line itself.

pub(super) const STATUS: &str = "\
Examples:
  memleakctl status                          is it running, what does it see?
  memleakctl status --json | jq .alerts      how many alerts are open";

pub(super) const TOP: &str = "\
Examples:
  memleakctl top                             who grows, as it happens
  memleakctl top --once -n 5                 the five that grow fastest, once
  memleakctl top --heap                      what suspects allocate and free";

pub(super) const ALERTS: &str = "\
Examples:
  memleakctl alerts                          what leaks now
  memleakctl alerts --watch                  and what happens to it
  memleakctl alerts --json | jq -r '.[].unit'";

pub(super) const SHOW: &str = "\
Examples:
  memleakctl show de6e8beb95d0
  memleakctl show de6e8beb95d0 --json | jq .gates";

pub(super) const ACK: &str = "\
Example:
  memleakctl ack de6e8beb95d0                seen: no more reminders";

pub(super) const SILENCE: &str = "\
Examples:
  memleakctl silence de6e8beb95d0 --for 2h   nothing more of its unit for 2 h
  memleakctl silence --unit 'batch-*' --for 7d -c 'fixed in 2.1'
  memleakctl silence --comm memleakd-demo    try demo-leak without a mail";

pub(super) const SILENCES: &str = "\
Example:
  memleakctl silences                        what, by whom, until when, and why";

pub(super) const UNSILENCE: &str = "\
Example:
  memleakctl unsilence 3                     take back number 3 of \"silences\"";

pub(super) const TEST: &str = "\
Examples:
  memleakctl test journal
  memleakctl test mail                       does mail get through, or why not?";

pub(super) const RELOAD: &str = "\
Example:
  memleakctl check && memleakctl reload      only what is right comes into force";

pub(super) const EXPLAIN: &str = "\
Examples:
  memleakctl explain 4711                    would an alert be raised, and when?
  memleakctl explain 4711 --all              all that was tested";

pub(super) const CAPTURE: &str = "\
Examples:
  memleakctl capture --pid 4711              what it allocates and frees
  memleakctl capture --pid 4711 --for 5min --json";

pub(super) const RECORD: &str = "\
Examples:
  memleakctl record -o night.csv --for 12h   what all processes hold
  memleakctl record --unit 'db*' | gzip >db.csv.gz";

pub(super) const REPORT: &str = "\
Examples:
  memleakctl report de6e8beb95d0             which code leaks
  memleakctl report de6e8beb95d0 -o leak.html
  memleakctl report 4711 --capture 30s       of what is not said to leak
  memleakctl report de6e8beb95d0 --json -o leak.json
  memleakctl report leak.json -o leak.html   on another machine";

pub(super) const DOCTOR: &str = "\
Examples:
  memleakctl doctor                          what is wrong, and what to do
  memleakctl doctor --json | jq '.[] | select(.outcome == \"wrong\")'";

pub(super) const DEMO_LEAK: &str = "\
Examples:
  memleakctl demo-leak                       1 MiB/min, until Ctrl-C
  memleakctl demo-leak --rate 8MiB/min --for 10min";

pub(super) const CHECK: &str = "\
Examples:
  memleakctl check                           what is in force, or what is wrong
  memleakctl check ./new.toml >/dev/null     is this file right?";
