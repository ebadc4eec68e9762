//! Has the warden open what the engine may not. The threads that read files wait for the answer; the loop does not.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc;

use tokio::sync::mpsc::UnboundedSender;

use crate::conf::Opener;
use crate::wire::ToWarden;

/// What is to be opened.
#[derive(Debug)]
enum What {
    Directory,
    File(String),
}

/// A question to the warden by way of the loop.
#[derive(Debug)]
pub struct Ask {
    what: What,
    answer: mpsc::SyncSender<io::Result<OwnedFd>>,
}

/// Opens by asking the warden.
#[derive(Debug, Clone)]
pub struct WardenOpener {
    asks: UnboundedSender<Ask>,
}

impl WardenOpener {
    /// Asks the loop that receives `asks`.
    pub fn new(asks: UnboundedSender<Ask>) -> Self {
        Self { asks }
    }

    fn open(&self, what: What) -> io::Result<OwnedFd> {
        let (answer, answered) = mpsc::sync_channel(1);
        let gone = || io::Error::other("the engine is ending");
        self.asks.send(Ask { what, answer }).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

impl Opener for WardenOpener {
    fn directory(&self) -> io::Result<OwnedFd> {
        self.open(What::Directory)
    }

    fn file(&self, name: &str) -> io::Result<OwnedFd> {
        self.open(What::File(name.to_owned()))
    }
}

/// The loop's side: questions that the warden has not answered yet.
#[derive(Debug, Default)]
pub struct Asked {
    last: u32,
    open: HashMap<u32, mpsc::SyncSender<io::Result<OwnedFd>>>,
}

impl Asked {
    /// The message that asks.
    pub fn ask(&mut self, ask: Ask) -> ToWarden {
        self.last = self.last.wrapping_add(1);
        let request = self.last;
        self.open.insert(request, ask.answer);
        match ask.what {
            What::Directory => ToWarden::OpenDirectory { request },
            What::File(name) => ToWarden::OpenFile { request, name },
        }
    }

    /// Passes on what the warden says.
    pub fn answer(&mut self, request: u32, answer: io::Result<OwnedFd>) {
        if let Some(asker) = self.open.remove(&request) {
            let _ = asker.try_send(answer);
        }
    }
}
