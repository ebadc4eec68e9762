//! The test plays the warden: it keeps every run's pipes and spools, and starts, kills and restarts a capturing process.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rotad::conf::LogConfig;
use rotad::job::{JobName, LogTarget};
use rotad::run::{Capture, CaptureEvent, RunLabel};
use rotad::wire::{Adopt, AdoptState, Link, Received, RunId, Stream, ToEngine, ToWarden};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Nothing here takes this long unless it is broken.
pub const LONG: Duration = Duration::from_secs(60);

pub fn config(dir: &Path) -> LogConfig {
    LogConfig { target: LogTarget::Auto, dir: dir.to_owned(), max_size: 1 << 30, keep: 5, debug: false }
}

pub fn label(run: u64, job: &str, target: LogTarget) -> RunLabel {
    RunLabel {
        run: RunId(run),
        of: RunId(run),
        attempt: 1,
        job: JobName::parse(job).unwrap(),
        target,
        output_limit: u64::MAX,
    }
}

/// A capture in this process, whose warden takes spools and says nothing.
pub struct Scene {
    pub capture: Capture,
    pub events: UnboundedReceiver<CaptureEvent>,
    /// Kept open, and never read.
    _warden: Link,
}

impl Scene {
    pub fn new(config: &LogConfig) -> Scene {
        let scene = Scene::holding(config);
        scene.capture.adopted();
        scene
    }

    /// One whose sinks take nothing yet.
    pub fn holding(config: &LogConfig) -> Scene {
        let (engine, warden) = Link::pair().unwrap();
        let (sender, events) = unbounded_channel();
        let capture = Capture::start(config, Arc::new(engine), sender).unwrap();
        Scene { capture, events, _warden: warden }
    }

    /// Starts a shell script as the run's program.
    pub fn run(&self, label: RunLabel, script: &str) -> Child {
        let run = label.run;
        self.capture.expect(label);
        let ((stdout, out), (stderr, err)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        let child = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.unwrap();
        self.capture.take(run, i32::try_from(child.id()).unwrap(), stdout.into(), stderr.into());
        child
    }

    /// Waits for the next run to drain.
    pub fn drained(&mut self) -> (RunId, [u64; 2], u64) {
        let start = Instant::now();
        loop {
            match self.events.try_recv() {
                Ok(CaptureEvent::Drained { run, received, dropped }) => return (run, received, dropped),
                Err(_) if start.elapsed() < LONG => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Turns until `done` says so.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "in vain: {what}");
        std::thread::yield_now();
    }
}

pub struct Run {
    pub job: String,
    pub target: LogTarget,
    pub pipes: [OwnedFd; 2],
    pub spools: BTreeMap<Stream, OwnedFd>,
    pub program: Child,
}

#[derive(Default)]
pub struct Warden {
    pub runs: BTreeMap<RunId, Run>,
    buffer: Vec<u8>,
}

/// A capturing process.
pub struct Engine {
    pub process: Child,
    pub link: Link,
}

impl Warden {
    pub fn start(&mut self, run: u64, job: &str, target: LogTarget, script: &str) {
        let ((stdout, out), (stderr, err)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        let child = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let pipes = [stdout.into(), stderr.into()];
        let run_of = Run { job: job.into(), target, pipes, spools: BTreeMap::new(), program: child.unwrap() };
        self.runs.insert(RunId(run), run_of);
    }

    /// A new engine, which adopts all runs.
    pub fn engine(&self, config: &LogConfig, stderr: Stdio) -> Engine {
        let (ours, theirs) = Link::pair().unwrap();
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "warden::engine_process", "--nocapture", "--test-threads=1"])
            .env("ROTAD_TEST_ENGINE", serde_json::to_string(config).unwrap())
            .stdin(theirs.as_fd().try_clone_to_owned().unwrap())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        for (run, of) in &self.runs {
            let adopt = Adopt {
                run: *run,
                context: serde_json::to_vec(&(&of.job, of.target)).unwrap(),
                state: AdoptState::Starting,
                spools: of.spools.keys().copied().collect(),
            };
            let fds: Vec<BorrowedFd<'_>> = of.pipes.iter().chain(of.spools.values()).map(AsFd::as_fd).collect();
            ours.send(&ToEngine::Adopt(Box::new(adopt)), &fds, true).unwrap();
        }
        ours.send(&ToEngine::Adopted, &[], true).unwrap();
        Engine { process, link: ours }
    }

    /// Hears the engine until `done`, or until it is gone.
    pub fn hear(&mut self, engine: &Engine, mut done: impl FnMut(&Warden) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < LONG, "the engine does not come to an end");
            let mut fds = [PollFd::new(engine.link.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(1u8)).unwrap();
            loop {
                match engine.link.receive(false, &mut self.buffer).unwrap() {
                    Received::Message(ToWarden::Spool { run, stream }, mut fds) => {
                        let before = self.runs.get_mut(&run).unwrap().spools.insert(stream, fds.remove(0));
                        assert!(before.is_none(), "a second spool for {run}");
                    }
                    Received::Message(ToWarden::Forget { run }, _) => {
                        self.runs.remove(&run).unwrap().program.wait().unwrap();
                    }
                    Received::Message(message, _) => panic!("{message:?}"),
                    Received::Nothing => break,
                    Received::Closed => return,
                }
            }
        }
    }

    /// Kills it, and hears what it said before.
    pub fn kill(&mut self, mut engine: Engine) {
        engine.process.kill().unwrap();
        engine.process.wait().unwrap();
        self.hear(&engine, |_| false);
    }
}

/// Not a test but the engine's process, when the warden above starts it.
#[test]
fn engine_process() {
    let Ok(config) = std::env::var("ROTAD_TEST_ENGINE") else { return };
    let config: LogConfig = serde_json::from_str(&config).unwrap();
    let link = Arc::new(Link::from_socket(std::io::stdin().as_fd().try_clone_to_owned().unwrap()));
    let (sender, mut events) = unbounded_channel();
    let capture = Capture::start(&config, link.clone(), sender).unwrap();
    let mut buffer = Vec::new();
    loop {
        match link.receive(true, &mut buffer).unwrap() {
            Received::Message(ToEngine::Adopt(adopt), fds) => {
                let (job, target): (String, LogTarget) = serde_json::from_slice(&adopt.context).unwrap();
                let mut fds = fds.into_iter();
                let pipes = [fds.next().unwrap(), fds.next().unwrap()];
                let spools = adopt.spools.iter().copied().zip(fds).collect();
                capture.adopt(label(adopt.run.0, &job, target), None, pipes, spools);
            }
            Received::Message(ToEngine::Adopted, _) => break,
            unexpected => panic!("{unexpected:?}"),
        }
    }
    capture.adopted();
    while let Some(CaptureEvent::Drained { run, .. }) = events.blocking_recv() {
        let _ = link.send(&ToWarden::Forget { run }, &[], true);
    }
}
