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
use crate::sink::{Following, Line, Lines, Tail, TailEvent, Tails};
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
    Copy(Box<RunView>, Tail),
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
    pub fn copy(view: RunView, tail: Tail) -> Self {
        Self { of: Of::Copy(Box::new(view), tail), follow: false, lines: None, from: None }
    }

    /// Begin with this line of the run, counted from 1. Then `lines` counts from there.
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
            (Of::Copy(view, tail), _) => writer.copy(*view, tail)?,
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
    /// Runs whose output is over, and which are not yet booked.
    ending: Vec<RunId>,
    /// Until they are asked for again.
    patience: Duration,
    asked: Instant,
}

impl<W: Write> Writer<'_, W> {
    /// What is kept of a run, and its end if it is over. Gives back how many lines it has had, and whether its end was told.
    fn kept(&mut self, tails: &Tails, run: RunId, job: &JobName) -> io::Result<(u64, bool)> {
        self.out.record(&Record::Run { run: run.to_string(), job: job.clone() })?;
        let tail = tails.of(run).unwrap_or_default();
        let known = tail.skipped + tail.lines.len() as u64;
        self.lines(run, tail.skipped, tail.lines)?;
        let view = self.ask(run).ok().filter(|view| view.state == "over");
        let over = view.is_some();
        if let Some(view) = view {
            self.out.record(&Record::End { end: Box::new(view) })?;
        }
        Ok((known, over))
    }

    fn follow_run(&mut self, tails: &Tails, run: RunId, job: &JobName) -> io::Result<()> {
        self.out.record(&Record::Run { run: run.to_string(), job: job.clone() })?;
        // A run of whose output nothing is known is still worth waiting for.
        if let Some((tail, events)) = tails.follow(run) {
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
            let tail = tails.of(run).unwrap_or_default();
            self.dropped(run, tail.skipped.saturating_sub(known))?;
            let told = usize::try_from(known.saturating_sub(tail.skipped)).unwrap_or(usize::MAX);
            tail.lines.iter().skip(told).try_for_each(|line| self.line(run, line))?;
        }
        self.over(run);
        while !self.ending.is_empty() {
            self.settle()?;
            if !self.ending.is_empty() {
                self.out.flush()?;
                std::thread::sleep(self.patience);
            }
        }
        Ok(())
    }

    fn follow_job(&mut self, tails: &Tails, job: &JobName, runs: usize) -> io::Result<()> {
        let events = tails.follow_job(job);
        // What is printed between these two moments is in both.
        let mut seams = Vec::new();
        for run in last(tails.runs_of(job), runs) {
            let (known, over) = self.kept(tails, run, job)?;
            seams.push(Seam { run, known, over });
        }
        let mut current = seams.last().map(|seam| seam.run);
        loop {
            let patience = if self.ending.is_empty() { HEARTBEAT } else { self.patience };
            match self.wait(&events, patience)? {
                Ok((run, event)) => {
                    let seam = seams.iter().find(|seam| seam.run == run);
                    let told = seam.map_or(0, |seam| seam.told(&event));
                    if told == u64::MAX {
                        continue;
                    }
                    if current != Some(run) && !matches!(event, TailEvent::Over) {
                        self.out.record(&Record::Run { run: run.to_string(), job: job.clone() })?;
                        current = Some(run);
                    }
                    match event {
                        TailEvent::Lines(lines) => self.batch(run, &lines, told)?,
                        TailEvent::Dropped(count) => self.dropped(run, count)?,
                        TailEvent::Over => self.over(run),
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.out.heartbeat()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.settle()?;
        }
    }

    fn copy(&mut self, view: RunView, tail: Tail) -> io::Result<()> {
        let run = RunId::parse(&view.run).unwrap_or(RunId(0));
        self.out.record(&Record::Run { run: view.run.clone(), job: view.job.clone() })?;
        self.lines(run, tail.skipped, tail.lines)?;
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

    fn over(&mut self, run: RunId) {
        self.ending.push(run);
        self.patience = ASK_AGAIN.0;
    }

    /// Tells the end of those whose output is over and that are booked by now.
    fn settle(&mut self) -> io::Result<()> {
        if self.asked.elapsed() < self.patience {
            return self.out.heartbeat();
        }
        self.asked = Instant::now();
        self.patience = (self.patience * 2).min(ASK_AGAIN.1);
        for run in mem::take(&mut self.ending) {
            match self.ask(run) {
                Ok(view) if view.state == "over" => self.out.record(&Record::End { end: Box::new(view) })?,
                Err(problem) if problem.status() == 404 => self.out.record(&Record::Gone { gone: run.to_string() })?,
                Ok(_) | Err(_) => self.ending.push(run),
            }
        }
        self.out.heartbeat()
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

type Next = Result<(RunId, TailEvent), RecvTimeoutError>;

/// The last `count` runs.
fn last(mut runs: Vec<RunId>, count: usize) -> Vec<RunId> {
    runs.split_off(runs.len().saturating_sub(count))
}

/// What was told of a run from what is kept, and may come once more as events.
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
