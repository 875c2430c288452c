//! Whether the host as a whole is short of memory.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Host, field};

/// The memory of the host.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HostMemory {
    /// What programs could still get without swapping, in bytes: `MemAvailable`.
    pub available_bytes: u64,
    /// All there is, in bytes: `MemTotal`.
    pub total_bytes: u64,
    /// The part of the last minute in which some task waited for memory, in percent; nothing on
    /// kernels without pressure stall information.
    pub pressure_percent: Option<f64>,
}

impl Host {
    /// How much memory there is, and how hard it is to get, by `/proc/meminfo` and
    /// `/proc/pressure/memory` (Documentation/accounting/psi.rst of the kernel).
    pub fn memory(&self) -> Option<HostMemory> {
        let meminfo = self.read(Path::new("proc/meminfo")).ok()?;
        let pressure = self.read(Path::new("proc/pressure/memory")).ok();
        Some(HostMemory {
            available_bytes: field::sized(&meminfo, "MemAvailable:")?,
            total_bytes: field::sized(&meminfo, "MemTotal:")?,
            pressure_percent: pressure.and_then(|text| field::share_of_minute(&text)),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::collect::tree::Tree;

    #[test]
    fn what_is_left_and_how_hard_it_is_to_get() {
        let meminfo = "MemTotal: 1073741824 kB\nMemAvailable: 102400 kB\n";
        let psi = "some avg10=0.00 avg60=12.50 avg300=1.00 total=5\n\
                   full avg10=0.00 avg60=1.00 avg300=0.00 total=2\n";
        for (meminfo, psi, expected) in [
            (meminfo, Some(psi), Some((100 << 20, Some(12.5)))),
            (meminfo, None, Some((100 << 20, None))),
            (meminfo, Some("some avg60=lots\n"), Some((100 << 20, None))),
            (meminfo, Some("some avg60=1e9\n"), Some((100 << 20, None))),
            ("MemTotal: 1073741824 kB\n", None, None),
        ] {
            let tree = Tree::new().file("proc/meminfo", meminfo);
            let tree = match psi {
                Some(psi) => tree.file("proc/pressure/memory", psi),
                None => tree,
            };
            let memory = tree.host().memory();
            let found = memory.map(|memory| (memory.available_bytes, memory.pressure_percent));
            assert_eq!(found, expected, "{meminfo} {psi:?}");
        }
    }
}
