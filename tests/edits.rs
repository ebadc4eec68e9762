//! Definitions that are changed by request, and `jobs_config`: the thread that keeps them, real files, real events.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotad::conf::{
    self, Before, Command, Commands, Config, Crond, DirectoryPath, Opened, Opener, Policy, Trust, Update, remove,
    replace, watch,
};
use rotad::engine::{Change, Edit, FileView, Keys, Refusal};
use rotad::job::{Armed, JobName};
use rotad::wire::{DirectoryPlace, FilePlace};
use tokio::sync::mpsc::{Receiver, channel, error::TryRecvError};

/// Longest wait for anything.
const LONG: Duration = Duration::from_secs(20);

/// Both places, with the rights of this process.
struct Places {
    conf_d: DirectoryPath,
    jobs_config: PathBuf,
}

impl Places {
    fn of_jobs_config(&self) -> (DirectoryPath, &str) {
        let directory = self.jobs_config.parent().unwrap().to_owned();
        (DirectoryPath(directory), self.jobs_config.file_name().unwrap().to_str().unwrap())
    }
}

impl Opener for Places {
    fn directory(&self, place: DirectoryPlace) -> io::Result<Opened> {
        match place {
            DirectoryPlace::ConfD => self.conf_d.directory(place),
            DirectoryPlace::OfJobsConfig => self.of_jobs_config().0.directory(DirectoryPlace::ConfD),
        }
    }

    fn file(&self, place: &FilePlace) -> io::Result<Opened> {
        self.conf_d.file(place)
    }

    fn write(&self, place: &FilePlace, contents: &[u8], before: Before) -> io::Result<()> {
        match place {
            FilePlace::ConfD(_) => self.conf_d.write(place, contents, before),
            FilePlace::JobsConfig => {
                let (directory, name) = self.of_jobs_config();
                let directory = directory.directory(DirectoryPlace::ConfD)?.file;
                replace(directory.as_fd(), name, contents, Trust::of_user(), 1000, before)
            }
        }
    }

    fn remove(&self, place: &FilePlace, before: Before) -> io::Result<()> {
        match place {
            FilePlace::ConfD(_) => self.conf_d.remove(place, before),
            FilePlace::JobsConfig => {
                let (directory, name) = self.of_jobs_config();
                remove(directory.directory(DirectoryPlace::ConfD)?.file.as_fd(), name, Trust::of_user(), before)
            }
        }
    }
}

struct World {
    root: tempfile::TempDir,
    with_jobs_config: bool,
    commands: Commands,
    updates: Receiver<Update>,
    jobs: BTreeMap<String, (Armed, bool)>,
    files: BTreeMap<String, FileView>,
    /// Names as they were armed, one after another.
    armed: Vec<String>,
    complete: usize,
    edited: BTreeMap<u64, Result<Option<String>, Refusal>>,
    identity: conf::jobs_config::Identity,
    token: u64,
}

/// One daemon, until said otherwise.
const STARTED: i64 = 1000;

fn start(root: &Path, with_jobs_config: bool, started: i64) -> (Commands, Receiver<Update>) {
    let jobs_config = root.join("crond/jobs.yaml");
    let crond = with_jobs_config.then(|| Crond { jobs_config: Some(jobs_config.clone()), ..Crond::default() });
    let conf_d = root.join("conf.d");
    let state_dir = root.join("state");
    let config = Config { conf_d: conf_d.clone(), state_dir, crond, ..Config::first_look().unwrap() };
    let (out, updates) = channel(64);
    let policy = Policy { config, zone: || TimeZone::UTC, started: Timestamp::from_second(started).unwrap() };
    let (commands, _thread) = watch(Places { conf_d: DirectoryPath(conf_d), jobs_config }, policy, out).unwrap();
    (commands, updates)
}

impl World {
    fn new(with_jobs_config: bool, prepare: impl FnOnce(&Path)) -> World {
        let root = tempfile::tempdir().unwrap();
        for directory in ["conf.d", "crond", "state"] {
            fs::create_dir(root.path().join(directory)).unwrap();
        }
        prepare(root.path());
        let (commands, updates) = start(root.path(), with_jobs_config, STARTED);
        let mut world = World {
            root,
            with_jobs_config,
            commands,
            updates,
            jobs: BTreeMap::new(),
            files: BTreeMap::new(),
            armed: Vec::new(),
            complete: 0,
            edited: BTreeMap::new(),
            identity: Default::default(),
            token: 0,
        };
        world.until("the first snapshot", |w| w.complete == 1);
        world
    }

    /// With these items in `jobs_config`.
    fn crond(items: &[&str]) -> World {
        World::new(true, |root| fs::write(root.join("crond/jobs.yaml"), jobs_text(items)).unwrap())
    }

    /// With these files in `conf.d`.
    fn files(files: &[(&str, &str)]) -> World {
        World::new(false, |root| {
            files.iter().for_each(|(name, text)| fs::write(root.join("conf.d").join(name), text).unwrap());
        })
    }

    /// Another engine, of the same daemon or the next one.
    fn next_engine(&mut self, started: i64) {
        (self.commands, self.updates) = start(self.root.path(), self.with_jobs_config, started);
        (self.jobs, self.files, self.complete) = Default::default();
        self.until("the first snapshot", |w| w.complete == 1);
    }

    fn drain(&mut self) {
        loop {
            match self.updates.try_recv() {
                Ok(update) => self.apply(update),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => panic!("the thread has ended"),
            }
        }
    }

    fn apply(&mut self, update: Update) {
        for change in update.changes {
            match change {
                conf::Change::Armed(armed) => {
                    self.armed.push(armed.job.name.to_string());
                    self.jobs.insert(armed.job.name.to_string(), (armed, false));
                }
                conf::Change::Broken(name, broken) => self.jobs.get_mut(name.as_str()).unwrap().1 = broken,
                conf::Change::Retired(name) => drop(self.jobs.remove(name.as_str()).unwrap()),
            }
        }
        for (file, view) in update.files {
            match view {
                Some(view) => drop(self.files.insert(file, view)),
                None => drop(self.files.remove(&file)),
            }
        }
        self.complete += usize::from(update.complete);
        // Who waits behind others is not why the first waits, and an entry that was has its number.
        assert!(update.edited.len() <= 1, "edits are told one by one");
        self.edited.extend(update.edited);
        if let Some(identity) = update.identity {
            self.identity = identity;
        }
    }

    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        let end = Instant::now() + LONG;
        loop {
            self.drain();
            if holds(self) {
                return;
            }
            assert!(Instant::now() < end, "{what}: {:?} {:?}", self.jobs, self.files);
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    #[track_caller]
    fn edit(&mut self, change: Change, permanent: bool) -> Result<Option<String>, Refusal> {
        self.token += 1;
        let token = self.token;
        self.commands.send(Command::Edit(token, Edit { change, permanent, by: "uid 0".into() }));
        self.until("an answer", |w| w.edited.contains_key(&token));
        self.edited.remove(&token).unwrap()
    }

    #[track_caller]
    fn refused(&mut self, change: Change, permanent: bool) -> Refusal {
        let before = (self.names(), self.tree());
        let refusal = self.edit(change, permanent).unwrap_err();
        assert_eq!((self.names(), self.tree()), before, "what is refused changes nothing");
        refusal
    }

    fn reset(&mut self) {
        let before = self.complete;
        self.commands.send(Command::Reset(7));
        self.until("the reset", |w| w.complete > before);
    }

    /// Names, whether enabled, schedules.
    fn names(&self) -> Vec<(String, bool, String)> {
        let one = |(armed, _): &(Armed, bool)| {
            let schedule = armed.job.schedule.as_ref().map_or(String::new(), |schedule| schedule.text().to_owned());
            (armed.job.name.to_string(), armed.job.enable, schedule)
        };
        self.jobs.values().map(one).collect()
    }

    /// Every file that people see, with its text.
    fn tree(&self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        for directory in ["conf.d", "crond"] {
            for entry in fs::read_dir(self.root.path().join(directory)).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("{directory}/{}", path.file_name().unwrap().to_str().unwrap());
                tree.insert(name, fs::read_to_string(path).unwrap());
            }
        }
        tree
    }

    fn jobs_config(&self) -> PathBuf {
        self.root.path().join("crond/jobs.yaml")
    }

    fn codes(&self) -> Vec<&'static str> {
        self.files.values().flat_map(|view| &view.findings).map(|finding| finding.code).collect()
    }
}

fn item(name: &str, enable: bool, schedule: &str) -> String {
    format!("- {{name: {name}, enable: {enable}, command: echo, args: [hi], schedule: \"{schedule}\", creator: ob}}\n")
}

fn jobs_text(items: &[&str]) -> String {
    format!("# kept\nunknown: x\njobs:\n{}bk_biz_id: 404\n", items.concat())
}

fn name(text: &str) -> JobName {
    JobName::parse(text).unwrap()
}

fn keys(of: &str, schedule: &str) -> Keys {
    Keys {
        name: name(of),
        enable: true,
        command: "echo".into(),
        args: vec!["x y".into(), "> f".into()],
        schedule: schedule.into(),
        creator: "ob".into(),
        work_dir: String::new(),
        overlap: None,
    }
}

fn define(of: &str, schedule: &str) -> Change {
    Change::Define(keys(of, schedule))
}

#[test]
fn jobs_config_is_read_watched_and_replaced() {
    let mut world = World::new(true, |_| {});
    assert!(world.jobs.is_empty() && world.files.is_empty(), "it may come later: {:?}", world.files);
    fs::write(world.jobs_config(), "").unwrap();
    fs::write(world.jobs_config(), jobs_text(&[&item("z", true, "@every 1h"), &item("a", false, "@every 1h")]))
        .unwrap();
    world.until("two jobs", |w| w.jobs.len() == 2);
    assert_eq!(world.armed, ["z", "a"], "in the order of the file");
    assert_eq!(world.identity.bk_biz_id, Some(404));
    assert_eq!(world.jobs["z"].0.job.file, world.jobs_config().display().to_string());

    let fresh = world.root.path().join("crond/fresh");
    fs::write(&fresh, jobs_text(&[&item("a", true, "@every 2h"), &item("b", true, "@every 1h")])).unwrap();
    fs::rename(&fresh, world.jobs_config()).unwrap();
    world.until("a changed, b came, z went", |w| w.jobs.len() == 2 && w.jobs.contains_key("b"));
    assert!(world.jobs["a"].0.job.enable);
    let armed = world.armed.len();
    fs::write(&fresh, jobs_text(&[&item("b", true, "@every 1h"), &item("a", true, "@every 2h")])).unwrap();
    fs::rename(&fresh, world.jobs_config()).unwrap();
    fs::write(world.root.path().join("conf.d/sign.yaml"), "command: /bin/true\n").unwrap();
    world.until("a sign", |w| w.jobs.contains_key("sign"));
    assert_eq!(world.armed.len(), armed + 1, "the same items in another order are the same");

    fs::remove_file(world.jobs_config()).unwrap();
    world.until("all gone", |w| w.jobs.len() == 1);
}

#[test]
fn b20_a_broken_jobs_config_keeps_what_was_good() {
    let mut world = World::crond(&[&item("a", true, "@every 1h"), &item("b", true, "@every 1h")]);
    fs::write(world.jobs_config(), "jobs: [").unwrap();
    world.until("it is told", |w| !w.files.is_empty());
    assert_eq!(world.jobs.len(), 2);

    fs::write(world.jobs_config(), jobs_text(&[&item("a", true, "bogus"), &item("b", true, "@every 2h")])).unwrap();
    world.until("a is broken", |w| w.jobs["a"].1);
    assert_eq!(world.names()[0], ("a".into(), true, "@every 1h".into()), "the last good definition");
    assert_eq!(world.names()[1].2, "@every 2h");
    assert!(world.codes().contains(&"bad-schedule"));

    fs::write(world.jobs_config(), jobs_text(&["- {command: echo}\n", &item("b", true, "@every 2h")])).unwrap();
    world.until("an item has no name", |w| !w.codes().contains(&"bad-schedule"));
    assert_eq!(world.jobs.len(), 2, "it may be a that lost its name");

    fs::write(world.jobs_config(), jobs_text(&[&item("b", true, "@every 2h")])).unwrap();
    world.until("a is gone", |w| w.jobs.len() == 1 && w.files.is_empty());
}

#[test]
fn b22_a_file_of_conf_d_goes_before_an_item() {
    let mut world = World::crond(&[&item("a", true, "@every 1h")]);
    fs::write(world.root.path().join("conf.d/a.yaml"), "command: /bin/true\n").unwrap();
    world.until("the file makes it", |w| w.jobs["a"].0.job.file == "a.yaml");
    assert_eq!(world.codes(), ["duplicate-name"]);
    fs::remove_file(world.root.path().join("conf.d/a.yaml")).unwrap();
    world.until("the item takes over", |w| w.jobs["a"].0.job.file != "a.yaml");
    assert!(world.jobs["a"].0.since > Timestamp::now() - jiff::SignedDuration::from_secs(60));
    assert!(world.files.is_empty());
}

#[test]
fn permanent_changes_are_in_the_file_and_nothing_else_of_it_changes() {
    let mut world = World::crond(&[&item("a", true, "@every 1h"), &item("b", false, "@every 1h")]);
    let path = world.jobs_config().display().to_string();
    assert_eq!(world.edit(Change::Disable(name("a")), true), Ok(Some(path.clone())));
    assert_eq!(world.edit(Change::Resume(name("b")), true), Ok(Some(path.clone())));
    assert_eq!(world.edit(Change::Reschedule(name("b"), "@every 5m".into()), true), Ok(Some(path.clone())));
    assert_eq!(world.edit(define("n", "3 5 * * *"), true), Ok(Some(path)));
    let all = [("a", false, "@every 1h"), ("b", true, "@every 5m"), ("n", true, "3 5 * * *")];
    let all = all.map(|(name, enable, schedule)| (name.to_owned(), enable, schedule.to_owned()));
    assert_eq!(world.names(), all);
    let text = fs::read_to_string(world.jobs_config()).unwrap();
    assert!(text.starts_with("# kept\nunknown: x\n") && text.contains("bk_biz_id: 404"), "{text}");
    world.next_engine(STARTED + 1);
    assert_eq!(world.names(), all, "as another daemon reads it");
    world.edit(Change::Delete(name("a")), true).unwrap();
    world.next_engine(STARTED + 2);
    assert_eq!(world.names(), all[1..]);
}

#[test]
fn a_new_job_gets_a_file_of_its_own_and_deleting_it_moves_nothing_else() {
    let mut world = World::files(&[("other.yaml", "# mine\nname: x\ncommand: /bin/true\n")]);
    let odd = "mysql-monitor-20000-@every 10s";
    let file = world.edit(define(odd, "@every 10s"), true).unwrap().unwrap();
    assert_eq!(file, "mysql-monitor-20000-%40every%2010s.yaml");
    assert_eq!(world.jobs[odd].0.job.file, file);
    let refusal = world.refused(define("other", "@every 10s"), true);
    assert_eq!(refusal.code, "not-written", "the file of another job: {}", refusal.message);
    assert_eq!(world.edit(Change::Disable(name("x")), true), Ok(Some("other.yaml".into())));
    assert!(world.tree()["conf.d/other.yaml"].starts_with("# mine\nname: x\ncommand: /bin/true\n"));
    world.edit(Change::Delete(name(odd)), true).unwrap();
    assert_eq!(world.tree().keys().collect::<Vec<_>>(), ["conf.d/other.yaml"]);
    assert_eq!(world.names().len(), 1);
}

#[test]
fn what_is_in_memory_alone_outlives_the_engine_and_not_the_daemon() {
    let mut world = World::crond(&[&item("a", true, "@every 1h"), &item("b", true, "@every 1h")]);
    let before = world.tree();
    let asked = Timestamp::now();
    world.edit(define("a", "@every 7m"), false).unwrap();
    world.edit(define("n", "@every 8m"), false).unwrap();
    world.edit(Change::Delete(name("b")), false).unwrap();
    let changed = vec![("a".into(), true, "@every 7m".into()), ("n".into(), true, "@every 8m".into())];
    assert_eq!(world.names(), changed);
    assert_eq!(world.tree(), before, "no file is touched");
    assert!(world.files.is_empty(), "and nobody is told of duplicates");
    assert!(world.jobs["a"].0.since >= asked, "a14: it has no slots from before");
    world.next_engine(STARTED);
    assert_eq!(world.names(), changed);

    let reset = Timestamp::now();
    world.reset();
    assert_eq!(world.names().len(), 2);
    assert_eq!(world.names()[0].2, "@every 1h");
    assert!(world.jobs.values().all(|(armed, _)| armed.since >= reset), "a14: what comes back makes up for nothing");
    world.edit(define("n", "@every 8m"), false).unwrap();
    world.next_engine(STARTED + 1);
    assert_eq!(world.names().len(), 2, "the next daemon knows files alone");
    world.next_engine(STARTED);
    assert_eq!(world.names().len(), 2);
}

#[test]
fn memory_and_file_part_as_they_should() {
    let mut world = World::crond(&[&item("a", true, "@every 1h")]);
    world.edit(define("t", "@every 1h"), false).unwrap();
    for change in
        [Change::Disable(name("t")), Change::Reschedule(name("t"), "@every 2h".into()), Change::Delete(name("t"))]
    {
        let refusal = world.refused(change, true);
        assert_eq!(refusal.code, "not-in-file");
        assert!(refusal.message.starts_with("target job t not found in /"), "{}", refusal.message);
    }
    world.edit(define("t", "@every 1h"), true).unwrap();
    world.reset();
    assert_eq!(world.names().len(), 2, "a job made for a while can be made for good");
    world.edit(Change::Disable(name("a")), false).unwrap();
    world.edit(Change::Reschedule(name("a"), "@every 2h".into()), true).unwrap_err();
    world.edit(Change::Resume(name("a")), true).unwrap();
    assert_eq!(world.names()[0], ("a".into(), true, "@every 1h".into()), "the file holds again");
}

#[test]
fn a_refused_change_changes_nothing() {
    let mut world = World::crond(&[&item("a", true, "@every 1h"), &item("b", false, "@every 1h")]);
    for permanent in [false, true] {
        for (change, code, message) in [
            (define("a", "bogus"), "bad-schedule", "5 or 6 fields are needed, here are 1"),
            (Change::Reschedule(name("a"), "bogus".into()), "bad-schedule", "5 or 6 fields are needed, here are 1"),
            (Change::Delete(name("zzz")), "no-such-job", ""),
            (Change::Disable(name("b")), "not-active", ""),
            (Change::Reschedule(name("b"), "@every 2s".into()), "not-active", ""),
            (Change::Resume(name("a")), "not-disabled", ""),
            (Change::Resume(name("zzz")), "no-such-job", ""),
            (Change::Write { name: name("a"), text: "name: c\ncommand: /bin/true\n".into() }, "bad-job", ""),
            (Change::Write { name: name("a"), text: "comand: /bin/true\n".into() }, "bad-job", ""),
            (Change::Write { name: name("a"), text: "command: /bin/true\nuser: somebody\n".into() }, "bad-job", ""),
        ] {
            let refusal = world.refused(change.clone(), permanent);
            assert_eq!(refusal.code, code, "{change:?} {}", refusal.message);
            if !message.is_empty() {
                assert_eq!(refusal.message, message);
            }
        }
    }
    fs::write(world.jobs_config(), "jobs: [").unwrap();
    world.until("it is broken", |w| !w.files.is_empty());
    assert_eq!(world.refused(Change::Disable(name("a")), true).code, "bad-job");
    assert_eq!(world.refused(define("n", "@every 1h"), true).code, "bad-job", "nothing is written over what is broken");
}

#[test]
fn sixty_at_once_all_land() {
    for with_jobs_config in [true, false] {
        let mut world = World::new(with_jobs_config, |_| {});
        for number in 0..60 {
            let change = define(&format!("job{number}"), "@every 1h");
            world.commands.send(Command::Edit(number, Edit { change, permanent: true, by: String::new() }));
        }
        world.until("sixty answers", |w| w.edited.len() == 60);
        assert!(world.edited.values().all(Result::is_ok));
        assert_eq!(world.jobs.len(), 60);
        world.next_engine(STARTED + 1);
        assert_eq!(world.jobs.len(), 60);
    }
}

#[test]
fn a_text_is_written_whole_and_asked_for() {
    let mut world = World::files(&[]);
    let text = "# by hand\ncommand: /bin/true\ntimeout: 5m\n";
    let write = |text: &str| Change::Write { name: name("w"), text: text.into() };
    assert_eq!(world.edit(write(text), true), Ok(Some("w.yaml".into())));
    assert_eq!(world.tree()["conf.d/w.yaml"], text);
    assert_eq!(ask_text(&world, "w"), Ok((Some("w.yaml".into()), text.into())));
    world.edit(write("command: /bin/false\n"), false).unwrap();
    assert_eq!(ask_text(&world, "w"), Ok((None, "command: /bin/false\n".into())));
    assert_eq!(ask_text(&world, "none").unwrap_err(), "no-such-job");
    world.edit(Change::Delete(name("w")), false).unwrap();
    assert_eq!(ask_text(&world, "w").unwrap_err(), "no-such-job");
}

fn ask_text(world: &World, of: &str) -> Result<(Option<String>, String), String> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    world.commands.send(Command::Text(name(of), reply));
    let text = answer.blocking_recv().unwrap();
    text.map(|text| (text.file, text.text)).map_err(|refusal| refusal.code)
}

#[test]
fn a_link_is_not_written_through() {
    let mut world = World::files(&[]);
    let outside = world.root.path().join("conf.d/real.txt");
    fs::write(&outside, "command: /bin/true\n").unwrap();
    std::os::unix::fs::symlink("real.txt", world.root.path().join("conf.d/l.yaml")).unwrap();
    world.until("the job", |w| w.jobs.contains_key("l"));
    let refusal = world.refused(Change::Disable(name("l")), true);
    assert_eq!(refusal.code, "not-written");
    assert!(refusal.message.contains("symbolic link"), "{}", refusal.message);
    world.edit(Change::Disable(name("l")), false).unwrap();
    assert!(!world.jobs["l"].0.job.enable);
}
