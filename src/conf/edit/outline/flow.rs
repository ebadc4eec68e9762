//! Lists and maps in brackets.

use super::{Entry, Form, MAX_DEPTH, Scan, Shape};

impl Scan<'_> {
    /// A value in flow context.
    pub(super) fn flow(&self, start: usize, depth: usize) -> Option<Shape> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut at = self.properties(start);
        if at > start {
            at = self.skip(at)?;
        }
        let (end, form) = match self.at(at)? {
            b'[' => self.flow_list(at, depth)?,
            b'{' => self.flow_map(at, depth)?,
            b'"' | b'\'' => (self.quoted(at)?, Form::Scalar),
            b'?' if self.is_gap(at + 1) => return None,
            _ => (self.flow_plain(at), Form::Scalar),
        };
        Some(Shape { span: start..end, form })
    }

    fn flow_list(&self, start: usize, depth: usize) -> Option<(usize, Form)> {
        let mut items = Vec::new();
        let mut at = self.skip(start + 1)?;
        while self.at(at)? != b']' {
            let item = self.flow(at, depth + 1)?;
            at = self.skip(item.span.end)?;
            items.push(item);
            match self.at(at)? {
                b',' => at = self.skip(at + 1)?,
                b']' => {}
                _ => return None,
            }
        }
        Some((at + 1, Form::FlowList(items)))
    }

    fn flow_map(&self, start: usize, depth: usize) -> Option<(usize, Form)> {
        let mut entries = Vec::new();
        let mut at = self.skip(start + 1)?;
        while self.at(at)? != b'}' {
            let key = self.flow(at, depth + 1).filter(|key| matches!(key.form, Form::Scalar))?.span;
            let colon = self.skip(key.end)?;
            if self.at(colon)? != b':' {
                return None;
            }
            let next = self.skip(colon + 1)?;
            let value = match self.at(next)? {
                b',' | b'}' => Shape { span: colon + 1..colon + 1, form: Form::Scalar },
                _ => self.flow(next, depth + 1)?,
            };
            at = self.skip(value.span.end)?;
            entries.push(Entry { key, colon: colon + 1, value });
            match self.at(at)? {
                b',' => at = self.skip(at + 1)?,
                b'}' => {}
                _ => return None,
            }
        }
        Some((at + 1, Form::FlowMap(entries)))
    }

    fn flow_plain(&self, start: usize) -> usize {
        let mut end = self.plain_line(start, true);
        loop {
            let rest = self.blanks(end);
            let mut next = rest;
            while self.is_blank(next) || self.is_break(next) {
                next += 1;
            }
            let goes_on = !matches!(self.at(next), None | Some(b',' | b'[' | b']' | b'{' | b'}' | b'#' | b':'));
            if next == rest || !goes_on {
                return end;
            }
            end = self.plain_line(next, true);
        }
    }
}
