//! `rota schema`: what a file may say, as a JSON Schema, for editors that complete and check. Made from the same tables
//! that the reader knows its keys from.

use serde_json::{Map, Value as Json, json};

use super::term::print;
use super::{Error, Exit};
use crate::conf::units;
use crate::conf::yaml::key::{Default, Group, Key, Value};

/// Arguments of `rota schema`.
#[derive(Debug, clap::Args)]
pub struct Schema {
    /// Of which file: a job, or rotad.yaml
    #[arg(value_enum, value_name = "FILE", default_value = "job")]
    of: Of,
}

/// The two kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Of {
    /// A job file.
    Job,
    /// The file rotad.yaml.
    Config,
}

impl Schema {
    /// Carries it out.
    pub fn run(self) -> Result<Exit, Error> {
        print(text(self.of))?;
        Ok(Exit::Ok)
    }
}

/// The schema as text, a newline at its end.
pub fn text(of: Of) -> String {
    format!("{:#}\n", schema(of))
}

/// The schema.
pub fn schema(of: Of) -> Json {
    let mut schema = match of {
        Of::Job => map(crate::job::keys::KEYS),
        Of::Config => map(crate::conf::keys::KEYS),
    };
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    match of {
        Of::Job => {
            schema.insert("title".into(), "A job of rotad".into());
            schema.insert("description".into(), "What to run, and when: one file in conf.d; see rotad-job(5).".into());
            // What keys say together.
            schema.insert("oneOf".into(), json!([{"required": ["command"]}, {"required": ["script"]}]));
            schema.insert("dependentRequired".into(), json!({"args": ["command"]}));
            let conflicts = json!([{"required": ["overlap", "on_overlap"]}, {"required": ["schedule", "at"]}]);
            schema.insert("not".into(), json!({"anyOf": conflicts}));
        }
        Of::Config => {
            schema.insert("title".into(), "The configuration of rotad".into());
            schema.insert("description".into(), "See rotad.yaml(5). Every key has a default.".into());
            // An empty file is a good one.
            schema.insert("type".into(), json!(["object", "null"]));
        }
    }
    Json::Object(schema)
}

fn map(groups: &'static [Group]) -> Map<String, Json> {
    let keys = groups.iter().flat_map(|group| group.keys);
    let properties: Map<String, Json> = keys.map(|key| (key.name.to_owned(), property(key))).collect();
    object(json!({"type": "object", "properties": properties, "additionalProperties": false}))
}

fn property(key: &'static Key) -> Json {
    let mut property = value(&key.value);
    let mut description = key.meaning.to_owned();
    if let Value::Word(words) = key.value {
        description.extend(words.iter().map(|(word, meaning)| format!("\n- `{word}`: {meaning}")));
    }
    match key.default {
        Default::Value(text) => drop(property.insert("default".into(), parsed(text))),
        Default::Told(words) => description.push_str(&format!("\n\nDefault: {words}.")),
        Default::Unsaid => (),
    }
    property.insert("description".into(), description.into());
    if !key.example.is_empty() {
        property.insert("examples".into(), json!([parsed(key.example)]));
    }
    Json::Object(property)
}

fn value(value: &'static Value) -> Map<String, Json> {
    // Numbers may stand in quotes: a file's values count as they are written.
    let whole = |text: &str| json!({"type": ["integer", "string"], "minimum": 0, "pattern": anchored(text)});
    object(match value {
        Value::Any => json!({"type": ["string", "number", "boolean"]}),
        Value::Form(_, form) => json!({"type": "string", "pattern": anchored(form)}),
        Value::Written(_, form, u32::MAX) => json!({"type": ["string", "number"], "pattern": anchored(form)}),
        Value::Written(_, form, most) => {
            json!({"type": ["string", "number"], "minimum": 0, "maximum": most, "pattern": anchored(form)})
        }
        Value::Truth => json!({"type": "boolean"}),
        Value::Word(words) => json!({"enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>()}),
        Value::Whole(i64::MIN, i64::MAX) => json!({"type": ["integer", "string"], "pattern": anchored("-?[0-9]+")}),
        Value::Whole(least, most) => {
            json!({"type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": anchored("-?[0-9]+")})
        }
        Value::Duration => whole(units::DURATION),
        Value::Size => whole(units::SIZE),
        Value::Unlimited(limit) => json!({"anyOf": [{"enum": ["unlimited", "infinity"]}, self::value(limit)]}),
        Value::List(of, usize::MAX) => json!({"type": "array", "items": self::value(of)}),
        Value::List(of, most) => json!({"type": "array", "items": self::value(of), "maxItems": most}),
        Value::Map(names) => {
            json!({"type": "object", "propertyNames": {"pattern": anchored(names)}, "additionalProperties": self::value(&Value::Any)})
        }
        Value::Keys(groups) => return map(groups),
        Value::Named(names, groups) => {
            json!({"type": "object", "propertyNames": {"pattern": anchored(names)}, "additionalProperties": map(groups)})
        }
        Value::Either(one, other) => json!({"anyOf": [self::value(one), self::value(other)]}),
    })
}

fn anchored(form: &str) -> String {
    format!("^(?:{form})$")
}

/// A value of a table. Each is read by a test.
fn parsed(yaml: &str) -> Json {
    serde_yaml::from_str(yaml).unwrap_or_default()
}

fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}
