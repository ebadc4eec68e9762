//! Which jobs a verb is about: one by name, or all that an expression matches.

use super::super::{Error, Exit};
use crate::client::{Client, Selected};

/// `-n` or `-m`, exactly one.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Select {
    /// The job
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
    name: Option<String>,
    /// All whose whole name this expression matches; `a|b` means `^a|b$`, as there
    #[arg(short = 'm', long, value_name = "REGEX", allow_hyphen_values = true)]
    name_match: Option<String>,
}

impl Select {
    /// Does `act` for each, up to the first that is refused. Of those that match, the ones in this `status` count.
    pub fn each<T>(
        &self,
        client: &Client,
        status: &str,
        act: impl Fn(&str) -> Result<T, crate::client::Error>,
    ) -> Result<(), Error> {
        for name in self.names(client, status)? {
            act(&name)?;
        }
        Ok(())
    }

    fn names(&self, client: &Client, status: &str) -> Result<Vec<String>, Error> {
        let Some(expression) = &self.name_match else { return Ok(self.name.iter().cloned().collect()) };
        let selected = Selected { name_match: expression.clone(), status: status.to_owned() };
        let names: Vec<String> = client.entries(&selected)?.into_iter().map(|row| row.job.name).collect();
        match names.is_empty() {
            true => Err(Error::new(Exit::Failed, format!("no job match {expression}"))
                .hint(format!("the expression is matched with whole names, among those that are {status}"))),
            false => Ok(names),
        }
    }
}
