//! The thread that keeps the snapshot of a directory true: real files, real events. Named after the faults it must bear.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotad::conf::{Before, Change, Command, Commands, Config, DirectoryPath, Opened, Opener, Policy, Update, watch};
use rotad::engine::FileView;
use rotad::wire::{DirectoryPlace, FilePlace};
use tokio::sync::mpsc::{Receiver, channel, error::TryRecvError};

/// Longest wait for anything.
const LONG: Duration = Duration::from_secs(20);

/// A directory under watch, and what was told of it.
struct Watched {
    root: tempfile::TempDir,
    commands: Commands,
    updates: Receiver<Update>,
    /// Job, file, arguments of its command, broken.
    jobs: BTreeMap<String, (String, String, bool)>,
    files: BTreeMap<String, FileView>,
    /// How often a job was armed or retired.
    changes: usize,
    complete: usize,
    tokens: BTreeSet<u64>,
    watch: String,
}

impl Watched {
    fn start(prepare: impl FnOnce(&Path)) -> Watched {
        let root = tempfile::tempdir().unwrap();
        prepare(&root.path().join("conf.d"));
        let conf_d = root.path().join("conf.d");
        let config = Config { conf_d: conf_d.clone(), ..Config::first_look().unwrap() };
        let (out, updates) = channel(64);
        let policy = Policy { config, zone: || TimeZone::UTC, started: Timestamp::UNIX_EPOCH };
        let (commands, _thread) = watch(DirectoryPath(conf_d), policy, out).unwrap();
        let mut watched = Watched {
            root,
            commands,
            updates,
            jobs: BTreeMap::new(),
            files: BTreeMap::new(),
            changes: 0,
            complete: 0,
            tokens: BTreeSet::new(),
            watch: String::new(),
        };
        watched.until("the first snapshot", |w| w.complete == 1);
        watched
    }

    /// A directory with these files.
    fn with(files: &[(&str, &str)]) -> Watched {
        Watched::start(|conf_d| {
            fs::create_dir(conf_d).unwrap();
            for (name, text) in files {
                fs::write(conf_d.join(name), text).unwrap();
            }
        })
    }

    fn conf_d(&self) -> PathBuf {
        self.root.path().join("conf.d")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.conf_d().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Takes what has come, and says whether anything has.
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
                Change::Armed(armed) => {
                    self.changes += 1;
                    let rotad::job::Program::Exec { command, .. } = &armed.job.program else { panic!("a command") };
                    let entry = (armed.job.file.clone(), command.clone(), false);
                    self.jobs.insert(armed.job.name.to_string(), entry);
                }
                Change::Broken(name, broken) => self.jobs.get_mut(name.as_str()).unwrap().2 = broken,
                Change::Retired(name) => {
                    self.changes += 1;
                    self.jobs.remove(name.as_str()).unwrap();
                }
            }
        }
        for (file, view) in update.files {
            match view {
                Some(view) => self.files.insert(file, view),
                None => self.files.remove(&file),
            };
        }
        self.complete += usize::from(update.complete);
        self.tokens.extend(update.tokens);
        self.watch = update.watch.unwrap_or(std::mem::take(&mut self.watch));
    }

    #[track_caller]
    fn until(&mut self, what: &str, condition: impl Fn(&Watched) -> bool) {
        let begun = Instant::now();
        loop {
            self.drain();
            if condition(self) {
                return;
            }
            assert!(begun.elapsed() < LONG, "{what} did not come: {:?} {:?}", self.jobs, self.files);
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Everything that was done before this call is known after it.
    #[track_caller]
    fn reload(&mut self) {
        let token = self.tokens.len() as u64 + 1;
        self.commands.send(Command::Reload(token));
        self.until("the reload", |w| w.tokens.contains(&token));
    }

    fn command(&self, job: &str) -> Option<&str> {
        self.jobs.get(job).map(|(_, command, _)| command.as_str())
    }

    fn codes(&self, file: &str) -> Vec<&'static str> {
        let view = self.files.get(file);
        view.map(|view| view.findings.iter().map(|finding| finding.code).collect()).unwrap_or_default()
    }

    fn itself(&self) -> Vec<&'static str> {
        self.codes(&self.conf_d().display().to_string())
    }
}

fn job(command: &str) -> String {
    format!("command: {command}\nschedule: '@daily'\n")
}

#[test]
fn b36_no_directory_at_the_start() {
    let mut w = Watched::start(|_| ());
    assert_eq!(w.itself(), ["conf-d-missing"]);
    fs::create_dir(w.conf_d()).unwrap();
    w.write("a.yaml", &job("/a"));
    w.until("the job", |w| w.command("a") == Some("/a"));
    assert!(w.itself().is_empty());
    assert_eq!(w.watch, "inotify");
}

#[test]
fn a_dropped_file_is_live_at_once_and_a_removed_one_is_gone() {
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    assert_eq!(w.command("a"), Some("/a"));
    let begun = Instant::now();
    w.write("b.yaml", &job("/b"));
    w.until("the new job", |w| w.command("b") == Some("/b"));
    println!("live after {:?}", begun.elapsed());
    fs::remove_file(w.path("a.yaml")).unwrap();
    w.until("its end", |w| w.command("a").is_none());
}

#[test]
fn b19_editors_of_every_kind() {
    let mut w = Watched::with(&[("a.yaml", &job("/1"))]);
    // Aside and renamed over it.
    w.write(".a.yaml.tmp", &job("/2"));
    fs::rename(w.path(".a.yaml.tmp"), w.path("a.yaml")).unwrap();
    w.until("the renamed one", |w| w.command("a") == Some("/2"));
    // Truncated and written in pieces, each of which would be a good file.
    let before = w.changes;
    let mut file = fs::File::create(w.path("a.yaml")).unwrap();
    file.write_all(b"command: /3\n").unwrap();
    file.sync_all().unwrap();
    // Something else is seen meanwhile, and a full reading, too.
    w.write("other.yaml", &job("/o"));
    w.until("the other file", |w| w.command("other").is_some());
    w.reload();
    assert_eq!((w.command("a"), w.changes), (Some("/2"), before + 1), "half a file never goes live");
    file.write_all(b"args: [x]\nenvironment:\n  A: 1\n").unwrap();
    drop(file);
    w.until("the whole file", |w| w.command("a") == Some("/3"));
    // Backup aside, new file in place.
    fs::rename(w.path("a.yaml"), w.path("a.yaml~")).unwrap();
    w.write("a.yaml", &job("/4"));
    w.until("the new file", |w| w.command("a") == Some("/4"));
    assert_eq!(w.jobs.len(), 2);
}

#[test]
fn b20_broken_file_keeps_last_good() {
    let mut w = Watched::with(&[("a.yaml", &job("/a")), ("b.yaml", &job("/b"))]);
    w.write("a.yaml", "command: [\n");
    w.write("b.yaml", &job("/b2"));
    w.until("both", |w| w.codes("a.yaml") == ["yaml-syntax"] && w.command("b") == Some("/b2"));
    assert_eq!(w.jobs["a"], ("a.yaml".into(), "/a".into(), true));
    w.write("a.yaml", &job("/a"));
    w.until("the repair", |w| !w.jobs["a"].2 && w.codes("a.yaml").is_empty());
}

#[test]
fn b21_names_that_do_not_count() {
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    for name in ["b.yaml.bak", ".b.yaml", "b.yaml~", "b.yaml.rpmnew", "b.yaml.dpkg-old", "b.env"] {
        w.write(name, &job("/b"));
    }
    fs::rename(w.path("a.yaml"), w.path("a.yaml.bak")).unwrap();
    w.until("the end of a", |w| w.jobs.is_empty());
    w.reload();
    assert!(w.jobs.is_empty() && w.files.is_empty());
}

#[test]
fn b22_two_files_one_name() {
    let text = "name: same\ncommand: /x\n";
    let mut w = Watched::with(&[("b.yaml", text), ("a.yaml", text)]);
    assert_eq!(w.jobs["same"].0, "a.yaml");
    assert_eq!(w.codes("b.yaml"), ["duplicate-name"]);
    fs::remove_file(w.path("a.yaml")).unwrap();
    w.until("the other file's turn", |w| w.jobs["same"].0 == "b.yaml" && w.files.is_empty());
}

#[test]
fn b24_reading_does_not_feed_itself() {
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    for _ in 0..50 {
        drop(fs::read(w.path("a.yaml")).unwrap());
        assert_ne!(fs::read_dir(w.conf_d()).unwrap().count(), 0);
    }
    w.reload();
    assert_eq!((w.changes, w.complete), (1, 2), "one arming, and the reload");
}

#[test]
fn b25_directory_removed_and_made_anew() {
    let mut w = Watched::with(&[("a.yaml", &job("/a")), ("b.yaml", &job("/b"))]);
    fs::remove_dir_all(w.conf_d()).unwrap();
    w.until("word of it", |w| w.itself() == ["conf-d-missing"]);
    assert_eq!(w.jobs.len(), 2, "jobs stay while there is no directory");
    fs::create_dir(w.conf_d()).unwrap();
    w.write("a.yaml", &job("/a2"));
    w.until("the new directory", |w| w.command("a") == Some("/a2") && w.jobs.len() == 1);
    assert!(w.itself().is_empty());
    w.write("c.yaml", &job("/c"));
    w.until("events from it", |w| w.command("c").is_some());
}

#[test]
fn b25_directory_replaced_by_rename() {
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    let new = w.root.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(new.join("b.yaml"), job("/b")).unwrap();
    fs::rename(w.conf_d(), w.root.path().join("old")).unwrap();
    fs::rename(&new, w.conf_d()).unwrap();
    w.until("the new directory", |w| w.command("b").is_some() && w.command("a").is_none());
    fs::write(w.root.path().join("old/x.yaml"), job("/x")).unwrap();
    w.write("c.yaml", &job("/c"));
    w.until("events from it", |w| w.command("c").is_some());
    assert!(w.command("x").is_none());
}

#[test]
fn b25_the_path_leads_elsewhere_since() {
    let mut w = Watched::start(|conf_d| {
        for name in ["one", "two"] {
            let there = conf_d.with_file_name(name);
            fs::create_dir(&there).unwrap();
            fs::write(there.join("a.yaml"), job(&format!("/{name}"))).unwrap();
        }
        symlink("one", conf_d).unwrap();
    });
    assert_eq!(w.command("a"), Some("/one"));
    fs::remove_file(w.conf_d()).unwrap();
    symlink("two", w.conf_d()).unwrap();
    w.commands.send(Command::CheckIdentity);
    w.until("the other directory", |w| w.command("a") == Some("/two"));
}

#[test]
fn b25_kubernetes_swaps_data() {
    let mut w = Watched::start(|conf_d| {
        fs::create_dir_all(conf_d.join("..2026_1")).unwrap();
        fs::write(conf_d.join("..2026_1/a.yaml"), job("/1")).unwrap();
        symlink("..2026_1", conf_d.join("..data")).unwrap();
        symlink("..data/a.yaml", conf_d.join("a.yaml")).unwrap();
    });
    assert_eq!(w.command("a"), Some("/1"));
    fs::create_dir(w.path("..2026_2")).unwrap();
    fs::write(w.path("..2026_2/a.yaml"), job("/2")).unwrap();
    symlink("..2026_2", w.path("..data_tmp")).unwrap();
    fs::rename(w.path("..data_tmp"), w.path("..data")).unwrap();
    w.until("the new version", |w| w.command("a") == Some("/2"));
}

#[test]
fn b27_what_is_no_file_never_blocks() {
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    nix::unistd::mkfifo(&w.path("pipe.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(w.path("socket.yaml")).unwrap();
    fs::create_dir(w.path("dir.yaml")).unwrap();
    w.until("the three", |w| {
        ["pipe.yaml", "socket.yaml", "dir.yaml"].iter().all(|file| w.codes(file) == ["not-regular"])
    });
    w.write("b.yaml", &job("/b"));
    w.until("a file after them", |w| w.command("b").is_some());
}

#[test]
fn b28_b29_links_that_lead_out() {
    let mut w = Watched::with(&[]);
    let secret = w.root.path().join("shadow");
    fs::write(&secret, "root:$6$hunter2\n").unwrap();
    symlink(&secret, w.path("absolute.yaml")).unwrap();
    symlink("../shadow", w.path("relative.yaml")).unwrap();
    symlink("loop.yaml", w.path("loop.yaml")).unwrap();
    symlink("nowhere", w.path("dangling.yaml")).unwrap();
    symlink("/proc/self/fd/0", w.path("magic.yaml")).unwrap();
    w.until("five refusals", |w| w.files.len() == 5);
    assert_eq!(w.codes("absolute.yaml"), ["link-outside"]);
    assert_eq!(w.codes("relative.yaml"), ["link-outside"]);
    assert_eq!(w.codes("loop.yaml"), ["link-refused"]);
    assert_eq!(w.codes("dangling.yaml"), ["dangling-link"]);
    assert_eq!(w.codes("magic.yaml"), ["link-outside"]);
    assert!(!format!("{:?}", w.files).contains("hunter2"));
}

#[test]
fn b30_files_that_others_can_write() {
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    w.write(".b", &job("/b"));
    fs::set_permissions(w.path(".b"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::rename(w.path(".b"), w.path("b.yaml")).unwrap();
    w.until("the refusal", |w| w.codes("b.yaml") == ["writable"]);
    assert!(w.command("b").is_none());
    fs::set_permissions(w.path("b.yaml"), fs::Permissions::from_mode(0o644)).unwrap();
    w.until("the job, once that is mended", |w| w.command("b") == Some("/b") && w.files.is_empty());
    fs::set_permissions(w.path("b.yaml"), fs::Permissions::from_mode(0o646)).unwrap();
    w.until("the last good one", |w| w.jobs["b"].2);
}

#[test]
fn b30_a_directory_that_others_can_write() {
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    fs::set_permissions(w.conf_d(), fs::Permissions::from_mode(0o777)).unwrap();
    w.until("the refusal", |w| w.itself() == ["writable"]);
    w.write("b.yaml", &job("/b"));
    w.reload();
    assert!(w.command("b").is_none() && w.command("a").is_some());
    fs::set_permissions(w.conf_d(), fs::Permissions::from_mode(0o755)).unwrap();
    w.until("the directory, once that is mended", |w| w.command("b").is_some() && w.itself().is_empty());
}

#[test]
fn b30_files_of_others() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    std::os::unix::fs::chown(w.path("a.yaml"), Some(65534), None).unwrap();
    w.until("the refusal", |w| w.codes("a.yaml") == ["wrong-owner"]);
    assert!(w.jobs["a"].2, "its last good definition stays");
}

#[test]
fn b31_hard_links_are_told_and_armed() {
    let mut w = Watched::with(&[]);
    w.write("a.env", &job("/a"));
    fs::hard_link(w.path("a.env"), w.path("a.yaml")).unwrap();
    w.until("the job", |w| w.command("a").is_some());
    assert_eq!(w.codes("a.yaml"), ["hard-link"]);
}

#[test]
fn b33_a_large_file_is_not_read() {
    let mut w = Watched::with(&[]);
    fs::File::create(w.path("a.yaml")).unwrap().set_len(2 << 30).unwrap();
    w.until("the refusal", |w| w.codes("a.yaml") == ["too-large"]);
}

#[test]
fn b34_names_nobody_can_type() {
    use std::os::unix::ffi::OsStrExt;
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    fs::write(w.conf_d().join(std::ffi::OsStr::from_bytes(b"\xff\x1b[2J.yaml")), job("/x")).unwrap();
    w.until("the finding", |w| w.itself() == ["bad-file-name"]);
    fs::write(w.path("new\nline.yaml"), job("/x")).unwrap();
    w.until("the other finding", |w| w.itself().len() == 2);
    assert!(!format!("{:?}", w.files).contains('\u{1b}'));
    assert_eq!(w.jobs.len(), 1);
}

#[test]
fn b23_b37_a_flood_of_files() {
    let mut w = Watched::with(&[]);
    for round in 0..3 {
        for number in 0..6000 {
            w.write(&format!("job{number}.yaml"), &job(&format!("/{round}")));
        }
    }
    w.until("all of them", |w| w.jobs.len() == 6000 && w.jobs.values().all(|job| job.1 == "/2"));
    for number in 0..6000 {
        fs::remove_file(w.path(&format!("job{number}.yaml"))).unwrap();
    }
    w.until("their end", |w| w.jobs.is_empty());
}

#[test]
fn b40_out_of_descriptors_is_no_end() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // The limit is the whole process's: this test runs alone, in a process of its own.
    if std::env::var_os("ROTAD_TEST_ALONE").is_none() {
        let me = std::env::current_exe().unwrap();
        let mut alone = std::process::Command::new(me);
        alone.args(["--exact", "b40_out_of_descriptors_is_no_end", "--nocapture"]).env("ROTAD_TEST_ALONE", "1");
        assert!(alone.status().unwrap().success());
        return;
    }
    let mut w = Watched::with(&[("a.yaml", &format!("name: a\n{}", job("/a")))]);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 100, hard).unwrap();
    let mut taken: Vec<fs::File> = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        taken.push(file);
    }
    fs::rename(w.path("a.yaml"), w.path("c.yaml")).unwrap();
    w.until("the failure", |w| w.codes("c.yaml") == ["unreadable"]);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    drop(taken);
    w.until("the second try", |w| w.jobs.len() == 1 && w.command("a") == Some("/a") && w.files.is_empty());
}

/// Opens what it may not with the descriptor that it was given.
struct Given(DirectoryPath);

impl Opener for Given {
    fn directory(&self, place: DirectoryPlace) -> io::Result<Opened> {
        self.0.directory(place)
    }

    fn file(&self, place: &FilePlace) -> io::Result<Opened> {
        assert_eq!(*place, FilePlace::ConfD("a.yaml".into()));
        Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
    }

    fn write(&self, place: &FilePlace, contents: &[u8], before: Before) -> io::Result<()> {
        self.0.write(place, contents, before)
    }

    fn remove(&self, place: &FilePlace, before: Before) -> io::Result<()> {
        self.0.remove(place, before)
    }
}

#[test]
fn b40_a_file_that_only_root_may_read_is_asked_for() {
    if let Some(conf_d) = std::env::var_os("ROTAD_TEST_CONF_D").map(PathBuf::from) {
        let config = Config { conf_d: conf_d.clone(), as_root: true, ..Config::first_look().unwrap() };
        let (out, mut updates) = channel(4);
        let policy = Policy { config, zone: || TimeZone::UTC, started: Timestamp::UNIX_EPOCH };
        let (_commands, _thread) = watch(Given(DirectoryPath(conf_d)), policy, out).unwrap();
        let mut jobs = Vec::new();
        loop {
            let update = updates.blocking_recv().unwrap();
            jobs.extend(update.changes.iter().map(|change| format!("{change:?}").contains("/secret")));
            if update.complete {
                assert_eq!(jobs, [true]);
                return;
            }
        }
    }
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can keep a file from others and hand it to them");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let conf_d = root.path().join("conf.d");
    fs::create_dir(&conf_d).unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(conf_d.join("a.yaml"), job("/secret")).unwrap();
    fs::set_permissions(conf_d.join("a.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
    // A copy that another user can reach wherever the build is.
    let me = root.path().join("me");
    fs::copy(std::env::current_exe().unwrap(), &me).unwrap();
    let mut other = std::process::Command::new(me);
    other.args(["--exact", "b40_a_file_that_only_root_may_read_is_asked_for", "--nocapture"]);
    other.env("ROTAD_TEST_CONF_D", &conf_d).stdin(fs::File::open(conf_d.join("a.yaml")).unwrap());
    other.uid(65534).gid(65534).current_dir("/");
    assert!(other.status().unwrap().success());
}

#[test]
fn b26_without_events_changes_are_looked_for() {
    let limit = Path::new("/proc/sys/user/max_inotify_instances");
    // In a user namespace of its own the limit is its own, too.
    if std::env::var_os("ROTAD_TEST_ALONE").is_none() {
        let me = std::env::current_exe().unwrap();
        let mut alone = std::process::Command::new("unshare");
        alone.args(["--user", "--map-root-user"]).arg(me).env("ROTAD_TEST_ALONE", "1");
        alone.args(["--exact", "b26_without_events_changes_are_looked_for", "--nocapture"]);
        match alone.output() {
            Ok(output) if output.stderr.starts_with(b"unshare:") => println!("skipped: no user namespaces here"),
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) => println!("skipped: unshare: {error}"),
        }
        return;
    }
    if fs::write(limit, "0").is_err() {
        println!("skipped: {} cannot be set", limit.display());
        return;
    }
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    assert!(w.watch.starts_with("polling: the limit"), "{}", w.watch);
    assert_eq!(w.itself(), ["polling"]);
    w.write("b.yaml", &job("/b"));
    w.until("the new job", |w| w.command("b").is_some());
    fs::write(limit, "128").unwrap();
    w.commands.send(Command::CheckIdentity);
    w.until("events", |w| w.watch == "inotify" && w.itself().is_empty());
}

#[test]
fn a5_a_reload_takes_new_rules_of_a_zone_and_keeps_the_job_when_the_zone_is_gone() {
    // The time zone database is the whole process's: this test runs alone, in a process of its own, with a database of its own.
    let Some(zones) = std::env::var_os("TZDIR").map(PathBuf::from) else {
        let zones = tempfile::tempdir().unwrap();
        fs::create_dir(zones.path().join("Europe")).unwrap();
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let name = "a5_a_reload_takes_new_rules_of_a_zone_and_keeps_the_job_when_the_zone_is_gone";
        alone.args(["--exact", name, "--nocapture"]).env("TZDIR", zones.path());
        assert!(alone.status().unwrap().success());
        return;
    };
    let system = Path::new("/usr/share/zoneinfo/Europe");
    if !system.join("Berlin").exists() || !system.join("Lisbon").exists() {
        println!("skipped: why: no time zone database is installed");
        return;
    }
    let berlin = zones.join("Europe/Berlin");
    let put = |rules: &str| {
        // As a package manager does.
        fs::copy(system.join(rules), zones.join("new")).unwrap();
        fs::rename(zones.join("new"), &berlin).unwrap();
    };
    put("Berlin");
    let there = format!("{}timezone: Europe/Berlin\n", job("/a"));
    let mut w = Watched::with(&[("a.yaml", &there), ("b.yaml", &job("/b"))]);
    assert_eq!(w.changes, 2);
    w.reload();
    assert_eq!(w.changes, 2, "nothing has changed");
    put("Lisbon");
    w.reload();
    assert_eq!(w.changes, 3, "the rules of one job's zone");
    fs::remove_file(&berlin).unwrap();
    w.reload();
    assert_eq!(w.codes("a.yaml"), ["bad-value"]);
    assert!(w.jobs["a"].2, "broken, and its last good definition stays");
    assert_eq!(w.changes, 3);
    put("Lisbon");
    w.reload();
    assert!(!w.jobs["a"].2 && w.files.is_empty());
    assert_eq!(w.changes, 3, "the same as before");
}

#[test]
fn the_same_text_is_the_same_definition() {
    let mut w = Watched::with(&[("a.yaml", &job("/a"))]);
    for _ in 0..5 {
        w.write("a.yaml", &job("/a"));
    }
    w.reload();
    assert_eq!(w.changes, 1);
}

#[test]
fn the_thread_ends_when_nobody_commands_or_receives() {
    let root = tempfile::tempdir().unwrap();
    for drop_commands in [true, false] {
        let config = Config { conf_d: root.path().to_owned(), ..Config::first_look().unwrap() };
        let (out, updates) = channel(4);
        let policy = Policy { config, zone: || TimeZone::UTC, started: Timestamp::UNIX_EPOCH };
        let (commands, thread) = watch(DirectoryPath(root.path().to_owned()), policy, out).unwrap();
        if drop_commands {
            drop(commands);
        } else {
            drop(updates);
            commands.send(Command::CheckIdentity);
        }
        thread.join().unwrap();
    }
}
