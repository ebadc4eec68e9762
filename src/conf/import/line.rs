//! A line of a crontab, as vixie's cron and its children read it.

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// Blank, or a comment.
    Nothing,
    /// `NAME = value`, unquoted.
    Setting(String, String),
    /// A job.
    Entry(Entry<'a>),
    /// Neither: a sentence why.
    Nonsense(&'static str),
}

/// A job's line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Five fields or an `@word`, as written.
    pub schedule: &'a str,
    /// Of a system crontab.
    pub user: Option<&'a str>,
    /// For the shell, its `%` read.
    pub command: String,
    /// What the command reads from standard input: everything behind the first `%`.
    pub input: Option<String>,
    /// The line begins with `-`: it was not to be logged.
    pub quiet: bool,
}

/// Reads a line; `system` crontabs have a user before the command.
pub fn read(line: &str, system: bool) -> Line<'_> {
    let text = line.trim_start_matches(BLANKS);
    if text.is_empty() || text.starts_with('#') {
        return Line::Nothing;
    }
    if let Some((name, value)) = setting(text) {
        return Line::Setting(name, value);
    }
    let (quiet, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest.trim_start_matches(BLANKS)));
    let fields = if text.starts_with('@') { 1 } else { 5 };
    let Some((schedule, rest)) = split_fields(text, fields) else {
        return Line::Nonsense("a schedule has five fields, or is a word like @daily");
    };
    let (user, rest) = match system {
        true => match split_fields(rest, 1) {
            Some((user, rest)) => (Some(user), rest),
            None => return Line::Nonsense("a system crontab has a user before the command"),
        },
        false => (None, rest),
    };
    if rest.is_empty() {
        return Line::Nonsense("there is no command");
    }
    let (command, input) = percent(rest);
    Line::Entry(Entry { schedule, user, command, input, quiet })
}

const BLANKS: [char; 2] = [' ', '\t'];

/// The first `count` fields, and what comes behind them.
fn split_fields(text: &str, count: usize) -> Option<(&str, &str)> {
    let mut end = 0;
    for _ in 0..count {
        let rest = &text[end..];
        let start = rest.find(|c| !BLANKS.contains(&c))?;
        end += start + rest[start..].find(BLANKS).unwrap_or(rest.len() - start);
    }
    Some((&text[..end], text[end..].trim_start_matches(BLANKS)))
}

/// `NAME = value`; either may stand in quotes of one kind. A job's line is none: no time field is followed by `=`.
fn setting(text: &str) -> Option<(String, String)> {
    let (name, rest) = match text.chars().next()? {
        quote @ ('"' | '\'') => text[1..].split_once(quote)?,
        _ => {
            let end = text.find(|c: char| c == '=' || c.is_whitespace())?;
            text.split_at(end)
        }
    };
    let value = rest.trim_start().strip_prefix('=')?.trim();
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    (!name.is_empty()).then(|| (name.to_owned(), quoted.unwrap_or(value).to_owned()))
}

/// `%` ends the command, the next ones are line ends of its input; `\%` is a plain `%`.
fn percent(text: &str) -> (String, Option<String>) {
    let mut parts = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let part = match (c, rest.peek()) {
            ('%', _) => {
                parts.push(String::new());
                continue;
            }
            ('\\', Some('%')) => rest.next().unwrap_or('%'),
            (c, _) => c,
        };
        if let Some(last) = parts.last_mut() {
            last.push(part);
        }
    }
    let input = parts.split_off(1);
    (parts.concat(), (!input.is_empty()).then(|| input.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(schedule: &'a str, user: Option<&'a str>, command: &str, input: Option<&str>) -> Line<'a> {
        let (command, input) = (command.to_owned(), input.map(str::to_owned));
        Line::Entry(Entry { schedule, user, command, input, quiet: false })
    }

    #[test]
    fn lines_of_every_kind() {
        let set = |name: &str, value: &str| Line::Setting(name.into(), value.into());
        for (text, system, line) in [
            ("", false, Line::Nothing),
            ("  # a comment", false, Line::Nothing),
            ("MAILTO=root", false, set("MAILTO", "root")),
            ("PATH = /bin:/usr/bin ", false, set("PATH", "/bin:/usr/bin")),
            ("A=' x '", false, set("A", " x ")),
            ("\"B C\" = \"d\"", false, set("B C", "d")),
            ("A=", false, set("A", "")),
            ("*/5 * * * * a=1 run", false, entry("*/5 * * * *", None, "a=1 run", None)),
            ("0\t5 *  * 1-5   /bin/x  -a", false, entry("0\t5 *  * 1-5", None, "/bin/x  -a", None)),
            ("@daily run it", false, entry("@daily", None, "run it", None)),
            ("17 * * * * root cd / && run", true, entry("17 * * * *", Some("root"), "cd / && run", None)),
            ("0 0 * * * date +\\%F", false, entry("0 0 * * *", None, "date +%F", None)),
            ("0 0 * * * mail a%one%two\\%%", false, entry("0 0 * * *", None, "mail a", Some("one\ntwo%\n"))),
            ("0 0 * * * a \\\\ b", false, entry("0 0 * * *", None, "a \\\\ b", None)),
            ("0 0 * *", false, Line::Nonsense("a schedule has five fields, or is a word like @daily")),
            ("0 0 * * *", false, Line::Nonsense("there is no command")),
            ("0 0 * * * root", true, Line::Nonsense("there is no command")),
        ] {
            assert_eq!(read(text, system), line, "{text:?}");
        }
        assert!(matches!(read("-*/5 * * * * x", false), Line::Entry(Entry { quiet: true, .. })));
    }
}
