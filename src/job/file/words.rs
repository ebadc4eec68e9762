//! The values of single keys. Each reads the text as it is written and answers with the value or a sentence that says
//! what is expected; a hint follows behind a newline.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::conf::units::{duration, size};
use crate::conf::yaml::key::below;
use crate::conf::yaml::{Field, Reader};
use crate::job::keys::KEYS;
use crate::job::{Limits, OnOverlap, WhenDone};

/// Longest `timeout` and `kill_after`.
const MAX_TIME: Duration = Duration::from_secs(366 * 86_400);
/// What a factor of delays is.
pub(super) const FACTOR: &str = "a factor from 1 to 100, as in 2 or 1.5";
/// Longest user name (useradd(8)).
const MAX_USER: usize = 32;

/// The name of a user, by its shape alone. Numbers are refused: `0x0`, `-1` and `4294967295` have all meant root
/// somewhere.
pub fn user_name(text: &str) -> Result<String, String> {
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let body = text.strip_suffix('$').unwrap_or(text);
    let good = body.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte));
    if begins && good && text.len() <= MAX_USER {
        return Ok(text.to_owned());
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
        return Err(format!(
            "users are given by name\n'getent passwd {}' tells it",
            text.chars().take(12).filter(char::is_ascii_alphanumeric).collect::<String>()
        ));
    }
    Err("no user name: lower-case letters, digits, '_', '.' and '-', beginning with a letter or '_'".to_owned())
}

/// The name of an environment variable.
pub fn variable_name(name: &str) -> Result<(), String> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(());
    }
    let shown = crate::conf::yaml::shown(name);
    Err(format!("'{shown}' is no variable name: letters, digits and '_', not beginning with a digit"))
}

/// `%XX` read back; `None` where that is no UTF-8. A `%` that begins no escape stands for itself.
pub(super) fn unescape(stem: &str) -> Option<String> {
    let bytes = stem.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match hex.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(escaped) if *byte == b'%' => {
                plain.push(escaped);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).ok()
}

pub(super) fn one_line(text: &str) -> Result<String, String> {
    match text.chars().any(char::is_control) {
        true => Err("one line without control characters is expected".to_owned()),
        false => Ok(text.to_owned()),
    }
}

pub(super) fn command(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it names no program".to_owned());
    }
    if text.starts_with('/') && text.contains(' ') && text.contains(" -") {
        return Err("'command' is one program, started without a shell\n\
            write its arguments as a list under 'args', or use 'script' for a line of shell"
            .to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn script(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn when_done(text: &str) -> Result<WhenDone, String> {
    match text {
        "keep" => Ok(WhenDone::Keep),
        "remove" => Ok(WhenDone::Remove),
        _ => Err("one of keep, remove".to_owned()),
    }
}

pub(super) fn on_overlap(text: &str) -> Result<OnOverlap, String> {
    match text {
        "skip" => Ok(OnOverlap::Skip),
        "queue" => Ok(OnOverlap::Queue),
        "replace" => Ok(OnOverlap::Replace),
        "allow" => Ok(OnOverlap::Allow),
        _ => Err("one of skip, queue, replace, allow".to_owned()),
    }
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match bounded(text)? {
        Duration::ZERO => Err("a timeout of nothing would stop every run at once\n\
            leave it out for no timeout"
            .to_owned()),
        time => Ok(time),
    }
}

pub(super) fn kill_after(text: &str) -> Result<Duration, String> {
    bounded(text)
}

fn bounded(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > MAX_TIME { Err("at most 366 days".to_owned()) } else { Ok(time) }
}

/// `TERM`, `SIGTERM` or 15. Not one that stops or continues without ending, nor one of the real-time ones.
pub(super) fn signal(text: &str) -> Result<i32, String> {
    let upper = text.to_ascii_uppercase();
    let signal = match upper.parse::<i32>() {
        Ok(number) => Signal::try_from(number).ok(),
        Err(_) if upper.starts_with("SIG") => Signal::from_str(&upper).ok(),
        Err(_) => Signal::from_str(&format!("SIG{upper}")).ok(),
    };
    let pauses = [Signal::SIGSTOP, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU, Signal::SIGCONT];
    match signal {
        Some(signal) if pauses.contains(&signal) => {
            Err(format!("{signal} does not ask a program to end\nuse TERM or INT"))
        }
        Some(signal) => Ok(signal as i32),
        None => Err("a signal such as TERM, SIGINT or 15 is expected".to_owned()),
    }
}

pub(super) fn work_dir(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("an absolute path is expected\nbegin it with '/'".to_owned()),
    }
}

/// Absolute, or the name of a file in `conf.d` that is no job file.
pub(super) fn environment_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.is_empty() || path.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
        return Err("a path without '..' is expected".to_owned());
    }
    if path.is_relative() && (text.ends_with(".yaml") || text.ends_with(".yml")) {
        return Err("in conf.d this would be a job file\nname it *.env".to_owned());
    }
    Ok(path)
}

/// A file mode mask, always octal. `bare`: YAML has read it as a number.
pub(super) fn umask(text: &str, bare: bool) -> Result<u32, String> {
    let digits = match (text.strip_prefix("0o"), bare) {
        (Some(octal), _) => octal,
        (None, false) => text,
        (None, true) if text == "0" => text,
        (None, true) => {
            return Err(
                "YAML reads this as a decimal number, a mask is octal\nwrite it with a leading zero: umask: 022"
                    .to_owned(),
            );
        }
    };
    let good = !digits.is_empty() && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mask| good && *mask <= 0o777)
        .ok_or_else(|| "an octal mask from 000 to 777 is expected".to_owned())
}

pub(super) fn nice(text: &str) -> Result<i32, String> {
    text.parse().ok().filter(|nice| (-20..=19).contains(nice)).ok_or_else(|| "a number from -20 to 19".to_owned())
}

/// The `limits` map.
pub(super) fn limits(r: &mut Reader<'_>, field: Option<Field<'_>>) -> Limits {
    let fallback = Limits::default();
    let Some(field) = field else { return fallback };
    let fields = r.fields("'limits'", field.node, below(KEYS, "limits"));
    Limits {
        nofile: r.read(fields.get("nofile"), |text| unlimited(text, count)).unwrap_or(fallback.nofile),
        core: r.read(fields.get("core"), |text| unlimited(text, size)).unwrap_or(fallback.core),
        nproc: r.read(fields.get("nproc"), |text| unlimited(text, count)),
        cpu: r.read(fields.get("cpu"), |text| unlimited(text, seconds)),
        address_space: r.read(fields.get("address_space"), |text| unlimited(text, size)),
        file_size: r.read(fields.get("file_size"), |text| unlimited(text, size)),
        stack: r.read(fields.get("stack"), |text| unlimited(text, size)),
        memlock: r.read(fields.get("memlock"), |text| unlimited(text, size)),
        output: r.read(fields.get("output"), size).unwrap_or(fallback.output),
    }
}

/// `unlimited`, or what `read` reads.
fn unlimited(text: &str, read: impl FnOnce(&str) -> Result<u64, String>) -> Result<u64, String> {
    match text {
        "unlimited" | "infinity" => Ok(libc::RLIM_INFINITY),
        _ => read(text),
    }
}

/// At least one: with none a program cannot even start.
fn count(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (1..=1 << 30).contains(number));
    number.ok_or_else(|| "a number from 1 is expected, or 'unlimited'".to_owned())
}

fn seconds(text: &str) -> Result<u64, String> {
    let time = duration(text)?;
    if time.as_secs() == 0 { Err("at least 1s".to_owned()) } else { Ok(time.as_secs()) }
}
