//! Mail from the alert to the server: the library composes and spools, the program sends.

mod delivery;
mod message;
mod people;
mod post;
mod program;
mod sendmail;
pub mod server;
mod trust;

use serde_json::Value;

fn header<'a>(message: &'a Value, name: &str) -> &'a str {
    let headers = message["headers"].as_array().expect("is a list");
    let found: Vec<_> = headers.iter().filter(|header| header[0] == name).collect();
    assert_eq!(found.len(), 1, "{name} in {headers:?}");
    found[0][1].as_str().expect("is text")
}

fn messages(events: &[Value]) -> Vec<&Value> {
    events
        .iter()
        .filter(|event| event["event"] == "message")
        .collect()
}
