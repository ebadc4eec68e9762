//! `GET /openapi.json`: the routes of all tables and the shapes of `schemas.json` as an OpenAPI 3.1 document. A test holds
//! real answers against it.

use serde_json::{Map, Value, json};

use super::peer::Right;
use super::{crond, monitor, route};

const JSON: &str = "application/json";

const SCHEMAS: &str = include_str!("schemas.json");

/// What the document says of a route of any table.
struct Operation<'a> {
    method: &'a str,
    path: String,
    right: Right,
    query: &'a [&'a str],
    body: &'a str,
    gives: &'a str,
    /// Of its answer.
    content_type: &'a str,
    summary: &'a str,
    /// The shape of a refusal.
    refusal: &'a str,
}

/// The document.
pub fn document() -> Vec<u8> {
    let mut paths = Map::new();
    for operation in operations() {
        let path = operation.path.replace("NAME", "{NAME}").replace("ID", "{ID}");
        let here = paths.entry(path).or_insert_with(|| json!({}));
        here[operation.method.to_ascii_lowercase()] = operation.describe();
    }
    // A test reads it.
    let schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    let document = json!({
        "openapi": "3.1.0",
        "info": {"title": "rotad", "version": env!("CARGO_PKG_VERSION"), "description": "see rotad(8)"},
        "paths": paths,
        "components": {"schemas": schemas},
    });
    document.to_string().into_bytes()
}

fn operations() -> impl Iterator<Item = Operation<'static>> {
    let own = route::ROUTES.into_iter().map(|route| Operation {
        method: route.method,
        path: format!("{}{}", route::BASE, route.path),
        right: route.right,
        query: route.query,
        body: route.body,
        gives: route.gives,
        content_type: JSON,
        summary: route.summary,
        refusal: "Problem",
    });
    let monitor = monitor::ROUTES.into_iter().map(|route| Operation {
        method: route.method,
        path: route.path.to_owned(),
        right: route.right,
        query: &[],
        body: "",
        gives: route.gives,
        // Of its parameters a client of the document need know nothing.
        content_type: route.content_type.split(';').next().unwrap_or(route.content_type),
        summary: route.summary,
        refusal: "Problem",
    });
    own.chain(monitor).chain(crond::ROUTES.into_iter().map(|route| Operation {
        method: route.method,
        path: route.path.to_owned(),
        right: route.right,
        query: route.query,
        body: route.body,
        gives: route.gives,
        content_type: JSON,
        summary: route.summary,
        refusal: "CrondFault",
    }))
}

impl Operation<'_> {
    fn describe(&self) -> Value {
        let in_path = ["NAME", "ID"].into_iter().filter(|name| self.path.split('/').any(|segment| segment == *name));
        let in_path =
            in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        let in_query = self.query.iter().filter_map(|pair| pair.split('=').next());
        let in_query = in_query.map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}));
        let parameters: Vec<Value> = in_path.chain(in_query).collect();
        let mut operation = json!({
            "summary": self.summary,
            "x-right": self.right.word(),
            "parameters": parameters,
            "responses": self.responses(),
        });
        if !self.body.is_empty() {
            let kind = if self.body == "JobFile" { "application/yaml" } else { "application/json" };
            operation["requestBody"] = json!({"required": true, "content": {kind: {"schema": shape(self.body)}}});
        }
        operation
    }

    fn responses(&self) -> Value {
        let content = |kind: &str, name: &str| json!({"description": name, "content": {kind: {"schema": shape(name)}}});
        let refusal = content("application/json", self.refusal);
        match self.gives {
            "Record" => json!({"200": content("application/x-ndjson", "Record"), "default": refusal}),
            "Started" => json!({
                "202": content("application/json", "Started"),
                "200": content("application/x-ndjson", "Record"),
                "default": refusal,
            }),
            "Stopping" => json!({"202": content("application/json", "Stopping"), "default": refusal}),
            gives => json!({"200": content(self.content_type, gives), "default": refusal}),
        }
    }
}

fn shape(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
