//! The warden against an engine that is hung or hostile, and against what surrounds it.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use common::{Daemon, Setup, link_of, root_or_skip, until, until_true};
use nix::sys::signal::Signal;
use rotad::wire::{FilePlace, Plan, Reach, RunId, Start, ToWarden};

/// User and system time of a process, in ticks.
fn ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split_whitespace().collect();
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}

fn start(run: u64, user: &str, command: &str) -> ToWarden {
    let plan = Plan {
        user: Some(user.into()),
        argv: vec!["/bin/sh".into(), "-c".into(), command.into()],
        environment: Vec::new(),
        work_dir: "/".into(),
        umask: 0o022,
        nice: 0,
        limits: Vec::new(),
        no_new_privs: false,
    };
    ToWarden::Start(Box::new(Start { run: RunId(run), plan, context: Vec::new() }))
}

#[test]
fn h107_the_watchdog_is_fed_while_a_hung_engine_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    let notify = place.path().join("notify");
    let systemd = UnixDatagram::bind(&notify).unwrap();
    let limit = Duration::from_secs(3);
    let daemon = Setup::new("")
        .through(&["env", &format!("NOTIFY_SOCKET={}", notify.display()), "WATCHDOG_USEC=3000000"])
        .start();
    systemd.set_read_timeout(Some(limit)).unwrap();
    let (mut buffer, mut last, mut fed, mut hung) = ([0; 1024], None, 0, None);
    // Three signs of life of the engine's successor.
    while fed < 3 {
        let length = systemd.recv(&mut buffer).expect("systemd would have killed the daemon and its jobs");
        if !buffer[..length].starts_with(b"WATCHDOG=1") {
            continue;
        }
        let now = Instant::now();
        let before = last.replace(now).unwrap_or(now);
        assert!(now - before < limit, "{:?} without a sign of life", now - before);
        let engine = *hung.get_or_insert_with(|| {
            let engine = daemon.engine().unwrap();
            Daemon::signal(engine, Signal::SIGSTOP);
            engine
        });
        fed += u32::from(daemon.engine().is_some_and(|new| new != engine));
    }
}

#[test]
fn a_full_standard_error_holds_nobody_up() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("stderr");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let mut pipe: File = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    while pipe.write(&[b'x'; 512]).is_ok() {}
    let through = ["sh", "-c", "exec 2>\"$0\"; exec \"$@\"", path.to_str().unwrap()];
    let mut daemon = Setup::new("jobs_user: nobody").through(&through).start();
    daemon.arm("a.yaml", "command: /bin/true\n");
    assert!(daemon.stop().success());
}

#[test]
fn the_engine_gains_nothing_by_set_uid_programs() {
    let daemon = Daemon::start("");
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.engine().unwrap())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

#[test]
fn an_engine_that_hangs_up_and_lives_on_is_no_load() {
    if !root_or_skip("an_engine_that_hangs_up") {
        return;
    }
    let daemon = Daemon::start("");
    let engine = daemon.engine().unwrap();
    let link = link_of(engine);
    link.close_sending();
    let before = ticks(daemon.pid());
    let start = Instant::now();
    until_true("a second is over", || start.elapsed() > Duration::from_secs(1));
    assert!(ticks(daemon.pid()) - before < 20, "the warden turns in vain");
    Daemon::signal(engine, Signal::SIGKILL);
    daemon.ready();
}

#[test]
fn a_hostile_engine_starts_nothing_as_others_and_signals_nothing_else() {
    if !root_or_skip("a_hostile_engine") {
        return;
    }
    let mut daemon = Daemon::start("jobs_user: nobody\nallowed_users: [root]");
    let mark = daemon.path().join("mark");
    fs::create_dir(&mark).unwrap();
    std::os::unix::fs::chown(&mark, Some(65534), None).unwrap();
    let engine = daemon.engine().unwrap();
    let link = link_of(engine);
    let write = |name: &str| format!("id -u >{}/{name}", mark.display());
    for (run, user) in (1..).zip(["root", "daemon", "0", "", "nobody ", "nobody\0"]) {
        link.send(&start(run, user, &write(&format!("bad{run}"))), &[], true).unwrap();
    }
    let bystander = std::process::Command::new("sleep").arg("600").spawn();
    let mut bystander = bystander.unwrap();
    for run in [0, 1, u64::from(bystander.id()), u64::MAX] {
        for signal in [i32::MIN, -1, 0, 9, 64, i32::MAX] {
            for reach in [Reach::Group, Reach::Everything] {
                link.send(&ToWarden::Signal { run: RunId(run), signal, reach }, &[], true).unwrap();
            }
        }
    }
    for name in ["", "..", "/etc/shadow", "../rotad.yaml", "a\0b"] {
        link.send(&ToWarden::OpenFile { request: 1, place: FilePlace::ConfD(name.into()) }, &[], true).unwrap();
    }
    link.send(&start(100, "nobody", &write("good")), &[], true).unwrap();
    until("the one that is allowed has run", || {
        fs::read_to_string(mark.join("good")).ok().filter(|it| it == "65534\n")
    });
    assert_eq!(fs::read_dir(&mark).unwrap().count(), 1);
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();

    // Whatever is no message costs the engine, and the engine alone.
    for packet in [&[250u8; 100][..], &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &[0; 170_000]] {
        let engine = until("an engine", || daemon.engine());
        let link = link_of(engine);
        link.send_packet(packet, &[], true).unwrap();
        until_true("it is replaced", || daemon.engine().is_some_and(|new| new != engine));
        daemon.ready();
    }
    assert!(daemon.stop().success());
}

#[test]
fn d66_a_group_signal_to_a_run_that_is_over_reaches_nobody() {
    if !root_or_skip("d66") {
        return;
    }
    let daemon = Daemon::start("jobs_user: nobody");
    let mark = daemon.path().join("mark");
    fs::create_dir(&mark).unwrap();
    std::os::unix::fs::chown(&mark, Some(65534), None).unwrap();
    let engine = daemon.engine().unwrap();
    let link = link_of(engine);
    // The leader ends at once and leaves a process behind.
    let left = format!("sleep 600 & echo $! >{0}/.pid; mv {0}/.pid {0}/pid", mark.display());
    link.send(&start(1, "nobody", &left), &[], true).unwrap();
    let text = until("what is left", || fs::read_to_string(mark.join("pid")).ok());
    let pid: i32 = text.trim().parse().unwrap();
    let parent = format!("PPid:\t{}\n", daemon.pid());
    let status = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    until_true("it has lost its parent", || status().contains(&parent));
    link.send(&ToWarden::Signal { run: RunId(1), signal: 9, reach: Reach::Group }, &[], true).unwrap();
    // Answered after the signal: the warden obeys in order.
    link.send(&start(2, "nobody", &format!("touch {}/after", mark.display())), &[], true).unwrap();
    until_true("what comes after", || mark.join("after").exists());
    assert!(status().contains("State:\tS"), "{}", status());
    link.send(&ToWarden::Signal { run: RunId(1), signal: 9, reach: Reach::Everything }, &[], true).unwrap();
    until_true("it is gone", || status().is_empty());
    Daemon::signal(engine, Signal::SIGKILL);
    daemon.ready();
}

#[test]
fn few_descriptors_refuse_runs_and_do_not_cost_the_engine() {
    if !root_or_skip("few_descriptors") {
        return;
    }
    let daemon = Setup::new("jobs_user: nobody").through(&["sh", "-c", "ulimit -n 96; exec \"$@\"", "sh"]).start();
    let mark = daemon.path().join("mark");
    fs::create_dir(&mark).unwrap();
    std::os::unix::fs::chown(&mark, Some(65534), None).unwrap();
    let engine = daemon.engine().unwrap();
    let link = link_of(engine);
    let file = File::open("/dev/null").unwrap();
    for run in 1..60 {
        link.send(&start(run, "nobody", &format!("touch {}/{run}; exec sleep 60", mark.display())), &[], true).unwrap();
        for stream in [rotad::wire::Stream::Stdout, rotad::wire::Stream::Stderr] {
            let spool = ToWarden::Spool { run: RunId(run), stream };
            link.send(&spool, &[std::os::fd::AsFd::as_fd(&file)], true).unwrap();
        }
    }
    until_true("the first runs", || mark.join("1").exists());
    // In order: once this is seen, all before it were taken.
    link.send(&ToWarden::Signal { run: RunId(1), signal: 9, reach: Reach::Everything }, &[], true).unwrap();
    let children = || fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid())).unwrap();
    until_true("room", || fs::read_dir(&mark).unwrap().count() == 10 && children().split_whitespace().count() == 10);
    assert_eq!(daemon.engine(), Some(engine), "{}", daemon.stderr());
    Daemon::signal(engine, Signal::SIGKILL);
    daemon.ready();
}
