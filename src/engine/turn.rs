//! The loop. It waits for the first thing that happens, takes it in, lets time pass, and does what the core decides.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::alarms::Alarming;
use super::beats::Beating;
use super::boot::Boot;
use super::core::{Event, Now, Setting, State};
use super::edits::{Edits, Reload};
use super::errands::Listening;
use super::greet::Greeting;
use super::keep::{Keeper, Kept};
use super::ledger::{self, Ledger};
use super::opener::{Ask, Asked, WardenOpener};
use super::outbox::Outbox;
use super::record::{Pasts, Recorder};
use super::request::Request;
use super::status::Status;
use super::timer::Alarm;
use super::{Broken, ready};
use crate::api;
use crate::conf::{self, Command, Commands, Config, Opened, Policy, Trust, Update};
use crate::history::History;
use crate::metrics::Tallies;
use crate::run::{Capture, CaptureEvent};
use crate::wire::{Link, Received, RunId, ToEngine, ToWarden};

/// Messages of the warden that one turn takes.
const BURST: usize = 256;
/// Requests that wait for the loop.
const REQUESTS: usize = 64;
/// Requests that wait for the first snapshot, more than the endpoint has places for: so who only asks whether the loop lives
/// stands behind none of them.
const EARLY: usize = 1024;
/// Updates of `conf.d` that wait for the loop; behind them the reader only remembers the latest state of each file.
const UPDATES: usize = 4;

/// The loop and what it owns.
pub struct Engine {
    pub(super) state: State,
    pub(super) config: Config,
    pub(super) outbox: Outbox,
    pub(super) capture: Capture,
    pub(super) opener: WardenOpener,
    pub(super) trust: Trust,
    /// Where those who read environment files say what they found.
    pub(super) prepared: mpsc::UnboundedSender<Event>,
    /// Reloads that are asked for, by token.
    pub(super) reloads: BTreeMap<u64, Reload>,
    /// Edits that are on their way.
    pub(super) edits: Edits,
    /// The daemon is to end, as soon as whoever asked for it knows.
    pub(super) quit: Option<Instant>,
    pub(super) commands: Commands,
    pub(super) listening: Listening,
    /// Where the TCP port goes, should the warden get it later.
    ports: mpsc::UnboundedSender<OwnedFd>,
    pub(super) beating: Beating,
    pub(super) alarming: Alarming,
    pub(super) keeper: Keeper,
    pub(super) history: History,
    pub(super) recorder: Recorder,
    /// What monitors want counted.
    pub(super) tallies: Tallies,
    status: Status,
    asked: Asked,
    link: AsyncFd<Arc<Link>>,
    buffer: Vec<u8>,
    /// The warden had more to say than a turn takes.
    more: bool,
    alarm: Alarm,
    inbox: Inbox,
    /// Requests that came before the first snapshot is armed: "no such job" would be a lie.
    early: Vec<Request>,
    boot: Option<Boot>,
    pub(super) ledger: Ledger,
    /// Runs that ended with an earlier warden, until the first snapshot is whole, and whether the machine went down.
    pub(super) cut: (Vec<ledger::Entry>, bool),
    /// Runs whose pipes came with their adoption.
    pub(super) piped: BTreeSet<RunId>,
    pub(super) ready: bool,
    pub(super) stopping: bool,
    began: Instant,
    last_token: u64,
}

struct Inbox {
    updates: mpsc::Receiver<Update>,
    capture: mpsc::UnboundedReceiver<CaptureEvent>,
    requests: mpsc::Receiver<Request>,
    asks: mpsc::UnboundedReceiver<Ask>,
    prepared: mpsc::UnboundedReceiver<Event>,
    pasts: mpsc::UnboundedReceiver<Option<Pasts>>,
}

/// What a turn begins with.
enum Happened {
    Warden,
    Room,
    Update(Update),
    Output(CaptureEvent),
    Asked(Box<Request>),
    Open(Ask),
    Prepared(Event),
    Pasts(Option<Pasts>),
    Time,
}

impl Engine {
    /// Starts every part, and takes over the runs of the engine before.
    pub fn start(link: Arc<Link>, greeting: Greeting) -> Result<Self, Broken> {
        let Greeting { welcome, listener, port, adopted } = greeting;
        let config = welcome.config;
        let trust = if config.as_root { Trust::of_root() } else { Trust::of_user() };
        let (prepared, prepared_in) = mpsc::unbounded_channel();
        let (asks, asks_in) = mpsc::unbounded_channel();
        let (updates, updates_in) = mpsc::channel(UPDATES);
        let (requests, requests_in) = mpsc::channel(REQUESTS);
        let (output, output_in) = mpsc::unbounded_channel();
        let started = |what| move |error| Broken::Start(what, error);

        let capture = Capture::start(&config.log, link.clone(), output).map_err(started("the capture of output"))?;
        let opener = WardenOpener::new(asks);
        let policy = Policy { config: config.clone(), zone: TimeZone::system, started: welcome.started };
        let (commands, _) = conf::watch(opener.clone(), policy, updates).map_err(started("watching conf.d"))?;
        let (ports, ports_in) = mpsc::unbounded_channel();
        port.into_iter().for_each(|port| drop(ports.send(port)));
        let (known, pasts_in) = mpsc::unbounded_channel();
        let ready = Box::new(move |tallies| known.send(tallies).unwrap_or_default());
        let history = History::start(&config.state_dir, config.history.as_ref(), ready);
        if let Err(error) = api::serve(listener, ports_in, &config, requests, capture.tails(), history.clone()) {
            // Jobs run without it (G102).
            tracing::error!(code = "endpoint", "the HTTP endpoint does not run: {error}");
        }
        if welcome.generation > 0 {
            let runs = adopted.len();
            tracing::warn!(code = "engine-replaced", "a new engine takes over ({runs} runs go on)");
        }
        let (keeper, Kept { pauses, hold }) =
            Keeper::start(&config.state_dir).map_err(started("the keeper of pauses"))?;
        let boot = Boot::new(&config.state_dir);
        let claims = prepared.clone();
        // Nobody receives when the engine ends.
        let claimed = Box::new(move |runs| drop(claims.send(Event::Claimed(runs))));
        let (ledger, left) = Ledger::open(&config.state_dir, welcome.started, claimed);
        let cut = (left.lost(), left.rebooted);
        let setting = Setting {
            started: welcome.started,
            jobs_user: config.jobs_user.clone(),
            generation: welcome.generation,
            log: config.log.target,
            journal: super::journal::find(),
            boot: boot.is_fresh(),
            mark: welcome.mark,
            left,
            pauses,
            hold,
        };
        let began = Instant::now();
        let mut engine = Self {
            state: State::new(setting, now(began)),
            outbox: Outbox::new(link.clone()),
            capture,
            opener,
            trust,
            listening: Listening::new(prepared.clone()),
            alarming: Alarming::new(&config),
            beating: Beating::new(config.crond.as_ref(), welcome.started, now(began)),
            prepared,
            reloads: BTreeMap::new(),
            edits: Edits::default(),
            quit: None,
            commands,
            keeper,
            recorder: Recorder::new(history.tail()),
            history,
            tallies: Tallies::default(),
            ports,
            status: Status::default(),
            asked: Asked::default(),
            link: ready::watch(link).map_err(Broken::Link)?,
            buffer: Vec::new(),
            more: false,
            alarm: Alarm::new().map_err(started("the alarm clock"))?,
            inbox: Inbox {
                updates: updates_in,
                capture: output_in,
                requests: requests_in,
                asks: asks_in,
                prepared: prepared_in,
                pasts: pasts_in,
            },
            early: Vec::new(),
            boot: boot.is_fresh().then_some(boot),
            ledger,
            cut,
            piped: BTreeSet::new(),
            ready: false,
            stopping: false,
            began,
            last_token: 0,
            config,
        };
        for (adopt, fds) in adopted {
            engine.adopt(adopt, fds)?;
        }
        engine.capture.adopted();
        engine.check_beat_program();
        engine.record_start();
        Ok(engine)
    }

    /// Turns until the warden says that all is over.
    pub async fn run(&mut self) -> Result<(), Broken> {
        loop {
            let goes_on = match self.wait().await {
                Happened::Warden => self.hear_warden()?,
                Happened::Room => true,
                Happened::Update(update) => self.take_update(update)?,
                Happened::Output(event) => self.take_output(event)?,
                Happened::Asked(request) => self.hear_request(*request)?,
                Happened::Open(ask) => self.pass_on(ask)?,
                Happened::Prepared(event) => self.step(event)?,
                Happened::Pasts(pasts) => self.take_pasts(pasts),
                Happened::Time => true,
            };
            if !goes_on {
                // All is over, or another engine takes over: whoever outlives its warden does so only up to here.
                self.outbox.flush().map_err(Broken::Link)?;
                self.ledger.close();
                if self.stopping {
                    self.alarming.finish();
                }
                self.close_history();
                return Ok(());
            }
            self.step(Event::Wake)?;
            self.pass_beats();
            self.pass_alarms();
            self.outbox.flush().map_err(Broken::Link)?;
            self.settle()?;
        }
    }

    /// Waits for the first thing that happens. Nothing here wakes an idle engine.
    async fn wait(&mut self) -> Happened {
        let mono = self.state.next_mono().into_iter().chain(self.beating.due()).chain(self.alarming.due()).min();
        let mono = mono.map(|mono| self.began + mono);
        let until = mono.into_iter().chain(self.status.due()).chain(self.quit).min();
        let sleep = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = std::future::ready(()), if self.more => Happened::Warden,
            ready = self.link.readable() => { ready.map(|mut ready| ready.clear_ready()).ok(); Happened::Warden }
            ready = self.link.writable(), if self.outbox.is_full() => {
                ready.map(|mut ready| ready.clear_ready()).ok();
                Happened::Room
            }
            Some(update) = self.inbox.updates.recv() => Happened::Update(update),
            Some(event) = self.inbox.capture.recv() => Happened::Output(event),
            Some(request) = self.inbox.requests.recv(), if self.early.len() < EARLY => Happened::Asked(Box::new(request)),
            Some(ask) = self.inbox.asks.recv() => Happened::Open(ask),
            Some(event) = self.inbox.prepared.recv() => Happened::Prepared(event),
            Some(pasts) = self.inbox.pasts.recv() => Happened::Pasts(pasts),
            () = self.alarm.wait() => Happened::Time,
            () = sleep => Happened::Time,
        }
    }

    /// Takes what the warden has said, a burst at most. `false`: it will say no more.
    fn hear_warden(&mut self) -> Result<bool, Broken> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut goes_on = true;
        self.more = true;
        for _ in 0..BURST {
            match self.link.get_ref().receive::<ToEngine>(false, &mut buffer).map_err(Broken::Link)? {
                Received::Message(message, fds) => self.obey(message, fds)?,
                Received::Nothing => self.more = false,
                Received::Closed => (self.more, goes_on) = (false, false),
            }
            if !self.more {
                break;
            }
        }
        self.buffer = buffer;
        Ok(goes_on)
    }

    fn obey(&mut self, message: ToEngine, fds: Vec<OwnedFd>) -> Result<(), Broken> {
        match message {
            ToEngine::Started { run, pid, at } => {
                if self.state.is_errand(run) {
                    self.listening.listen(run, fds);
                } else {
                    match (<[OwnedFd; 2]>::try_from(fds), self.piped.remove(&run)) {
                        (Ok([stdout, stderr]), false) => self.capture.take(run, pid, stdout, stderr),
                        _ => self.capture.lead(run, pid),
                    }
                }
                self.step(Event::Started { run, pid, at })?;
            }
            ToEngine::NotStarted { run, failure } => drop(self.step(Event::NotStarted { run, failure })?),
            ToEngine::Ended { run, ended } => drop(self.step(Event::Ended { run, ended })?),
            ToEngine::Left { run, processes } => drop(self.step(Event::Left { run, processes })?),
            ToEngine::Opened { request, keeper } => {
                let opened = fds.into_iter().next().ok_or_else(|| io::Error::other("the warden sent no descriptor"));
                self.asked.answer(request, opened.map(|file| Some(Opened { file, keeper })));
            }
            ToEngine::NotOpened { request, errno } | ToEngine::NotWritten { request, errno } => {
                self.asked.answer(request, Err(io::Error::from_raw_os_error(errno)));
            }
            ToEngine::Written { request } => self.asked.answer(request, Ok(None)),
            ToEngine::Ping { count } => {
                self.send(&ToWarden::Pong { count })?;
                self.commands.send(Command::CheckIdentity);
            }
            ToEngine::Port => fds.into_iter().for_each(|port| drop(self.ports.send(port))),
            ToEngine::Reload => self.reload(Reload::Warden),
            ToEngine::Drain { grace } => {
                self.stopping = true;
                self.step(Event::Drain { grace })?;
            }
            ToEngine::Welcome(_) | ToEngine::Adopt(_) | ToEngine::Adopted => {
                return Err(Broken::Protocol("a greeting in the middle of the talk"));
            }
        }
        Ok(())
    }

    /// Answers; or, before the first snapshot is armed, remembers to.
    fn hear_request(&mut self, request: Request) -> Result<bool, Broken> {
        if self.ready || matches!(request, Request::Alive(_) | Request::Ready(_)) {
            return self.answer(request);
        }
        self.early.push(request);
        Ok(true)
    }

    /// The first snapshot is armed: who waited for it is answered.
    pub(super) fn answer_early(&mut self) -> Result<(), Broken> {
        std::mem::take(&mut self.early).into_iter().try_for_each(|request| self.answer(request).map(drop))
    }

    /// What waits, by queue.
    pub(super) fn queues(&self, errands: u64) -> Vec<(&'static str, u64)> {
        let Inbox { updates, capture, requests, asks, prepared, .. } = &self.inbox;
        vec![
            ("errands", errands),
            ("requests", (requests.len() + self.early.len()) as u64),
            ("definitions", updates.len() as u64),
            ("output", capture.len() as u64),
            ("files", (asks.len() + prepared.len()) as u64),
            ("warden", self.outbox.len() as u64),
            ("history", self.history.status().waiting as u64),
        ]
    }

    fn take_output(&mut self, event: CaptureEvent) -> Result<bool, Broken> {
        let CaptureEvent::Drained { run, received, dropped } = event;
        self.step(Event::Drained { run, received, dropped })
    }

    fn pass_on(&mut self, ask: Ask) -> Result<bool, Broken> {
        let (message, beside) = self.asked.ask(ask);
        self.outbox.send(&message, beside).map_err(Broken::Link)?;
        Ok(true)
    }

    /// What a request to the thread of definitions and its answer know each other by.
    pub(super) fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }

    /// Ends what is to end, sets the alarm for the next slot, and tells systemd how things stand.
    fn settle(&mut self) -> Result<(), Broken> {
        if self.quit.take_if(|at| *at <= Instant::now()).is_some() {
            self.send(&ToWarden::Quit)?;
        }
        self.alarm.set(self.state.next_wall()).map_err(|error| Broken::Start("the alarm clock", error))?;
        if let Some(boot) = self.boot.take_if(|_| self.ready && self.state.booted()) {
            tokio::task::spawn_blocking(move || boot.stamp());
        }
        if let Some(text) = self.status.text(&self.state, Instant::now(), self.ready) {
            self.send(&ToWarden::Status { text })?;
        }
        Ok(())
    }

    /// Has the core take in an event, and does what it decides.
    pub(super) fn step(&mut self, event: Event) -> Result<bool, Broken> {
        let effects = self.state.step(event, self.now());
        self.perform(effects)?;
        Ok(true)
    }

    pub(super) fn send(&mut self, message: &ToWarden) -> Result<(), Broken> {
        self.outbox.send(message, None).map_err(Broken::Link)
    }

    pub(super) fn now(&self) -> Now {
        now(self.began)
    }
}

fn now(began: Instant) -> Now {
    Now { wall: Timestamp::now(), mono: began.elapsed() }
}
