//! The first words between an engine and its warden.

use std::os::fd::OwnedFd;

use super::Broken;
use crate::wire::{Adopt, Link, Received, ToEngine, ToWarden, VERSION, Welcome};

/// What the warden hands over.
pub struct Greeting {
    /// Configuration, and what the engine before left.
    pub welcome: Welcome,
    /// The unix socket of the HTTP endpoint.
    pub listener: OwnedFd,
    /// Its TCP port, where the warden has it.
    pub port: Option<OwnedFd>,
    /// Runs of the engine before, with the descriptors of each.
    pub adopted: Vec<(Adopt, Vec<OwnedFd>)>,
}

/// Says Hello, and takes over. Waits: until this is through, there is nothing else to do.
pub fn greet(link: &Link) -> Result<Greeting, Broken> {
    link.send(&ToWarden::Hello { version: VERSION }, &[], true).map_err(Broken::Link)?;
    let mut buffer = Vec::new();
    let mut hear = || match link.receive::<ToEngine>(true, &mut buffer) {
        Ok(Received::Message(message, fds)) => Ok((message, fds)),
        Ok(Received::Nothing | Received::Closed) => Err(Broken::Orphaned),
        Err(error) => Err(Broken::Link(error)),
    };
    let (ToEngine::Welcome(welcome), fds) = hear()? else {
        return Err(Broken::Protocol("its first word is not Welcome"));
    };
    if welcome.version != VERSION {
        return Err(Broken::Protocol("it speaks another version"));
    }
    let mut fds = fds.into_iter();
    let listener = fds.next().ok_or(Broken::Protocol("no socket came with Welcome"))?;
    let port = fds.next();
    let mut adopted = Vec::new();
    loop {
        match hear()? {
            (ToEngine::Adopt(adopt), fds) => adopted.push((*adopt, fds)),
            (ToEngine::Adopted, _) => return Ok(Greeting { welcome: *welcome, listener, port, adopted }),
            _ => return Err(Broken::Protocol("something else came before Adopted")),
        }
    }
}
