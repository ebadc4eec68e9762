//! A real endpoint on a real socket, with a small engine behind it that answers from what the test gave it.

#![allow(clippy::unwrap_used, dead_code, reason = "shared by several test programs")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rotad::conf::HistoryConfig;
use rotad::engine::core::{Ticket, Trigger};
use rotad::engine::{Change, Condition, Edit, Edited, Entry, Pause, PauseKind, Readiness, Text};
use rotad::engine::{FileView, JobView, Outcome, Refusal, Request, RunView, StatusView, Verdict, VerdictView};
use rotad::history::{AttemptRow, History, Row, SlotRow, SlotVerdict};
use rotad::job::{Finding, JobName, OnOverlap, Place};
use rotad::sink::Tails;
use rotad::wire::{Exit, RunId};
use tokio::sync::mpsc;

/// What the engine knows.
pub struct World {
    pub jobs: Vec<JobView>,
    pub runs: BTreeMap<RunId, RunView>,
    pub files: Vec<FileView>,
    /// The outcome of runs that are started; none: they go on.
    pub outcome: Option<Outcome>,
    /// Who asked for runs.
    pub asked_by: Vec<String>,
    pub stopped: Vec<RunId>,
    pub entries: Vec<Entry>,
    pub edits: Vec<Edit>,
}

/// A socket that answers.
pub struct Daemon {
    pub socket: PathBuf,
    pub world: Arc<Mutex<World>>,
    pub tails: Tails,
    pub history: History,
    _directory: tempfile::TempDir,
}

pub fn name(text: &str) -> JobName {
    JobName::parse(text).unwrap()
}

pub fn run_view(id: RunId, job: &JobName) -> RunView {
    RunView {
        run: id.to_string(),
        attempt: 1,
        attempts: 1,
        trigger: "request".into(),
        by: "uid 0".into(),
        next_attempt: None,
        job: job.clone(),
        slot: None,
        state: "running".into(),
        pid: Some(4711),
        started: Some(Timestamp::now()),
        ended: None,
        outcome: None,
        cpu_seconds: None,
        max_rss_kib: None,
        output_bytes: BTreeMap::new(),
        output_dropped: 0,
        left_behind: 0,
    }
}

pub fn over(mut view: RunView, outcome: Outcome) -> RunView {
    view.state = "over".into();
    view.pid = None;
    view.ended = Some(Timestamp::now());
    view.outcome = Some(outcome);
    view
}

pub fn exited(code: i32) -> Outcome {
    Outcome::Exited { exit: Exit::Code(code), success: code == 0 }
}

fn pause(kind: PauseKind) -> Pause {
    Pause { kind, id: 3, since: Timestamp::now(), until: None, reason: String::new(), by: "uid 0".into() }
}

fn job(text: &str) -> JobView {
    let name = name(text);
    JobView {
        name: name.clone(),
        file: format!("{}.yaml", name.file_stem()),
        enable: true,
        broken: false,
        pause: None,
        schedule: Some("0 3 * * *".into()),
        dialect: Some("vixie".into()),
        dst: None,
        timezone: Some("Europe/Berlin".into()),
        next: Some(Timestamp::now() + SignedDuration::from_secs(290)),
        command: vec!["/usr/bin/backup".into(), "--all data".into()],
        user: "nobody".into(),
        on_overlap: OnOverlap::Skip,
        running: Vec::new(),
        retrying: Vec::new(),
        last: None,
        verdicts: Vec::new(),
        labels: BTreeMap::new(),
        after: BTreeMap::new(),
        log: rotad::job::LogTarget::Auto,
    }
}

fn world() -> World {
    let mut backup = job("backup");
    let ended = over(run_view(RunId(7), &backup.name), exited(3));
    backup.last = Some(ended.clone());
    backup.verdicts = vec![VerdictView {
        slot: Timestamp::now() - SignedDuration::from_hours(5),
        verdict: Verdict::Missed { why: "down".into() },
        count: Some(3),
    }];
    backup.labels.insert("team".into(), "db".into());
    let mut broken = job("broken");
    broken.broken = true;
    let mut off = job("off");
    (off.enable, off.next) = (false, None);
    let mut manual = job("by hand @*");
    (manual.schedule, manual.dialect, manual.timezone, manual.next) = (None, None, None, None);
    let mut busy = job("busy");
    let going_on = run_view(RunId(8), &busy.name);
    busy.running.push(going_on.clone());
    let finding = Finding::error("unknown-key", "broken.yaml", "there is no key 'shedule'")
        .hint("did you mean 'schedule'?")
        .at(Some(Place { line: 2, column: 1, snippet: "shedule: x\u{1b}[2J".into() }));
    World {
        jobs: vec![backup, broken, busy, manual, off],
        runs: BTreeMap::from([(RunId(7), ended), (RunId(8), going_on)]),
        files: vec![FileView { file: "broken.yaml".into(), job: Some(name("broken")), findings: vec![finding] }],
        outcome: Some(exited(0)),
        asked_by: Vec::new(),
        stopped: Vec::new(),
        entries: entries(),
        edits: Vec::new(),
    }
}

/// An active, an on-demand, a paused and a disabled one.
fn entries() -> Vec<Entry> {
    let entry = |id, text: &str, next| {
        let job = rotad::job::read_job("a.yaml", text.as_bytes(), &jiff::tz::TimeZone::UTC, Timestamp::UNIX_EPOCH);
        Entry { id, job: job.unwrap().0.into(), next, previous: None, pause: None }
    };
    let soon = Some(Timestamp::now() + SignedDuration::from_secs(290));
    let pause = self::pause(PauseKind::Pause);
    let pause = Pause { until: soon, ..pause };
    vec![
        entry(Some(1), "name: a\ncommand: /bin/true\nschedule: '*/5 * * * *'\n", soon),
        entry(Some(2), "name: by hand\nscript: 'true'\n", None),
        Entry { pause: Some(pause), ..entry(None, "name: p\ncommand: x\nschedule: '@every 5m'\n", None) },
        entry(None, "name: off\nenable: false\ncommand: x\noverlap: true\nschedule: '@daily'\n", None),
    ]
}

impl World {
    fn status(&self) -> StatusView {
        StatusView {
            journal: None,
            version: "0.1.0".into(),
            started: Timestamp::now() - SignedDuration::from_hours(3),
            engine_restarts: 1,
            jobs: self.jobs.len(),
            paused: 0,
            held: None,
            disabled: 1,
            running: 1,
            retrying: 0,
            broken_files: self.files.len(),
            warnings: 2,
            next: self.jobs[0].next.map(|at| (self.jobs[0].name.clone(), at)),
            outcomes: BTreeMap::from([("ok".into(), 140), ("failed".into(), 2)]),
            output_dropped: 0,
            watch: "inotify".into(),
            history: None,
            beats: None,
            alarms: Vec::new(),
            stopping: false,
        }
    }

    fn job(&self, name: &JobName) -> Result<JobView, Refusal> {
        let hint = Some("rota list".into());
        let refusal = || Refusal { code: "no-such-job".into(), message: format!("there is no job '{name}'"), hint };
        self.jobs.iter().find(|job| job.name == *name).cloned().ok_or_else(refusal)
    }

    fn known(&self, name: &JobName) -> rotad::why::Known {
        let job = self.jobs.iter().find(|job| job.name == *name);
        rotad::why::Known {
            name: name.clone(),
            armed: job.map(|job| rotad::why::Standing {
                job: entries()[0].job.clone(),
                since: Timestamp::UNIX_EPOCH,
                anchor: Timestamp::UNIX_EPOCH,
                next: job.next,
            }),
            broken: None,
            pause: None,
            hold: None,
            running: Vec::new(),
            waiting: Vec::new(),
            verdicts: Vec::new(),
            decided: Timestamp::now(),
            started: Timestamp::now(),
            stopping: false,
        }
    }

    fn run(&self, run: RunId) -> Result<RunView, Refusal> {
        let refusal = || Refusal { code: "no-such-run".into(), message: format!("there is no run {run}"), hint: None };
        self.runs.get(&run).cloned().ok_or_else(refusal)
    }

    fn start(&mut self, name: &JobName, by: String) -> Result<RunId, Refusal> {
        let job = self.job(name)?;
        if !job.running.is_empty() {
            return Err(Refusal { code: "overlap".into(), message: format!("'{name}' is running"), hint: None });
        }
        self.asked_by.push(by);
        let id = RunId(self.runs.keys().last().unwrap().0 + 1);
        let view = run_view(id, name);
        self.runs.insert(id, self.outcome.clone().map_or(view.clone(), |outcome| over(view, outcome)));
        Ok(id)
    }

    fn answer(&mut self, request: Request) {
        // Whoever asked may be gone.
        match request {
            Request::Status(reply) | Request::Reload(reply) => drop(reply.send(Ok(self.status()))),
            Request::Jobs(reply) => drop(reply.send(Ok(self.jobs.clone()))),
            Request::Job(name, reply) => drop(reply.send(self.job(&name))),
            Request::Why(name, reply) => drop(reply.send(Ok(self.known(&name)))),
            Request::Run(run, reply) => drop(reply.send(self.run(run))),
            Request::Files(reply) => drop(reply.send(Ok(self.files.clone()))),
            Request::Start { name, by, reply } => drop(reply.send(self.start(&name, by))),
            Request::StopJob(name, reply) => drop(reply.send(self.job(&name).map(|job| {
                let runs: Vec<RunId> = job.running.iter().filter_map(|run| RunId::parse(&run.run)).collect();
                self.stopped.extend(&runs);
                runs
            }))),
            Request::StopRun(run, reply) => drop(reply.send(self.run(run).map(|_| {
                self.stopped.push(run);
                vec![run]
            }))),
            Request::Entries(reply) => drop(reply.send(Ok(self.entries.clone()))),
            Request::Edit(edit, reply) => {
                let name = match &edit.change {
                    Change::Define(keys) => &keys.name,
                    Change::Write { name, .. } | Change::Reschedule(name, _) => name,
                    Change::Delete(name) | Change::Remove(name, _) | Change::Disable(name) | Change::Resume(name) => {
                        name
                    }
                };
                let edited = self.job(name).map(|job| Edited { name: job.name, entry: 9, file: Some(job.file) });
                self.edits.push(edit);
                drop(reply.send(edited));
            }
            Request::Pause { name, reply, .. } => {
                drop(reply.send(self.job(&name).map(|job| Edited { name: job.name, entry: 9, file: None })));
            }
            Request::SkipNext { name, reply, .. } => {
                drop(reply.send(self.job(&name).map(|_| pause(PauseKind::SkipNext))));
            }
            Request::Hold { reply, .. } | Request::Release(reply) => drop(reply.send(Ok(pause(PauseKind::Hold)))),
            Request::Text(name, reply) => {
                drop(reply.send(
                    self.job(&name).map(|job| Text { file: Some(job.file), text: "command: /bin/true\n".into() }),
                ))
            }
            Request::Reset(reply) => drop(reply.send(Ok(self.status()))),
            Request::Beat(_, reply) | Request::Quit(reply) => drop(reply.send(Ok(()))),
            Request::Metrics(reply) => drop(reply.send(Ok(Box::default()))),
            Request::Alive(reply) => drop(reply.send(Ok(()))),
            Request::Ready(reply) => {
                let parts = BTreeMap::from([("beats".to_owned(), Condition::Failing)]);
                drop(reply.send(Ok(Readiness { status: Condition::Ok, parts })));
            }
            // Whoever asks for something else finds that nobody answers.
            #[allow(unreachable_patterns, reason = "what is new")]
            other => drop(other),
        }
    }
}

/// What happened to the job `backup`: a run of two attempts, a missed slot.
fn history(directory: &Path) -> History {
    let history = History::start(directory, Some(&HistoryConfig::default()), Box::new(|_| ()));
    let (job, now) = (name("backup"), Timestamp::now());
    let ticket = Ticket::first(RunId(5), Some(now - SignedDuration::from_hours(29)), Trigger::Schedule, String::new());
    let row = |ticket: &Ticket, code, hours| {
        let ended = now - SignedDuration::from_hours(hours);
        let started = Some(ended - SignedDuration::from_secs(9));
        let tail = b"one\ntwo\x1b[2J\n".to_vec();
        Box::new(AttemptRow { started, tail, ..AttemptRow::of(job.clone(), ticket, 255, exited(code), ended) })
    };
    let again = Some(now - SignedDuration::from_hours(28));
    history.note(Row::Attempt(Box::new(AttemptRow { next_attempt: again, ..*row(&ticket, 3, 29) })));
    history.note(Row::Attempt(row(&ticket.again(RunId(6)), 0, 28)));
    let missed = SlotVerdict::Missed("down".into());
    history.note(Row::Slot(SlotRow::one(job, now - SignedDuration::from_hours(5), missed, now)));
    until("the history has all of it", || {
        history
            .entries(&rotad::history::Filter { limit: 9, ..Default::default() })
            .is_ok_and(|page| page.rows.len() == 2)
    });
    history
}

impl Daemon {
    pub fn start() -> Daemon {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("rotad.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (requests, mut inbox) = mpsc::channel(16);
        let tails = Tails::default();
        let (_, ports) = mpsc::unbounded_channel();
        let config = rotad::conf::Config::first_look().unwrap();
        let history = history(directory.path());
        rotad::api::serve(OwnedFd::from(listener), ports, &config, requests, tails.clone(), history.clone()).unwrap();
        let world = Arc::new(Mutex::new(world()));
        let answering = Arc::clone(&world);
        std::thread::spawn(move || {
            while let Some(request) = inbox.blocking_recv() {
                answering.lock().unwrap().answer(request);
            }
        });
        Daemon { socket, world, tails, history, _directory: directory }
    }

    pub fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).unwrap()
    }

    /// Sends bytes, and reads until the other end closes. A server that has seen enough need not read them all.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _enough = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    /// Status and body.
    pub fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let answer = self.raw(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub fn rota(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = rota(args);
        command.env("ROTAD_SOCKET", &self.socket);
        command
    }
}

/// The real program, without a daemon.
pub fn rota(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rota"));
    command.args(args).env_remove("ROTAD_SOCKET").env_remove("XDG_RUNTIME_DIR").env("TZ", "UTC");
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Waits for a condition.
#[track_caller]
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
