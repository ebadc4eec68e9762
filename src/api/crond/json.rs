//! The first JSON value of a body, read by the rules of Go's `encoding/json`: what stands behind it is not looked at, keys
//! keep their order and may repeat, what is not UTF-8 in a text becomes U+FFFD. The errors are Go's sentences.

/// Deepest nesting. Go's limit is 10,000; no route needs more than three.
const MAX_DEPTH: usize = 64;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    Text(String),
    List(Vec<Value>),
    /// Keys in their order, repeated ones too.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// What Go calls its kind in an error.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Object(_) => "object",
        }
    }

    /// The value behind a key in any letter case; the last one where it repeats.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Value::Object(members) = self else { return None };
        members.iter().rev().find_map(|(name, value)| name.eq_ignore_ascii_case(key).then_some(value))
    }

    /// The same for serde_json. `None` for a number that is none in 64 bits of float.
    pub fn plain(&self) -> Option<serde_json::Value> {
        use serde_json::Value as Plain;
        Some(match self {
            Value::Null => Plain::Null,
            Value::Bool(truth) => Plain::Bool(*truth),
            Value::Number(digits) => Plain::Number(serde_json::from_str(digits).ok()?),
            Value::Text(text) => Plain::String(text.clone()),
            Value::List(values) => Plain::Array(values.iter().map(Value::plain).collect::<Option<_>>()?),
            Value::Object(members) => {
                let plain = |(key, value): &(String, Value)| Some((key.clone(), value.plain()?));
                Plain::Object(members.iter().map(plain).collect::<Option<_>>()?)
            }
        })
    }
}

/// Reads the first value of `bytes`, or says in Go's words why there is none.
pub fn first(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { bytes, at: 0 };
    reader.blanks();
    if reader.at == bytes.len() {
        return Err("EOF".into());
    }
    reader.value(0)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Why the byte here is wrong.
    fn wrong<T>(&self, context: &str) -> Result<T, String> {
        Err(match self.peek() {
            None => "unexpected EOF".into(),
            Some(b'\'') => format!(r"invalid character '\'' {context}"),
            Some(b'"') => format!("invalid character '\"' {context}"),
            Some(byte) => format!("invalid character '{}' {context}", char::from(byte).escape_debug()),
        })
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".into());
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.text().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            _ => self.wrong("looking for beginning of value"),
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, String> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return self.wrong(&format!("in literal {word} (expecting '{}')", char::from(expected)));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self) -> Result<(), String> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.wrong("in numeric literal");
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, String> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(String::from_utf8_lossy(&self.bytes[from..self.at]).into_owned()))
    }

    fn text(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(String::from_utf8_lossy(&bytes).into_owned());
                }
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escaped()?;
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) if byte >= b' ' => {
                    bytes.push(byte);
                    self.at += 1;
                }
                _ => return self.wrong("in string literal"),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        let c = match self.peek() {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'u') => {
                self.at += 1;
                let high = self.hex()?;
                if !(0xd800..0xdc00).contains(&high) {
                    return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                let before = self.at;
                if self.bytes[self.at..].starts_with(b"\\u") {
                    self.at += 2;
                    let low = self.hex()?;
                    if (0xdc00..0xe000).contains(&low) {
                        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                }
                // Half a pair: what follows it stands for itself.
                self.at = before;
                return Ok(char::REPLACEMENT_CHARACTER);
            }
            _ => return self.wrong("in string escape code"),
        };
        self.at += 1;
        Ok(c)
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            match self.peek().and_then(|byte| char::from(byte).to_digit(16)) {
                Some(digit) => code = code * 16 + digit,
                None => return self.wrong(r"in \u hexadecimal character escape"),
            }
            self.at += 1;
        }
        Ok(code)
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut values = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(values));
        }
        loop {
            self.blanks();
            values.push(self.value(depth + 1)?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::List(values));
                }
                _ => return self.wrong("after array element"),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut members = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return self.wrong("looking for beginning of object key string");
            }
            let key = self.text()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return self.wrong("after object key");
            }
            self.at += 1;
            self.blanks();
            members.push((key, self.value(depth + 1)?));
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                _ => return self.wrong("after object key:value pair"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_go_reads_and_what_it_says() {
        for (text, read) in [
            ("", Err("EOF")),
            (" \n", Err("EOF")),
            ("{", Err("unexpected EOF")),
            ("{\"a\":1", Err("unexpected EOF")),
            ("\"a", Err("unexpected EOF")),
            ("x", Err("invalid character 'x' looking for beginning of value")),
            ("{a:1}", Err("invalid character 'a' looking for beginning of object key string")),
            ("{\"a\" 1}", Err("invalid character '1' after object key")),
            ("{\"a\":1 \"", Err("invalid character '\"' after object key:value pair")),
            ("[1 2]", Err("invalid character '2' after array element")),
            ("trux", Err("invalid character 'x' in literal true (expecting 'e')")),
            ("-x", Err("invalid character 'x' in numeric literal")),
            ("\"\n\"", Err("invalid character '\\n' in string literal")),
            (r#""\x""#, Err("invalid character 'x' in string escape code")),
            (r#""\u12g4""#, Err(r"invalid character 'g' in \u hexadecimal character escape")),
            ("[1,]", Err("invalid character ']' looking for beginning of value")),
            ("null and more", Ok(Value::Null)),
            ("1.50e+3x", Ok(Value::Number("1.50e+3".into()))),
            ("01", Ok(Value::Number("0".into()))),
            (r#""\ud83d\ude00\ud83dx\/\u0041""#, Ok(Value::Text("\u{1f600}\u{fffd}x/A".into()))),
            ("[ true , [ ] ]", Ok(Value::List(vec![Value::Bool(true), Value::List(Vec::new())]))),
        ] {
            assert_eq!(first(text.as_bytes()), read.map_err(str::to_owned), "{text:?}");
        }
        assert_eq!(first(b"\"\xff\"").unwrap(), Value::Text("\u{fffd}".into()));
        assert_eq!(first(&b"[".repeat(1 << 16)).unwrap_err(), "exceeded max depth");
    }

    #[test]
    fn keys_have_no_letter_case_and_the_last_wins() {
        let value = first(br#"{"Name":"a","name":"b","NAME":"c"}"#).unwrap();
        assert_eq!(value.get("name"), Some(&Value::Text("c".into())));
        assert_eq!(value.get("nam"), None);
    }

    proptest! {
        #[test]
        fn g99_no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _either = first(&bytes);
        }

        #[test]
        fn what_serde_reads_it_reads_too(text in r#"[\[\]{}:,"a0.\\ -]{0,12}"#) {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
                let read = first(text.as_bytes()).unwrap();
                // Repeated keys: both take the last.
                prop_assert_eq!(read.plain(), Some(value));
            }
        }
    }
}
