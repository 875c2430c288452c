use crate::site::words::shorten;

/// A unit's name may be longer than anybody needs to see.
const MAX_LABEL: usize = 100;

/// The growing processes of one name in one unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Their name.
    pub comm: String,
    /// Their unit; empty if they have none or it has not been read.
    pub unit: String,
    /// How many they are.
    pub processes: usize,
    /// What they hold together, in bytes.
    pub bytes: u64,
    /// How fast they grow together, in bytes a second.
    pub growth_bytes_per_sec: f64,
}

/// Puts processes of one name and unit together and keeps those that grow fastest, at most so many.
///
/// This is what bounds the series of one scrape; with names that change all the time, it bounds no
/// more than that.
pub fn programs(processes: impl IntoIterator<Item = Program>, n_kept: usize) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    for mut process in processes {
        process.comm = shorten(&process.comm, MAX_LABEL);
        process.unit = shorten(&process.unit, MAX_LABEL);
        let same = programs
            .iter_mut()
            .find(|program| program.comm == process.comm && program.unit == process.unit);
        match same {
            Some(program) => {
                program.processes += process.processes;
                program.bytes = program.bytes.saturating_add(process.bytes);
                program.growth_bytes_per_sec += process.growth_bytes_per_sec;
            }
            None => programs.push(process),
        }
    }
    programs.sort_by(|a, b| {
        b.growth_bytes_per_sec
            .total_cmp(&a.growth_bytes_per_sec)
            .then_with(|| (&a.comm, &a.unit).cmp(&(&b.comm, &b.unit)))
    });
    programs.truncate(n_kept);
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(comm: &str, unit: &str, growth_bytes_per_sec: f64) -> Program {
        Program {
            comm: comm.to_owned(),
            unit: unit.to_owned(),
            processes: 1,
            bytes: 100,
            growth_bytes_per_sec,
        }
    }

    #[test]
    fn workers_are_one_program_and_the_fastest_are_kept() {
        let together = Program {
            processes: 2,
            bytes: 200,
            ..process("worker", "shop.service", 7.0)
        };
        let of_another_unit = process("worker", "blog.service", 5.0);
        let processes = [
            process("worker", "shop.service", 4.0),
            of_another_unit.clone(),
            process("worker", "shop.service", 3.0),
            process("slow", "", 1.0),
        ];
        for (n_kept, expected) in [
            (0, vec![]),
            (1, vec![together.clone()]),
            (2, vec![together, of_another_unit]),
        ] {
            assert_eq!(programs(processes.clone(), n_kept), expected);
        }
    }

    #[test]
    fn a_thousand_names_are_no_more_series_than_asked_for() {
        let many = (0..1000).map(|n| process(&format!("name{n}"), &"u".repeat(4000), 1.0));
        let kept = programs(many, 10);
        assert_eq!(kept.len(), 10);
        assert!(kept.iter().all(|one| one.unit.chars().count() <= MAX_LABEL));
    }
}
