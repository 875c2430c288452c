use super::Facts;
use crate::sample::Sample;

/// What a process goes by. Parts are set apart by NUL, which no name has.
impl Facts {
    /// What a process belongs to, as people would name it: its unit, or else its container or
    /// executable. Users may have units of the same name, and a login session is no unit that
    /// would leak as one.
    pub fn subject(&self, sample: &Sample) -> String {
        let program = || self.executable(sample);
        match self.place(sample) {
            Some(place) if !self.is_login_session() => place,
            Some(session) => format!("{session}\0{}", program()),
            None => program(),
        }
    }

    /// The program that a process runs there: the same for all its runs and workers, and in any
    /// login session of the user, as no later one has the same name.
    pub fn program(&self, sample: &Sample) -> String {
        let program = self.executable(sample);
        match self.place(sample) {
            Some(_) if self.is_login_session() => format!("{}\0{program}", sample.uid),
            Some(place) => format!("{place}\0{program}"),
            None => program,
        }
    }

    fn executable(&self, sample: &Sample) -> String {
        let exe = self.exe.clone();
        exe.unwrap_or_else(|| sample.comm.to_string())
    }

    /// Its unit, or else its container.
    fn place(&self, sample: &Sample) -> Option<String> {
        match (&self.user_unit, &self.unit, &self.container) {
            (Some(user_unit), _, _) => Some(format!("{user_unit}\0{}", sample.uid)),
            (None, Some(place), _) | (None, None, Some(place)) => Some(place.clone()),
            (None, None, None) => None,
        }
    }

    fn is_login_session(&self) -> bool {
        let is_session = |unit: &String| unit.ends_with(".scope") && unit.starts_with("session-");
        self.user_unit.is_none() && self.unit.as_ref().is_some_and(is_session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Comm, ProcessId};

    #[test]
    fn units_come_first_and_programs_are_told_apart_in_them() {
        let sample = Sample {
            process: ProcessId {
                pid: 7,
                start_time_ns: 0,
            },
            comm: Comm::new("worker"),
            parent_pid: 1,
            uid: 1000,
            cgroup_id: 0,
            bytes: 0,
            shared_bytes: 0,
            file_bytes: 0,
            virtual_bytes: 0,
        };
        // Unit, user unit, container, executable; subject, program, with | for NUL.
        for (unit, user_unit, container, exe, subject, program) in [
            (
                "web.service",
                "",
                "",
                "/bin/web",
                "web.service",
                "web.service|/bin/web",
            ),
            (
                "web.service",
                "",
                "",
                "",
                "web.service",
                "web.service|worker",
            ),
            (
                "x.scope",
                "",
                "0af1",
                "/bin/web",
                "x.scope",
                "x.scope|/bin/web",
            ),
            (
                "user@1000.service",
                "sync.service",
                "",
                "/bin/sync",
                "sync.service|1000",
                "sync.service|1000|/bin/sync",
            ),
            (
                "session-3.scope",
                "",
                "",
                "/bin/vi",
                "session-3.scope|/bin/vi",
                "1000|/bin/vi",
            ),
            (
                "session-3.scope",
                "app.scope",
                "",
                "/bin/vi",
                "app.scope|1000",
                "app.scope|1000|/bin/vi",
            ),
            ("", "", "0af1", "/bin/web", "0af1", "0af1|/bin/web"),
            ("", "", "", "/bin/web", "/bin/web", "/bin/web"),
            ("", "", "", "", "worker", "worker"),
        ] {
            let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
            let facts = Facts {
                unit: named(unit),
                user_unit: named(user_unit),
                container: named(container),
                exe: named(exe),
                ..Facts::default()
            };
            assert_eq!(facts.subject(&sample).replace('\0', "|"), subject);
            assert_eq!(facts.program(&sample).replace('\0', "|"), program);
        }
    }
}
