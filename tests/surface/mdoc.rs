//! The parts of man pages that are made of the definitions in the program: options and verbs from clap, keys from their
//! tables. A text is sentences in which `` `…` `` marks what is written exactly so and `page(5)` is a page.

use rotad::conf::yaml::key::{Default, Group, Key, Value};

/// What a page's line `.\" from WORDS` asks for.
pub fn part(words: &str) -> String {
    let groups = |title: &str, groups: &[Group]| {
        let found = groups.iter().find(|group| group.title == title);
        keys(found.unwrap_or_else(|| panic!("no keys under {title:?}")).keys)
    };
    match words {
        "the options of rota" => options(&rotad::cli::definition()),
        "the options of rotad" => options(&rotad::cli::daemon::definition()),
        "the verbs of rota" => verbs(false),
        "the numbers for monitors" => rotad::metrics::family::ALL.iter().map(number).collect(),
        "the verbs of mysql-crond" => verbs(true),
        _ => match words.split_once(": ") {
            Some(("the keys of a job", title)) => groups(title, rotad::job::keys::KEYS),
            Some(("the keys of rotad.yaml", title)) => groups(title, rotad::conf::keys::KEYS),
            _ => panic!("nothing is made from {words:?}"),
        },
    }
}

/// mysql-crond's verbs are hidden in help texts, and have a section of their own.
fn verbs(hidden: bool) -> String {
    let program = rotad::cli::definition();
    program
        .get_subcommands()
        .filter(|command| command.is_hide_set() == hidden)
        .map(|command| verb(command, ""))
        .collect()
}

fn number(family: &rotad::metrics::family::Family) -> String {
    let labels = match family.labels {
        [] => String::new(),
        labels => format!(" Brq {}", labels.join(" , ")),
    };
    format!(".It Ic {}{labels}\n{}", family.shown(), text(family.help))
}

/// `--json` is told once for all verbs.
fn told(command: &clap::Command) -> impl Iterator<Item = &clap::Arg> {
    command.get_opts().filter(|flag| !flag.is_hide_set() && flag.get_id() != "json")
}

fn options(command: &clap::Command) -> String {
    told(command).map(option).collect()
}

fn option(flag: &clap::Arg) -> String {
    let value = if takes_value(flag) { format!(" Ar {}", value_name(flag)) } else { String::new() };
    let names = flag.get_short().map(|short| format!("Fl {short}{value}"));
    let names = names.into_iter().chain(flag.get_long().map(|long| format!("Fl -{long}{value}")));
    let help = flag.get_long_help().or(flag.get_help()).map(ToString::to_string).unwrap_or_default();
    // The first sentence is a heading in help texts, without its full stop.
    let help = help.replacen("\n\n", ". ", 1).trim_end_matches('.').to_owned();
    let (help, default) = match help.split_once(" [default: ") {
        Some((help, default)) => (help.to_owned(), format!(" Default: {}.", default.trim_end_matches(']'))),
        None => (
            help,
            flag.get_default_values()
                .first()
                .filter(|_| !flag.is_hide_default_value_set())
                .map_or(String::new(), |value| format!(" Default `{}`.", value.display())),
        ),
    };
    format!(".It {}\n{}", names.collect::<Vec<_>>().join(" , "), text(&format!("{help}.{default}")))
}

fn takes_value(flag: &clap::Arg) -> bool {
    flag.get_action().takes_values()
}

fn value_name(flag: &clap::Arg) -> String {
    let name = flag.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    name.unwrap_or_else(|| flag.get_id().to_string()).to_lowercase().replace('|', " | ")
}

/// One verb: its line, its sentences, its options; then the verbs below it, each as one of its own.
fn verb(command: &clap::Command, above: &str) -> String {
    let name = format!("{above}{}", command.get_name());
    let below: String = command.get_subcommands().map(|below| verb(below, &format!("{name} "))).collect();
    let mut line = format!(".It Cm {name}");
    if !below.is_empty() {
        line += " Ar from";
    }
    for flag in command.get_opts().filter(|flag| !flag.is_hide_set()) {
        let value = if takes_value(flag) { format!(" Ar {}", value_name(flag)) } else { String::new() };
        let names = match (flag.get_short(), flag.get_long()) {
            (Some(short), _) if !value.is_empty() => short.to_string(),
            (Some(short), Some(long)) => format!("{short} | -{long}"),
            (_, long) => format!("-{}", long.unwrap_or_default()),
        };
        line += &format!(" Oo Fl {names}{value} Oc");
    }
    for argument in command.get_positionals() {
        let many = if argument.get_num_args().is_some_and(|range| range.max_values() > 1) { " ..." } else { "" };
        let values: Vec<_> =
            argument.get_possible_values().iter().map(|value| format!("Cm {}", value.get_name())).collect();
        let name = if values.is_empty() { format!("Ar {}", value_name(argument)) } else { values.join(" | ") };
        match argument.is_required_set() {
            _ if argument.is_last_set() => line += &format!(" Oo Fl - {name}{many} Oc"),
            true => line += &format!(" {name}{many}"),
            false => line += &format!(" Oo {name}{many} Oc"),
        }
    }
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    // The first sentence is a heading in help texts, without its full stop.
    let about = about.replacen("\n\n", ". ", 1);
    let options: String = told(command).map(option).collect();
    let options = if options.is_empty() { options } else { list(&options) };
    format!("{line}\n{}{options}{below}", text(&about))
}

fn list(items: &str) -> String {
    format!(".Bl -tag -width Ds\n{items}.El\n")
}

/// A list of keys.
fn keys(keys: &[Key]) -> String {
    list(&keys.iter().map(key).collect::<String>())
}

fn key(key: &Key) -> String {
    let mut out = format!(".It Ic {} : {}\n{}", key.name, takes(&key.value), text(key.meaning));
    if let Value::Word(words) = &key.value {
        let longest = words.iter().map(|(word, _)| *word).max_by_key(|word| word.len()).unwrap_or_default();
        let item = |(word, meaning): &(&str, &str)| format!(".It Ql {word}\n{}", text(meaning));
        out += &format!(".Bl -tag -compact -width {longest}xx\n{}.El\n", words.iter().map(item).collect::<String>());
    }
    match key.default {
        Default::Value("[]") => out += "Default: none.\n",
        Default::Value(value) => out += &text(&format!("Default `{}`.", value.trim_matches('\''))),
        Default::Told(words) => out += &text(&format!("Default: {words}.")),
        Default::Unsaid => (),
    }
    // Where it has to be seen how a value is written.
    if key.example.starts_with(['[', '{', '\'']) {
        out += &format!(".Dl {}: {}\n", key.name, quoted(key.example));
    }
    if let Some(groups) = key.value.keys().or_else(|| key.value.items()) {
        let all = groups.iter().flat_map(|group| group.keys);
        out += &list(&all.map(self::key).collect::<String>());
    }
    out
}

fn takes(value: &Value) -> String {
    match value {
        Value::Any => "Ar text".to_owned(),
        Value::Form(called, _) | Value::Written(called, ..) => format!("Ar {called}"),
        Value::Truth => "Cm true | false".to_owned(),
        Value::Word(_) => "Ar word".to_owned(),
        Value::Whole(..) => "Ar number".to_owned(),
        Value::Duration => "Ar duration".to_owned(),
        Value::Size => "Ar size".to_owned(),
        Value::Unlimited(of) => format!("{} | Cm unlimited", takes(of)),
        Value::List(..) => "Ar list".to_owned(),
        Value::Map(_) | Value::Keys(_) | Value::Named(..) => "Ar map".to_owned(),
        Value::Either(one, other) => format!("{} | {}", takes(one), takes(other)),
    }
}

/// A text as mdoc: a line a sentence, a line a marked word.
pub fn text(text: &str) -> String {
    let mut lines = Lines::default();
    for (paragraph, words) in text.split("\n\n").enumerate() {
        if paragraph > 0 {
            lines.line(".Pp");
        }
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        for (at, piece) in words.split('`').enumerate() {
            match at % 2 {
                0 => piece.split(' ').filter(|word| !word.is_empty()).for_each(|word| lines.word(word)),
                _ => lines.marked(piece),
            }
        }
        lines.end();
    }
    lines.done
}

/// Longest line of text.
const WIDTH: usize = 78;

#[derive(Default)]
struct Lines {
    done: String,
    open: String,
    /// What stands right before a marked word: an opening bracket.
    before: &'static str,
}

impl Lines {
    fn end(&mut self) {
        if !self.open.is_empty() {
            let line = std::mem::take(&mut self.open);
            self.line(&line);
        }
    }

    fn line(&mut self, line: &str) {
        self.done += line;
        self.done.push('\n');
    }

    fn word(&mut self, word: &str) {
        if let Some(page) = page(word) {
            self.end();
            return self.line(&format!(".Xr {page}"));
        }
        let follows_mark = self.open.is_empty() && self.done.lines().last().is_some_and(|line| line.starts_with('.'));
        // Punctuation belongs to the marked word before it.
        if follows_mark && word.chars().all(|c| ".,;:)?".contains(c)) && !self.done.ends_with(" .\n") {
            self.done.pop();
            word.chars().for_each(|c| self.done.push_str(&format!(" {c}")));
            return self.done.push('\n');
        }
        if word == "(" {
            self.before = "( ";
            return self.end();
        }
        if !self.open.is_empty() && self.open.len() + 1 + word.len() > WIDTH {
            self.end();
        }
        if !self.open.is_empty() {
            self.open.push(' ');
        } else if word.starts_with(['.', '\'']) {
            self.open.push_str("\\&");
        }
        self.open += &word.replace('\\', "\\e");
        if word.ends_with('.') || word.ends_with(".)") {
            self.end();
        }
    }

    fn marked(&mut self, word: &str) {
        self.end();
        let before = std::mem::take(&mut self.before);
        let line = format!(".{} {before}{}", kind(word), quoted(word));
        // What flags are called by is their letter.
        self.line(&line.replace(".Fl -", ".Fl "));
    }
}

/// As an argument that is taken as it is.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\e").replace('"', "\\(dq")
}

/// What is marked, by its shape.
fn kind(word: &str) -> &'static str {
    let named = |groups: &[Group]| all(groups).contains(&word);
    let capital = |c: char| c.is_ascii_uppercase() || c == '_';
    match word {
        _ if word.starts_with("SIG") && word.chars().all(char::is_alphanumeric) => "Dv",
        _ if word.len() > 2 && word.chars().all(capital) => "Ev",
        _ if word.starts_with('-') && !word.contains(' ') => "Fl",
        _ if word.starts_with(['/', '$']) && !word.contains([' ', '(']) || word.starts_with("./") => "Pa",
        _ if named(rotad::job::keys::KEYS) || named(rotad::conf::keys::KEYS) => "Ic",
        _ => "Ql",
    }
}

/// The names of all keys, those of maps too.
pub fn all(groups: &[Group]) -> Vec<&'static str> {
    let keys = groups.iter().flat_map(|group| group.keys);
    keys.flat_map(|key| {
        [vec![key.name], all(key.value.keys().or_else(|| key.value.items()).unwrap_or_default())].concat()
    })
    .collect()
}

/// `rotad.yaml(5).` as arguments of `Xr`.
fn page(word: &str) -> Option<String> {
    let (name, rest) = word.split_once('(')?;
    let (section, after) = rest.split_once(')')?;
    let good = !name.is_empty() && section.len() == 1 && section.chars().all(|c| c.is_ascii_digit());
    let after: String = after.chars().map(|c| format!(" {c}")).collect();
    good.then(|| format!("{name} {section}{after}"))
}
