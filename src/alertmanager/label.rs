use std::collections::BTreeMap;
use std::fmt;

/// The value of the label `alertname`.
pub const NAME: &str = "MemoryLeak";

/// Labels that each alert has from what it is; the configuration cannot have others instead.
const OWN: [&str; 7] = [
    "alertname",
    "severity",
    "instance",
    "unit",
    "comm",
    "rule",
    "id",
];

/// A label of the configuration that has the name of one of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved(String);

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.0;
        write!(f, "{name:?} is a label that every alert has of its own")
    }
}

impl std::error::Error for Reserved {}

/// The labels of `alertmanager.labels`, each `name=value`. What has no `=` was refused with the
/// configuration.
pub fn labels(settings: &[String]) -> Result<BTreeMap<String, String>, Reserved> {
    let pairs = settings.iter().filter_map(|label| label.split_once('='));
    pairs
        .map(|(name, value)| match OWN.contains(&name) {
            true => Err(Reserved(name.to_owned())),
            false => Ok((name.to_owned(), value.to_owned())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_labels_stay_what_they_are() {
        for (setting, expected) in [
            ("team=databases", Ok(Some("databases"))),
            ("team=a=b", Ok(Some("a=b"))),
            ("severity=none", Err("\"severity\" is a label")),
            ("instance=db1", Err("\"instance\" is a label")),
        ] {
            match (labels(&[setting.to_owned()]), expected) {
                (Ok(labels), Ok(value)) => {
                    assert_eq!(labels.get("team").map(String::as_str), value);
                }
                (Err(error), Err(words)) => {
                    assert!(error.to_string().starts_with(words), "{error}")
                }
                (labels, _) => panic!("{setting}: {labels:?}"),
            }
        }
    }
}
