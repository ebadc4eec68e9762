//! Reading what errands print: the end of it is kept, the rest passes by, and nothing of it reaches a log or `rota logs`.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::core::Event;
use crate::wire::RunId;

/// Bytes kept of each stream.
const TAIL: usize = 2 << 10;

/// The pipes that are being read.
#[derive(Debug)]
pub struct Listening {
    told: mpsc::UnboundedSender<Event>,
    readers: HashMap<RunId, JoinHandle<()>>,
}

impl Listening {
    /// Tells [`Event::ErrandOutput`] into `told`.
    pub fn new(told: mpsc::UnboundedSender<Event>) -> Self {
        Self { told, readers: HashMap::new() }
    }

    /// Reads an errand's pipes to their end.
    pub fn listen(&mut self, run: RunId, pipes: Vec<OwnedFd>) {
        self.readers.retain(|_, reader| !reader.is_finished());
        let told = self.told.clone();
        let reader = async move {
            let mut streams = JoinSet::new();
            for pipe in pipes {
                streams.spawn(tail_of(pipe));
            }
            let tail = streams.join_all().await.concat();
            // Nobody receives when the engine ends.
            let _ = told.send(Event::ErrandOutput { run, tail });
        };
        self.readers.insert(run, tokio::spawn(reader));
    }

    /// No longer reads them. No event comes of it.
    pub fn close(&mut self, run: RunId) {
        if let Some(reader) = self.readers.remove(&run) {
            reader.abort();
        }
    }
}

/// The end of what comes from a pipe. One that cannot be read says nothing.
async fn tail_of(pipe: OwnedFd) -> Vec<u8> {
    let mut tail = Vec::new();
    let Ok(mut pipe) = Receiver::from_owned_fd(pipe) else { return tail };
    let mut bytes = [0; 4096];
    let mut cut = false;
    while let Ok(length @ 1..) = pipe.read(&mut bytes).await {
        tail.extend_from_slice(bytes.get(..length).unwrap_or_default());
        let over = tail.len().saturating_sub(TAIL);
        tail.drain(..over);
        cut |= over > 0;
    }
    if cut {
        // Half a line may begin with half a secret, which nobody would recognise.
        let line = tail.iter().position(|byte| *byte == b'\n').map_or(tail.len(), |end| end + 1);
        tail.drain(..line);
    }
    tail
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn the_end_is_kept_in_whole_lines() {
        for (said, kept) in [
            ("a\nb".to_owned(), "a\nb"),
            (format!("{}\nb\nc", "secret".repeat(1000)), "b\nc"),
            ("secret".repeat(1000), ""),
        ] {
            let (reader, writer) = nix::unistd::pipe().unwrap();
            std::fs::File::from(writer).write_all(said.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(tail_of(reader).await).unwrap(), kept);
        }
    }
}
