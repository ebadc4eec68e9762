//! What the engine takes over and takes in: runs of the engine before, and definitions.

use std::os::fd::OwnedFd;

use super::core::Event;
use super::edits::Reload;
use super::turn::Engine;
use super::{Broken, tell};
use crate::conf::Update;
use crate::wire::{Adopt, AdoptState, ToWarden};

impl Engine {
    /// A run of the engine before. Its pipes came with it, also when it is only starting.
    pub(super) fn adopt(&mut self, adopt: Adopt, fds: Vec<OwnedFd>) -> Result<(), Broken> {
        let (run, streams) = (adopt.run, adopt.spools.clone());
        let over = matches!(adopt.state, AdoptState::NotStarted(_));
        let ended = matches!(adopt.state, AdoptState::Ended { .. });
        let pid = match adopt.state {
            AdoptState::Running { pid, .. } | AdoptState::Ended { pid, .. } => Some(pid),
            AdoptState::Starting | AdoptState::NotStarted(_) => None,
        };
        self.step(Event::Adopt(Box::new(adopt)))?;
        let Some(label) = self.state.label(run).filter(|_| !over) else { return Ok(()) };
        let label = self.run_label(&label);
        let mut fds = fds.into_iter();
        match (fds.next(), fds.next()) {
            (Some(stdout), Some(stderr)) => {
                self.capture.adopt(label, pid, [stdout, stderr], streams.into_iter().zip(fds).collect());
                self.piped.insert(run);
            }
            _ if ended => drop(self.step(Event::Drained { run, received: [0; 2], dropped: 0 })?),
            _ => self.capture.expect(label),
        }
        Ok(())
    }

    /// Definitions have changed, and whoever waits for that is answered.
    pub(super) fn take_update(&mut self, update: Update) -> Result<bool, Broken> {
        let Update { changes, files, watch, identity, complete, tokens, edited } = update;
        let had = self.edits.numbers(&edited, &self.state);
        if let Some(said) = identity {
            self.beating.identify(said);
        }
        tell::tell_files(&files);
        self.record_files(&files);
        let watched = watch.map(Event::Watch);
        for event in [Event::Files(files), Event::Loaded { changes, complete }].into_iter().chain(watched) {
            self.step(event)?;
        }
        if complete && !std::mem::replace(&mut self.ready, true) {
            let (runs, rebooted) = std::mem::take(&mut self.cut);
            tell::tell_cut(&runs, rebooted, self.now().wall);
            self.record_cut(&runs);
            runs.iter().for_each(|run| self.tallies.lost(&run.job, &self.state));
            self.step(Event::Lost(runs))?;
            self.ledger.begin();
            self.send(&ToWarden::Ready)?;
        }
        self.take_edited(edited, had)?;
        if self.ready {
            self.answer_early()?;
        }
        for token in tokens {
            match self.reloads.remove(&token) {
                Some(Reload::Warden) => self.send(&ToWarden::Reloaded)?,
                Some(Reload::Request(reply)) => drop(reply.send(Ok(self.show_status()))),
                Some(Reload::Reset(reply)) => self.take_reset(reply)?,
                None => {}
            }
        }
        Ok(true)
    }
}
