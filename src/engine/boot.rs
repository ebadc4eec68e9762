//! Whether this is the first start since the machine booted. A stamp in the state directory remembers the kernel's boot id.

use std::fs;
use std::path::{Path, PathBuf};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The stamp.
#[derive(Debug, Clone)]
pub struct Boot {
    stamp: PathBuf,
    id: String,
}

impl Boot {
    /// In this state directory.
    pub fn new(state_dir: &Path) -> Self {
        Self { stamp: state_dir.join("boot-id"), id: fs::read_to_string(BOOT_ID).unwrap_or_default() }
    }

    /// `@reboot` jobs have not been started in this boot. Where no stamp can be read they have not.
    pub fn is_fresh(&self) -> bool {
        fs::read_to_string(&self.stamp).map_or(true, |stamp| stamp != self.id)
    }

    /// They have. Waits for the disk.
    pub fn stamp(&self) {
        let fresh = self.stamp.with_extension("new");
        let written = fs::write(&fresh, &self.id).and_then(|()| fs::rename(&fresh, &self.stamp));
        if let Err(error) = written {
            let stamp = self.stamp.display();
            tracing::warn!(code = "state", "{stamp} cannot be written, @reboot jobs will run at every start: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_fresh_until_it_is_stamped() {
        let dir = tempfile::tempdir().unwrap();
        let boot = Boot::new(dir.path());
        assert!(boot.is_fresh());
        boot.stamp();
        assert!(!Boot::new(dir.path()).is_fresh());
        fs::write(dir.path().join("boot-id"), "another").unwrap();
        assert!(boot.is_fresh());
    }
}
