//! Output as a stream of [`Record`]s: what is kept of a run or a job, then whatever comes, until the run is over or the
//! client is gone. Records are held back only while more are already waiting, so that a line is seen while its job still
//! runs, and a job that prints much is kept up with.

use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::answer::Problem;
use super::ask::Engine;
use super::outflow::{HEARTBEAT, Outflow};
use super::record::{Lead, Record};
use crate::engine::{Request, RunView};
use crate::job::JobName;
use crate::sink::{Following, Line, Lines, TailEvent, Tails};
use crate::wire::RunId;

/// A run's output is over a little before the run is booked: how long to wait before the engine is asked again, at first
/// and at most. (A program may close its output long before it ends.)
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Output that was asked for.
#[derive(Debug)]
pub struct Stream {
    of: Of,
    follow: bool,
    lines: Option<usize>,
    from: Option<u64>,
}

#[derive(Debug)]
enum Of {
    Run(RunId, JobName),
    Job(JobName, usize),
    /// What the history has of a run that is forgotten.
    Copy(Box<RunView>, Vec<Copy>),
}

/// What the history has of an attempt's output.
#[derive(Debug)]
pub struct Copy {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Its last lines.
    pub lines: Vec<Line>,
    /// There were no others.
    pub whole: bool,
}

impl Stream {
    /// The output of one run.
    pub fn run(run: RunId, job: JobName, follow: bool) -> Self {
        Self { of: Of::Run(run, job), follow, lines: None, from: None }
    }

    /// The output of the last `runs` runs of a job, and of those to come.
    pub fn job(job: JobName, follow: bool, runs: usize) -> Self {
        Self { of: Of::Job(job, runs), follow, lines: None, from: None }
    }

    /// The end of the output of a run that is over, as the history has it.
    pub fn copy(view: RunView, copies: Vec<Copy>) -> Self {
        Self { of: Of::Copy(Box::new(view), copies), follow: false, lines: None, from: None }
    }

    /// Begin with this line of the run's last attempt, counted from 1. Then `lines` counts from there.
    pub fn from(self, from: Option<u64>) -> Self {
        Self { from, ..self }
    }

    /// Of what is kept, at most the last `lines` of each run.
    pub fn lines(self, lines: Option<usize>) -> Self {
        Self { lines, ..self }
    }

    /// Writes head and records.
    pub fn write(self, engine: &Engine, tails: &Tails, out: impl Write, chunked: bool) -> io::Result<()> {
        let mut writer = Writer {
            engine,
            out: Outflow::begin(out, chunked)?,
            most: self.lines.unwrap_or(usize::MAX),
            from: self.from,
            ending: Vec::new(),
            patience: ASK_AGAIN.0,
            asked: Instant::now(),
        };
        match (self.of, self.follow) {
            (Of::Run(run, job), true) => writer.follow_run(tails, run, &job)?,
            (Of::Run(run, job), false) => writer.kept(tails, run, &job).map(drop)?,
            (Of::Copy(view, copies), _) => writer.copy(*view, copies)?,
            (Of::Job(job, runs), true) => writer.follow_job(tails, &job, runs)?,
            (Of::Job(job, runs), false) => {
                for run in last(tails.runs_of(&job), runs) {
                    writer.kept(tails, run, &job)?;
                }
            }
        }
        writer.out.end()
    }
}

struct Writer<'a, W> {
    engine: &'a Engine,
    out: Outflow<W>,
    /// Lines of each run, of those that are kept.
    most: usize,
    /// The first line that is wanted.
    from: Option<u64>,
    /// Attempts whose output is over, and of whose runs nobody has said what becomes of them.
    ending: Vec<Ending>,
    /// Until they are asked for again.
    patience: Duration,
    asked: Instant,
}

/// An attempt whose output is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ending {
    run: RunId,
    attempt: u32,
    /// It was told that another follows.
    told: bool,
}

impl<W: Write> Writer<'_, W> {
    /// What is kept of a run, and its end if it is over. Gives back what was told of its attempts.
    fn kept(&mut self, tails: &Tails, run: RunId, job: &JobName) -> io::Result<Vec<Seam>> {
        let mut seams = Vec::new();
        for (id, attempt) in self.attempts(tails, run) {
            self.head(run, attempt, job)?;
            let tail = tails.of(id).unwrap_or_default();
            seams.push(Seam { run: id, known: tail.skipped + tail.lines.len() as u64, over: false });
            self.lines(run, tail.skipped, tail.lines)?;
        }
        if let Some(view) = self.ask(run).ok().filter(|view| view.state == "over") {
            seams.iter_mut().for_each(|seam| seam.over = true);
            self.out.record(&Record::End { end: Box::new(view) })?;
        }
        Ok(seams)
    }

    /// The attempts that are told of from what is kept: all of them, or where there shall be few lines the last. A run of whose
    /// output nothing is known has one.
    fn attempts(&self, tails: &Tails, run: RunId) -> Vec<(RunId, u32)> {
        let mut attempts = tails.attempts_of(run);
        if self.most != usize::MAX || self.from.is_some() {
            attempts.drain(..attempts.len().saturating_sub(1));
        }
        let number = |id: &RunId| (*id, tails.attempt(*id).map_or(1, |(_, attempt)| attempt));
        let known: Vec<(RunId, u32)> = attempts.iter().map(number).collect();
        if known.is_empty() { vec![(run, 1)] } else { known }
    }

    fn follow_run(&mut self, tails: &Tails, run: RunId, job: &JobName) -> io::Result<()> {
        let mut attempts = self.attempts(tails, run);
        loop {
            let mut last = (run, 1);
            for attempt in mem::take(&mut attempts) {
                last = attempt;
                self.head(run, attempt.1, job)?;
                self.follow_attempt(tails, run, attempt.0)?;
            }
            // Of an attempt that is yet to come, all is wanted.
            (self.most, self.from) = (usize::MAX, None);
            self.over(run, last.1);
            let newer = |tails: &Tails| -> Vec<(RunId, u32)> {
                let number = |id: RunId| Some((id, tails.attempt(id)?.1));
                let newer = tails.attempts_of(run).into_iter().filter(|id| *id > last.0);
                newer.filter_map(number).collect()
            };
            while attempts.is_empty() {
                // What is over may have had another attempt since it was looked for.
                let view = self.look(tails, run)?;
                attempts = newer(tails);
                match view {
                    _ if !attempts.is_empty() => {}
                    Look::Over(record) => return self.out.record(&record),
                    Look::GoesOn => {
                        self.out.flush()?;
                        std::thread::sleep(self.patience);
                        self.out.heartbeat()?;
                    }
                }
            }
            self.ending.clear();
        }
    }

    /// The lines of an attempt, to its end. One of whose output nothing is known has none.
    fn follow_attempt(&mut self, tails: &Tails, run: RunId, id: RunId) -> io::Result<()> {
        let Some((tail, events)) = tails.follow(id) else { return Ok(()) };
        // Lines told or known to be lost.
        let mut known = tail.skipped + tail.lines.len() as u64;
        self.lines(run, tail.skipped, tail.lines)?;
        loop {
            match self.wait(&events, HEARTBEAT)? {
                Ok((_, TailEvent::Lines(lines))) => {
                    self.dropped(run, lines.first.saturating_sub(known))?;
                    known = lines.first + lines.count;
                    self.batch(run, &lines, 0)?;
                }
                // The next lines tell how many there were before them.
                Ok((_, TailEvent::Dropped(_))) => {}
                Err(RecvTimeoutError::Timeout) => self.out.heartbeat()?,
                // What it printed last, and a client that did not read did not get, is still kept.
                Ok((_, TailEvent::Over)) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let tail = tails.of(id).unwrap_or_default();
        self.dropped(run, tail.skipped.saturating_sub(known))?;
        let told = usize::try_from(known.saturating_sub(tail.skipped)).unwrap_or(usize::MAX);
        tail.lines.iter().skip(told).try_for_each(|line| self.line(run, line))
    }

    fn follow_job(&mut self, tails: &Tails, job: &JobName, runs: usize) -> io::Result<()> {
        let events = tails.follow_job(job);
        // What is printed between these two moments is in both.
        let mut seams = Vec::new();
        for run in last(tails.runs_of(job), runs) {
            let told = self.kept(tails, run, job)?;
            if let Some((of, attempt)) = told.last().filter(|seam| !seam.over).and_then(|seam| tails.attempt(seam.run))
                && tails.of(told.last().map_or(run, |seam| seam.run)).is_some_and(|tail| tail.over)
            {
                // It waits for another attempt, or is about to be booked.
                self.over(of, attempt);
            }
            seams.extend(told);
        }
        let mut current = seams.last().map(|seam| seam.run);
        loop {
            let patience = if self.ending.is_empty() { HEARTBEAT } else { self.patience };
            match self.wait(&events, patience)? {
                Ok((id, event)) => {
                    let seam = seams.iter().find(|seam| seam.run == id);
                    let told = seam.map_or(0, |seam| seam.told(&event));
                    if told == u64::MAX {
                        continue;
                    }
                    let (run, attempt) = tails.attempt(id).unwrap_or((id, 1));
                    if current != Some(id) && !matches!(event, TailEvent::Over) {
                        self.head(run, attempt, job)?;
                        current = Some(id);
                    }
                    match event {
                        TailEvent::Lines(lines) => self.batch(run, &lines, told)?,
                        TailEvent::Dropped(count) => self.dropped(run, count)?,
                        TailEvent::Over => self.over(run, attempt),
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.out.heartbeat()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.settle(tails)?;
        }
    }

    fn head(&mut self, run: RunId, attempt: u32, job: &JobName) -> io::Result<()> {
        self.out.record(&Record::Run { run: run.to_string(), job: job.clone(), attempt })
    }

    /// What the history has, and the end.
    fn copy(&mut self, view: RunView, mut copies: Vec<Copy>) -> io::Result<()> {
        let run = RunId::parse(&view.run).unwrap_or(RunId(0));
        if self.most != usize::MAX || self.from.is_some() {
            copies.drain(..copies.len().saturating_sub(1));
        }
        for Copy { attempt, lines, whole } in copies {
            self.head(run, attempt, &view.job)?;
            if !whole {
                // Nor are these lines' numbers known.
                self.from = None;
                self.out.record(&Record::Skipped { skipped: 0, run: view.run.clone() })?;
            }
            self.lines(run, 0, lines)?;
        }
        self.out.record(&Record::End { end: Box::new(view) })
    }

    fn lines(&mut self, run: RunId, mut skipped: u64, mut lines: Vec<Line>) -> io::Result<()> {
        if let Some(before) = self.from.map(|from| from - 1) {
            // Only what is wanted and no longer kept is told to be missing.
            let unwanted = usize::try_from(before.saturating_sub(skipped)).unwrap_or(usize::MAX);
            lines.drain(..unwanted.min(lines.len()));
            lines.truncate(self.left(skipped, before));
            skipped = skipped.saturating_sub(before);
            if skipped > 0 {
                self.out.record(&Record::Skipped { skipped, run: run.to_string() })?;
            }
            return lines.iter().try_for_each(|line| self.line(run, line));
        }
        if lines.len() > self.most {
            // Who asks for the last lines knows that there are others.
            lines.drain(..lines.len() - self.most);
            return lines.iter().try_for_each(|line| self.line(run, line));
        }
        if skipped > 0 {
            self.out.record(&Record::Skipped { skipped, run: run.to_string() })?;
        }
        lines.iter().try_for_each(|line| self.line(run, line))
    }

    /// How many lines are wanted of those that are kept, where they are counted from the one behind `before`.
    fn left(&self, skipped: u64, before: u64) -> usize {
        let missing = usize::try_from(skipped.saturating_sub(before)).unwrap_or(usize::MAX);
        self.most.saturating_sub(missing)
    }

    fn line(&mut self, run: RunId, line: &Line) -> io::Result<()> {
        self.out.line(&Lead::new(line.at, run, line.stream), &line.bytes, line.open)
    }

    /// Lines that were read at once, but for those of them that were told already.
    fn batch(&mut self, run: RunId, lines: &Lines, told: u64) -> io::Result<()> {
        let lead = Lead::new(lines.at, run, lines.stream);
        let told = usize::try_from(told).unwrap_or(usize::MAX);
        lines.frames().skip(told).try_for_each(|frame| self.out.line(&lead, frame.bytes, frame.open))
    }

    fn dropped(&mut self, run: RunId, dropped: u64) -> io::Result<()> {
        if dropped > 0 { self.out.record(&Record::Dropped { dropped, run: run.to_string() }) } else { Ok(()) }
    }

    fn over(&mut self, run: RunId, attempt: u32) {
        if !self.ending.iter().any(|ending| (ending.run, ending.attempt) == (run, attempt)) {
            self.ending.push(Ending { run, attempt, told: false });
        }
        self.patience = ASK_AGAIN.0;
    }

    /// Tells the end of those whose output is over and that are booked by now.
    fn settle(&mut self, tails: &Tails) -> io::Result<()> {
        if self.ending.is_empty() || self.asked.elapsed() < self.patience {
            return self.out.heartbeat();
        }
        for run in self.ending.iter().map(|ending| ending.run).collect::<Vec<_>>() {
            if let Look::Over(record) = self.look(tails, run)? {
                self.out.record(&record)?;
            }
        }
        self.out.heartbeat()
    }

    /// Asks once what becomes of a run whose attempt's output is over.
    fn look(&mut self, tails: &Tails, run: RunId) -> io::Result<Look> {
        self.asked = Instant::now();
        self.patience = (self.patience * 2).min(ASK_AGAIN.1);
        let view = self.ask(run);
        let Some(at) = self.ending.iter().position(|ending| ending.run == run) else { return Ok(Look::GoesOn) };
        let ending = &mut self.ending[at];
        let look = match view {
            // The later one comes with lines and an end of its own.
            Ok(_) if newer(tails, run, ending.attempt) => {
                self.ending.remove(at);
                Look::GoesOn
            }
            Ok(view) if view.state == "over" => {
                self.ending.retain(|ending| ending.run != run);
                Look::Over(Record::End { end: Box::new(view) })
            }
            Err(problem) if problem.status() == 404 => {
                self.ending.retain(|ending| ending.run != run);
                Look::Over(Record::Gone { gone: run.to_string() })
            }
            Ok(view) if view.state == "retrying" && !ending.told => {
                ending.told = true;
                self.out.record(&Record::Retry { retry: Box::new(view) })?;
                Look::GoesOn
            }
            Ok(_) | Err(_) => Look::GoesOn,
        };
        Ok(look)
    }

    fn ask(&self, run: RunId) -> Result<RunView, Problem> {
        self.engine.ask(|reply| Request::Run(run, reply))
    }

    /// The next event. Before it waits, what was held back is sent.
    fn wait(&mut self, events: &Following, patience: Duration) -> io::Result<Next> {
        match events.next(Duration::ZERO) {
            Err(RecvTimeoutError::Timeout) => {
                self.out.flush()?;
                Ok(events.next(patience))
            }
            event => Ok(event),
        }
    }
}

/// What is to be told of a run whose attempt's output is over.
enum Look {
    /// Its end.
    Over(Record),
    /// Nothing yet.
    GoesOn,
}

/// A later attempt of the run has a tail.
fn newer(tails: &Tails, run: RunId, than: u32) -> bool {
    let attempts = tails.attempts_of(run);
    attempts.into_iter().filter_map(|id| tails.attempt(id)).any(|(_, attempt)| attempt > than)
}

type Next = Result<(RunId, TailEvent), RecvTimeoutError>;

/// The last `count` runs.
fn last(mut runs: Vec<RunId>, count: usize) -> Vec<RunId> {
    runs.split_off(runs.len().saturating_sub(count))
}

/// What was told of an attempt from what is kept, and may come once more as events.
struct Seam {
    run: RunId,
    /// Lines told or known to be lost.
    known: u64,
    /// So was its end.
    over: bool,
}

impl Seam {
    /// How many lines of the event were told; `u64::MAX` for all of it.
    fn told(&self, event: &TailEvent) -> u64 {
        match event {
            TailEvent::Lines(lines) if lines.first + lines.count <= self.known => u64::MAX,
            TailEvent::Lines(lines) => self.known.saturating_sub(lines.first),
            TailEvent::Over if self.over => u64::MAX,
            TailEvent::Dropped(_) | TailEvent::Over => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_runs() {
        let runs: Vec<RunId> = (0..5).map(RunId).collect();
        assert_eq!(last(runs.clone(), 2), [RunId(3), RunId(4)]);
        assert_eq!(last(runs.clone(), 9), runs);
        assert!(last(runs, 0).is_empty());
    }
}
