//! Shapes: JSON in which some texts stand for many.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

/// Values that a shape calls `${NAME}`.
pub type Known = BTreeMap<String, String>;

/// Whether `value` has the shape; if not, where it differs.
pub fn fits(shape: &Value, value: &Value, known: &Known) -> Result<(), String> {
    let differs = || Err(format!("{value} is not {shape}"));
    match (shape, value) {
        (Value::String(text), _) if text.starts_with('$') => match text_fits(text, value, known) {
            true => Ok(()),
            false => differs(),
        },
        (Value::Object(shapes), Value::Object(values)) => {
            if shapes.keys().ne(values.keys()) {
                return differs();
            }
            shapes.iter().try_for_each(|(key, shape)| {
                fits(shape, &values[key], known).map_err(|error| format!("{key}: {error}"))
            })
        }
        (Value::Object(shapes), Value::String(text)) if shapes.contains_key("$json") => {
            let inner: Value = serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?;
            fits(&shapes["$json"], &inner, known)
        }
        (Value::Array(shapes), Value::Array(values)) if shapes.first().is_some_and(|first| first == "$unordered") => {
            let shapes = &shapes[1..];
            let found = |shape| values.iter().any(|value| fits(shape, value, known).is_ok());
            if shapes.len() == values.len() && shapes.iter().all(found) { Ok(()) } else { differs() }
        }
        (Value::Array(shapes), Value::Array(values)) => {
            if shapes.len() != values.len() {
                return differs();
            }
            shapes.iter().zip(values).try_for_each(|(shape, value)| fits(shape, value, known))
        }
        _ if shape == value => Ok(()),
        _ => differs(),
    }
}

fn text_fits(shape: &str, value: &Value, known: &Known) -> bool {
    let instant = || value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    match shape {
        "$any" => true,
        "$int" => value.is_i64() || value.is_u64(),
        "$posint" => value.as_i64().is_some_and(|number| number > 0),
        "$str" => value.is_string(),
        "$rfc3339" => instant().is_some(),
        "$rfc3339_future" => instant().is_some_and(|instant| instant > Timestamp::now()),
        "$ms_now" => {
            let now = Timestamp::now().as_millisecond();
            value.as_i64().is_some_and(|at| (now - 120_000..=now + 1000).contains(&at))
        }
        _ => match (shape.strip_prefix("$contains:"), shape.strip_prefix("${"), value.as_str()) {
            (Some(part), _, Some(text)) => text.contains(part),
            (_, Some(name), Some(text)) => known[name.trim_end_matches('}')] == text,
            _ => panic!("no shape {shape} for {value}"),
        },
    }
}

#[test]
fn shapes_can_fail() {
    let known = Known::from([("X".into(), "x".into())]);
    for (shape, value, fit) in [
        (r#"{"a":"$int"}"#, r#"{"a":1}"#, true),
        (r#"{"a":"$int"}"#, r#"{"a":1,"b":2}"#, false),
        (r#"{"a":"$int"}"#, r#"{"a":"1"}"#, false),
        (r#""$posint""#, "0", false),
        (r#"["$unordered",1,2]"#, "[2,1]", true),
        (r#"["$unordered",1,2]"#, "[2,2]", false),
        (r#""${X}""#, r#""x""#, true),
        (r#""${X}""#, r#""y""#, false),
        (r#""$contains:b""#, r#""abc""#, true),
        (r#"{"$json":{"a":[]}}"#, r#""{\"a\":[]}""#, true),
        (r#""$rfc3339""#, r#""yesterday""#, false),
        (r#""$ms_now""#, "7", false),
    ] {
        let [shape, value] = [shape, value].map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(fits(&shape, &value, &known).is_ok(), fit, "{shape} {value}");
    }
}
