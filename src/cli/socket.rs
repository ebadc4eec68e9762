//! Where the daemon's socket is.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Error, Exit};
use crate::client::{Client, SYSTEM, usual_socket};

/// How to reach the daemon.
#[derive(Debug, Default, clap::Args)]
pub struct Place {
    /// The daemon's socket
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// Take the socket from the key `socket` of this rotad.yaml(5)
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl Place {
    /// A way to ask the daemon. Nothing is sent yet.
    pub fn client(&self) -> Result<Client, Error> {
        Ok(Client::at(self.socket()?)?)
    }

    /// The socket that was named; else the usual one.
    fn socket(&self) -> Result<PathBuf, Error> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        match &self.config {
            Some(config) => Ok(configured(config)?.unwrap_or_else(|| SYSTEM.into())),
            None => Ok(usual_socket()?),
        }
    }
}

/// The socket that a rotad.yaml names.
fn configured(path: &Path) -> Result<Option<PathBuf>, Error> {
    #[derive(Deserialize)]
    struct Socket {
        socket: Option<PathBuf>,
    }
    let unreadable = |why: String| Error::new(Exit::Usage, format!("cannot read {}: {why}", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    file.take(64 << 10).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    let socket: Option<Socket> = serde_yaml::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    Ok(socket.and_then(|config| config.socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_a_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, socket) in
            [("", None), ("jobs_user: x\n", None), ("jobs_user: x\nsocket: /a/b\n", Some(PathBuf::from("/a/b")))]
        {
            fs::write(file.path(), text).unwrap();
            assert_eq!(configured(file.path()).unwrap(), socket);
        }
        fs::write(file.path(), "socket: [").unwrap();
        assert_eq!(configured(file.path()).unwrap_err().exit(), Exit::Usage);
    }
}
