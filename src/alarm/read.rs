//! Rules and targets as files have them. What is wrong is told with its place, and without the line that stands there: it
//! may hold an address that is secret, a password or a key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::keys::{RULE, TARGET};
use super::rule::{MAX_RULES, Notify, On, Rule, To};
use super::target::{self, Call, Kind, MAX_ADDRESSES, MAX_HEADERS, MAX_TIMEOUT, TIMEOUT, Target};
use super::template::Template;
use crate::conf::Secret;
use crate::conf::units::duration;
use crate::conf::yaml::{Field, Fields, Kind as Yaml, Node, Reader};
use crate::job::Finding;

/// Most targets of rotad.yaml.
const MAX_TARGETS: usize = 256;
/// Most names in one `to`.
const MAX_TO: usize = 16;
/// Most words of a command, and most bytes of them.
const MAX_COMMAND: (usize, usize) = (64, 8 << 10);
/// The keys of which a target has one.
const KINDS: [&str; 6] = ["webhook", "command", "mail", "beat", "report", "ping"];

/// `notify`: rules; `none` for no rules at all, absent for `None`. `of` is the job, for the names of targets in rules.
pub fn notify(r: &mut Reader<'_>, field: Option<Field<'_>>, of: &str) -> Option<Notify> {
    let mark = r.told();
    let notify = rules(r, field?, of);
    r.hide(mark);
    notify
}

fn rules(r: &mut Reader<'_>, field: Field<'_>, of: &str) -> Option<Notify> {
    let Yaml::List(list) = &field.node.kind else {
        let none = matches!(&field.node.kind, Yaml::Text(word) if word == "none");
        if !none {
            let hint = "write notify: [{on: failure, to: NAME}]";
            r.error("bad-value", field, "'notify' is a list of rules, or none", Some(hint));
        }
        return none.then(Notify::default);
    };
    if list.len() > MAX_RULES {
        r.error("too-large", field, format!("'notify': at most {MAX_RULES} rules"), None);
    }
    let rules = list.iter().take(MAX_RULES).filter_map(|node| rule(r, node, of)).collect();
    Some(Notify { rules })
}

/// `targets`, by name.
pub fn targets(r: &mut Reader<'_>, field: Option<Field<'_>>) -> BTreeMap<String, Arc<Target>> {
    let Some(field) = field else { return BTreeMap::new() };
    let mark = r.told();
    let mut targets = BTreeMap::new();
    let entries = r.entries("'targets'", field.node);
    for entry in entries.iter() {
        let name = entry.key;
        let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || name.len() > 64 || name.starts_with(['.', '-']) || !name.chars().all(good) {
            let message = "the name of a target has letters, digits, '_', '.' and '-', and begins with no '.' or '-'";
            r.tell(Finding::error("bad-value", r.file(), message), entry.key_id);
        }
        if let Some(target) = target(r, entry.node, name) {
            targets.insert(name.to_owned(), Arc::new(target));
        }
    }
    if targets.len() > MAX_TARGETS {
        r.error("too-large", field, format!("'targets': at most {MAX_TARGETS}"), None);
    }
    r.hide(mark);
    targets
}

fn rule(r: &mut Reader<'_>, node: &Node, of: &str) -> Option<Rule> {
    let fields = r.fields("a rule of 'notify'", node, RULE);
    if !matches!(node.kind, Yaml::Map(_)) {
        return None;
    }
    let on = on(r, &fields, node);
    let rule = Rule {
        within: r.read(fields.get("within"), time),
        over: r.read(fields.get("over"), time),
        times: r.read(fields.get("times"), times),
        to: to(r, &fields, node, of),
        on,
    };
    let timed = rule.is_on(On::Late) || rule.is_on(On::Silent);
    let missing = |r: &mut Reader<'_>, message: &str, hint: &str| {
        r.tell(Finding::error("incomplete", r.file(), message).hint(hint), node.id);
    };
    if timed && fields.get("within").is_none() {
        missing(r, "'late' and 'silent' need a time", "add within: 26h");
    }
    if rule.is_on(On::Long) && fields.get("over").is_none() && fields.get("times").is_none() {
        missing(r, "'long' needs a time or a factor", "add over: 2h, or times: 3");
    }
    for (key, meant) in [("within", timed), ("over", rule.is_on(On::Long)), ("times", rule.is_on(On::Long))] {
        if let (Some(field), false) = (fields.get(key), meant || rule.on.is_empty()) {
            let message = format!("'{key}' means nothing for what this rule is about");
            let hint = "within belongs to late and silent, over and times to long";
            r.tell(Finding::error("conflict", r.file(), message).hint(hint), field.key_id);
        }
    }
    Some(rule)
}

fn on(r: &mut Reader<'_>, fields: &Fields<'_>, node: &Node) -> Vec<On> {
    let Some(field) = fields.get("on") else {
        r.tell(Finding::error("incomplete", r.file(), "a rule needs 'on'").hint("add on: failure"), node.id);
        return Vec::new();
    };
    let words = match &field.node.kind {
        Yaml::List(_) => r.texts(Some(field)),
        _ => r.scalar(field).map(|word| vec![word.to_owned()]),
    };
    let Some(words) = words else { return Vec::new() };
    let known: Option<Vec<On>> = words.iter().map(|word| On::parse(word)).collect();
    match known {
        Some(mut on) if !on.is_empty() => {
            on.sort_unstable();
            on.dedup();
            on
        }
        _ => {
            let all = On::ALL.map(On::word).join(", ");
            r.error("bad-value", field, format!("'on': of {all}, one or a list is expected"), None);
            Vec::new()
        }
    }
}

fn to(r: &mut Reader<'_>, fields: &Fields<'_>, node: &Node, of: &str) -> Vec<To> {
    let Some(field) = fields.get("to") else {
        r.tell(Finding::error("incomplete", r.file(), "a rule needs 'to'").hint("add to: NAME"), node.id);
        return Vec::new();
    };
    let names = match &field.node.kind {
        Yaml::Map(_) => {
            let target = target(r, field.node, "");
            let named = |target: Target| Target { name: format!("{} of {of}", target.kind.word()), ..target };
            return target.map(|target| vec![To::Inline(Arc::new(named(target)))]).unwrap_or_default();
        }
        Yaml::List(_) => r.texts(Some(field)),
        _ => r.scalar(field).map(|name| vec![name.to_owned()]),
    };
    let Some(mut names) = names else { return Vec::new() };
    if names.is_empty() || names.len() > MAX_TO || names.iter().any(|name| name.is_empty() || name.len() > 64) {
        r.error("bad-value", field, format!("'to': a name of a target, or a list of at most {MAX_TO}"), None);
        return Vec::new();
    }
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(To::Named).collect()
}

fn target(r: &mut Reader<'_>, node: &Node, name: &str) -> Option<Target> {
    let fields = r.fields("a target", node, TARGET);
    if !matches!(node.kind, Yaml::Map(_)) {
        return None;
    }
    let named: Vec<&str> = KINDS.into_iter().filter(|kind| fields.get(kind).is_some()).collect();
    let [kind] = named.as_slice() else {
        let finding = Finding::error("incomplete", r.file(), format!("a target has one of {}", KINDS.join(", ")));
        r.tell(finding, node.id);
        return None;
    };
    let calls = matches!(*kind, "webhook" | "report" | "ping");
    for (key, meant) in [("template", *kind == "webhook"), ("headers", calls), ("timeout", calls)] {
        if let (Some(field), false) = (fields.get(key), meant) {
            let message = format!("'{key}' means nothing beside '{kind}'");
            r.tell(Finding::error("conflict", r.file(), message), field.key_id);
        }
    }
    let field = fields.get(kind);
    let kind = match *kind {
        "webhook" => {
            let template = r.read(fields.get("template"), Template::parse);
            Kind::Webhook { call: call(r, &fields, field)?, template }
        }
        "command" => Kind::Command(command(r, field?)?),
        "mail" => Kind::Mail(mail(r, field?)?),
        "beat" => r.read(field, beat).map(|()| Kind::Beat)?,
        "report" => Kind::Report(call(r, &fields, field)?),
        _ => Kind::Ping(call(r, &fields, field)?),
    };
    Some(Target { name: name.to_owned(), kind })
}

fn call(r: &mut Reader<'_>, fields: &Fields<'_>, url: Option<Field<'_>>) -> Option<Call> {
    let url = r.read(url, target::url);
    let headers = headers(r, fields.get("headers"));
    let timeout = r.read(fields.get("timeout"), timeout).unwrap_or(TIMEOUT);
    Some(Call { url: url?, headers, timeout })
}

fn headers(r: &mut Reader<'_>, field: Option<Field<'_>>) -> Vec<(String, Secret)> {
    let Some(pairs) = r.pairs(field) else { return Vec::new() };
    let mut headers = Vec::with_capacity(pairs.len());
    for (name, value, id) in pairs {
        match target::header_name(&name).and_then(|()| target::header_value(&value)) {
            Ok(value) => headers.push((name, value)),
            Err(why) => r.tell(Finding::error("bad-value", r.file(), format!("'headers': {why}")), id),
        }
    }
    let bytes = headers.iter().map(|(name, value): &(String, Secret)| name.len() + value.0.len()).sum::<usize>();
    if let (Some(field), true) = (field, headers.len() > MAX_HEADERS.0 || bytes > MAX_HEADERS.1) {
        let most = format!("'headers': at most {} and {} KiB", MAX_HEADERS.0, MAX_HEADERS.1 >> 10);
        r.error("too-large", field, most, None);
    }
    headers
}

fn command(r: &mut Reader<'_>, field: Field<'_>) -> Option<Vec<String>> {
    let words = r.texts(Some(field))?;
    let bytes = words.iter().map(String::len).sum::<usize>();
    let good = words.first().is_some_and(|program| program.starts_with('/'));
    if !good || words.len() > MAX_COMMAND.0 || bytes > MAX_COMMAND.1 {
        let message = "'command': the path of a program and its arguments are expected, as a list";
        r.error("bad-value", field, message, Some("write command: [/usr/local/bin/page, --from, rotad]"));
        return None;
    }
    Some(words)
}

fn mail(r: &mut Reader<'_>, field: Field<'_>) -> Option<Vec<String>> {
    let list = match &field.node.kind {
        Yaml::List(_) => r.texts(Some(field))?,
        _ => return r.read(Some(field), target::address).map(|address| vec![address]),
    };
    let good: Result<Vec<String>, String> = list.iter().map(|text| target::address(text)).collect();
    match good {
        Ok(list) if (1..=MAX_ADDRESSES).contains(&list.len()) => Some(list),
        Ok(_) => {
            r.error("bad-value", field, format!("'mail': an address, or a list of at most {MAX_ADDRESSES}"), None);
            None
        }
        Err(why) => {
            r.error("bad-value", field, format!("'mail': {why}"), None);
            None
        }
    }
}

fn beat(text: &str) -> Result<(), String> {
    if text == "event" { Ok(()) } else { Err("the word event is expected".into()) }
}

fn time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    match (Duration::from_secs(1)..=Duration::from_secs(366 * 86_400)).contains(&time) {
        true => Ok(time),
        false => Err("from 1s to 366 days".into()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (Duration::from_secs(1)..=MAX_TIMEOUT).contains(&time) { Ok(time) } else { Err("from 1s to 60s".into()) }
}

fn times(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|times| (2..=100).contains(times))
        .ok_or_else(|| "a number from 2 to 100 is expected".into())
}

#[cfg(test)]
mod tests;
