//! What may stand in a file, a row a key: the reader knows its keys from such a table, and `rota schema` and the key lists
//! of the man pages are made of it. Nothing else names the keys of a file.
//!
//! Texts are sentences in which `` `…` `` marks what is written exactly so.

/// Keys under one heading.
#[derive(Debug)]
pub struct Group {
    /// The heading, in man pages.
    pub title: &'static str,
    /// Its keys, in the order in which they are told.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    pub value: Value,
    /// What holds without it.
    pub default: Default,
    /// What it means.
    pub meaning: &'static str,
    /// A good value, as YAML.
    pub example: &'static str,
}

/// What holds where a key is absent.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// Nothing worth a word, or the meaning says it.
    Unsaid,
    /// The same as this value, as YAML.
    Value(&'static str),
    /// This, which is no fixed value.
    Told(&'static str),
}

/// What a key takes. Expressions have no anchors and match the whole text.
#[derive(Debug)]
pub enum Value {
    /// Any one text; a number or `true` is taken as it is written.
    Any,
    /// A text of this form: what it is called, and a regular expression.
    Form(&'static str, &'static str),
    /// A text or a number that is written so: what it is called, a regular expression, and the largest number,
    /// `u32::MAX` for any.
    Written(&'static str, &'static str, u32),
    /// `true` or `false`.
    Truth,
    /// One of these words, each with what it means; no meaning where the key's own says it.
    Word(&'static [(&'static str, &'static str)]),
    /// A whole number of this range.
    Whole(i64, i64),
    /// A length of time (`units::duration`).
    Duration,
    /// A number of bytes (`units::size`).
    Size,
    /// The same, or `unlimited`.
    Unlimited(&'static Value),
    /// A list of at most so many; `usize::MAX`: of any number.
    List(&'static Value, usize),
    /// A map of texts, whose names have the form of this regular expression.
    Map(&'static str),
    /// A map of keys of its own.
    Keys(&'static [Group]),
    /// A map of such maps, whose names have the form of this regular expression.
    Named(&'static str, &'static [Group]),
    /// Either of two.
    Either(&'static Value, &'static Value),
}

/// An absolute path.
pub const PATH: Value = Value::Form("path", "/[^\\x00]*");
/// The name of a user (`job::user_name`).
pub const USER: Value = Value::Form("user", "[a-z_][a-z0-9_.-]{0,30}([a-z0-9_.-]|\\$)?");

impl Key {
    /// A key of this name that takes `value`.
    pub const fn new(name: &'static str, value: Value, meaning: &'static str) -> Self {
        Self { name, value, default: Default::Unsaid, meaning, example: "" }
    }

    /// The same, with what holds where it is absent, as YAML.
    pub const fn default(self, value: &'static str) -> Self {
        Self { default: Default::Value(value), ..self }
    }

    /// The same, with words for what holds where it is absent.
    pub const fn otherwise(self, words: &'static str) -> Self {
        Self { default: Default::Told(words), ..self }
    }

    /// The same, with a good value, as YAML.
    pub const fn example(self, value: &'static str) -> Self {
        Self { example: value, ..self }
    }
}

impl Value {
    /// The keys of the map that this may be.
    pub fn keys(&self) -> Option<&'static [Group]> {
        match self {
            Value::Keys(groups) => Some(groups),
            Value::Either(one, other) => one.keys().or_else(|| other.keys()),
            _ => None,
        }
    }

    /// The keys of the maps that this may hold, in a list or under names of their own.
    pub fn items(&self) -> Option<&'static [Group]> {
        match self {
            Value::Named(_, groups) => Some(groups),
            Value::List(of, _) => of.keys(),
            Value::Either(one, other) => one.items().or_else(|| other.items()),
            _ => None,
        }
    }
}

/// The names of all keys.
pub fn names(groups: &'static [Group]) -> impl Iterator<Item = &'static str> {
    groups.iter().flat_map(|group| group.keys).map(|key| key.name)
}

/// The keys of the map that `name` may hold: of `limits`, of `log`.
pub fn below(groups: &'static [Group], name: &str) -> &'static [Group] {
    let mut keys = groups.iter().flat_map(|group| group.keys);
    keys.find(|key| key.name == name).and_then(|key| key.value.keys()).unwrap_or_default()
}
