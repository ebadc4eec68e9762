//! Takes a document apart key by key and collects what is wrong with it, so that one look tells all of it.

#![expect(clippy::result_large_err, reason = "a finding is made once per broken file, never in a loop that counts")]

use super::key::{Group, names};
use super::text::place;
use super::tree::{Bounds, Kind, Node, locate, parse_within};
use crate::conf::nearest::nearest;
use crate::job::{Finding, Place, Severity};

/// Most findings told of one file; what comes after them is counted.
const MAX_FINDINGS: usize = 20;

/// A document being read.
pub struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    /// Number of the text's first node, where it is a part of a document.
    first: u32,
    /// Lines of the document before the text.
    lines: usize,
    findings: Vec<Finding>,
    untold: usize,
}

/// The keys of a map, each once.
pub struct Fields<'n>(Vec<Field<'n>>);

/// One key with its value.
#[derive(Clone, Copy)]
pub struct Field<'n> {
    /// The key.
    pub key: &'n str,
    /// The key's number.
    pub key_id: u32,
    /// The value.
    pub node: &'n Node,
}

impl<'n> Fields<'n> {
    /// The field of this name.
    pub fn get(&self, key: &str) -> Option<Field<'n>> {
        self.0.iter().find(|field| field.key == key).copied()
    }

    /// All of them, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = Field<'n>> + '_ {
        self.0.iter().copied()
    }
}

impl<'a> Reader<'a> {
    /// Parses the text. What the parser refuses is the one finding there is then.
    pub fn new(file: &'a str, text: &'a str) -> Result<(Self, Node), Finding> {
        Self::within(file, text, Bounds::FILE)
    }

    /// The same for a document of another size.
    pub fn within(file: &'a str, text: &'a str, bounds: Bounds) -> Result<(Self, Node), Finding> {
        match parse_within(text, bounds) {
            Ok(root) => Ok((Self::part(file, text, 0, 0), root)),
            Err(error) => Err(refused(file, text, &error)),
        }
    }

    /// Of a part of a document, which has been parsed: its text in the columns where it stands, the number of its first
    /// node, and the lines before it.
    pub fn part(file: &'a str, text: &'a str, first: u32, lines: usize) -> Self {
        Self { file, text, first, lines, findings: Vec::new(), untold: 0 }
    }

    /// What was found: warnings where there is no error, else everything.
    pub fn end(mut self) -> Result<Vec<Finding>, Vec<Finding>> {
        if self.untold > 0 {
            let message = format!("{} more findings in this file", self.untold);
            self.findings.push(Finding { severity: Severity::Error, ..Finding::warning("more", self.file, message) });
        }
        match self.findings.iter().any(|finding| finding.severity == Severity::Error) {
            true => Err(self.findings),
            false => Ok(self.findings),
        }
    }

    /// The place of a node or key.
    pub fn place(&self, id: u32) -> Option<Place> {
        let (line, column) = locate(self.text, id.checked_sub(self.first)?)?;
        let place = place(self.text, line, column);
        Some(Place { line: place.line + self.lines, ..place })
    }

    /// Keeps a finding about a node or key.
    pub fn tell(&mut self, finding: Finding, id: u32) {
        if self.findings.len() >= MAX_FINDINGS {
            self.untold += 1;
            return;
        }
        let place = self.place(id);
        self.findings.push(finding.at(place));
    }

    /// Keeps a finding about byte `offset` of a scalar, which is exact where the scalar stands on one line.
    pub fn tell_inside(&mut self, finding: Finding, id: u32, scalar: &str, offset: usize) {
        self.tell(finding, id);
        let Some(at) = self.findings.last_mut().and_then(|finding| finding.place.as_mut()) else { return };
        let lines = self.lines;
        let Some(line) = self.text.split('\n').nth(at.line - 1 - lines) else { return };
        let start: String = line.chars().skip(at.column - 1).collect();
        // A tag or anchor before it, or a block below it, and the offset would point anywhere.
        let quote = if start.starts_with(['"', '\'']) { 1 } else { 0 };
        if start.get(quote..).is_some_and(|rest| rest.starts_with(scalar)) {
            let chars = scalar.get(..offset).map_or(0, |before| before.chars().count());
            at.column += quote + chars;
        }
    }

    /// How many findings there are, for [`Self::hide`].
    pub fn told(&self) -> usize {
        self.findings.len()
    }

    /// Takes the lines of the text out of all findings but the first `told`: secrets stand there.
    pub fn hide(&mut self, told: usize) {
        let places = self.findings.iter_mut().skip(told).filter_map(|finding| finding.place.as_mut());
        places.for_each(|place| place.snippet.clear());
    }

    /// An error about a field's value.
    pub fn error(&mut self, code: &'static str, field: Field<'_>, message: impl Into<String>, hint: Option<&str>) {
        let mut finding = Finding::error(code, self.file, message);
        finding.hint = hint.map(str::to_owned);
        self.tell(finding, field.node.id);
    }

    /// A finding without a place: about the file as a whole.
    pub fn whole(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// The file's name, for findings made elsewhere.
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// The keys of a map, each one of `known`. Unknown and repeated keys are errors; the first of a repeated key counts.
    pub fn fields<'n>(&mut self, what: &str, node: &'n Node, known: &'static [Group]) -> Fields<'n> {
        self.fields_or(Severity::Error, what, node, known)
    }

    /// The same, with another weight for unknown keys.
    pub fn fields_or<'n>(
        &mut self,
        weight: Severity,
        what: &str,
        node: &'n Node,
        known: &'static [Group],
    ) -> Fields<'n> {
        let fields = self.entries(what, node);
        for field in fields.iter() {
            if names(known).any(|known| known == field.key) {
                continue;
            }
            if self.findings.len() >= MAX_FINDINGS {
                self.untold += 1;
                continue;
            }
            let known: Vec<&str> = names(known).collect();
            let hint = match (nearest(field.key, &known), field.key) {
                (Some(near), _) => format!("did you mean '{near}'?"),
                (None, "<<") => "merge keys are not supported: write the keys out".to_owned(),
                (None, _) => format!("known here: {}", known.join(" ")),
            };
            let message = format!("unknown key '{}' in {what}", shown(field.key));
            let finding = Finding { severity: weight, ..Finding::error("unknown-key", self.file, message) };
            self.tell(finding.hint(hint), field.key_id);
        }
        fields
    }

    /// The keys of a map, whatever they are; repeated ones are errors.
    pub fn entries<'n>(&mut self, what: &str, node: &'n Node) -> Fields<'n> {
        let Kind::Map(map) = &node.kind else {
            let message = format!("{what} is a map of 'key: value' lines, this is {}", node.kind.word());
            self.tell(Finding::error("wrong-type", self.file, message), node.id);
            return Fields(Vec::new());
        };
        let mut fields: Vec<Field<'n>> = Vec::with_capacity(map.len());
        let mut seen = std::collections::HashSet::with_capacity(map.len());
        for (key, key_id, node) in map {
            if seen.insert(key.as_str()) {
                fields.push(Field { key, key_id: *key_id, node });
                continue;
            }
            let message = format!("key '{}' stands twice in {what}", shown(key));
            self.tell(Finding::error("duplicate-key", self.file, message).hint("keep one of them"), *key_id);
        }
        Fields(fields)
    }

    /// The text of a scalar, as it is written: `1`, `true` and `022` are themselves.
    pub fn scalar<'n>(&mut self, field: Field<'n>) -> Option<&'n str> {
        match &field.node.kind {
            Kind::Bool(text) | Kind::Number(text) | Kind::Text(text) => Some(text),
            Kind::Null => {
                let hint = "leave the key out to get its default, or give it a value; '~' in quotes is the character";
                self.error("no-value", field, format!("'{}' has no value (`~`)", shown(field.key)), Some(hint));
                None
            }
            Kind::List(_) | Kind::Map(_) => {
                let message = format!("'{}' takes one value, this is {}", shown(field.key), field.node.kind.word());
                self.error("wrong-type", field, message, None);
                None
            }
        }
    }

    /// A scalar read by `read`, whose error is a sentence and, behind a newline, a hint.
    pub fn read<T>(&mut self, field: Option<Field<'_>>, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let field = field?;
        let text = self.scalar(field)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(why) => {
                let (message, hint) = why.split_once('\n').map_or((why.as_str(), None), |(m, h)| (m, Some(h)));
                self.error("bad-value", field, format!("'{}': {message}", shown(field.key)), hint);
                None
            }
        }
    }

    /// `true` or `false`, unquoted and in no other of YAML's old spellings.
    pub fn truth(&mut self, field: Option<Field<'_>>) -> Option<bool> {
        let field = field?;
        let text = self.scalar(field)?;
        let value = match (&field.node.kind, text.to_ascii_lowercase().as_str()) {
            (Kind::Bool(_), word) => return Some(word == "true"),
            (_, "yes" | "on" | "y" | "true") => Some("true"),
            (_, "no" | "off" | "n" | "false") => Some("false"),
            _ => None,
        };
        let hint = value.map(|value| format!("write {}: {value}", field.key));
        self.error("wrong-type", field, format!("'{}' is true or false", field.key), hint.as_deref());
        None
    }

    /// A list of scalars.
    pub fn texts(&mut self, field: Option<Field<'_>>) -> Option<Vec<String>> {
        let field = field?;
        let Kind::List(list) = &field.node.kind else {
            let message = format!("'{}' is a list, this is {}", field.key, field.node.kind.word());
            let hint = format!("write {}: [\"…\", \"…\"], or one '- …' a line", field.key);
            self.error("wrong-type", field, message, Some(&hint));
            return None;
        };
        let items = list.iter().map(|node| self.scalar(Field { node, ..field }).map(str::to_owned));
        items.collect::<Vec<_>>().into_iter().collect()
    }

    /// A map of scalars.
    pub fn pairs(&mut self, field: Option<Field<'_>>) -> Option<Vec<(String, String, u32)>> {
        let field = field?;
        let entries = self.entries(&format!("'{}'", field.key), field.node);
        let pairs = entries
            .iter()
            .map(|entry| self.scalar(entry).map(|text| (entry.key.to_owned(), text.to_owned(), entry.key_id)));
        pairs.collect::<Vec<_>>().into_iter().collect()
    }
}

/// Foreign text inside a sentence.
pub fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}

/// What the parser refused, in its words without its own place, and what is usually meant.
fn refused(file: &str, text: &str, error: &serde_yaml::Error) -> Finding {
    let at = error.location().map(|at| place(text, at.line(), at.column()));
    let mut message = error.to_string();
    if let Some(at) = &at {
        message = message.replacen(&format!(" at line {} column {}", at.line, at.column), "", 1);
    }
    // The parser puts the path of keys before its own sentence.
    let message = message.split_once(": ").map_or(message.as_str(), |(path, rest)| match path.contains(' ') {
        true => message.as_str(),
        false => rest,
    });
    let mut finding = Finding::error("yaml-syntax", file, shown_long(message));
    let line = at.as_ref().and_then(|at| text.split('\n').nth(at.line - 1)).unwrap_or_default();
    finding.hint = gotcha(line, message);
    finding.at(at)
}

fn shown_long(text: &str) -> String {
    text.chars().take(300).flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

/// The traps of YAML that a cron file falls into.
fn gotcha(line: &str, message: &str) -> Option<String> {
    let line = line.trim_end();
    let (key, value) = line.split_once(':').map(|(key, value)| (key.trim(), value.trim())).unwrap_or(("", ""));
    let special = |c: char| matches!(c, '*' | '@' | '`' | '%' | '&' | '!' | '|' | '>' | '{' | '[');
    let quoted = value.replace('\'', "''");
    if line.trim_start_matches(' ').starts_with('\t') || line.starts_with('\t') {
        return Some("indent with blanks: YAML allows no tabs there".to_owned());
    }
    if value.starts_with(['*', '@', '`', '%', '&', '!']) {
        let why = match value.chars().next() {
            Some('*') => "an unquoted '*' begins an alias",
            Some('&') => "an unquoted '&' begins an anchor",
            Some('!') => "an unquoted '!' begins a tag",
            _ => "this character begins no plain value",
        };
        return Some(format!("{why}; quote it: {}: '{}'", shown(key), shown(&quoted)));
    }
    if let Some(item) = line.trim_start().strip_prefix("- ").filter(|item| item.starts_with(special)) {
        return Some(format!("quote it: - '{}'", shown(&item.replace('\'', "''"))));
    }
    if message.contains("mapping values are not allowed") {
        return Some("a value that contains ': ' must be quoted; or the line is indented too far".to_owned());
    }
    if message.contains("more than one document") {
        return Some("one file holds one job: take the '---' lines out, or make two files".to_owned());
    }
    None
}
