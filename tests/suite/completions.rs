//! Completions for bash, zsh and fish: made of the command lines, committed as packages install
//! them, and tried in the shells themselves.
//!
//! `RENEW=1 cargo test --test suite completions` writes them anew.

mod generate;
mod shells;

use std::env;
use std::fs;

use generate::completions;

#[test]
fn those_that_are_shipped_are_up_to_date() {
    let is_renewing = env::var_os("RENEW").is_some();
    for (path, text) in completions() {
        if is_renewing {
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(&path, &text).expect("written");
        }
        let shipped = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            shipped == text,
            "{} is out of date: RENEW=1 cargo test --test suite completions",
            path.display()
        );
    }
}
