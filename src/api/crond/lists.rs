//! Jobs as mysql-crond lists them. The engine gives handles; choosing and writing happens on this thread.

use jiff::tz::TimeZone;

use super::selection::Selection;
use super::{Fault, Wish, entries};
use crate::engine::Request;

/// `GET /entries`.
pub fn entries(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    let [name, pattern, status] = ["name", "name-match", "status"].map(|key| wish.parameter(key));
    let selection = Selection::new(&name, &pattern, &status).map_err(|message| Fault::new(500, message))?;
    let all = wish.engine.ask(Request::Entries)?;
    let rows = selection.rows(&all).map_err(|message| Fault::new(500, message))?;
    Ok(entries::entries(&rows, &TimeZone::system()))
}

/// `GET /disabled`.
pub fn disabled(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    let all = wish.engine.ask(Request::Entries)?;
    Ok(entries::disabled(all.iter().filter(|entry| entry.id.is_none()).map(|entry| &*entry.job)))
}
