//! Who is told of what. Pure: it follows from the configuration and the alert alone.

use std::collections::BTreeSet;

use crate::alert::Alert;
use crate::config;

/// Whether there is anybody who may get a mail.
pub fn has_recipients(mail: &config::Mail) -> bool {
    everybody(mail).next().is_some()
}

/// Whoever is named in `[mail]`.
pub(super) fn everybody(mail: &config::Mail) -> impl Iterator<Item = &String> {
    let routes = mail.route.values().flat_map(|route| &route.to);
    mail.to.iter().chain(routes)
}

/// The recipients of one alert as it stands now.
///
/// The process decides on the routes, and the severity whether they are used: what a route
/// matches is its business, so that `mail.to` does not get the warnings of a unit for which a route
/// asks for what is critical only. So an alert's recipients can only become more as it becomes
/// critical, and never others. A test is for everybody.
pub(super) fn recipients(alert: &Alert, mail: &config::Mail) -> BTreeSet<String> {
    if alert.is_test() {
        return everybody(mail).cloned().collect();
    }
    let subject = alert.subject();
    let matching: Vec<_> = mail
        .route
        .values()
        .filter(|route| route.matching.matches(&subject))
        .collect();
    if matching.is_empty() {
        return match alert.severity >= mail.min_severity {
            true => mail.to.iter().cloned().collect(),
            false => BTreeSet::new(),
        };
    }
    matching
        .into_iter()
        .filter(|route| alert.severity >= route.min_severity)
        .flat_map(|route| route.to.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity;
    use crate::mail::fixture::leak;

    const MAIL: &str = r#"
        to = ["ops@x"]
        min_severity = "critical"
        [route.databases]
        match.unit = ["postgresql*.service", "mysql.service"]
        min_severity = "critical"
        to = ["dba@x", "night@x"]
        [route.postgres]
        match.user = ["postgres", "110"]
        to = ["pg@x", "dba@x"]
        [route.sessions]
        match.unit = ["editor.service"]
        to = ["desk@x"]
        [route.batch]
        match.comm = ["batch"]
        to = []
        [route.cron]
        match.cgroup = ["/system.slice/cron*"]
        match.exe = ["/usr/sbin/*"]
        to = ["cron@x"]
    "#;

    #[test]
    fn a_test_is_for_everybody() {
        let mail: config::Mail = toml::from_str(MAIL).expect("is [mail]");
        let test = Alert::test(leak().time, "db1");
        assert_eq!(recipients(&test, &mail).len(), 6);
    }

    #[test]
    fn routes_first_then_everybody_else() {
        let mail: config::Mail = toml::from_str(MAIL).expect("is [mail]");
        let other = Alert {
            unit: Some("nginx.service".to_owned()),
            uid: 33,
            ..leak()
        };
        for (what, alert, warning, critical) in [
            ("two routes", leak(), "dba@x pg@x", "dba@x night@x pg@x"),
            (
                "one route that asks for more",
                Alert {
                    uid: 27,
                    unit: Some("mysql.service".to_owned()),
                    ..leak()
                },
                "",
                "dba@x night@x",
            ),
            ("no route", other.clone(), "", "ops@x"),
            (
                "a route to nobody",
                Alert {
                    comm: "batch".to_owned(),
                    ..other.clone()
                },
                "",
                "",
            ),
            (
                "a user's unit",
                Alert {
                    unit: Some("user@1000.service".to_owned()),
                    user_unit: Some("editor.service".to_owned()),
                    ..other.clone()
                },
                "desk@x",
                "desk@x",
            ),
            (
                "a user by name",
                Alert {
                    user: Some("postgres".to_owned()),
                    ..other.clone()
                },
                "dba@x pg@x",
                "dba@x pg@x",
            ),
            (
                "one of two kinds is not enough",
                Alert {
                    cgroup: "/system.slice/cron.service".to_owned(),
                    exe: Some("/usr/bin/x".to_owned()),
                    ..other.clone()
                },
                "",
                "ops@x",
            ),
            (
                "both kinds are",
                Alert {
                    cgroup: "/system.slice/cron.service".to_owned(),
                    exe: Some("/usr/sbin/cron".to_owned()),
                    ..other
                },
                "cron@x",
                "cron@x",
            ),
        ] {
            for (severity, expected) in
                [(Severity::Warning, warning), (Severity::Critical, critical)]
            {
                let alert = Alert {
                    severity,
                    ..alert.clone()
                };
                let recipients: Vec<_> = recipients(&alert, &mail).into_iter().collect();
                assert_eq!(recipients.join(" "), expected, "{what}, {severity}");
            }
        }
    }

    #[test]
    fn somebody_in_any_list_is_enough() {
        for (text, expected) in [
            ("", false),
            ("to = []\n[route.a]\nto = []", false),
            ("to = [\"a@x\"]", true),
            ("[route.a]\nto = []\n[route.b]\nto = [\"a@x\"]", true),
        ] {
            let mail = toml::from_str(text).expect("is [mail]");
            assert_eq!(has_recipients(&mail), expected, "{text}");
        }
    }
}
