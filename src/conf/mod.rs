//! rotad.yaml, and how a directory of job files becomes a snapshot.

mod change;
mod config;
mod crond;
mod directory;
pub mod edit;
mod environment;
mod inbox;
pub mod jobs_config;
mod load;
mod nearest;
mod open;
mod overlay;
mod place;
mod program;
mod replace;
mod rotad_yaml;
mod standing;
mod trust;
pub mod units;
mod watch;
mod wish;
pub mod yaml;

pub use config::{Config, DEFAULT_PATH, LogConfig, Reader};
pub use crond::{Beat, Channel, Crond, Secret};
pub use directory::{Change, Directory, Reading};
pub use environment::{parse_environment, read_environment_file};
pub use jobs_config::Identity;
pub use load::{Loader, Looked, MAX_FILES, is_job_file};
pub use open::{Opener, Path as DirectoryPath, open_in};
pub use replace::{remove, replace, why_not_written};
pub(crate) use rotad_yaml::log_target;
pub use standing::Standing;
pub use trust::{Distrust, Trust, What};
pub use watch::{Policy, Update, watch};
pub use wish::{Command, Commands, busy};
