//! A YAML document as a tree of numbered nodes.
//!
//! Bounds: [`MAX_DEPTH`] levels, and nodes and bytes of text as [`Bounds`] say, each counted with aliases expanded, so that
//! an alias bomb ends where it begins.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Unexpected};
use serde::de::{Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Deepest nesting.
const MAX_DEPTH: u32 = 16;

/// How much a document may hold, aliases expanded.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most nodes, keys among them.
    nodes: u32,
    /// Most bytes of text in all values together.
    text: usize,
}

impl Bounds {
    /// Of a file with one job, or a configuration.
    pub const FILE: Bounds = Bounds { nodes: 20_000, text: 256 << 10 };
    /// Of a file with ten thousand jobs.
    pub const JOBS: Bounds = Bounds { nodes: 1_000_000, text: 16 << 20 };
}

/// A value.
#[derive(Debug)]
pub struct Node {
    /// Its number in the order of the text, for [`locate`].
    pub id: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a value is. Scalars keep the text they were written with.
#[derive(Debug)]
pub enum Kind {
    /// `~`, `null` or nothing at all.
    Null,
    /// `true` or `false`, unquoted.
    Bool(String),
    /// An integer or a decimal, unquoted.
    Number(String),
    /// Any other scalar.
    Text(String),
    /// `- a` or `[a]`.
    List(Vec<Node>),
    /// `key: value`, in the order of the text, repeated keys included: key, its number, value.
    Map(Vec<(String, u32, Node)>),
}

impl Kind {
    /// What it is called in a sentence.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a truth value",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

/// Reads a document.
pub fn parse(text: &str) -> Result<Node, serde_yaml::Error> {
    parse_within(text, Bounds::FILE)
}

/// Reads a document of another size.
pub fn parse_within(text: &str, bounds: Bounds) -> Result<Node, serde_yaml::Error> {
    let walk = Walk::new(bounds, None);
    let mut root = (Seed { walk: &walk, depth: 0 }).deserialize(serde_yaml::Deserializer::from_str(text))?;
    if walk.numbers.get() {
        Spell(&mut root).deserialize(serde_yaml::Deserializer::from_str(text))?;
    }
    Ok(root)
}

/// Line and column (from 1) of the node with this number.
pub fn locate(text: &str, id: u32) -> Option<(usize, usize)> {
    let walk = Walk::new(Bounds::FILE, Some(id));
    let error = (Seed { walk: &walk, depth: 0 }).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.location().map(|at| (at.line(), at.column()))
}

/// What has been counted so far.
struct Walk {
    bounds: Bounds,
    nodes: Cell<u32>,
    text: Cell<usize>,
    /// Scalars were met whose text the parser has turned into a value.
    numbers: Cell<bool>,
    /// Fail at this node, for its place.
    stop: Option<u32>,
}

impl Walk {
    fn new(bounds: Bounds, stop: Option<u32>) -> Self {
        Self { bounds, nodes: Cell::new(0), text: Cell::new(0), numbers: Cell::new(false), stop }
    }

    fn node<E: serde::de::Error>(&self) -> Result<u32, E> {
        let id = self.nodes.get();
        if self.stop == Some(id) {
            return Err(E::custom("here"));
        }
        if id >= self.bounds.nodes {
            return Err(E::custom(format_args!("more than {} values, aliases expanded", self.bounds.nodes)));
        }
        self.nodes.set(id + 1);
        Ok(id)
    }

    fn text<E: serde::de::Error>(&self, text: &str) -> Result<(), E> {
        let sum = self.text.get() + text.len();
        if sum > self.bounds.text {
            return Err(E::custom(format_args!("more than {} bytes of text, aliases expanded", self.bounds.text)));
        }
        if text.contains('\0') {
            return Err(E::custom("a NUL character, which no program can be given"));
        }
        self.text.set(sum);
        Ok(())
    }
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Seed<'a> {
    walk: &'a Walk,
    depth: u32,
}

impl Seed<'_> {
    fn value<E: serde::de::Error>(self, kind: Kind) -> Result<Node, E> {
        Ok(Node { id: self.walk.node()?, kind })
    }

    fn number<E: serde::de::Error>(self) -> Result<Node, E> {
        self.walk.numbers.set(true);
        self.value(Kind::Number(String::new()))
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.value(Kind::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.value(Kind::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Node, E> {
        self.walk.numbers.set(true);
        self.value(Kind::Bool(String::new()))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Node, E> {
        self.number()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Node, E> {
        self.number()
    }

    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Node, E> {
        self.number()
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Node, E> {
        self.number()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Node, E> {
        self.number()
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Node, E> {
        let id = self.walk.node()?;
        self.walk.text(text)?;
        Ok(Node { id, kind: Kind::Text(text.to_owned()) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let id = self.walk.node()?;
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Node { id, kind: Kind::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let id = self.walk.node()?;
        let inner = self.deeper()?;
        let mut map = Vec::new();
        while let Some((key, key_id)) = entries.next_key_seed(Key(self.walk))? {
            map.push((key, key_id, entries.next_value_seed(inner)?));
        }
        Ok(Node { id, kind: Kind::Map(map) })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        Err(A::Error::custom("a tag such as `!name` has no meaning here; put the value in quotes if it is text"))
    }
}

/// Reads one key, as text whatever it looks like.
struct Key<'a>(&'a Walk);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = (String, u32);
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = (String, u32);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let id = self.0.node()?;
        self.0.text(text)?;
        Ok((text.to_owned(), id))
    }
}

/// Walks the same document again and gives every number and truth value the text it was written with.
struct Spell<'a>(&'a mut Node);

impl<'de> DeserializeSeed<'de> for Spell<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0.kind {
            Kind::Bool(_) | Kind::Number(_) => deserializer.deserialize_str(self),
            Kind::List(_) => deserializer.deserialize_seq(self),
            Kind::Map(_) => deserializer.deserialize_map(self),
            Kind::Null | Kind::Text(_) => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
        }
    }
}

impl<'de> Visitor<'de> for Spell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same document")
    }

    fn visit_str<E: serde::de::Error>(self, spelled: &str) -> Result<(), E> {
        match &mut self.0.kind {
            Kind::Bool(text) | Kind::Number(text) => *text = spelled.to_owned(),
            _ => return Err(E::invalid_type(Unexpected::Str(spelled), &self)),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if let Kind::List(list) = &mut self.0.kind {
            for item in list {
                items.next_element_seed(Spell(item))?;
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if let Kind::Map(map) = &mut self.0.kind {
            for (_, _, value) in map {
                entries.next_key::<IgnoredAny>()?;
                entries.next_value_seed(Spell(value))?;
            }
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
