//! The command line of memleakd-mail.

use std::path::PathBuf;

use clap::{Parser, ValueHint};

const HELP: &str = "\
What a server refuses with a number from 500 on is put into rejected/ of the spool at once, and
whatever else could not be sent for 24 hours; both are said in the journal as errors. Until then
mails are tried again, after 5 seconds at first and 15 minutes at last.

With mail.sendmail a program takes the mails instead of a server. It is called without a shell, as
  PROGRAM -i -f FROM -- RECIPIENT…
with the mail on its standard input, and may take as long as mail.timeout. By its exit status
(sysexits.h) a mail is taken (0), refused for good (65, 67, 68), or tried again (all others). In
memleakd-mail.service it runs as a user of no rights who may write nowhere but into the spool, and
setuid and setgid programs get no rights: msmtp and its like work there, the sendmail of Postfix,
Exim and OpenSMTPD does not. These take mails at localhost, which is what is done by default.";

/// Sends the mails that memleakd has put into its spool.
///
/// Without --watch or --until-empty each waiting mail is tried once; the exit status is 0 if
/// none is left, 75 if some are left for later.
#[derive(Debug, Parser)]
#[command(name = "memleakd-mail", version, after_long_help = HELP)]
pub struct Arguments {
    /// Reads this configuration file and no other.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The spool [default: $STATE_DIRECTORY/spool or /var/lib/memleakd/spool]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub spool: Option<PathBuf>,
    /// Stays and sends what comes.
    #[arg(long, conflicts_with = "until_empty")]
    pub watch: bool,
    /// Stays until nothing is left.
    #[arg(long)]
    pub until_empty: bool,
}
