//! Alerts and processes as D-Bus dictionaries (`a{sv}`) with CamelCase keys, and back.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use zbus::{OwnedVariant, Variant};

/// What one alert or process is on the bus.
pub type Dictionary = HashMap<String, OwnedVariant>;

/// Makes a dictionary of anything with named fields. What is unknown (null) is left out.
///
/// Whole numbers are `t`, or `x` below zero, others `d`, texts `s`, lists of texts `as`, nested things `a{sv}`.
pub fn to_dictionary(thing: &impl Serialize) -> zbus::Result<Dictionary> {
    let Ok(Json::Object(fields)) = serde_json::to_value(thing) else {
        return Err(zbus::Error::Failure(
            "not a thing with named fields".to_owned(),
        ));
    };
    from_fields(fields)
}

/// The reverse of [`to_dictionary`].
pub fn from_dictionary<T: DeserializeOwned>(
    dictionary: Dictionary,
) -> Result<T, serde_json::Error> {
    let fields = dictionary
        .into_iter()
        .map(|(key, value)| (to_snake_case(&key), to_json(&value)));
    serde_json::from_value(Json::Object(fields.collect()))
}

fn from_fields(fields: Map<String, Json>) -> zbus::Result<Dictionary> {
    let mut dictionary = Dictionary::new();
    for (name, json) in fields {
        if let Some(value) = from_json(json)? {
            dictionary.insert(to_camel_case(&name), value.try_into()?);
        }
    }
    Ok(dictionary)
}

fn from_json(json: Json) -> zbus::Result<Option<Variant<'static>>> {
    Ok(Some(match json {
        Json::Null => return Ok(None),
        Json::Bool(truth) => Variant::from(truth),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => Variant::from(whole),
            (None, Some(negative)) => Variant::from(negative),
            (None, None) => Variant::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Variant::from(text),
        Json::Array(items) if items.iter().all(Json::is_string) => {
            let texts = items.iter().filter_map(Json::as_str).map(str::to_owned);
            Variant::from(texts.collect::<Vec<_>>())
        }
        Json::Array(items) => {
            let objects = items.into_iter().filter_map(|item| match item {
                Json::Object(fields) => Some(from_fields(fields)),
                _ => None,
            });
            Variant::from(objects.collect::<zbus::Result<Vec<_>>>()?)
        }
        Json::Object(fields) => Variant::from(from_fields(fields)?),
    }))
}

fn to_json(value: &Variant<'_>) -> Json {
    match value {
        Variant::Bool(truth) => Json::from(*truth),
        Variant::U32(number) => Json::from(*number),
        Variant::U64(number) => Json::from(*number),
        Variant::I64(number) => Json::from(*number),
        Variant::F64(number) => Json::from(*number),
        Variant::Str(text) => Json::from(text.as_str()),
        Variant::Variant(inner) => to_json(inner),
        Variant::Array(items) => Json::Array(items.iter().map(to_json).collect()),
        Variant::Dict(entries) => {
            let fields = entries.iter().filter_map(|(key, value)| match key {
                Variant::Str(key) => Some((to_snake_case(key.as_str()), to_json(value))),
                _ => None,
            });
            Json::Object(fields.collect())
        }
        _ => Json::Null,
    }
}

fn to_camel_case(name: &str) -> String {
    name.split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
        })
        .collect()
}

fn to_snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 8);
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{Frame, Site};

    #[test]
    fn names_are_in_camel_case_and_back() {
        for (snake, camel) in [
            ("pid", "Pid"),
            ("growth_bytes_per_sec_low", "GrowthBytesPerSecLow"),
        ] {
            assert_eq!(to_camel_case(snake), camel);
            assert_eq!(to_snake_case(camel), snake);
        }
    }

    #[test]
    fn each_kind_of_number_keeps_its_kind() {
        let dictionary = to_dictionary(&serde_json::json!({
            "whole": 7, "negative": i64::MIN, "broken": -0.5, "round": -2.0,
        }))
        .expect("a dictionary");
        for (key, expected) in [
            ("Whole", OwnedVariant::from(7u64)),
            ("Negative", OwnedVariant::from(i64::MIN)),
            ("Broken", OwnedVariant::from(-0.5)),
            ("Round", OwnedVariant::from(-2.0)),
        ] {
            assert_eq!(dictionary[key], expected, "{key}");
        }
        let back: Json = from_dictionary(dictionary).expect("JSON");
        assert_eq!(back["negative"], i64::MIN);
    }

    #[test]
    fn nested_things_survive_the_way_there_and_back() {
        let frame = Frame {
            function: Some("leak".to_owned()),
            offset: Some(7),
            line: Some(3),
            ..Frame::default()
        };
        let site = Site {
            bytes: 1 << 40,
            count: 2,
            frames: vec![frame],
            ..Site::default()
        };
        let dictionary = to_dictionary(&site).expect("a dictionary");
        assert_eq!(dictionary["Bytes"], OwnedVariant::from(1u64 << 40));
        assert_eq!(from_dictionary::<Site>(dictionary).expect("a site"), site);
    }
}
