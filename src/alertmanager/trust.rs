//! Whom the connection trusts, and what it proves itself by.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::crypto::ring;
use ureq::http::HeaderValue;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::file::read_small;
use crate::{config, secret};

/// The credential that holds the password or token where the configuration names no file.
const CREDENTIAL: &str = "memleakd.alertmanager-password";

/// The system's certificate authorities, if there are any, and those of `alertmanager.ca_file`.
pub(super) fn tls(settings: &config::Alertmanager) -> Result<TlsConfig> {
    let path = &settings.ca_file;
    let reading = || format!("reading alertmanager.ca_file {}", path.display());
    // A machine may well have none; what cannot be read is as good as none.
    let system = rustls_native_certs::load_native_certs().certs;
    let mut authorities: Vec<_> = system
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    if !path.as_os_str().is_empty() {
        let pem = read_small(path, 1 << 20).with_context(reading)?;
        let n_system = authorities.len();
        for item in parse_pem(&pem) {
            if let PemItem::Certificate(certificate) = item.with_context(reading)? {
                authorities.push(certificate);
            }
        }
        ensure!(
            authorities.len() > n_system,
            "alertmanager.ca_file {} has no certificate in PEM form",
            path.display()
        );
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&authorities))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

/// The header field by which the program logs in; nothing if it does not.
///
/// `credentials` is the directory where the service manager puts the service's credentials.
pub(super) fn authorization(
    settings: &config::Alertmanager,
    credentials: Option<&Path>,
) -> Result<Option<HeaderValue>> {
    let Some(password) = password_file(settings, credentials) else {
        ensure!(
            settings.username.is_empty(),
            "alertmanager.username is set but no password: set alertmanager.password_file or the credential {CREDENTIAL}"
        );
        return Ok(None);
    };
    let secret = secret::read(&password)?;
    let value = match settings.username.as_str() {
        "" => format!("Bearer {secret}"),
        username => format!(
            "Basic {}",
            base64(format!("{username}:{secret}").as_bytes())
        ),
    };
    // The error of the conversion is of no use, and so is what must not be shown.
    let mut value = HeaderValue::from_str(&value).ok().with_context(|| {
        format!(
            "the token in {} has characters that no token has",
            password.display()
        )
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn password_file(settings: &config::Alertmanager, credentials: Option<&Path>) -> Option<PathBuf> {
    if !settings.password_file.as_os_str().is_empty() {
        return Some(settings.password_file.clone());
    }
    // A credential that is not set is no file there, and there need not be any.
    let credential = credentials?.join(CREDENTIAL);
    credential.exists().then_some(credential)
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * index)) as usize & 63];
            text.push(match index <= chunk.len() {
                true => char::from(letter),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_password_comes_from_the_file_before_the_credential() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("password");
        fs::write(&file, "of the file\n").expect("writes");
        let credentials = directory.path().join("credentials");
        fs::create_dir(&credentials).expect("a directory");
        let settings = |username: &str, file: &Path| config::Alertmanager {
            username: username.to_owned(),
            password_file: file.to_owned(),
            ..config::Alertmanager::default()
        };
        let none = Path::new("");
        let value = |username: &str, file: &Path| {
            authorization(&settings(username, file), Some(&credentials))
                .map(|value| value.map(|value| value.to_str().expect("is text").to_owned()))
        };
        assert_eq!(value("", none).expect("no login"), None);
        let error = value("ops", none).expect_err("there is no password");
        assert!(error.to_string().contains("no password"), "{error}");
        fs::write(credentials.join(CREDENTIAL), "token").expect("writes");
        for (username, file, expected) in [
            ("", none, "Bearer token"),
            ("ops", none, "Basic b3BzOnRva2Vu"),
            ("", &file, "Bearer of the file"),
        ] {
            let value = value(username, file).expect("reads");
            assert_eq!(value.as_deref(), Some(expected));
        }
        fs::write(&file, "s3cret\nand more").expect("writes");
        let error = format!("{:#}", value("", &file).expect_err("two lines"));
        assert!(!error.contains("s3cret"), "{error}");
    }
}
