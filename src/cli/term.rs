//! Writing for terminals and for everything else: colour, width, and text that a job had a hand in.

use std::io::{self, IsTerminal, Write};

use super::Error;

/// A colour of the terminal's palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// As it is.
    Plain,
    /// Good.
    Green,
    /// Bad.
    Red,
    /// Doubtful.
    Yellow,
    /// Going on.
    Cyan,
    /// Of less weight.
    Dim,
}

/// What standard output is.
#[derive(Debug, Clone, Copy)]
pub struct Term {
    /// A person looks at it: escape what could act on the terminal.
    pub terminal: bool,
    /// Use colour.
    pub colour: bool,
    /// Columns, where they are known.
    pub width: Option<usize>,
}

impl Term {
    /// Standard output as it is.
    pub fn stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        Self { terminal, colour: terminal && !quiet, width: width.filter(|_| terminal) }
    }

    /// `text` in a colour.
    pub fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Plain => return text.to_owned(),
            _ if !self.colour => return text.to_owned(),
            Colour::Green => "32",
            Colour::Red => "31",
            Colour::Yellow => "33",
            Colour::Cyan => "36",
            Colour::Dim => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A line that a job printed: as it was, or with what could act on a terminal made visible.
    pub fn line(&self, bytes: &[u8]) -> Vec<u8> {
        if self.terminal { visible(&String::from_utf8_lossy(bytes)).into_bytes() } else { bytes.to_vec() }
    }
}

/// Control characters and invisible marks as `\u{1b}`; tabs stay.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let acts = c.is_control() && c != '\t';
        let marks =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        match acts || marks {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// `1 file`, `2 files`.
pub fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

/// Writes to standard output. A reader that has seen enough is no error: the program ends as if all had been read.
pub fn print(bytes: impl AsRef<[u8]>) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

/// A word on standard error. Nothing is to be done when that fails.
pub fn complain(text: &str) {
    let _deaf = writeln!(io::stderr(), "rota: {}", text.split('\n').map(visible).collect::<Vec<_>>().join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e75_what_acts_on_a_terminal_is_shown_instead() {
        let terminal = Term { terminal: true, colour: false, width: None };
        let pipe = Term { terminal: false, colour: false, width: None };
        let line = b"\x1b]0;owned\x07 \xff tab\tend\r".as_slice();
        assert_eq!(pipe.line(line), line);
        assert_eq!(terminal.line(line), "\\u{1b}]0;owned\\u{7} \u{fffd} tab\tend\\r".as_bytes());
        assert_eq!(visible("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn colour_only_where_it_is_wanted() {
        let mut term = Term { terminal: true, colour: true, width: None };
        assert_eq!(term.paint(Colour::Red, "x"), "\u{1b}[31mx\u{1b}[0m");
        term.colour = false;
        assert_eq!(term.paint(Colour::Red, "x"), "x");
    }
}
