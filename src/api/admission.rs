//! Who is admitted, and with which right. The kernel tells the number of a user; rotad.yaml gives names; between the two
//! stands the user database, which may ask a directory server that hangs. So it is asked beside the gate, by a few threads
//! of their own and for a limited time, and its answers are used again for a while.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::answer::Problem;
use super::peer::Right;
use super::places::Rank;
use crate::conf::{Config, Reader};

/// A verdict of this age is used as it is: so long may somebody who was taken out of a group still come in.
const FRESH: Duration = Duration::from_secs(10);
/// Up to this age it is used where the user database does not answer.
const GOOD: Duration = Duration::from_secs(600);
/// A look-up that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Look-ups at once: so many threads may hang.
const LOOK_UPS: usize = 8;
/// Verdicts that are remembered. With more they are asked for anew.
const REMEMBERED: usize = 1024;

/// A user as the kernel knows the one at the other end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Who {
    /// User id.
    pub uid: u32,
    /// Groups of the process that has connected, where the kernel tells them: of a unix socket. Those of a TCP peer are
    /// what the user database says of the user.
    pub groups: Option<Vec<u32>>,
}

/// The names that rotad.yaml gives.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// May change.
    jobs_user: Option<String>,
    /// Its members may change.
    admin_group: Option<String>,
    /// May read.
    readers: Vec<Reader>,
}

impl Names {
    /// Of a configuration.
    ///
    /// Who may change a job decides what runs as its user. So `jobs_user`, whom every job is, is admitted only where that
    /// gives a job nothing that it has not got: where all jobs run as that user. And `nobody` is no one in particular:
    /// other programs of that user, and users that the kernel cannot name, would come in with it.
    pub fn of(config: &Config) -> Self {
        let alone = !config.allow_root_jobs && config.allowed_users.iter().all(|user| *user == config.jobs_user);
        Self {
            jobs_user: Some(config.jobs_user.clone()).filter(|name| alone && name != "nobody"),
            admin_group: config.admin_group.clone(),
            readers: config.readers.clone(),
        }
    }

    /// Asks the user database what `who` may. May block for long; may load modules.
    fn judge(&self, who: &Who) -> nix::Result<Option<Right>> {
        let is = |name: &str| User::from_name(name).map(|user| user.is_some_and(|user| user.uid.as_raw() == who.uid));
        let named = self.admin_group.is_some() || self.readers.iter().any(|reader| matches!(reader, Reader::Group(_)));
        let groups = match &who.groups {
            Some(groups) => groups.clone(),
            None if named => groups_of(who.uid)?,
            None => Vec::new(),
        };
        let in_group = |name: &str| {
            Group::from_name(name).map(|group| group.is_some_and(|group| groups.contains(&group.gid.as_raw())))
        };
        if self.jobs_user.as_deref().map_or(Ok(false), is)?
            || self.admin_group.as_deref().map_or(Ok(false), in_group)?
        {
            return Ok(Some(Right::Change));
        }
        for reader in &self.readers {
            let reads = match reader {
                Reader::Anyone => true,
                Reader::User(name) => is(name)?,
                Reader::Group(name) => in_group(name)?,
            };
            if reads {
                return Ok(Some(Right::Read));
            }
        }
        Ok(None)
    }
}

/// What the user database says of a user's groups; none of a number without a name.
fn groups_of(uid: u32) -> nix::Result<Vec<u32>> {
    let Some(user) = User::from_uid(Uid::from_raw(uid))? else { return Ok(Vec::new()) };
    let Ok(name) = CString::new(user.name) else { return Ok(Vec::new()) };
    Ok(getgrouplist(&name, user.gid)?.into_iter().map(Gid::as_raw).collect())
}

/// The gate's list of who may come in.
pub struct Admission {
    names: Arc<Names>,
    /// The daemon's own user, who may all that root may.
    own: u32,
    known: Mutex<HashMap<Who, (Option<Right>, Instant)>>,
    look_ups: Arc<Semaphore>,
    patience: Duration,
}

impl Admission {
    /// By the names of a configuration.
    pub fn new(names: Names) -> Self {
        let own = nix::unistd::geteuid().as_raw();
        let look_ups = Arc::new(Semaphore::new(LOOK_UPS));
        Self { names: Arc::new(names), own, known: Mutex::default(), look_ups, patience: PATIENCE }
    }

    /// Root and the daemon's own user: known without any look-up.
    fn is_own(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own
    }

    /// What is known already of `who`.
    pub fn known(&self, who: &Who) -> Option<Option<Right>> {
        if self.is_own(who.uid) {
            return Some(Some(Right::Change));
        }
        let (right, at) = *self.remembered().get(who)?;
        (at.elapsed() < FRESH).then_some(right)
    }

    /// Asks the user database.
    pub async fn ask(&self, who: &Who) -> Result<Option<Right>, Problem> {
        if let Some(right) = self.look_up(who).await {
            let mut known = self.remembered();
            if known.len() >= REMEMBERED {
                // One local user may have thousands of numbers (/etc/subuid): those make room, not who may change something.
                known.retain(|_, (right, _)| *right == Some(Right::Change));
            }
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(who.clone(), (right, Instant::now()));
            return Ok(right);
        }
        let last = self.remembered().get(who).copied().filter(|(_, at)| at.elapsed() < GOOD);
        last.map(|(right, _)| right).ok_or_else(|| {
            Problem::new(503, "user-database", "the user database does not tell who asks")
                .hint("getent passwd; a directory server may be away. root is always admitted")
        })
    }

    async fn look_up(&self, who: &Who) -> Option<Option<Right>> {
        let asking = async {
            // Held by the thread, which may hang for longer than is waited for it.
            let room = Arc::clone(&self.look_ups).acquire_owned().await.ok()?;
            if let Some(right) = self.known(who) {
                // Of a connection of the same user that was before this one in the queue.
                return Some(right);
            }
            let (names, asked) = (Arc::clone(&self.names), who.clone());
            let look_up = spawn_blocking(move || {
                let _room = room;
                names.judge(&asked)
            });
            let answer = look_up.await.ok()?;
            answer.inspect_err(|errno| tracing::warn!(uid = who.uid, %errno, "the user database does not answer")).ok()
        };
        timeout(self.patience, asking).await.ok().flatten()
    }

    /// Whose places a peer takes.
    pub fn rank(&self, uid: u32, right: Right) -> Rank {
        match right {
            _ if self.is_own(uid) => Rank::Own,
            Right::Change => Rank::Changer,
            Right::Read => Rank::Reader,
        }
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<Who, (Option<Right>, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User::from_name(name).unwrap().unwrap()
    }

    /// A peer on TCP.
    fn who(name: &str) -> Who {
        Who { uid: user(name).uid.as_raw(), groups: None }
    }

    fn names(admin_group: Option<&str>, readers: &[Reader]) -> Names {
        Names {
            jobs_user: Some("nobody".into()),
            admin_group: admin_group.map(str::to_owned),
            readers: readers.to_vec(),
        }
    }

    #[test]
    fn g96_rights_by_name() {
        let daemon_group = Group::from_gid(user("daemon").gid).unwrap().unwrap().name;
        let [reader, group] = [Reader::User("daemon".into()), Reader::Group(daemon_group.clone())];
        for (names, nobody, daemon, bin) in [
            (names(None, &[]), Some(Right::Change), None, None),
            (names(None, &[reader]), Some(Right::Change), Some(Right::Read), None),
            (names(None, &[group]), Some(Right::Change), Some(Right::Read), None),
            (names(Some(&daemon_group), &[]), Some(Right::Change), Some(Right::Change), None),
            (
                names(Some(&daemon_group), &[Reader::Anyone]),
                Some(Right::Change),
                Some(Right::Change),
                Some(Right::Read),
            ),
            (names(Some("no-such-group"), &[Reader::User("no-such-user".into())]), Some(Right::Change), None, None),
        ] {
            assert_eq!(names.judge(&who("nobody")).unwrap(), nobody, "{names:?}");
            assert_eq!(names.judge(&who("daemon")).unwrap(), daemon, "{names:?}");
            assert_eq!(names.judge(&who("bin")).unwrap(), bin, "{names:?}");
            let nameless = Who { uid: 4_000_000_000, groups: None };
            assert_eq!(names.judge(&nameless).unwrap(), bin, "{names:?}: a number without a name");
        }
    }

    #[test]
    fn g96_jobs_user_may_change_only_what_runs_as_jobs_user() {
        let config = Config { jobs_user: "mysql".into(), ..Config::first_look().unwrap() };
        let admitted = |config: Config| Names::of(&config).jobs_user.is_some();
        assert!(admitted(config.clone()));
        assert!(admitted(Config { allowed_users: vec!["mysql".into()], ..config.clone() }));
        assert!(!admitted(Config { allowed_users: vec!["postgres".into()], ..config.clone() }));
        assert!(!admitted(Config { allow_root_jobs: true, ..config.clone() }));
        assert!(!admitted(Config { jobs_user: "nobody".into(), ..config }));
    }

    #[test]
    fn g96_on_the_unix_socket_the_groups_of_the_process_count() {
        let daemon = user("daemon").gid;
        let names = names(Some(&Group::from_gid(daemon).unwrap().unwrap().name), &[]);
        let with = |groups: &[u32]| names.judge(&Who { uid: 4_000_000_000, groups: Some(groups.to_vec()) }).unwrap();
        assert_eq!(with(&[7, daemon.as_raw()]), Some(Right::Change));
        assert_eq!(with(&[]), None);
        let dropped = Who { groups: Some(Vec::new()), ..who("daemon") };
        assert_eq!(names.judge(&dropped).unwrap(), None, "a process that has given its groups up");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn g98_strangers_in_thousands_push_nobody_out_who_may_change() {
        let admission = Admission::new(names(None, &[Reader::Anyone]));
        let changer = who("nobody");
        assert_eq!(admission.ask(&changer).await.unwrap(), Some(Right::Change));
        for uid in 4_000_000_000..4_000_000_000 + 2 * REMEMBERED as u32 {
            admission.ask(&Who { uid, groups: None }).await.unwrap();
        }
        assert!(admission.remembered().len() <= REMEMBERED);
        // The user database hangs from now on.
        let _room = Arc::clone(&admission.look_ups).try_acquire_many_owned(LOOK_UPS as u32).unwrap();
        admission.remembered().get_mut(&changer).unwrap().1 -= FRESH;
        let admission = Admission { patience: Duration::from_millis(50), ..admission };
        assert_eq!(admission.ask(&changer).await.unwrap(), Some(Right::Change));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn root_needs_no_user_database_and_others_are_told_that_it_hangs() {
        let admission =
            Admission { patience: Duration::from_millis(50), ..Admission::new(names(None, &[Reader::Anyone])) };
        let stranger = Who { uid: 4_000_000_000, groups: None };
        // All threads hang.
        let room = Arc::clone(&admission.look_ups).try_acquire_many_owned(LOOK_UPS as u32).unwrap();
        assert_eq!(admission.known(&Who { uid: 0, groups: None }), Some(Some(Right::Change)));
        assert_eq!(admission.known(&stranger), None);
        assert_eq!(admission.ask(&stranger).await.unwrap_err().code(), "user-database");
        drop(room);
        let admission = Admission { patience: PATIENCE, ..admission };
        assert_eq!(admission.ask(&stranger).await.unwrap(), Some(Right::Read));
        assert_eq!(admission.known(&stranger), Some(Some(Right::Read)));
        let admission = Admission { patience: Duration::from_millis(50), ..admission };
        // An answer that is old by now is better than none.
        let _room = Arc::clone(&admission.look_ups).try_acquire_many_owned(LOOK_UPS as u32).unwrap();
        admission.remembered().get_mut(&stranger).unwrap().1 -= FRESH;
        assert_eq!(admission.known(&stranger), None);
        assert_eq!(admission.ask(&stranger).await.unwrap(), Some(Right::Read));
        admission.remembered().get_mut(&stranger).unwrap().1 -= GOOD;
        assert!(admission.ask(&stranger).await.is_err());
    }
}
