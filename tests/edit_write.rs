//! What the warden writes for an engine, and what it does not: the engine is taken for hostile.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use common::{Daemon, Setup, link_of, root_or_skip, until};
use nix::libc::{EBADF, EBUSY, EFBIG, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, EPERM, ETIMEDOUT};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use rotad::conf::Before;
use rotad::wire::{DirectoryPlace, FilePlace, Link, MAX_FILE, Received, ToEngine, ToWarden};

/// An engine of our own in the place of the daemon's.
struct Engine {
    link: Link,
    last: u32,
}

impl Engine {
    fn of(daemon: &Daemon) -> Engine {
        Engine { link: link_of(daemon.engine().unwrap()), last: 1_000_000 }
    }

    fn ask(&mut self, message: impl Fn(u32) -> ToWarden, contents: Option<BorrowedFd<'_>>) -> u32 {
        self.last += 1;
        self.link.send(&message(self.last), contents.as_slice(), true).unwrap();
        self.last
    }

    /// The errno of a request, 0 for none.
    fn answer(&self, wanted: u32) -> i32 {
        let mut buffer = Vec::new();
        loop {
            match self.link.receive::<ToEngine>(true, &mut buffer).unwrap() {
                Received::Message(ToEngine::Ping { count }, _) => {
                    self.link.send(&ToWarden::Pong { count }, &[], true).unwrap();
                }
                Received::Message(ToEngine::Written { request } | ToEngine::Opened { request, .. }, _)
                    if request == wanted =>
                {
                    return 0;
                }
                Received::Message(
                    ToEngine::NotWritten { request, errno } | ToEngine::NotOpened { request, errno },
                    _,
                ) if request == wanted => return errno,
                Received::Message(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn write(&mut self, place: FilePlace, contents: BorrowedFd<'_>) -> i32 {
        let request = self
            .ask(|request| ToWarden::WriteFile { request, place: place.clone(), before: Before::Any }, Some(contents));
        self.answer(request)
    }

    fn remove(&mut self, place: FilePlace) -> i32 {
        let request =
            self.ask(|request| ToWarden::RemoveFile { request, place: place.clone(), before: Before::Any }, None);
        self.answer(request)
    }
}

fn memory(contents: &[u8]) -> OwnedFd {
    let file = memfd_create("contents", MFdFlags::MFD_CLOEXEC).unwrap();
    File::from(file.try_clone().unwrap()).write_all(contents).unwrap();
    file
}

fn in_conf_d(name: &str) -> FilePlace {
    FilePlace::ConfD(name.to_owned())
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn b30_who_owns_a_directory_above_conf_d_leads_root_nowhere() {
    if !root_or_skip("b30_who_owns") {
        return;
    }
    let daemon = Setup::new("jobs_user: nobody").job("good.yaml", "command: /bin/true\n").start();
    let base = daemon.path().to_owned();
    // Somebody else's directory is on the way from now on, and where `conf_d` was stands a link to what is root's.
    let victim = base.join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("50-net.yaml"), "precious").unwrap();
    mode(&victim.join("50-net.yaml"), 0o600);
    fs::rename(daemon.conf_d(), base.join("old")).unwrap();
    symlink(&victim, daemon.conf_d()).unwrap();
    chown(&base, Some(65534), None).unwrap();
    daemon.rota(&["reload"]);
    assert!(daemon.rota(&["show", "good"]).status.success(), "what is known stays");
    let said = String::from_utf8_lossy(&daemon.rota(&["list"]).stdout).into_owned();
    assert!(said.contains("conf-d-missing") && said.contains("namei -l"), "{said}");

    let mut engine = Engine::of(&daemon);
    for name in ["50-net.yaml", "evil.yaml"] {
        assert_eq!(engine.write(in_conf_d(name), memory(b"command: /evil\n").as_fd()), EPERM, "{name}");
        assert_eq!(engine.remove(in_conf_d(name)), EPERM, "{name}");
    }
    assert_eq!(fs::read_to_string(victim.join("50-net.yaml")).unwrap(), "precious");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
    chown(&base, Some(0), None).unwrap();
}

#[test]
fn b28_b30_the_warden_writes_job_files_in_conf_d_and_nothing_else() {
    if !root_or_skip("b28_b30") {
        return;
    }
    let daemon = Daemon::start("jobs_user: nobody");
    let at = |name: &str| daemon.conf_d().join(name);
    let mut engine = Engine::of(&daemon);
    let new = memory(b"command: /new\n");

    // A new file; then the same with owner and mode of its own, which stay.
    assert_eq!(engine.write(in_conf_d("a.yaml"), new.as_fd()), 0);
    let meta = fs::metadata(at("a.yaml")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.len()), (0o644, 0, 14));
    chown(at("a.yaml"), None, Some(65534)).unwrap();
    mode(&at("a.yaml"), 0o640);
    assert_eq!(engine.write(in_conf_d("a.yaml"), memory(b"").as_fd()), 0);
    let meta = fs::metadata(at("a.yaml")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.len()), (0o640, 0, 65534, 0));
    assert_eq!(engine.remove(in_conf_d("a.yaml")), 0);
    assert_eq!(engine.remove(in_conf_d("a.yaml")), ENOENT);

    // What a killed write has left goes with the next one; other hidden files stay.
    let outside = daemon.path().join("outside");
    fs::write(&outside, "precious").unwrap();
    symlink(&outside, at("link.yaml")).unwrap();
    symlink("nowhere", at("dangling.yaml")).unwrap();
    fs::create_dir(at("dir.yaml")).unwrap();
    nix::unistd::mkfifo(&at("fifo.yaml"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    fs::write(at("open.yaml"), "command: /old\n").unwrap();
    mode(&at("open.yaml"), 0o666);
    fs::write(at("theirs.yaml"), "command: /old\n").unwrap();
    chown(at("theirs.yaml"), Some(65534), None).unwrap();
    for left in [".rotad-4242", ".rotad-x", ".rotad-"] {
        fs::write(at(left), "half").unwrap();
    }
    let long = format!("{}.yaml", "x".repeat(300));
    for (name, errno) in [
        ("link.yaml", ELOOP),
        ("dangling.yaml", ELOOP),
        ("dir.yaml", EISDIR),
        ("fifo.yaml", EINVAL),
        ("open.yaml", EPERM),
        ("theirs.yaml", EPERM),
        ("", EPERM),
        ("..", EPERM),
        ("../outside", EPERM),
        ("../conf.d/x.yaml", EPERM),
        ("/etc/x.yaml", EPERM),
        (".x.yaml", EPERM),
        ("x.txt", EINVAL),
        ("#x.yaml", EINVAL),
        ("a\nb.yaml", EINVAL),
        ("a\0b.yaml", EINVAL),
        (&long, ENAMETOOLONG),
    ] {
        assert_eq!(engine.write(in_conf_d(name), new.as_fd()), errno, "{name:?}");
        if !["open.yaml", "theirs.yaml", long.as_str()].contains(&name) {
            assert_eq!(engine.remove(in_conf_d(name)), errno, "{name:?}");
        }
    }
    assert_eq!(engine.write(FilePlace::JobsConfig, new.as_fd()), ENOENT, "none is configured");
    assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    assert_eq!(engine.write(in_conf_d("b.yaml"), new.as_fd()), 0);
    let rest = [
        ".rotad-",
        ".rotad-x",
        "b.yaml",
        "dangling.yaml",
        "dir.yaml",
        "fifo.yaml",
        "link.yaml",
        "open.yaml",
        "theirs.yaml",
    ];
    assert_eq!(names(&daemon.conf_d()), rest);

    // Contents of every wrong kind; none at all is no removal.
    let (pipe, _end) = nix::unistd::pipe().unwrap();
    let large = memory(&[b'#'; (64 << 10) + 1]);
    let nothing = File::options().write(true).open("/dev/null").unwrap();
    let unreadable = File::options().append(true).open(&outside).unwrap();
    for (contents, errno) in
        [(pipe.as_fd(), EINVAL), (large.as_fd(), EFBIG), (nothing.as_fd(), EINVAL), (unreadable.as_fd(), EBADF)]
    {
        assert_eq!(engine.write(in_conf_d("b.yaml"), contents), errno);
    }
    let request =
        engine.ask(|request| ToWarden::WriteFile { request, place: in_conf_d("b.yaml"), before: Before::Any }, None);
    assert_eq!(engine.answer(request), EBADF);
    mode(&daemon.conf_d(), 0o777);
    assert_eq!(engine.write(in_conf_d("b.yaml"), memory(b"x").as_fd()), EPERM);
    assert_eq!(engine.remove(in_conf_d("b.yaml")), EPERM);
    mode(&daemon.conf_d(), 0o755);
    assert_eq!(fs::read_to_string(at("b.yaml")).unwrap(), "command: /new\n");
    Daemon::signal(daemon.engine().unwrap(), Signal::SIGKILL);
    daemon.ready();
}

#[test]
fn jobs_config_is_written_where_it_is_configured_and_many_writes_are_bounded() {
    if !root_or_skip("jobs_config_is_written") {
        return;
    }
    let setup = Setup::new("jobs_user: nobody");
    let path = setup.path().join("crond/jobs.yaml");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let daemon = setup.configure(&format!("jobs_config: {}", path.display())).start();
    let mut engine = Engine::of(&daemon);
    let large = memory(&vec![b'#'; MAX_FILE]);
    assert_eq!(engine.write(FilePlace::JobsConfig, large.as_fd()), 0);
    assert_eq!(fs::metadata(&path).unwrap().len(), MAX_FILE as u64);
    assert_eq!(engine.write(FilePlace::JobsConfig, memory(&vec![b'#'; MAX_FILE + 1]).as_fd()), EFBIG);
    for place in [DirectoryPlace::ConfD, DirectoryPlace::OfJobsConfig] {
        let request = engine.ask(|request| ToWarden::OpenDirectory { request, place }, None);
        assert_eq!(engine.answer(request), 0);
    }
    let request = engine.ask(|request| ToWarden::OpenFile { request, place: FilePlace::JobsConfig }, None);
    assert_eq!(engine.answer(request), 0);

    // More than may wait: each is answered, in whatever order; the last that was taken is what stands there.
    let mut open: Vec<u32> = Vec::new();
    for _ in 0..100 {
        open.push(engine.ask(
            |request| ToWarden::WriteFile { request, place: FilePlace::JobsConfig, before: Before::Any },
            Some(large.as_fd()),
        ));
    }
    let mut buffer = Vec::new();
    let (mut written, mut refused) = (0, 0);
    while written + refused < 100 {
        match engine.link.receive::<ToEngine>(true, &mut buffer).unwrap() {
            Received::Message(ToEngine::Written { request }, _) if open.contains(&request) => written += 1,
            Received::Message(ToEngine::NotWritten { request, errno: EBUSY }, _) if open.contains(&request) => {
                refused += 1;
            }
            Received::Message(ToEngine::Ping { count }, _) => {
                engine.link.send(&ToWarden::Pong { count }, &[], true).unwrap();
            }
            Received::Message(ToEngine::NotWritten { .. }, _) | Received::Closed => panic!(),
            _ => {}
        }
    }
    assert!(written >= 17 && refused > 0, "{written} {refused}");
    assert_eq!(names(path.parent().unwrap()), ["jobs.yaml"]);

    // A writer that hangs is given up, and the next one writes.
    let children = |daemon: &Daemon| {
        let pid = daemon.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let engine = daemon.engine();
        let children = children.split_whitespace().map(|child| child.parse::<i32>().unwrap());
        children.filter(|child| Some(*child) != engine).collect::<Vec<i32>>()
    };
    let signal = |pid, signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    let small = memory(b"x");
    let mut given_up = false;
    while !given_up {
        let place = || FilePlace::JobsConfig;
        let request = engine
            .ask(|request| ToWarden::WriteFile { request, place: place(), before: Before::Any }, Some(large.as_fd()));
        let caught = (0..10_000).find_map(|_| children(&daemon).first().copied());
        let caught = caught.filter(|writer| signal(*writer, Signal::SIGSTOP).is_ok());
        let next = engine
            .ask(|request| ToWarden::WriteFile { request, place: place(), before: Before::Any }, Some(small.as_fd()));
        match engine.answer(request) {
            // It was caught with its work done.
            0 => drop(caught.map(|writer| signal(writer, Signal::SIGCONT))),
            errno => {
                assert_eq!(errno, ETIMEDOUT);
                given_up = true;
            }
        }
        assert_eq!(engine.answer(next), 0);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "x");
    assert_eq!(names(path.parent().unwrap()), ["jobs.yaml"]);
    until("the writer is reaped", || children(&daemon).is_empty().then_some(()));
    Daemon::signal(daemon.engine().unwrap(), Signal::SIGKILL);
    daemon.ready();
}
