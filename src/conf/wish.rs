//! What the engine may ask of the thread that keeps the definitions.

use std::sync::Arc;

use super::inbox::Inbox;
use crate::engine::{Edit, Refusal, Reply, Text};
use crate::job::JobName;

/// Questions for texts that may wait.
const MAX_TEXTS: usize = 64;

/// What the engine may ask.
#[derive(Debug)]
pub enum Command {
    /// Read everything anew; the token comes back in [`Update::tokens`](super::Update::tokens).
    Reload(u64),
    /// Forget what was defined in memory alone, then the same.
    Reset(u64),
    /// Change a definition; the token comes back in [`Update::edited`](super::Update::edited). The engine bounds how many
    /// are on their way.
    Edit(u64, Edit),
    /// Say how a job is written down. Answered from the thread itself.
    Text(JobName, Reply<Text>),
    /// See whether the paths still name the directories that are watched. To be sent every ten seconds or so.
    CheckIdentity,
    /// End.
    Stop,
}

/// One of those that are taken in their order.
#[derive(Debug)]
pub(super) enum Wish {
    Reload { token: u64, forget: bool },
    Edit(u64, Edit),
    Text(JobName, Reply<Text>),
}

/// Where commands go. When the last one is dropped, the thread ends.
#[derive(Debug)]
pub struct Commands(pub(super) Arc<Inbox>);

impl Commands {
    /// Leaves word. Never waits.
    pub fn send(&self, command: Command) {
        self.0.wish(|held| match command {
            Command::Reload(token) => held.wishes.push(Wish::Reload { token, forget: false }),
            Command::Reset(token) => held.wishes.push(Wish::Reload { token, forget: true }),
            Command::Edit(token, edit) => held.wishes.push(Wish::Edit(token, edit)),
            Command::Text(name, reply) => {
                let waiting = held.wishes.iter().filter(|wish| matches!(wish, Wish::Text(..))).count();
                match waiting < MAX_TEXTS {
                    true => held.wishes.push(Wish::Text(name, reply)),
                    false => drop(reply.send(Err(busy()))),
                }
            }
            Command::CheckIdentity => held.check = true,
            Command::Stop => held.stop = true,
        });
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.send(Command::Stop);
    }
}

/// Too much waits already.
pub fn busy() -> Refusal {
    Refusal {
        code: "busy".into(),
        message: "too many changes wait to be written".into(),
        hint: Some("try again in a moment".into()),
    }
}
