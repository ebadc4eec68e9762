//! Where the engine's own lines go: the journal where standard error is its stream, else standard error; by a thread of
//! its own, so that nobody who does not read can hold up the loop. What the thread cannot take is counted and said later.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Zoned;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::journal::{Journal, Said};
use crate::warden::say::stderr_is_journal;

/// Lines that wait for a slow reader.
const LINES: usize = 4096;

/// Events that have not reached their reader yet.
pub struct Unsaid(Arc<AtomicU64>);

impl Unsaid {
    /// Waits until all is said, but no longer than this: a reader may never read again. For the end of the process, which
    /// would take along what became of the last runs.
    pub fn wait(&self, longest: Duration) {
        let end = Instant::now() + longest;
        while self.0.load(Ordering::Acquire) > 0 && Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Makes `tracing` speak, and a panic be heard before it ends the process.
pub fn start(debug: bool) -> Unsaid {
    let (lines, waiting) = sync_channel(LINES);
    let (lost, unsaid) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let voice = Voice { lines, lost: lost.clone(), unsaid: unsaid.clone() };
    let left = Unsaid(unsaid.clone());
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let spawned = thread::Builder::new().name("voice".into()).spawn(move || speak(&waiting, &lost, &unsaid));
    if spawned.is_ok() {
        // Fails only where somebody else has installed one already, which then speaks instead.
        let _ = tracing_subscriber::registry().with(voice.with_filter(level)).try_init();
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Straight to standard error: the process is about to end, and with it the thread.
        let _ = writeln!(io::stderr(), "rotad: error: the engine panics: {panic}");
        before(panic);
    }));
    left
}

/// Says why the engine ends, past the thread: the process is about to end.
pub fn last_word(why: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "{}the engine ends: {why}", Style::find().lead(Level::ERROR));
}

fn speak(waiting: &Receiver<Said>, lost: &AtomicU64, unsaid: &AtomicU64) {
    let style = Style::find();
    let journal = matches!(style, Style::Journal).then(Journal::connect).flatten();
    let say = |said: &Said| match &journal {
        Some(journal) => journal.write(said),
        None => {
            let line = format!("{}{}\n", style.lead(said.level.unwrap_or(Level::INFO)), said.text);
            let _ = io::stderr().write_all(line.as_bytes());
        }
    };
    while let Ok(said) = waiting.recv() {
        say(&said);
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let text = format!("{missing} lines were dropped, nobody read them");
            say(&Said { level: Some(Level::WARN), text, code: Some("dropped".into()), ..Said::default() });
        }
        unsaid.fetch_sub(1, Ordering::Release);
    }
}

struct Voice {
    lines: SyncSender<Said>,
    lost: Arc<AtomicU64>,
    unsaid: Arc<AtomicU64>,
}

/// For whom the lines are.
#[derive(Debug, Clone, Copy)]
enum Style {
    /// Eyes: the time, and colour for what is wrong.
    Screen { colour: bool },
    /// The journal, which has a clock of its own and reads priorities.
    Journal,
    /// A file or a pipe.
    Plain,
}

impl Style {
    fn find() -> Self {
        if stderr_is_journal() {
            Self::Journal
        } else if io::stderr().is_terminal() {
            Self::Screen { colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
        } else {
            Self::Plain
        }
    }

    fn lead(self, level: Level) -> String {
        let word = match level {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            _ => "",
        };
        let priority = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        match self {
            Self::Journal => format!("<{priority}>"),
            Self::Plain => format!("rotad: {word}"),
            Self::Screen { colour: false } => format!("{}  {word}", Zoned::now().strftime("%H:%M:%S")),
            Self::Screen { colour: true } => {
                let hue = match level {
                    Level::ERROR => "\x1b[31m",
                    Level::WARN => "\x1b[33m",
                    _ => "",
                };
                format!("\x1b[2m{}\x1b[0m  {hue}{word}\x1b[0m", Zoned::now().strftime("%H:%M:%S"))
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Voice {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Hearing(Said { level: Some(*event.metadata().level()), ..Said::default() });
        event.record(&mut said);
        // A job's name or a file's text must not make a line of its own, nor speak to the terminal.
        said.0.text = said.0.text.replace(|c: char| c.is_control(), " ");
        // Before it is sent: the thread may be quicker.
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.lines.try_send(said.0) {
            self.unsaid.fetch_sub(1, Ordering::Relaxed);
            if matches!(error, TrySendError::Full(_)) {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Takes an event apart: the sentence with the error behind it, and the fields that the journal keeps.
struct Hearing(Said);

impl Visit for Hearing {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0.text, "{value:?}"),
            "error" => write!(self.0.text, ": {value:?}"),
            _ => Ok(()),
        };
        let kept = match field.name() {
            "job" => &mut self.0.job,
            "run" => &mut self.0.run,
            "attempt" => &mut self.0.attempt,
            "code" => &mut self.0.code,
            "file" => &mut self.0.file,
            _ => return,
        };
        *kept = Some(format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
