//! Names of users.

use std::path::Path;

use super::{Host, field};
use crate::sample::printable;

/// Room for some ten thousand users; one that is listed further down has no name here.
const MAX_PASSWD_BYTES: u64 = 1 << 20;

impl Host {
    /// The name that `/etc/passwd` has for a user.
    ///
    /// The name service switch is not asked: it may go to a directory server on the network,
    /// which this program is not let onto, and would hold up a tick for as long as that takes.
    /// Users it does not know go by their number.
    pub(crate) fn user(&self, uid: u32) -> Option<String> {
        let passwd = self
            .read_at_most(Path::new("etc/passwd"), MAX_PASSWD_BYTES)
            .ok()?;
        user_in(&passwd, uid).map(printable)
    }
}

/// The first user with a number, as the lookup of the C library has it.
fn user_in(passwd: &[u8], uid: u32) -> Option<&[u8]> {
    let uid = uid.to_string();
    field::lines(passwd).find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)? == uid.as_bytes()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collect::tree::Tree;

    #[test]
    fn user_goes_by_the_first_name_of_its_number() {
        let host = Tree::new()
            .file(
                "etc/passwd",
                "root:x:0:0:root:/root:/bin/bash\n\
                 # comment\n\
                 :x:33:33::/:/bin/sh\n\
                 www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n\
                 web:x:33:33::/:/bin/sh\n\
                 +nis\n\
                 evil\x1b[2J:x:66:66::/:/bin/sh\n\
                 short:x:77",
            )
            .host();
        for (uid, expected) in [
            (0, Some("root")),
            (33, Some("www-data")),
            (66, Some("evil\\u{1b}[2J")),
            (77, Some("short")),
            (3, None),
            (330, None),
        ] {
            assert_eq!(host.user(uid).as_deref(), expected, "{uid}");
        }
        assert_eq!(Tree::new().host().user(0), None);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(passwd in proptest::collection::vec(any::<u8>(), 0..400)) {
            user_in(&passwd, 0);
        }
    }
}
