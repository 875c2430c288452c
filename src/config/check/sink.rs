//! Settings of sinks that cannot be.

use std::net::IpAddr;

use lettre::Address;

use super::{Check, Impossible, impossible};
use crate::alertmanager::labels;
use crate::config::key::Key;
use crate::config::{Alertmanager, Hook, Mail, Metrics, Tls};
use crate::quantity::Span;

impl Mail {
    pub(super) fn check(&self) -> Check {
        let from = Some(&self.from).filter(|from| !from.is_empty());
        let from = from.map(|address| (Key::new("mail.from"), address));
        let to = self.to.iter().map(|address| (Key::new("mail.to"), address));
        let routes = self.route.iter().flat_map(|(name, route)| {
            let key = Key::new("mail.route").join(name).join("to");
            route.to.iter().map(move |address| (key.clone(), address))
        });
        for (key, address) in to.chain(from).chain(routes) {
            if let Err(error) = address.parse::<Address>() {
                let message = format!(
                    "{address:?} is not a mail address such as \"ops@example.org\": {error}"
                );
                let keys = vec![key];
                return Err(Impossible { keys, message });
            }
        }
        let sendmail = &self.sendmail;
        if !sendmail.as_os_str().is_empty() && !sendmail.is_absolute() {
            let message = format!(
                "{} is not the path of a program such as \"/usr/sbin/sendmail\"",
                sendmail.display()
            );
            return impossible("mail.sendmail", message);
        }
        if !self.is_host() {
            let message = format!(
                "{:?} is not the name or address of a host; its port is mail.port",
                self.server
            );
            return impossible("mail.server", message);
        }
        if self.tls == Tls::None && !self.is_local() {
            let message = format!(
                "\"none\" is for a server on this machine; for {} use \"starttls\" or \"tls\"",
                self.server
            );
            return Err(Impossible {
                keys: vec![Key::new("mail.tls"), Key::new("mail.server")],
                message,
            });
        }
        if self.timeout < Span::from_secs(1) {
            return impossible("mail.timeout", "must be at least 1s");
        }
        Ok(())
    }

    fn is_host(&self) -> bool {
        let is_name = |name: &str| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
        };
        let address = self.address();
        !address.is_empty() && (is_name(address) || address.parse::<IpAddr>().is_ok())
    }

    /// Whether the server is this machine, so that nothing crosses a wire.
    fn is_local(&self) -> bool {
        let address = self.address();
        match address.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => address == "localhost",
        }
    }

    /// The server without the brackets that IPv6 addresses may have.
    fn address(&self) -> &str {
        self.server.trim_start_matches('[').trim_end_matches(']')
    }
}

impl Metrics {
    pub(super) fn check(&self) -> Check {
        let file = &self.file;
        let is_set = !file.as_os_str().is_empty();
        // node_exporter reads no others.
        if is_set && !(file.is_absolute() && file.extension().is_some_and(|end| end == "prom")) {
            let message = format!(
                "{} is not an absolute path that ends in .prom",
                file.display()
            );
            return impossible("metrics.file", message);
        }
        match self.top {
            0..=100 => Ok(()),
            top => impossible("metrics.top", format!("{top} is not between 0 and 100")),
        }
    }
}

impl Alertmanager {
    pub(super) fn check(&self) -> Check {
        let host = ["http://", "https://"]
            .iter()
            .find_map(|scheme| self.url.strip_prefix(scheme));
        if !self.url.is_empty() && host.is_none_or(str::is_empty) {
            let message = format!(
                "{:?} is not a URL such as \"http://localhost:9093\"",
                self.url
            );
            return impossible("alertmanager.url", message);
        }
        for label in &self.labels {
            // As Prometheus has them.
            let is_name = |name: &str| {
                let mut letters = name.chars();
                letters
                    .next()
                    .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                    && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
            };
            if !label.split_once('=').is_some_and(|(name, _)| is_name(name)) {
                let message = format!("{label:?} is not a label such as \"team=databases\"");
                return impossible("alertmanager.labels", message);
            }
        }
        if let Err(reserved) = labels(&self.labels) {
            return impossible("alertmanager.labels", reserved.to_string());
        }
        if self.timeout < Span::from_secs(1) {
            return impossible("alertmanager.timeout", "must be at least 1s");
        }
        Ok(())
    }
}

impl Hook {
    pub(super) fn check(&self) -> Check {
        let is_template = self.unit.strip_suffix("@.service").is_some_and(|name| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || ":-_.".contains(c);
            !name.is_empty() && name.len() <= 100 && name.chars().all(is_plain)
        });
        match self.unit.is_empty() || is_template {
            true => Ok(()),
            false => {
                let message = format!(
                    "{:?} is not a template such as \"page@.service\"",
                    self.unit
                );
                impossible("hook.unit", message)
            }
        }
    }
}
