//! Texts: quoted, plain, and the lines below `|` and `>`.

use super::Scan;

impl Scan<'_> {
    /// Behind the closing quote.
    pub(super) fn quoted(&self, start: usize) -> Option<usize> {
        let quote = self.at(start)?;
        let mut at = start + 1;
        loop {
            match self.at(at)? {
                b'\\' if quote == b'"' => at += 2,
                b'\'' if quote == b'\'' && self.at(at + 1) == Some(b'\'') => at += 2,
                byte if byte == quote => return Some(at + 1),
                _ => at += 1,
            }
        }
    }

    /// The part of an unquoted text that is on this line, without the blanks behind it.
    pub(super) fn plain_line(&self, start: usize, flow: bool) -> usize {
        let mut at = start;
        let mut end = start;
        while let Some(byte) = self.at(at) {
            let closing = |at: usize| flow && matches!(self.at(at), Some(b',' | b'[' | b']' | b'{' | b'}'));
            match byte {
                b'\n' | b'\r' => break,
                b':' if self.is_gap(at + 1) || closing(at + 1) => break,
                b'#' if at > start && self.is_gap(at - 1) => break,
                _ if closing(at) => break,
                b' ' | b'\t' => at += 1,
                _ => {
                    at += 1;
                    end = at;
                }
            }
        }
        end
    }

    /// An unquoted text, over as many lines as it goes on.
    pub(super) fn plain(&self, start: usize, indent: Option<usize>) -> usize {
        let mut end = self.plain_line(start, false);
        loop {
            let rest = self.blanks(end);
            let mut next = rest;
            while self.is_blank(next) || self.is_break(next) {
                next += 1;
            }
            let deeper = indent.is_none_or(|indent| self.column(next) > indent);
            if next == rest || !deeper || self.is_end(next) || self.at(next) == Some(b'#') {
                return end;
            }
            end = self.plain_line(next, false);
        }
    }

    /// `|` or `>` with the lines below it.
    pub(super) fn block_scalar(&self, start: usize, indent: Option<usize>) -> Option<usize> {
        let mut at = start + 1;
        let mut wanted = None;
        while let Some(sign @ (b'+' | b'-' | b'1'..=b'9')) = self.at(at) {
            if sign.is_ascii_digit() {
                wanted = Some(indent.unwrap_or(0) + usize::from(sign - b'0'));
            }
            at += 1;
        }
        let mut end = at;
        let mut line = memchr::memchr(b'\n', self.text.get(at..)?).map_or(self.text.len(), |newline| at + newline + 1);
        while line < self.text.len() {
            let mut first = line;
            while self.at(first) == Some(b' ') {
                first += 1;
            }
            let next = memchr::memchr(b'\n', self.text.get(first..)?).map_or(self.text.len(), |nl| first + nl + 1);
            if !self.is_break(first) && first < self.text.len() {
                let column = first - line;
                let wanted = *wanted.get_or_insert(column);
                if column < wanted || indent.is_some_and(|indent| column <= indent) || self.is_end(first) {
                    break;
                }
                end = next;
                while end > first && self.is_break(end - 1) {
                    end -= 1;
                }
            }
            line = next;
        }
        Some(end)
    }
}
