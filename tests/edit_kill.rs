//! Whatever is killed while a file is written, the file is the old one or the new one.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use common::{Daemon, Setup, link_of, root_or_skip, until, until_true};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rotad::conf::Before;
use rotad::wire::{FilePlace, Link, Received, ToEngine, ToWarden};

/// How often something is killed.
const KILLS: u32 = 200;
/// Writes that are on their way when it is.
const WRITES: u32 = 3;

/// The text of a version, long enough to be caught in the middle.
fn text(version: u32) -> String {
    let mut text = format!("command: /bin/true # {version}\n");
    while text.len() < 60_000 {
        text.push_str("# a line that says which version it is of: ");
        text.push_str(&version.to_string());
        text.push('\n');
    }
    text + "# whole\n"
}

/// The version that stands in the file; half a version is none.
fn version(path: &Path) -> u32 {
    let found = fs::read_to_string(path).unwrap();
    let first = found.lines().next().unwrap_or_default();
    let version = first.rsplit(' ').next().and_then(|version| version.parse().ok());
    let version = version.unwrap_or_else(|| panic!("{} bytes that begin with {first:?}", found.len()));
    assert!(found == text(version), "version {version}: half a file, {} bytes", found.len());
    version
}

fn send(link: &Link, version: u32) {
    let contents = memfd_create("contents", MFdFlags::MFD_CLOEXEC).unwrap();
    File::from(contents.try_clone().unwrap()).write_all(text(version).as_bytes()).unwrap();
    let order =
        ToWarden::WriteFile { request: version, place: FilePlace::ConfD("a.yaml".to_owned()), before: Before::Any };
    link.send(&order, &[contents.as_fd()], true).unwrap();
}

/// The last version that the warden says is written; says so for as long as there is something to hear.
fn heard(link: &Link, wait: bool) -> Option<u32> {
    let mut last = None;
    let mut buffer = Vec::new();
    loop {
        match link.receive::<ToEngine>(wait && last.is_none(), &mut buffer) {
            Ok(Received::Message(ToEngine::Written { request }, _)) => last = Some(request),
            Ok(Received::Message(..)) => {}
            Ok(Received::Nothing | Received::Closed) | Err(_) => return last,
        }
    }
}

/// A child of the warden that is not its engine.
fn writer(warden: i32, engine: i32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{warden}/task/{warden}/children")).ok()?;
    children.split_whitespace().filter_map(|child| child.parse().ok()).find(|child| *child != engine)
}

#[test]
fn b19_old_or_new_whatever_is_killed() {
    if !root_or_skip("b19_old_or_new") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.yaml");
    let start = || Setup::new("jobs_user: nobody").configure(&format!("conf_d: {}", place.path().display())).start();
    let mut daemon = start();
    let mut engine = daemon.engine().unwrap();
    let mut link = link_of(engine);
    // What was acknowledged last, and what was asked for last.
    let (mut sure, mut asked) = (1, 1);
    let mut halves = 0;
    send(&link, 1);
    assert_eq!(heard(&link, true), Some(1));
    for round in 0..KILLS {
        for _ in 0..WRITES {
            asked += 1;
            send(&link, asked);
        }
        // Writers mostly, at another moment each time; now and then the engine or the warden, with all that goes on.
        match round % 20 {
            7 => Daemon::signal(engine, Signal::SIGKILL),
            17 => Daemon::signal(daemon.pid(), Signal::SIGKILL),
            _ => {
                let found = until("a writer or an answer", || {
                    let found = writer(daemon.pid(), engine);
                    found.map(Some).or_else(|| (version(&path) == asked).then_some(None))
                });
                for _ in 0..(round * 37) % 200 {
                    std::hint::black_box(fs::metadata(&path).unwrap());
                }
                let _ = found.map(|writer| kill(Pid::from_raw(writer), Signal::SIGKILL));
            }
        }
        let found = version(&path);
        // Heard after it was looked at: what is known to be written then may be newer.
        sure = heard(&link, false).unwrap_or(sure).max(sure);
        assert!(found <= asked, "{found}: {asked} is asked for");
        let hidden = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(".rotad-");
        halves += fs::read_dir(place.path()).unwrap().flatten().filter(hidden).count();
        match round % 20 {
            7 => {
                let old = engine;
                engine = until("another engine", || daemon.engine().filter(|new| *new != old));
                // What the dead one asked for is done, or its writer was gone already.
                daemon.ready();
                link = link_of(engine);
            }
            17 => {
                daemon.wait();
                daemon = start();
                engine = daemon.engine().unwrap();
                link = link_of(engine);
            }
            _ => {}
        }
        let found = version(&path);
        assert!((sure..=asked).contains(&found), "{found}: {sure} was written, {asked} is asked for");
    }
    // Undisturbed, a write takes away what the killed ones have left.
    asked += 1;
    send(&link, asked);
    until_true("the last write", || version(&path) == asked);
    until_true("the last writer is gone", || writer(daemon.pid(), engine).is_none());
    let names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a.yaml"]);
    eprintln!("{KILLS} kills, {halves} half-written files seen beside it");
    assert!(halves > 0, "no write was caught in the middle");
    Daemon::signal(engine, Signal::SIGKILL);
    daemon.ready();
}
