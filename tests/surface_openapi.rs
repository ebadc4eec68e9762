//! `GET /openapi.json` says what there is, no more and no less, and real answers have the shapes that it promises.

#![allow(clippy::unwrap_used, reason = "tests")]

mod surface;

use std::collections::BTreeSet;

use rotad::api::{crond, monitor, route};
use rotad::engine::{BeatsView, TargetView};
use rotad::wire::RunId;
use serde_json::Value;
use surface::Daemon;

fn document(daemon: &Daemon) -> Value {
    let (status, body) = daemon.ask("GET", "/openapi.json");
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

/// Method and path of every route of all tables, with what each takes and gives.
fn routes() -> Vec<(&'static str, String, &'static [&'static str], &'static str)> {
    let own = route::ROUTES.into_iter().map(|route| {
        let path = format!("{}{}", route::BASE, route.path);
        (route.method, path, route.query, route.body)
    });
    let monitor = monitor::ROUTES.into_iter().map(|route| (route.method, route.path.into(), &[][..], ""));
    own.chain(monitor)
        .chain(crond::ROUTES.into_iter().map(|route| (route.method, route.path.into(), route.query, route.body)))
        .collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document(&Daemon::start());
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert((method.to_ascii_uppercase(), path.replace(['{', '}'], "")));
            for shape in shapes_named(operation) {
                assert!(document["components"]["schemas"].get(&shape).is_some(), "{method} {path}: no shape {shape}");
            }
        }
    }
    let known = routes();
    let routes: BTreeSet<_> = known.iter().map(|(method, path, ..)| ((*method).to_owned(), path.clone())).collect();
    assert_eq!(described, routes);
    for (method, path, query, body) in known {
        let described = path.replace("NAME", "{NAME}").replace("ID", "{ID}");
        let operation = &document["paths"][described.as_str()][method.to_ascii_lowercase()];
        let parameters = operation["parameters"].as_array().unwrap();
        for key in query.iter().map(|pair| pair.split('=').next().unwrap()) {
            assert!(parameters.iter().any(|parameter| parameter["name"] == key), "{method} {path}: {key}");
        }
        assert_eq!(operation.get("requestBody").is_some(), !body.is_empty(), "{method} {path}");
    }
}

fn shapes_named(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value) {
                ("$ref", Value::String(name)) => vec![name.rsplit('/').next().unwrap().to_owned()],
                _ => shapes_named(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(shapes_named).collect(),
        _ => Vec::new(),
    }
}

/// The part of JSON Schema that the document uses. Keys that it does not know are an error: a promise that nobody checks.
fn check(schemas: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {value} is not {schema}"));
    for (key, rule) in schema.as_object().unwrap() {
        match key.as_str() {
            "$ref" => check(schemas, &schemas[rule.as_str().unwrap().rsplit('/').next().unwrap()], value)?,
            "anyOf" => {
                let tried: Vec<_> = rule.as_array().unwrap().iter().map(|rule| check(schemas, rule, value)).collect();
                if tried.iter().all(Result::is_err) {
                    return Err(format!("{tried:?}"));
                }
            }
            "type" => {
                let kinds: Vec<&Value> = rule.as_array().map_or(vec![rule], |kinds| kinds.iter().collect());
                let is = |kind: &&Value| match kind.as_str().unwrap() {
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    "null" => value.is_null(),
                    other => panic!("no type {other}"),
                };
                if !kinds.iter().any(is) {
                    return wrong("type");
                }
            }
            "format" => {
                let instant = value.as_str().map(|text| text.parse::<jiff::Timestamp>());
                if rule == "date-time" && instant.is_some_and(|instant| instant.is_err()) {
                    return wrong("format");
                }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => return wrong("enum"),
            "required" => {
                let missing = |key: &&Value| value.is_object() && value.get(key.as_str().unwrap()).is_none();
                if rule.as_array().unwrap().iter().any(|key| missing(&key)) {
                    return wrong("required");
                }
            }
            "properties" | "additionalProperties" => {
                let none = serde_json::Map::new();
                let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
                let other = schema.get("additionalProperties");
                for (key, value) in value.as_object().unwrap_or(&none) {
                    match (properties.get(key), other) {
                        (Some(schema), _) => {
                            check(schemas, schema, value).map_err(|error| format!("{key}: {error}"))?
                        }
                        (None, Some(Value::Bool(false))) => return Err(format!("{key} is not described")),
                        (None, Some(schema @ Value::Object(_))) => check(schemas, schema, value)?,
                        (None, _) => {}
                    }
                }
            }
            "items" => {
                for value in value.as_array().unwrap_or(&Vec::new()) {
                    check(schemas, rule, value)?;
                }
            }
            "prefixItems" => {
                for (schema, value) in rule.as_array().unwrap().iter().zip(value.as_array().unwrap_or(&Vec::new())) {
                    check(schemas, schema, value)?;
                }
            }
            "description" | "enum" => {}
            other => panic!("the check does not know {other:?}"),
        }
    }
    Ok(())
}

/// A body that the route takes.
fn body_for(shape: &str) -> &'static str {
    match shape {
        "" => "",
        "JobFile" => "command: /bin/true\n",
        "CrondName" => r#"{"name":"backup","permanent":true}"#,
        "CrondPause" => r#"{"name":"backup","duration":1000000000}"#,
        "CrondSchedule" => r#"{"name":"backup","schedule":"@daily","permanent":true}"#,
        "CrondEvent" => r#"{"name":"e","content":"c","dimension":{"a":1}}"#,
        "CrondMetrics" => r#"{"name":"m","value":1,"dimension":null}"#,
        "CrondDefine" => {
            r#"{"job":{"name":"backup","enable":true,"command":"x","args":[],"schedule":"@daily","creator":"o"},"permanent":true}"#
        }
        other => panic!("no body for {other}"),
    }
}

fn promised<'a>(document: &'a Value, method: &str, path: &str, status: u16) -> &'a Value {
    let operation = &document["paths"][path][method.to_ascii_lowercase()];
    let status = status.to_string();
    let response = operation["responses"].get(&status).unwrap_or(&operation["responses"]["default"]);
    &response["content"].as_object().unwrap().values().next().unwrap()["schema"]
}

#[test]
fn real_answers_have_the_promised_shapes() {
    let daemon = Daemon::start();
    let document = document(&daemon);
    let schemas = &document["components"]["schemas"];
    {
        let mut world = daemon.world.lock().unwrap();
        let pause = world.entries.iter().find_map(|entry| entry.pause.clone());
        world.jobs[1].pause = pause;
    }
    for beats in [BeatsView::default(), BeatsView { failing: Some("no".into()), ..BeatsView::default() }] {
        check(schemas, &schemas["Beats"], &serde_json::to_value(beats).unwrap()).unwrap();
    }
    for target in [TargetView::default(), TargetView { failing: Some("no".into()), ..TargetView::default() }] {
        let target = TargetView { kind: "mail".into(), ..target };
        check(schemas, &schemas["Target"], &serde_json::to_value(target).unwrap()).unwrap();
    }
    for (method, path, query, shape) in routes() {
        let described = path.replace("NAME", "{NAME}").replace("ID", "{ID}");
        let url = path.replace("NAME", "backup").replace("ID", &RunId(7).to_string());
        let url = if query.contains(&"schedule=TEXT") { format!("{url}?schedule=%40daily") } else { url };
        let body = body_for(shape);
        if !body.is_empty() && shape != "JobFile" {
            let given: Value = serde_json::from_str(body).unwrap();
            check(schemas, &schemas[shape], &given).unwrap_or_else(|error| panic!("{shape}: {error}"));
        }
        let request = format!("{method} {url} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = daemon.raw(request.as_bytes());
        let (head, answer) = answer.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(matches!(status, 200 | 202), "{method} {url}: {head} {answer}");
        let schema = promised(&document, method, &described, status);
        let records = answer.lines().filter(|line| line.starts_with(['{', '[']));
        for record in records {
            let value: Value = serde_json::from_str(record).unwrap();
            check(schemas, schema, &value).unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        }
    }
}

#[test]
fn refusals_have_the_promised_shapes() {
    let daemon = Daemon::start();
    let document = document(&daemon);
    let schemas = &document["components"]["schemas"];
    for (method, url, path) in [
        ("GET", "/rotad/v1/jobs/nope", "/rotad/v1/jobs/{NAME}"),
        ("POST", "/rotad/v1/jobs/busy/run", "/rotad/v1/jobs/{NAME}/run"),
        ("GET", "/entries?name-match=[", "/entries"),
        ("POST", "/disable", "/disable"),
    ] {
        let (status, body) = daemon.ask(method, url);
        assert!(status >= 400, "{method} {url}");
        let value = serde_json::from_str(&body).unwrap();
        check(schemas, promised(&document, method, path, status), &value).unwrap();
    }
}
