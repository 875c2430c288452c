/// Whose processes a caller may know about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Everybody,
    User(u32),
}

impl Audience {
    /// Root and the daemon's own user may know about everybody, others about themselves.
    pub fn of(uid: u32) -> Self {
        let own = rustix::process::geteuid().as_raw();
        match uid == 0 || uid == own {
            true => Self::Everybody,
            false => Self::User(uid),
        }
    }

    pub fn may_see(self, uid: u32) -> bool {
        match self {
            Self::Everybody => true,
            Self::User(own) => own == uid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_see_themselves_and_root_sees_everybody() {
        for (caller, uid, may) in [
            (0, 0, true),
            (0, 1000, true),
            (65_533, 65_533, true),
            (65_533, 0, false),
            (65_533, 1000, false),
        ] {
            assert_eq!(Audience::of(caller).may_see(uid), may, "{caller} {uid}");
        }
    }
}
