//! Questions and wishes about the daemon as a whole.

use super::{Fault, Wish, write};
use crate::engine::Request;

/// The body of an answer that says nothing but yes.
pub fn yes() -> Vec<u8> {
    b"{}".into()
}

/// `GET /version`.
pub fn version(_: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    #[derive(serde::Serialize)]
    struct Version {
        build_timestamp: &'static str,
        git_hash: &'static str,
        version: &'static str,
    }
    // The build is reproducible: it knows neither its time nor its place in a history.
    Ok(write::value(&Version { build_timestamp: "", git_hash: "", version: env!("CARGO_PKG_VERSION") }))
}

/// `GET /config/jobs-config`.
pub fn jobs_config(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    #[derive(serde::Serialize)]
    struct Path {
        path: String,
    }
    Ok(write::value(&Path { path: wish.places.jobs_config.to_string_lossy().into_owned() }))
}

/// `GET /config/reload`: back to what the files say. What cannot be armed leaves what was armed as it is.
pub fn reload(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    wish.engine.ask(Request::Reset).map_err(|problem| Fault::from(problem).silent())?;
    Ok(yes())
}

/// `GET /quit`.
pub fn quit(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    wish.engine.ask(Request::Quit)?;
    Ok(yes())
}

/// `GET /third-party/update-instance-info`: there mysql-crond fetched what it later sent along; nothing is kept here.
pub fn instance_info(_: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    Ok(yes())
}
