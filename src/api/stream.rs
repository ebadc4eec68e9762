//! Output as a stream of [`Record`]s: what is kept of a run or a job, then whatever comes, until the run is over or the
//! client is gone. Records are held back only while more are already waiting, so that a line is seen while its job still
//! runs, and a job that prints much is kept up with.

use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::answer::Problem;
use super::ask::Engine;
use super::outflow::{HEARTBEAT, Outflow};
use super::record::{LineRecord, Record};
use crate::engine::{Request, RunView};
use crate::job::JobName;
use crate::sink::{Line, Tail, TailEvent, Tails};
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
}

#[derive(Debug)]
enum Of {
    Run(RunId, JobName),
    Job(JobName, usize),
}

impl Stream {
    /// The output of one run.
    pub fn run(run: RunId, job: JobName, follow: bool) -> Self {
        Self { of: Of::Run(run, job), follow, lines: None }
    }

    /// The output of the last `runs` runs of a job, and of those to come.
    pub fn job(job: JobName, follow: bool, runs: usize) -> Self {
        Self { of: Of::Job(job, runs), follow, lines: None }
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
            ending: Vec::new(),
            patience: ASK_AGAIN.0,
            asked: Instant::now(),
        };
        match (self.of, self.follow) {
            (Of::Run(run, job), true) => writer.follow_run(tails, run, &job)?,
            (Of::Run(run, job), false) => writer.kept(tails, run, &job).map(drop)?,
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
    /// Runs whose output is over, and which are not yet booked.
    ending: Vec<RunId>,
    /// Until they are asked for again.
    patience: Duration,
    asked: Instant,
}

impl<W: Write> Writer<'_, W> {
    /// What is kept of a run, and its end if it is over. Gives back what was told.
    fn kept(&mut self, tails: &Tails, run: RunId, job: &JobName) -> io::Result<Seam> {
        self.out.record(&Record::Run { run: run.to_string(), job: job.clone() })?;
        let tail = tails.of(run).unwrap_or_default();
        self.lines(run, tail.skipped, tail.lines.clone())?;
        let view = self.ask(run).ok().filter(|view| view.state == "over");
        let over = view.is_some();
        if let Some(view) = view {
            self.out.record(&Record::End { end: Box::new(view) })?;
        }
        Ok(Seam { lines: tail.lines, over })
    }

    fn follow_run(&mut self, tails: &Tails, run: RunId, job: &JobName) -> io::Result<()> {
        self.out.record(&Record::Run { run: run.to_string(), job: job.clone() })?;
        // A run of whose output nothing is known is still worth waiting for.
        if let Some((tail, events)) = tails.follow(run) {
            // Lines told or known to be lost, and the last of them.
            let mut known = tail.skipped + tail.lines.len() as u64;
            let mut last = tail.lines.last().cloned();
            // Of those, lost since then.
            let mut dropped = 0;
            let mut over = tail.over;
            self.lines(run, tail.skipped, tail.lines)?;
            while !over {
                match self.wait(&events, HEARTBEAT)? {
                    Ok(TailEvent::Line(line)) => {
                        self.dropped(run, mem::take(&mut dropped))?;
                        known += 1;
                        last = Some(line.clone());
                        self.line(run, line)?;
                    }
                    Ok(TailEvent::Dropped(count)) => {
                        known += count;
                        dropped += count;
                    }
                    Err(RecvTimeoutError::Timeout) => self.out.heartbeat()?,
                    // What it printed last, faster than could be told, is still kept.
                    Ok(TailEvent::Over) | Err(RecvTimeoutError::Disconnected) => {
                        self.rest(run, tails.of(run).unwrap_or_default(), known - dropped, last.as_ref())?;
                        over = true;
                    }
                }
            }
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

    /// What is kept of a run behind the `last` line that was told, and how many lines are missing before that.
    fn rest(&mut self, run: RunId, tail: Tail, known: u64, last: Option<&Line>) -> io::Result<()> {
        let told = tail.lines.iter().rposition(|line| Some(line) == last).map_or(0, |at| at + 1);
        let all = tail.skipped + tail.lines.len() as u64;
        let new = &tail.lines[told..];
        self.dropped(run, all.saturating_sub(known + new.len() as u64))?;
        new.iter().try_for_each(|line| self.line(run, line.clone()))
    }

    fn follow_job(&mut self, tails: &Tails, job: &JobName, runs: usize) -> io::Result<()> {
        let events: Receiver<(RunId, TailEvent)> = tails.follow_job(job);
        // What is printed between these two moments is in both.
        let mut seams = Vec::new();
        for run in last(tails.runs_of(job), runs) {
            seams.push((run, self.kept(tails, run, job)?));
        }
        let mut current = seams.last().map(|(run, _)| *run);
        loop {
            let patience = if self.ending.is_empty() { HEARTBEAT } else { self.patience };
            match self.wait(&events, patience)? {
                Ok((run, event)) => {
                    if let Some((_, seam)) = seams.iter_mut().find(|(of, _)| *of == run)
                        && seam.holds(&event)
                    {
                        continue;
                    }
                    if current != Some(run) && !matches!(event, TailEvent::Over) {
                        self.out.record(&Record::Run { run: run.to_string(), job: job.clone() })?;
                        current = Some(run);
                    }
                    self.event(run, event)?;
                }
                Err(RecvTimeoutError::Timeout) => self.out.heartbeat()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.settle()?;
        }
    }

    fn lines(&mut self, run: RunId, skipped: u64, mut lines: Vec<Line>) -> io::Result<()> {
        if lines.len() > self.most {
            // Who asks for the last lines knows that there are others.
            lines.drain(..lines.len() - self.most);
            return lines.into_iter().try_for_each(|line| self.line(run, line));
        }
        if skipped > 0 {
            self.out.record(&Record::Skipped { skipped, run: run.to_string() })?;
        }
        lines.into_iter().try_for_each(|line| self.line(run, line))
    }

    fn line(&mut self, run: RunId, line: Line) -> io::Result<()> {
        self.out.record(&Record::Line(LineRecord::new(run, line)))
    }

    fn dropped(&mut self, run: RunId, dropped: u64) -> io::Result<()> {
        if dropped > 0 { self.out.record(&Record::Dropped { dropped, run: run.to_string() }) } else { Ok(()) }
    }

    fn event(&mut self, run: RunId, event: TailEvent) -> io::Result<()> {
        match event {
            TailEvent::Line(line) => self.line(run, line),
            TailEvent::Dropped(count) => self.dropped(run, count),
            TailEvent::Over => {
                self.over(run);
                Ok(())
            }
        }
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
    fn wait<E>(&mut self, events: &Receiver<E>, patience: Duration) -> io::Result<Result<E, RecvTimeoutError>> {
        if let Ok(event) = events.try_recv() {
            return Ok(Ok(event));
        }
        self.out.flush()?;
        Ok(events.recv_timeout(patience))
    }
}

/// The last `count` runs.
fn last(mut runs: Vec<RunId>, count: usize) -> Vec<RunId> {
    runs.split_off(runs.len().saturating_sub(count))
}

/// What was told of a run from what is kept, and may come once more as events.
struct Seam {
    lines: Vec<Line>,
    over: bool,
}

impl Seam {
    /// The event was told. From the first line that was not, no line was.
    fn holds(&mut self, event: &TailEvent) -> bool {
        match event {
            TailEvent::Line(line) => {
                let at = self.lines.iter().position(|told| told == line);
                self.lines.drain(..at.map_or(self.lines.len(), |at| at + 1));
                at.is_some()
            }
            TailEvent::Dropped(_) => false,
            TailEvent::Over => self.over,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::wire;

    fn line(text: &str) -> Line {
        Line { at: Timestamp::UNIX_EPOCH, stream: wire::Stream::Stdout, bytes: text.into(), open: false }
    }

    #[test]
    fn a_seam_shows_each_line_once() {
        // Kept: a b c c; b came after the subscription, so it comes again, and then d.
        let mut seam = Seam { lines: ["a", "b", "c", "c"].map(line).into(), over: false };
        let shown: Vec<&str> =
            ["b", "c", "c", "d", "a"].into_iter().filter(|text| !seam.holds(&TailEvent::Line(line(text)))).collect();
        assert_eq!(shown, ["d", "a"]);
        assert!(!seam.holds(&TailEvent::Over));
        assert!(Seam { lines: Vec::new(), over: true }.holds(&TailEvent::Over));
    }

    #[test]
    fn last_runs() {
        let runs: Vec<RunId> = (0..5).map(RunId).collect();
        assert_eq!(last(runs.clone(), 2), [RunId(3), RunId(4)]);
        assert_eq!(last(runs.clone(), 9), runs);
        assert!(last(runs, 0).is_empty());
    }
}
