//! Messages to bk-monitor that callers ask for. What is refused is told to the log only.

use super::{Fault, Wish, daemon};
use crate::engine::{Beat, Request};

/// `POST /beat/event`.
pub fn event(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    let mut form = wish.form().map_err(Fault::silent)?;
    let name = form.text("name", "Name");
    let content = form.text("content", "Content");
    let dimension = form.object("dimension");
    form.done().map_err(|message| Fault::bound(message).silent())?;
    send(wish, Beat::Event { name, content, dimension })
}

/// `POST /beat/metrics`. A value of 0 is refused, as there.
pub fn metrics(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    let mut form = wish.form().map_err(Fault::silent)?;
    let name = form.text("name", "Name");
    let value = form.number("value", "Value", |_| None);
    let dimension = form.object("dimension");
    form.done().map_err(|message| Fault::bound(message).silent())?;
    send(wish, Beat::Metrics { name, value, dimension })
}

fn send(wish: &Wish<'_>, beat: Beat) -> Result<Vec<u8>, Fault> {
    let sent = wish.engine.ask(|reply| Request::Beat(beat, reply));
    sent.map_err(|problem| Fault::from(problem).silent())?;
    Ok(daemon::yes())
}
