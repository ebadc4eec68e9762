//! Trees before and after an edit.

use super::{Set, Value};
use crate::conf::yaml::{Kind, Node};

/// Both say the same, wherever they stand.
pub fn same(one: &Node, other: &Node) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Bool(one), Kind::Bool(other))
        | (Kind::Number(one), Kind::Number(other))
        | (Kind::Text(one), Kind::Text(other)) => one == other,
        (Kind::List(one), Kind::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Kind::Map(one), Kind::Map(other)) => {
            let pair = |((key, _, one), (key2, _, other)): (&(String, u32, Node), &(String, u32, Node))| {
                key == key2 && same(one, other)
            };
            one.len() == other.len() && one.iter().zip(other).all(pair)
        }
        _ => false,
    }
}

/// The node is the value.
fn is(node: &Node, value: &Value) -> bool {
    let text = |node: &Node, wanted: &str| matches!(&node.kind, Kind::Text(text) if text == wanted);
    match value {
        Value::Text(wanted) => text(node, wanted),
        Value::Bool(wanted) => matches!(&node.kind, Kind::Bool(truth) if *truth == wanted.to_string()),
        Value::Texts(wanted) => match &node.kind {
            Kind::List(items) => {
                items.len() == wanted.len() && items.iter().zip(wanted).all(|(item, wanted)| text(item, wanted))
            }
            _ => false,
        },
    }
}

/// The map says already what is to be set.
pub fn holds(map: &Node, set: &Set) -> bool {
    let Kind::Map(entries) = &map.kind else { return false };
    let mut found = entries.iter().filter(|(key, ..)| key == set.key).map(|(.., node)| node);
    match (&set.value, found.next(), found.next()) {
        (None, None, _) => true,
        (Some(value), Some(node), None) => is(node, value),
        _ => false,
    }
}

/// The new map is the old one with exactly these changes; what was there before stands in the same order.
pub fn differs_by(old: &Node, new: &Node, sets: &[&Set]) -> bool {
    let (Kind::Map(before), Kind::Map(after)) = (&old.kind, &new.kind) else { return false };
    let untouched = |entry: &&(String, u32, Node)| sets.iter().all(|set| set.key != entry.0);
    let (mut before, mut after) = (before.iter().filter(untouched), after.iter().filter(untouched));
    loop {
        match (before.next(), after.next()) {
            (None, None) => return sets.iter().all(|set| holds(new, set)),
            (Some(one), Some(other)) if one.0 == other.0 && same(&one.2, &other.2) => {}
            _ => return false,
        }
    }
}
