//! Who may have which report.

use zbus::fdo;

use super::audience::Audience;
use crate::report::{Report, Store, is_id};

/// The report of an alert, if it is there and may be seen. Errors are sentences.
pub(super) fn find(store: Option<&Store>, audience: Audience, id: &str) -> fdo::Result<Report> {
    if !is_id(id) {
        let message = format!("{id:?} is no alert's id: it has 12 hexadecimal digits");
        return Err(fdo::Error::InvalidArgs(message));
    }
    // That there is one is nobody else's business, either.
    let unknown = || {
        fdo::Error::UnknownObject(format!(
            "there is no report of an alert {id}: nothing has been captured of it, or that is too long ago"
        ))
    };
    match store.map_or(Ok(None), |store| store.load(id)) {
        Ok(Some(report)) if audience.may_see(report.uid) => Ok(report),
        Err(error) if audience == Audience::Everybody => {
            Err(fdo::Error::Failed(format!("{error:#}")))
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::dictionary::{Dictionary, from_dictionary, to_dictionary};
    use crate::report::tests::{capture, report, site};

    #[test]
    fn a_report_is_for_root_and_for_whose_process_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("a store");
        let kept = report(vec![capture(0, vec![site(5, &[1, 2])])]);
        store.save(&kept).expect("saved");
        let path = directory.path().join("reports/aaaaaaaaaaaa.json");
        std::fs::write(path, "{").expect("written");
        let (root, own, other) = (
            Audience::Everybody,
            Audience::User(kept.uid),
            Audience::User(kept.uid + 1),
        );
        let unknown = "there is no report of an alert";
        for (store, audience, id, expected) in [
            (Some(&store), root, kept.id.as_str(), Ok(&kept)),
            (Some(&store), own, &kept.id, Ok(&kept)),
            (Some(&store), other, &kept.id, Err(unknown)),
            (Some(&store), root, "000000000000", Err(unknown)),
            (Some(&store), root, "aaaaaaaaaaaa", Err("reading ")),
            (Some(&store), other, "aaaaaaaaaaaa", Err(unknown)),
            (
                Some(&store),
                root,
                "../alerts",
                Err("\"../alerts\" is no alert's id"),
            ),
            (None, root, &kept.id, Err(unknown)),
        ] {
            let found = find(store, audience, id);
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected),
                (Err(error), Err(expected)) => {
                    let message = error.to_string();
                    let (_, message) = message.split_once(": ").unwrap_or(("", &message));
                    assert!(message.starts_with(expected), "{message}");
                }
                (found, _) => panic!("{audience:?} {id}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_largest_report_survives_the_bus() {
        let stack: Vec<_> = (0..128).collect();
        let sites = |first| {
            (first..first + 60)
                .map(|bytes| site(bytes, &stack))
                .collect()
        };
        let mut sent = report(vec![capture(0, sites(1)), capture(5, sites(30))]);
        sent.sites[0].median_age_secs = Some(2.0);
        sent.sites[0].cut = Some("deeper than 128 frames".to_owned());
        sent.sites[0].frames[0].inlined = true;
        let size = serde_json::to_vec(&sent).expect("JSON").len();
        assert!(size > 900_000, "{size}");
        let dictionary = to_dictionary(&sent).expect("a dictionary");
        let message = zbus::Message::method_call("/", "Test");
        let message = message.build(&dictionary).expect("a message");
        let body = message.body();
        let received: Dictionary = body.deserialize().expect("a dictionary");
        assert_eq!(from_dictionary::<Report>(received).expect("a report"), sent);
    }
}
