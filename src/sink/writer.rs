//! A thread that writes large batches, one at a time, while the sink thread makes the next: twice the lines for a busy job.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use nix::errno::Errno;

use super::log_file::LogFile;

/// The way to the thread. Dropped, it ends it.
pub struct Writer {
    work: SyncSender<(Arc<LogFile>, u64, Vec<u8>)>,
    done: Receiver<(Vec<u8>, Result<(), Errno>)>,
    spare: Vec<u8>,
}

impl Writer {
    /// `None` when there can be no more threads.
    pub fn start() -> Option<Writer> {
        let (work, orders) = sync_channel::<(Arc<LogFile>, u64, Vec<u8>)>(1);
        let (results, done) = sync_channel(1);
        let thread = move || {
            for (file, offset, text) in orders {
                let result = file.append(offset, &text);
                if results.send((text, result)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("log-writer".into()).spawn(thread).ok()?;
        Some(Writer { work, done, spare: Vec::new() })
    }

    /// Begins to write `text`, and leaves an empty buffer in its place.
    pub fn begin(&mut self, file: Arc<LogFile>, offset: u64, text: &mut Vec<u8>) {
        let text = std::mem::replace(text, std::mem::take(&mut self.spare));
        // The thread lives as long as this; were it gone, `finish` would say so.
        let _ = self.work.send((file, offset, text));
    }

    /// Waits for what was begun.
    pub fn finish(&mut self) -> Result<(), Errno> {
        let (mut text, result) = self.done.recv().map_err(|_| Errno::EIO)?;
        text.clear();
        self.spare = text;
        result
    }
}
