//! What the ledger says, and how it is written. Pure.
//!
//! ```text
//! rotad-ledger 2 BOOT-ID WARDEN-START
//! mark open|stopping|closed LAST-RUN SEEN
//! stretch NUMBER FROM TO
//! doubt FROM TO
//! run|over ATTEMPT RUN SINCE SLOT|- TRIGGER JOB
//! owed SLOT JOB
//! made FROM TO JOB
//! end
//! ```
//!
//! What is between `rotad-ledger` and `end` is one state: where the end is missing, only the runs are believed. Before the
//! second version there were a line `BOOT-ID WARDEN-START` and lines `ID SINCE SLOT|- JOB`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::Timestamp;

use crate::engine::core::{Span, Stretch, Ticket, Trigger};
use crate::job::JobName;
use crate::wire::{MAX_RUNS, RunId};

const TITLE: &str = "rotad-ledger 2 ";
/// Slots that are owed, and spans that were made up for, that are read. Ten thousand jobs have a few each.
const MOST: usize = 200_000;
/// Stretches that are read: those of a mark, and as many again.
const MOST_STRETCHES: usize = 32;

/// A run as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its present attempt.
    pub run: RunId,
    /// The run, as people see it.
    pub of: RunId,
    /// Of which job.
    pub job: JobName,
    /// Its slot; absent: it has none.
    pub slot: Option<Timestamp>,
    /// What began it.
    pub trigger: Trigger,
    /// When its program was started, or was about to be.
    pub since: Timestamp,
    /// It is over, and people know how it ended.
    pub over: bool,
}

impl Entry {
    /// That of a ticket which is carried out since then.
    pub fn of(job: &JobName, ticket: &Ticket, since: Timestamp) -> Self {
        let Ticket { run, of, slot, trigger, .. } = *ticket;
        Self { run, of, job: job.clone(), slot, trigger, since, over: false }
    }
}

/// What the ledger is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A run goes on.
    Enter(Entry),
    /// The same of one that is to start only once it is on the disk.
    Claim(Entry),
    /// It is over, and stands for its slot until the mark does.
    Over(RunId),
    /// It is over, and the mark has its slot.
    Strike(RunId),
    /// Slots are decided up to the end of the last of these stretches.
    Mark {
        /// Oldest first.
        stretches: Vec<Stretch>,
        /// What was due in here may have been started by daemons that were killed.
        doubts: Vec<Span>,
        /// The last run id that was given.
        last_run: RunId,
    },
    /// Slots of a job that are decided and yet to be run or decided anew, all of them.
    Owed(JobName, Vec<Timestamp>),
    /// Slots of a job that were made up for outside of watched time, all of them.
    Made(JobName, Vec<Span>),
    /// How far the daemon's end has come.
    End(End),
}

/// How far the daemon's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// It goes on; where that is the last word, it was killed.
    #[default]
    Open,
    /// It has begun: nothing more starts.
    Stopping,
    /// All runs were over: every slot up to the mark is decided, and none after it was started.
    Closed,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            End::Open => "open",
            End::Stopping => "stopping",
            End::Closed => "closed",
        }
    }
}

/// What an engine before left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// It was an engine of this very warden, which knows better than the ledger what runs.
    pub own: bool,
    /// How far the daemon's end had come.
    pub end: End,
    /// The machine went down since, not the daemon alone.
    pub rebooted: bool,
    /// When it was there for certain.
    pub seen: Option<Timestamp>,
    /// What was watched, oldest first.
    pub stretches: Vec<Stretch>,
    /// What was due in here may have been started by daemons before that were killed.
    pub doubts: Vec<Span>,
    /// The last run id that was given.
    pub last_run: RunId,
    /// Runs that went on, as they stand in the file, and those that stood for their slots.
    pub runs: Vec<Entry>,
    /// Slots that are to be decided anew.
    pub owed: BTreeMap<JobName, BTreeSet<Timestamp>>,
    /// Slots that were made up for outside of watched time.
    pub made: BTreeMap<JobName, Vec<Span>>,
}

impl Left {
    /// The runs that were lost with the daemon before: of each the last attempt.
    pub fn lost(&self) -> Vec<Entry> {
        let mut lost: BTreeMap<RunId, &Entry> = BTreeMap::new();
        for entry in self.runs.iter().filter(|entry| !self.own && !entry.over) {
            let last = lost.entry(entry.of).or_insert(entry);
            *last = if entry.run > last.run { entry } else { *last };
        }
        lost.into_values().cloned().collect()
    }
}

/// The state of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    runs: BTreeMap<RunId, Entry>,
    stretches: Vec<Stretch>,
    doubts: Vec<Span>,
    last_run: RunId,
    owed: BTreeMap<JobName, Vec<Timestamp>>,
    made: BTreeMap<JobName, Vec<Span>>,
    end: End,
}

impl Page {
    /// Takes a word in.
    pub fn hear(&mut self, word: Word) {
        match word {
            Word::Enter(entry) | Word::Claim(entry) => {
                if entry.run != entry.of {
                    // It stands for the slot, and for the attempts before.
                    self.runs.retain(|run, other| other.of != entry.of || *run >= entry.run);
                }
                self.runs.insert(entry.run, entry);
            }
            Word::Over(run) => {
                if let Some(entry) = self.runs.get_mut(&run) {
                    entry.over = true;
                }
            }
            Word::Strike(run) => drop(self.runs.remove(&run)),
            Word::Mark { stretches, doubts, last_run } => {
                (self.stretches, self.doubts, self.last_run) = (stretches, doubts, last_run);
            }
            Word::Owed(job, slots) if slots.is_empty() => drop(self.owed.remove(&job)),
            Word::Owed(job, slots) => drop(self.owed.insert(job, slots)),
            Word::Made(job, spans) if spans.is_empty() => drop(self.made.remove(&job)),
            Word::Made(job, spans) => drop(self.made.insert(job, spans)),
            Word::End(end) => self.end = end,
        }
    }

    /// As text, below a head that says whose it is. `seen`: now.
    pub fn write(&self, head: &str, seen: Timestamp) -> String {
        let mut text = format!("{TITLE}{head}\nmark {} {} {seen}\n", self.end.word(), self.last_run);
        for Stretch { number, from, to } in &self.stretches {
            let _ = writeln!(text, "stretch {number} {from} {to}");
        }
        for Span { since, until } in &self.doubts {
            let _ = writeln!(text, "doubt {since} {until}");
        }
        // A name may hold blanks, so it comes last; a String takes everything.
        for Entry { run, of, job, slot, trigger, since, over } in self.runs.values() {
            let kind = if *over { "over" } else { "run" };
            let slot = slot.map_or_else(|| "-".to_owned(), |slot| slot.to_string());
            let _ = writeln!(text, "{kind} {run} {of} {since} {slot} {} {job}", trigger.word());
        }
        for (job, slot) in self.owed.iter().flat_map(|(job, slots)| slots.iter().map(move |slot| (job, slot))) {
            let _ = writeln!(text, "owed {slot} {job}");
        }
        for (job, span) in self.made.iter().flat_map(|(job, spans)| spans.iter().map(move |span| (job, span))) {
            let _ = writeln!(text, "made {} {} {job}", span.since, span.until);
        }
        text.push_str("end\n");
        text
    }
}

/// The head of the ledger of a warden: the kernel's boot id and the warden's start.
pub fn head(boot: &str, warden: Timestamp) -> String {
    format!("{} {warden}", boot.trim())
}

/// What stands in a ledger, for whoever would write under `head`. `None`: it has no beginning that can be read.
pub fn read(text: &str, head: &str) -> Option<Left> {
    let (first, rest) = text.split_once('\n')?;
    let mut left = Left::default();
    let theirs = first.strip_prefix(TITLE);
    let whole = rest.ends_with("\nend\n") || rest == "end\n";
    for line in rest.lines() {
        match theirs {
            Some(_) => read_line(&mut left, line),
            None => read_run(&mut left, line, Kind::Old),
        };
    }
    let theirs = theirs.unwrap_or(first);
    left.own = theirs == head;
    let boot = |head: &str| head.split(' ').next().map(str::to_owned);
    left.rebooted = boot(theirs) != boot(head);
    if whole {
        return Some(left);
    }
    let Left { own, rebooted, last_run, runs, .. } = left;
    Some(Left { own, rebooted, last_run, runs, ..Left::default() })
}

/// A line that is cut or makes no sense says nothing.
fn read_line(left: &mut Left, line: &str) -> Option<()> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "run" => return read_run(left, rest, Kind::Going),
        "over" => return read_run(left, rest, Kind::Over),
        "mark" => {
            let mut words = rest.splitn(3, ' ');
            let word = words.next()?;
            left.end = [End::Stopping, End::Closed].into_iter().find(|end| end.word() == word).unwrap_or_default();
            left.last_run = RunId::parse(words.next()?)?;
            left.seen = Some(words.next()?.parse().ok()?);
        }
        "stretch" if left.stretches.len() < MOST_STRETCHES => {
            let mut words = rest.splitn(3, ' ');
            let number = words.next()?.parse().ok()?;
            let (from, to) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let stretch = Stretch { number, from, to };
            let follows = left.stretches.last().is_none_or(|last| last.number <= number);
            left.stretches.extend((from <= to && follows).then_some(stretch));
        }
        "doubt" if left.doubts.len() < MOST_STRETCHES => {
            let (since, until) = rest.split_once(' ')?;
            left.doubts.push(Span { since: since.parse().ok()?, until: until.parse().ok()? });
        }
        "owed" if left.owed.len() < MOST => {
            let (slot, job) = rest.split_once(' ')?;
            let slot = slot.parse().ok()?;
            left.owed.entry(JobName::parse(job).ok()?).or_default().insert(slot);
        }
        "made" if left.made.len() < MOST => {
            let mut words = rest.splitn(3, ' ');
            let (since, until) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            left.made.entry(JobName::parse(words.next()?).ok()?).or_default().push(Span { since, until });
        }
        _ => {}
    }
    Some(())
}

/// What a line of a run says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Going,
    Over,
    /// As the first version wrote it: it goes on.
    Old,
}

fn read_run(left: &mut Left, line: &str, kind: Kind) -> Option<()> {
    let old = kind == Kind::Old;
    let mut words = line.splitn(if old { 4 } else { 6 }, ' ');
    let run = RunId::parse(words.next()?)?;
    let of = if old { run } else { RunId::parse(words.next()?)? };
    let since = words.next()?.parse().ok()?;
    let slot = match words.next()? {
        "-" => None,
        slot => Some(slot.parse().ok()?),
    };
    let trigger = match old {
        false => Trigger::parse(words.next()?)?,
        true if slot.is_some() => Trigger::Schedule,
        true => Trigger::Request,
    };
    let job = JobName::parse(words.next()?).ok()?;
    if left.runs.len() < MAX_RUNS {
        left.runs.push(Entry { run, of, job, slot, trigger, since, over: kind == Kind::Over });
    }
    Some(())
}
