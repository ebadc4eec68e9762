//! The body of a streamed answer: records go out as soon as nothing more is waiting, and several at once when there is.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::answer::head;
use super::record::{Lead, Record};

/// A blank line is sent after so much silence: a write is the only way to learn that the client is gone.
pub const HEARTBEAT: Duration = Duration::from_secs(2);
/// Bytes of records that are held back at most.
const BATCH: usize = 64 << 10;

/// A streamed answer under way.
pub struct Outflow<W> {
    out: W,
    /// HTTP/1.1 marks the body's end by chunks, HTTP/1.0 by closing.
    chunked: bool,
    /// Records that are held back.
    batch: Vec<u8>,
    sent: Instant,
}

impl<W: Write> Outflow<W> {
    /// Sends the head.
    pub fn begin(mut out: W, chunked: bool) -> io::Result<Self> {
        let more = if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
        out.write_all(head(200, "application/x-ndjson", more).as_bytes())?;
        out.flush()?;
        Ok(Self { out, chunked, batch: Vec::new(), sent: Instant::now() })
    }

    /// Adds a record. It is sent with the next [`Self::flush`], or when there are many.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        serde_json::to_writer(&mut self.batch, record)?;
        self.added()
    }

    /// Adds the record of a line.
    pub fn line(&mut self, lead: &Lead, bytes: &[u8], open: bool) -> io::Result<()> {
        lead.write(&mut self.batch, bytes, open)?;
        self.added()
    }

    fn added(&mut self) -> io::Result<()> {
        self.batch.push(b'\n');
        if self.batch.len() < BATCH { Ok(()) } else { self.flush() }
    }

    /// Sends what was held back.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.chunked {
            write!(self.out, "{:x}\r\n", self.batch.len())?;
            self.batch.extend_from_slice(b"\r\n");
        }
        self.out.write_all(&self.batch)?;
        self.batch.clear();
        self.sent = Instant::now();
        self.out.flush()
    }

    /// Sends a blank line if nothing was sent for long.
    pub fn heartbeat(&mut self) -> io::Result<()> {
        if self.sent.elapsed() < HEARTBEAT {
            return Ok(());
        }
        self.batch.push(b'\n');
        self.flush()
    }

    /// Sends the end.
    pub fn end(mut self) -> io::Result<()> {
        self.flush()?;
        if self.chunked {
            self.out.write_all(b"0\r\n\r\n")?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_wait_for_a_flush_and_chunks_hold_them_whole() {
        let mut bytes = Vec::new();
        let mut out = Outflow::begin(&mut bytes, true).unwrap();
        for run in ["1", "2"] {
            out.record(&Record::Gone { gone: run.into() }).unwrap();
        }
        out.end().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Transfer-Encoding: chunked"));
        assert_eq!(body, "1a\r\n{\"gone\":\"1\"}\n{\"gone\":\"2\"}\n\r\n0\r\n\r\n");
    }
}
