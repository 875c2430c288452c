use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

use crate::sample::{Moment, printable};

/// All clocks at once.
pub(super) fn now() -> Moment {
    let secs = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    Moment {
        monotonic_secs: secs(ClockId::Monotonic),
        boot_secs: secs(ClockId::Boottime),
        time: jiff::Timestamp::now(),
    }
}

/// The host's name, as it was at start.
pub(super) fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| printable(rustix::system::uname().nodename().to_bytes()))
}
