//! Bytes become lines: split at `\n`, kept as they are, never longer than [`MAX_LINE`], or than a sink says (fault E75).
//!
//! Pure. What has no newline yet is left over, for the caller to show again once more of it has come.

use memchr::{Memchr, memchr_iter};

/// Longest line in bytes, newline not counted. A longer one is handed on in pieces of this length.
pub const MAX_LINE: usize = 64 << 10;

/// A line, or a piece of one that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// As printed, without the newline.
    pub bytes: &'a [u8],
    /// No newline ended it: it was split at the longest length, or the bytes ended.
    pub open: bool,
}

/// The lines at the front of `bytes`, one after the other.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    last: bool,
    most: usize,
    newlines: Memchr<'a>,
    /// The first one from `at` on.
    newline: Option<usize>,
}

impl<'a> Frames<'a> {
    /// `last`: no more bytes will come after these, so a rest without newline is a line too.
    pub fn new(bytes: &'a [u8], last: bool) -> Self {
        Self::within(bytes, last, MAX_LINE)
    }

    /// The same, with lines of at most `most` bytes.
    pub fn within(bytes: &'a [u8], last: bool, most: usize) -> Self {
        let mut newlines = memchr_iter(b'\n', bytes);
        let newline = newlines.next();
        Self { bytes, at: 0, last, most, newlines, newline }
    }

    /// Bytes that the lines handed out so far took, newlines among them.
    pub fn consumed(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let rest = &self.bytes[self.at..];
        let (length, taken, open) = match self.newline {
            Some(newline) if newline - self.at <= self.most => {
                self.newline = self.newlines.next();
                (newline - self.at, newline - self.at + 1, false)
            }
            _ if rest.len() > self.most => (self.most, self.most, true),
            _ if self.last && !rest.is_empty() => (rest.len(), rest.len(), true),
            _ => return None,
        };
        self.at += taken;
        Some(Frame { bytes: &rest[..length], open })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn e75_lines_of_every_kind() {
        let long = vec![b'x'; MAX_LINE];
        let mut longer = long.clone();
        longer.extend(b"y\n");
        let mut exact = long.clone();
        exact.push(b'\n');
        type Row<'a> = (&'a [u8], bool, &'a [(&'a [u8], bool)]);
        let table: [Row<'_>; 9] = [
            (b"", true, &[]),
            (b"a\nb", false, &[(b"a", false)]),
            (b"a\nb", true, &[(b"a", false), (b"b", true)]),
            (b"\n\n", false, &[(b"", false), (b"", false)]),
            (b"a\r\n\0\xff\x1b[31m\n", false, &[(b"a\r", false), (b"\0\xff\x1b[31m", false)]),
            (&exact, false, &[(&long, false)]),
            (&long, false, &[]),
            (&long, true, &[(&long, true)]),
            (&longer, false, &[(&long, true), (b"y", false)]),
        ];
        for (bytes, last, expected) in table {
            let frames: Vec<_> = Frames::new(bytes, last).map(|frame| (frame.bytes, frame.open)).collect();
            assert_eq!(frames, expected, "{} bytes, last {last}", bytes.len());
        }
    }

    proptest! {
        /// However the bytes arrive, the lines are the same, and put together they are the bytes.
        #[test]
        fn e75_any_cut_gives_the_same_lines(
            pieces in prop::collection::vec((0usize..200_000, any::<bool>()), 0..5),
            cuts in prop::collection::vec(1usize..150_000, 1..6),
        ) {
            let mut bytes = Vec::new();
            for (length, newline) in pieces {
                bytes.extend(std::iter::repeat_n(b'z', length));
                bytes.extend(newline.then_some(b'\n'));
            }
            let whole: Vec<_> = Frames::new(&bytes, true).collect();
            let (mut from, mut until, mut parts) = (0, 0, Vec::new());
            for cut in cuts.iter().cycle() {
                until = (until + cut).min(bytes.len());
                let mut frames = Frames::new(&bytes[from..until], until == bytes.len());
                parts.extend(frames.by_ref());
                from += frames.consumed();
                if until == bytes.len() { break; }
            }
            prop_assert_eq!(from, bytes.len());
            prop_assert_eq!(&whole, &parts);
            let together: Vec<u8> = whole.iter().flat_map(|frame| {
                frame.bytes.iter().copied().chain((!frame.open).then_some(b'\n'))
            }).collect();
            prop_assert_eq!(together, bytes);
        }
    }
}
