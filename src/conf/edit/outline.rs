//! Where things stand in a YAML text: maps, lists and scalars with their places, no values. It knows the forms that people
//! and programs write; of what it does not know (`? key`, pairs in lists, directives) it says so with `None`.

mod flow;
mod scalar;

use std::ops::Range;

/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Shape {
    /// From its first byte (anchor and tag included) to behind its last one; comments and line breaks behind it are not its
    /// own. Empty for a value that is not written.
    pub span: Range<usize>,
    /// What it is.
    pub form: Form,
}

/// The form of a value.
#[derive(Debug, Clone)]
pub enum Form {
    /// A text on one line or several, an alias, or nothing.
    Scalar,
    /// `key: value` lines, keys in this column (bytes, from 0).
    BlockMap(usize, Vec<Entry>),
    /// `{key: value}`.
    FlowMap(Vec<Entry>),
    /// `- value` lines, dashes in this column.
    BlockList(usize, Vec<Shape>),
    /// `[value]`.
    FlowList(Vec<Shape>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key as written.
    pub key: Range<usize>,
    /// Behind the colon.
    pub colon: usize,
    /// The value.
    pub value: Shape,
}

/// The outline of a text; `None` where it is not understood.
pub fn outline(text: &str) -> Option<Shape> {
    let scan = Scan { text: text.as_bytes() };
    let mut start = scan.skip(0)?;
    if scan.is_marker(start, b"---") {
        start = scan.skip(start + 3)?;
    }
    if scan.at(start) == Some(b'%') {
        return None;
    }
    if scan.is_end(start) {
        return Some(Shape { span: start..start, form: Form::Scalar });
    }
    let root = scan.node(start, None, 0)?;
    let rest = scan.skip(root.span.end)?;
    scan.is_end(rest).then_some(root)
}

/// The start of the line that a place is on.
pub fn line_start(text: &str, at: usize) -> usize {
    text.as_bytes().get(..at).and_then(|before| memchr::memrchr(b'\n', before)).map_or(0, |newline| newline + 1)
}

/// The end of the line that a place is on, before its line break.
pub fn line_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let end = memchr::memchr(b'\n', bytes.get(at..).unwrap_or_default()).map_or(bytes.len(), |newline| at + newline);
    if end > at && bytes.get(end - 1) == Some(&b'\r') { end - 1 } else { end }
}

/// The start of the next line.
pub fn next_line(text: &str, at: usize) -> usize {
    memchr::memchr(b'\n', text.as_bytes().get(at..).unwrap_or_default()).map_or(text.len(), |newline| at + newline + 1)
}

struct Scan<'a> {
    text: &'a [u8],
}

impl Scan<'_> {
    fn at(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn is_blank(&self, at: usize) -> bool {
        matches!(self.at(at), Some(b' ' | b'\t'))
    }

    /// Behind a blank, a line break or the last byte.
    fn is_gap(&self, at: usize) -> bool {
        matches!(self.at(at), None | Some(b' ' | b'\t' | b'\n' | b'\r'))
    }

    fn column(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        memchr::memrchr(b'\n', before).map_or(at, |newline| at - newline - 1)
    }

    /// A document marker at the start of a line.
    fn is_marker(&self, at: usize, marker: &[u8]) -> bool {
        self.text.get(at..at + 3) == Some(marker) && self.is_gap(at + 3) && self.column(at) == 0
    }

    /// Nothing of this document follows.
    fn is_end(&self, at: usize) -> bool {
        at >= self.text.len() || self.is_marker(at, b"---") || self.is_marker(at, b"...")
    }

    fn blanks(&self, mut at: usize) -> usize {
        while self.is_blank(at) {
            at += 1;
        }
        at
    }

    fn is_break(&self, at: usize) -> bool {
        matches!(self.at(at), Some(b'\n' | b'\r'))
    }

    /// Over blanks, comments and line breaks to the next sign. `None`: a comment that is glued to what is before it.
    fn skip(&self, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            match self.at(at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => at += 1,
                Some(b'#') if at == 0 || self.is_gap(at - 1) => {
                    at = memchr::memchr(b'\n', self.text.get(at..)?).map_or(self.text.len(), |newline| at + newline);
                }
                Some(b'#') if at == from => return None,
                _ => return Some(at),
            }
        }
    }

    /// A value in block context. `indent` is the column of what holds it.
    fn node(&self, start: usize, indent: Option<usize>, depth: usize) -> Option<Shape> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.is_dash(start) {
            return self.block_list(start, depth);
        }
        if self.key(start).is_some() {
            return self.block_map(start, depth);
        }
        let at = self.properties(start);
        if at > start {
            let next = self.skip(at)?;
            let deeper = indent.is_none_or(|indent| self.column(next) > indent);
            // A list may stand in the column of its key.
            let list = self.is_dash(next) && indent == Some(self.column(next));
            if self.is_end(next) || next > self.blanks(at) && !deeper && !list {
                return Some(Shape { span: start..at, form: Form::Scalar });
            }
            let inner = self.node(next, indent, depth + 1)?;
            return Some(Shape { span: start..inner.span.end, form: inner.form });
        }
        let (end, form) = match self.at(at)? {
            b'[' | b'{' => return self.flow(at, depth),
            b'|' | b'>' => (self.block_scalar(at, indent)?, Form::Scalar),
            b'"' | b'\'' => (self.quoted(at)?, Form::Scalar),
            b'?' if self.is_gap(at + 1) => return None,
            b'*' => (self.word(at), Form::Scalar),
            _ => (self.plain(at, indent), Form::Scalar),
        };
        Some(Shape { span: start..end, form })
    }

    fn is_dash(&self, at: usize) -> bool {
        self.at(at) == Some(b'-') && self.is_gap(at + 1)
    }

    /// Up to the next gap.
    fn word(&self, mut at: usize) -> usize {
        while !self.is_gap(at) {
            at += 1;
        }
        at
    }

    /// Over anchors and tags and the blanks behind them, on one line.
    fn properties(&self, start: usize) -> usize {
        let mut at = start;
        let mut end = start;
        while matches!(self.at(at), Some(b'&' | b'!')) {
            end = self.word(at);
            at = self.blanks(end);
        }
        end
    }

    /// A key on one line: its end, and the place behind its colon.
    fn key(&self, start: usize) -> Option<(usize, usize)> {
        let at = self.blanks(self.properties(start));
        let end = match self.at(at)? {
            b'"' | b'\'' => self.quoted(at)?,
            b'*' => self.word(at),
            b'[' | b']' | b'{' | b'}' | b'|' | b'>' | b'#' | b'%' | b'@' | b'`' => return None,
            b'?' if self.is_gap(at + 1) => return None,
            _ => self.plain_line(at, false),
        };
        if memchr::memchr(b'\n', self.text.get(at..end)?).is_some() {
            return None;
        }
        let colon = self.blanks(end);
        (self.at(colon) == Some(b':') && self.is_gap(colon + 1)).then_some((end, colon + 1))
    }

    fn block_map(&self, start: usize, depth: usize) -> Option<Shape> {
        let column = self.column(start);
        let mut entries = Vec::new();
        let mut at = start;
        loop {
            let (end, colon) = self.key(at)?;
            let value = self.value(colon, column, depth)?;
            let next = self.skip(value.span.end)?;
            entries.push(Entry { key: at..end, colon, value });
            let end = entries.last().map_or(start, |entry| entry.value.span.end);
            if self.is_end(next) || self.column(next) < column {
                return Some(Shape { span: start..end, form: Form::BlockMap(column, entries) });
            }
            if self.column(next) > column || !self.is_first(next) {
                return None;
            }
            at = next;
        }
    }

    /// Nothing but blanks stands before it on its line.
    fn is_first(&self, at: usize) -> bool {
        let line = self.text.get(at - self.column(at)..at).unwrap_or_default();
        line.iter().all(|byte| *byte == b' ')
    }

    /// The value behind the colon of a key in `column`.
    fn value(&self, colon: usize, column: usize, depth: usize) -> Option<Shape> {
        let next = self.skip(colon)?;
        let same_line = next == self.blanks(colon) && !self.is_break(next);
        let list = self.is_dash(next) && self.column(next) == column;
        if self.is_end(next) || !same_line && self.column(next) <= column && !list {
            return Some(Shape { span: colon..colon, form: Form::Scalar });
        }
        self.node(next, Some(column), depth + 1)
    }

    fn block_list(&self, start: usize, depth: usize) -> Option<Shape> {
        let column = self.column(start);
        let mut items = Vec::new();
        let mut at = start;
        loop {
            let next = self.skip(at + 1)?;
            let same_line = next == self.blanks(at + 1) && !self.is_break(next);
            let item = if self.is_end(next) || !same_line && self.column(next) <= column {
                Shape { span: at + 1..at + 1, form: Form::Scalar }
            } else {
                self.node(next, Some(column), depth + 1)?
            };
            let end = item.span.end;
            items.push(item);
            let next = self.skip(end)?;
            if !self.is_end(next) && self.column(next) == column && self.is_dash(next) && self.is_first(next) {
                at = next;
                continue;
            }
            if !self.is_end(next) && self.column(next) > column {
                return None;
            }
            return Some(Shape { span: start..end, form: Form::BlockList(column, items) });
        }
    }
}
