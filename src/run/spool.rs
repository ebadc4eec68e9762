//! A spool: the bytes of one stream between the job's pipe and the sinks, in a memory file that outlives the engine.
//!
//! The promise: **whatever instant the engine is killed, no byte is lost and none is counted twice.** It rests on two facts.
//!
//! * splice(2) takes bytes out of the pipe and grows the memory file in one system call, so the file's size tells exactly
//!   how many bytes were ever received. Position `p` of the stream is at `HEADER + p` of the file for ever; pages that are
//!   delivered are punched out, so that the size rises and the memory does not.
//! * The header holds a [`Record`]: how far the stream is settled, and what was about to be written to a log file. It is
//!   written with one pwrite(2) of less than a page, before and after each write to a file; the next engine compares it with
//!   the file and knows.
//!
//! The warden keeps a duplicate of the descriptor and hands it to the next engine.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, SpliceFFlags, fallocate, splice};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::fstat;
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{Whence, ftruncate, lseek};

/// Bytes before the first byte of the stream.
const HEADER: u64 = 4096;
/// Where the header tells which bytes were discarded unread.
const GAP_AT: i64 = 2048;
/// "rotaspl" and the version of this layout.
const MAGIC: u64 = u64::from_be_bytes(*b"rotaspl\x01");

/// How far a stream is settled. Positions and counts in bytes since its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Everything before this was delivered or dropped.
    pub settled: u64,
    /// How many of them were dropped.
    pub dropped: u64,
    /// How many of those the sink has not been told of yet.
    pub untold: u64,
    /// Lines framed so far.
    pub lines: u64,
    /// The run is beyond its output limit: what follows is dropped.
    pub over: bool,
}

/// A write to a log file that is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// Device of the file.
    pub device: u64,
    /// Inode of the file.
    pub inode: u64,
    /// Its size before.
    pub offset: u64,
    /// Bytes to append.
    pub length: u64,
    /// The state once they are there.
    pub after: State,
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// Certain.
    pub state: State,
    /// Begun when the record was written.
    pub intent: Option<Intent>,
}

/// The memory file of one stream.
#[derive(Debug)]
pub struct Spool {
    file: OwnedFd,
}

/// What an engine before left in a spool.
#[derive(Debug)]
pub struct Left {
    /// Bytes received so far.
    pub received: u64,
    /// As it was written last.
    pub record: Record,
    /// Bytes that were discarded because the sink was too slow; empty when there are none ahead.
    pub gap: Range<u64>,
}

impl Spool {
    /// A new one, empty.
    pub fn create() -> io::Result<Spool> {
        let file = memory_file("rotad-spool", MFdFlags::empty())?;
        ftruncate(&file, HEADER as i64)?;
        let spool = Spool { file };
        spool.write(&Record::default())?;
        Ok(spool)
    }

    /// One of an engine before, and what is in it. A header that this version cannot read counts as settled: better a few
    /// lines lost than all of them twice.
    pub fn adopt(file: OwnedFd) -> io::Result<(Spool, Left)> {
        let size = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        let Some(received) = size.checked_sub(HEADER) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no spool: shorter than its header"));
        };
        let (mut words, mut gap) = ([0; 16 * 8], [0; 16]);
        pread(&file, &mut words, 0)?;
        pread(&file, &mut gap, GAP_AT)?;
        let settled = State { settled: received, ..State::default() };
        let record = Record::decode(&words, received).unwrap_or(Record { state: settled, intent: None });
        let gap = Range { start: word(&gap, 0), end: word(&gap, 1) };
        let known = gap.start < gap.end && gap.end <= received;
        Ok((Spool { file }, Left { received, record, gap: if known { gap } else { 0..0 } }))
    }

    /// Moves up to `most` bytes from a pipe to the end of the stream. 0: the pipe's writers are gone. Never waits.
    pub fn take(&self, pipe: BorrowedFd<'_>, received: u64, most: usize) -> Result<usize, Errno> {
        let mut at = (HEADER + received) as i64;
        loop {
            match splice(pipe, None, &self.file, Some(&mut at), most, SpliceFFlags::SPLICE_F_NONBLOCK) {
                Err(Errno::EINTR) => {}
                other => return other,
            }
        }
    }

    /// Reads from position `at` until `into` is full or the stream's bytes end.
    pub fn read(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match pread(&self.file, &mut into[done..], (HEADER + at) as i64 + done as i64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(done)
    }

    /// The last whole lines before `settled` that are still in memory, `most` bytes at most.
    pub fn retained(&self, settled: u64, most: u64) -> io::Result<Vec<u8>> {
        let end = (HEADER + settled) as i64;
        let mut at = end - settled.min(most) as i64;
        // What was punched out is a hole; behind the last one everything is there.
        loop {
            at = match lseek(&self.file, at, Whence::SeekData) {
                Ok(data) if data < end => data,
                Ok(_) | Err(Errno::ENXIO) => return Ok(Vec::new()),
                Err(errno) => return Err(errno.into()),
            };
            match lseek(&self.file, at, Whence::SeekHole)? {
                hole if hole < end => at = hole,
                _ => break,
            }
        }
        let from = at as u64 - HEADER;
        let mut bytes = vec![0; (settled - from) as usize];
        let count = self.read(from, &mut bytes)?;
        bytes.truncate(count);
        if from > 0 {
            let whole = memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |end| end + 1);
            bytes.drain(..whole);
        }
        Ok(bytes)
    }

    /// Gives the memory of these bytes back. They read as zeros after.
    pub fn punch(&self, bytes: Range<u64>) {
        let (start, length) = ((HEADER + bytes.start) as i64, (bytes.end - bytes.start) as i64);
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        // It cannot fail on a memory file with room; if it did, the memory would go with the spool.
        let _ = fallocate(&self.file, flags, start, length);
    }

    /// Says how far the stream is settled.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        pwrite(&self.file, &record.encode(), 0)?;
        Ok(())
    }

    /// Says which bytes are discarded unread.
    pub fn write_gap(&self, gap: &Range<u64>) -> io::Result<()> {
        let mut words = [0; 16];
        words[..8].copy_from_slice(&gap.start.to_le_bytes());
        words[8..].copy_from_slice(&gap.end.to_le_bytes());
        pwrite(&self.file, &words, GAP_AT)?;
        Ok(())
    }
}

impl AsFd for Spool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A file in memory, closed on exec and never a program.
pub fn memory_file(name: &str, flags: MFdFlags) -> Result<OwnedFd, Errno> {
    /// `MFD_NOEXEC_SEAL` (Linux 6.3).
    const NOEXEC: u32 = 8;
    let flags = flags | MFdFlags::MFD_CLOEXEC;
    match memfd_create(name, flags | MFdFlags::from_bits_retain(NOEXEC)) {
        Err(Errno::EINVAL) => memfd_create(name, flags),
        other => other,
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.chunks_exact(8).nth(at).and_then(|chunk| chunk.try_into().ok()).map_or(0, u64::from_le_bytes)
}

impl State {
    fn words(&self) -> [u64; 5] {
        [self.settled, self.dropped, self.untold, self.lines, u64::from(self.over)]
    }

    fn read(bytes: &[u8], at: usize) -> State {
        State {
            settled: word(bytes, at),
            dropped: word(bytes, at + 1),
            untold: word(bytes, at + 2),
            lines: word(bytes, at + 3),
            over: word(bytes, at + 4) != 0,
        }
    }
}

impl Record {
    fn encode(&self) -> [u8; 16 * 8] {
        let (place, after) = match &self.intent {
            Some(intent) => ([1, intent.device, intent.inode, intent.offset, intent.length], intent.after.words()),
            None => ([0; 5], [0; 5]),
        };
        let words = [MAGIC].into_iter().chain(self.state.words()).chain(place).chain(after);
        let mut bytes = [0; 16 * 8];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// `None`: not ours, or it speaks of bytes that were never received.
    fn decode(bytes: &[u8], received: u64) -> Option<Record> {
        let state = State::read(bytes, 1);
        let intent = (word(bytes, 6) != 0).then(|| Intent {
            device: word(bytes, 7),
            inode: word(bytes, 8),
            offset: word(bytes, 9),
            length: word(bytes, 10),
            after: State::read(bytes, 11),
        });
        let sound = |state: &State| state.settled <= received && state.dropped <= state.settled;
        let good = word(bytes, 0) == MAGIC && sound(&state) && intent.is_none_or(|intent| sound(&intent.after));
        good.then_some(Record { state, intent })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_taken_and_settled_is_found_again() {
        let (reader, mut writer) = io::pipe().unwrap();
        let spool = Spool::create().unwrap();
        assert_eq!(spool.take(reader.as_fd(), 0, 100), Err(Errno::EAGAIN));
        writer.write_all(b"hello\nworld\n").unwrap();
        assert_eq!(spool.take(reader.as_fd(), 0, 8), Ok(8));
        assert_eq!(spool.take(reader.as_fd(), 8, 100), Ok(4));
        let after = State { settled: 12, dropped: 6, untold: 1, lines: 2, over: true };
        let record = Record {
            state: State { settled: 6, lines: 1, ..State::default() },
            intent: Some(Intent { device: 1, inode: 2, offset: 3, length: 4, after }),
        };
        spool.write(&record).unwrap();
        spool.write_gap(&(7..9)).unwrap();
        drop(writer);
        assert_eq!(spool.take(reader.as_fd(), 12, 100), Ok(0));

        let (adopted, left) = Spool::adopt(spool.as_fd().try_clone_to_owned().unwrap()).unwrap();
        assert_eq!((left.received, left.record, left.gap), (12, record, 7..9));
        let mut bytes = [0; 20];
        assert_eq!(adopted.read(6, &mut bytes).unwrap(), 6);
        assert_eq!(&bytes[..6], b"world\n");
    }

    #[test]
    fn a_foreign_or_senseless_header_counts_as_settled() {
        let spool = Spool::create().unwrap();
        ftruncate(&spool.file, HEADER as i64 + 5).unwrap();
        spool.write(&Record { state: State { settled: 6, ..State::default() }, intent: None }).unwrap();
        let (_, left) = Spool::adopt(spool.file).unwrap();
        assert_eq!(left.record, Record { state: State { settled: 5, ..State::default() }, intent: None });
        assert!(Spool::adopt(std::fs::File::open("/dev/null").unwrap().into()).is_err());
    }
}
