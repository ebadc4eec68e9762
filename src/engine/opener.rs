//! Has the warden open and write what the engine may not. The threads that deal with files wait for the answer; the loop
//! does not.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use tokio::sync::mpsc::UnboundedSender;

use crate::conf::{Before, Opened, Opener};
use crate::wire::{DirectoryPlace, FilePlace, MAX_FILE, ToWarden};

/// What is wanted of the warden.
#[derive(Debug)]
enum What {
    Directory(DirectoryPlace),
    File(FilePlace),
    Write(FilePlace, OwnedFd, Before),
    Remove(FilePlace, Before),
}

/// A wish to the warden by way of the loop.
#[derive(Debug)]
pub struct Ask {
    what: What,
    answer: Answer,
}

/// Where the answer goes: a descriptor and its keeper for what was opened, none for what was written.
type Answer = mpsc::SyncSender<io::Result<Option<Opened>>>;

/// Opens and writes by asking the warden.
#[derive(Debug, Clone)]
pub struct WardenOpener {
    asks: UnboundedSender<Ask>,
}

impl WardenOpener {
    /// Asks the loop that receives `asks`.
    pub fn new(asks: UnboundedSender<Ask>) -> Self {
        Self { asks }
    }

    fn ask(&self, what: What) -> io::Result<Option<Opened>> {
        let (answer, answered) = mpsc::sync_channel(1);
        let gone = || io::Error::other("the engine is ending");
        self.asks.send(Ask { what, answer }).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }

    fn open(&self, what: What) -> io::Result<Opened> {
        self.ask(what)?.ok_or_else(|| io::Error::other("the warden sent no descriptor"))
    }
}

impl Opener for WardenOpener {
    fn directory(&self, place: DirectoryPlace) -> io::Result<Opened> {
        self.open(What::Directory(place))
    }

    fn file(&self, place: &FilePlace) -> io::Result<Opened> {
        self.open(What::File(place.clone()))
    }

    fn write(&self, place: &FilePlace, contents: &[u8], before: Before) -> io::Result<()> {
        if contents.len() > MAX_FILE {
            return Err(Errno::EFBIG.into());
        }
        let file = memfd_create("rotad-write", MFdFlags::MFD_CLOEXEC)?;
        File::from(file.try_clone()?).write_all(contents)?;
        self.ask(What::Write(place.clone(), file, before)).map(drop)
    }

    fn remove(&self, place: &FilePlace, before: Before) -> io::Result<()> {
        self.ask(What::Remove(place.clone(), before)).map(drop)
    }
}

/// The loop's side: wishes that the warden has not answered yet.
#[derive(Debug, Default)]
pub struct Asked {
    last: u32,
    open: HashMap<u32, Answer>,
}

impl Asked {
    /// The message that asks, and what goes with it.
    pub fn ask(&mut self, ask: Ask) -> (ToWarden, Option<OwnedFd>) {
        self.last = self.last.wrapping_add(1);
        let request = self.last;
        self.open.insert(request, ask.answer);
        match ask.what {
            What::Directory(place) => (ToWarden::OpenDirectory { request, place }, None),
            What::File(place) => (ToWarden::OpenFile { request, place }, None),
            What::Write(place, contents, before) => (ToWarden::WriteFile { request, place, before }, Some(contents)),
            What::Remove(place, before) => (ToWarden::RemoveFile { request, place, before }, None),
        }
    }

    /// Passes on what the warden says.
    pub fn answer(&mut self, request: u32, answer: io::Result<Option<Opened>>) {
        if let Some(asker) = self.open.remove(&request) {
            let _ = asker.try_send(answer);
        }
    }
}
