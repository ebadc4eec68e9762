//! The keys `catch_up…`, `retries` and `after`.

use std::time::Duration;

use super::words;
use crate::conf::units::duration;
use crate::conf::yaml::key::below;
use crate::conf::yaml::{Field, Fields, Kind, Reader};
use crate::job::keys::KEYS;
use crate::job::policy::{MAX_CATCH_UP, MAX_RETRIES};
use crate::job::{After, AfterEnd, CatchUp, CatchUpRule, Finding, JobName, Retries, RetryOn};

/// Most jobs that one job follows.
pub const MAX_AFTER: usize = 16;
/// Attempts after the first where the map does not say how many.
const DEFAULT_MAX: u32 = 3;
/// Longest window and delay.
const MAX_TIME: Duration = Duration::from_secs(366 * 86_400);

/// `catch_up`, `catch_up_window` and `catch_up_max`. What is missed of a job with `at` is made up for unless the file says
/// otherwise: there is no other slot.
pub(super) fn catch_up(r: &mut Reader<'_>, fields: &Fields<'_>) -> CatchUp {
    let fallback = match fields.get("at") {
        Some(_) => CatchUpRule::Last,
        None => CatchUpRule::None,
    };
    let rule = r.read(fields.get("catch_up"), |text| match text {
        "none" => Ok(CatchUpRule::None),
        "last" => Ok(CatchUpRule::Last),
        "all" => Ok(CatchUpRule::All),
        _ => Err("one of none, last, all".to_owned()),
    });
    let rule = rule.unwrap_or(fallback);
    let window = r.read(fields.get("catch_up_window"), |text| positive(text, "a window of nothing catches up nothing"));
    let max = r.read(fields.get("catch_up_max"), |text| number(text, 1, MAX_CATCH_UP));
    for (key, counts) in [("catch_up_window", rule != CatchUpRule::None), ("catch_up_max", rule == CatchUpRule::All)] {
        if let Some(unused) = fields.get(key).filter(|_| !counts) {
            let rule = if key == "catch_up_max" { "all" } else { "last or all" };
            let message = format!("'{key}' says nothing without 'catch_up: {rule}'");
            r.tell(Finding::warning("no-effect", r.file(), message), unused.key_id);
        }
    }
    CatchUp { rule, window: window.unwrap_or(CatchUp::NONE.window), max: max.unwrap_or(CatchUp::NONE.max) }
}

/// `retries`: how many, or a map.
pub(super) fn retries(r: &mut Reader<'_>, field: Option<Field<'_>>) -> Option<Box<Retries>> {
    let field = field?;
    if !matches!(field.node.kind, Kind::Map(_)) {
        let max = r.read(Some(field), |text| number(text, 0, MAX_RETRIES))?;
        return (max > 0).then(|| Box::new(Retries::of(max)));
    }
    let fields = r.fields("'retries'", field.node, below(KEYS, "retries"));
    let fallback = Retries::of(DEFAULT_MAX);
    let read = Retries {
        max: r.read(fields.get("max"), |text| number(text, 0, MAX_RETRIES)).unwrap_or(fallback.max),
        delay: r.read(fields.get("delay"), bounded).unwrap_or(fallback.delay),
        backoff: r.read(fields.get("backoff"), backoff).unwrap_or(fallback.backoff),
        max_delay: r.read(fields.get("max_delay"), bounded).unwrap_or(fallback.max_delay),
        on: fields.get("on").map(|on| retry_on(r, on)).unwrap_or_default(),
    };
    (read.max > 0).then(|| Box::new(read))
}

/// `on` of `retries`: outcomes and exit codes.
fn retry_on(r: &mut Reader<'_>, field: Field<'_>) -> RetryOn {
    let words = match &field.node.kind {
        Kind::List(_) => r.texts(Some(field)).unwrap_or_default(),
        _ => r.scalar(field).map(|text| vec![text.to_owned()]).unwrap_or_default(),
    };
    let mut on = RetryOn { failure: false, timeout: false, could_not_start: false, codes: Vec::new() };
    for word in &words {
        match word.as_str() {
            "failure" => on.failure = true,
            "timeout" => on.timeout = true,
            "could-not-start" => on.could_not_start = true,
            code => match code.parse::<u8>() {
                Ok(code) => on.codes.push(code),
                Err(_) => {
                    let message = "'on': failure, timeout, could-not-start and exit codes from 0 to 255 are expected";
                    r.error("bad-value", field, message, Some("write [failure, timeout] or [75]"));
                }
            },
        }
    }
    on
}

/// `after`: names of jobs, each with the end that counts.
pub(super) fn after(r: &mut Reader<'_>, field: Option<Field<'_>>, own: Option<&JobName>) -> Option<Box<After>> {
    let field = field?;
    let pairs = r.pairs(Some(field))?;
    let mut after = After::new();
    for (job, end, id) in &pairs {
        let name = match JobName::parse(job) {
            Ok(name) if Some(&name) == own => {
                let finding = Finding::error("after-cycle", r.file(), "'after': the job would follow itself for ever");
                r.tell(finding.hint("name another job"), *id);
                continue;
            }
            Ok(name) => name,
            Err(error) => {
                r.tell(Finding::error("bad-value", r.file(), format!("'after': {error}")), *id);
                continue;
            }
        };
        let end = match end.as_str() {
            "success" => AfterEnd::Success,
            "failure" => AfterEnd::Failure,
            "any" => AfterEnd::Any,
            _ => {
                let finding = Finding::error("bad-value", r.file(), "'after': one of success, failure, any");
                r.tell(finding.hint("write after: {backup: success}"), *id);
                continue;
            }
        };
        after.insert(name, end);
    }
    if pairs.len() > MAX_AFTER {
        r.error("too-large", field, format!("'after': at most {MAX_AFTER} jobs"), None);
    }
    (!after.is_empty()).then(|| Box::new(after))
}

fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("a number from {least} to {most}"))
}

fn bounded(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > MAX_TIME { Err("at most 366 days".to_owned()) } else { Ok(time) }
}

fn positive(text: &str, why: &str) -> Result<Duration, String> {
    match bounded(text)? {
        Duration::ZERO => Err(why.to_owned()),
        time => Ok(time),
    }
}

/// A factor from 1 to 100 with at most two decimals, in hundredths.
fn backoff(text: &str) -> Result<u32, String> {
    let factor: Option<f64> = text.parse().ok().filter(|factor| (1.0..=100.0).contains(factor));
    // In the range above, rounding gives a whole number from 100 to 10,000.
    factor.map(|factor| (factor * 100.0).round() as u32).ok_or_else(|| words::FACTOR.to_owned())
}
