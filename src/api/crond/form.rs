//! Binding a body to the fields that a route wants, as gin does it for Go: first the types, then what is required, in the
//! order in which the fields are asked for. Required means: there, and not the zero value.

use super::json::{self, Value};

/// A body under way to fields. Each `take` notes what is wrong; [`Self::done`] says it.
#[derive(Debug)]
pub struct Form {
    object: Value,
    /// Where it stands in the body, as an error names it: empty, or `job.`.
    key: &'static str,
    /// Where its fields stand: empty, or `Job.`.
    field: &'static str,
    /// The first field of a wrong type.
    mismatch: Option<String>,
    missing: Vec<String>,
}

impl Form {
    /// Reads the body.
    pub fn read(body: &[u8]) -> Result<Form, String> {
        match json::first(body)? {
            object @ (Value::Object(_) | Value::Null) => {
                Ok(Form { object, key: "", field: "", mismatch: None, missing: Vec::new() })
            }
            other => Err(format!("json: cannot unmarshal {} into Go value of type struct", other.kind())),
        }
    }

    /// The value of a key, unless there is none.
    fn given(&self, key: &str) -> Option<Value> {
        self.object.get(key).filter(|value| **value != Value::Null).cloned()
    }

    fn mismatch(&mut self, kind: &str, key: &str, wanted: &str) {
        let message = format!("json: cannot unmarshal {kind} into Go struct field .{}{key} of type {wanted}", self.key);
        self.mismatch.get_or_insert(message);
    }

    fn missing(&mut self, field: &str) {
        let Form { field: place, missing, .. } = self;
        missing
            .push(format!("Key: '{place}{field}' Error:Field validation for '{field}' failed on the 'required' tag"));
    }

    /// A text that must not be empty.
    pub fn text(&mut self, key: &str, field: &str) -> String {
        let text = self.optional_text(key);
        if text.is_empty() {
            self.missing(field);
        }
        text
    }

    /// A text that may be absent.
    pub fn optional_text(&mut self, key: &str) -> String {
        match self.given(key) {
            Some(Value::Text(text)) => text,
            None => String::new(),
            Some(other) => {
                self.mismatch(other.kind(), key, "string");
                String::new()
            }
        }
    }

    /// Yes or no; one of them must be there.
    pub fn flag(&mut self, key: &str, field: &str) -> bool {
        let flag = self.optional_flag(key);
        if flag.is_none() {
            self.missing(field);
        }
        flag.unwrap_or_default()
    }

    /// Yes or no or nothing.
    pub fn optional_flag(&mut self, key: &str) -> Option<bool> {
        match self.given(key)? {
            Value::Bool(flag) => Some(flag),
            other => {
                self.mismatch(other.kind(), key, "bool");
                None
            }
        }
    }

    /// A whole number that is not 0. Where `read` makes a number of a text, a text will do.
    pub fn number(&mut self, key: &str, field: &str, read: impl Fn(&str) -> Option<i64>) -> i64 {
        let number = match self.given(key) {
            None => 0,
            Some(Value::Number(digits)) => digits.parse().unwrap_or_else(|_| {
                self.mismatch(&format!("number {digits}"), key, "int64");
                0
            }),
            Some(Value::Text(text)) if let Some(number) = read(&text) => number,
            Some(other) => {
                self.mismatch(other.kind(), key, "int64");
                0
            }
        };
        if number == 0 {
            self.missing(field);
        }
        number
    }

    /// A list of texts, which may be empty but must be there.
    pub fn texts(&mut self, key: &str, field: &str) -> Vec<String> {
        match self.given(key) {
            Some(Value::List(values)) => values
                .into_iter()
                .map(|value| match value {
                    Value::Text(text) => text,
                    Value::Null => String::new(),
                    other => {
                        self.mismatch(other.kind(), key, "string");
                        String::new()
                    }
                })
                .collect(),
            None => {
                self.missing(field);
                Vec::new()
            }
            Some(other) => {
                self.mismatch(other.kind(), key, "[]string");
                Vec::new()
            }
        }
    }

    /// An object that may be absent, as it is.
    pub fn object(&mut self, key: &str) -> serde_json::Map<String, serde_json::Value> {
        match self.given(key) {
            None => serde_json::Map::new(),
            Some(object @ Value::Object(_)) => match object.plain() {
                Some(serde_json::Value::Object(map)) => map,
                _ => {
                    self.mismatch("number", key, "float64");
                    serde_json::Map::new()
                }
            },
            Some(other) => {
                self.mismatch(other.kind(), key, "map[string]interface {}");
                serde_json::Map::new()
            }
        }
    }

    /// The fields of an object that must be there.
    pub fn within<T>(
        &mut self,
        (key, below): (&'static str, &'static str),
        (field, fields): (&str, &'static str),
        take: impl FnOnce(&mut Form) -> T,
    ) -> Option<T> {
        match self.given(key) {
            Some(object @ Value::Object(_)) => {
                let mut form = Form { object, key: below, field: fields, mismatch: None, missing: Vec::new() };
                let taken = take(&mut form);
                self.missing.append(&mut form.missing);
                self.mismatch = self.mismatch.take().or(form.mismatch);
                Some(taken)
            }
            None => {
                self.missing(field);
                None
            }
            Some(other) => {
                self.mismatch(other.kind(), key, "struct");
                None
            }
        }
    }

    /// Whether every field was good.
    pub fn done(self) -> Result<(), String> {
        match self.mismatch {
            Some(mismatch) => Err(mismatch),
            None if self.missing.is_empty() => Ok(()),
            None => Err(self.missing.join("\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Bound = (Option<(String, Vec<String>)>, bool, i64);

    /// Binds the fields of the route that has most kinds of them.
    fn bind(body: &str) -> Result<Bound, String> {
        let mut form = Form::read(body.as_bytes())?;
        let job =
            form.within(("job", "job."), ("Job", "Job."), |job| (job.text("name", "Name"), job.texts("args", "Args")));
        let permanent = form.flag("permanent", "Permanent");
        let value = form.number("value", "Value", |text| text.strip_suffix('!')?.parse().ok());
        form.done().map(|()| (job, permanent, value))
    }

    #[test]
    fn fields_that_are_bound() {
        for (body, args, permanent, value) in [
            (r#"{"job":{"name":"n","args":[]},"permanent":false,"value":5}"#, &[][..], false, 5),
            (r#"{"JOB":{"Name":"n","aRgs":["a",null]},"PERMANENT":true,"value":-5} x"#, &["a", ""], true, -5),
            (r#"{"job":{"name":"n","args":[],"zzz":{}},"permanent":1,"permanent":true,"value":"7!"}"#, &[], true, 7),
        ] {
            let args = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(bind(body), Ok((Some(("n".into(), args)), permanent, value)), "{body}");
        }
    }

    #[test]
    fn fields_that_are_refused_in_the_words_of_go() {
        let missing = |place: &str, field: &str| {
            format!("Key: '{place}{field}' Error:Field validation for '{field}' failed on the 'required' tag")
        };
        let [job, name, args] = [missing("", "Job"), missing("Job.", "Name"), missing("Job.", "Args")];
        let [permanent, value] = [missing("", "Permanent"), missing("", "Value")];
        let kind =
            |kind, key, wanted| format!("json: cannot unmarshal {kind} into Go struct field .{key} of type {wanted}");
        let good = r#""job":{"name":"n","args":[]}"#;
        for (body, message) in [
            ("".to_owned(), "EOF".to_owned()),
            ("[]".into(), "json: cannot unmarshal array into Go value of type struct".into()),
            ("null".into(), [job.clone(), permanent.clone(), value.clone()].join("\n")),
            (
                r#"{"job":{"name":""},"permanent":null,"value":0}"#.into(),
                [name, args, permanent, value.clone()].join("\n"),
            ),
            (format!(r#"{{{good},"permanent":true,"value":1.5}}"#), kind("number 1.5", "value", "int64")),
            (format!(r#"{{{good},"permanent":true,"value":"7"}}"#), kind("string", "value", "int64")),
            (format!(r#"{{{good},"permanent":"x","value":0}}"#), kind("string", "permanent", "bool")),
            (r#"{"job":{"name":1,"args":"a b"}}"#.into(), kind("number", "job.name", "string")),
            (r#"{"job":{"name":"n","args":"a b"}}"#.into(), kind("string", "job.args", "[]string")),
            (r#"{"job":{"name":"n","args":[1]}}"#.into(), kind("number", "job.args", "string")),
            (r#"{"job":7}"#.into(), kind("number", "job", "struct")),
        ] {
            assert_eq!(bind(&body), Err(message), "{body}");
        }
    }
}
