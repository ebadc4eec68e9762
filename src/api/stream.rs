//! Output as a stream of [`Record`]s: what is kept of a run or a job, then whatever comes, until the run is over or the
//! client is gone. Every record is flushed by itself, so that a line is seen while its job still runs.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::answer::{Problem, head};
use super::ask::Engine;
use super::record::{LineRecord, Record};
use crate::engine::{Request, RunView};
use crate::job::JobName;
use crate::sink::{Line, TailEvent, Tails};
use crate::wire::RunId;

/// A blank line is sent after so much silence: a write is the only way to learn that the client is gone.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// A run's output is over a little before the run is booked: how often the engine is asked in between.
const ASK_AGAIN: Duration = Duration::from_millis(20);

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
    pub fn write(self, engine: &Engine, tails: &Tails, mut out: impl Write, chunked: bool) -> io::Result<()> {
        let more = if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
        out.write_all(head(200, "application/x-ndjson", more).as_bytes())?;
        out.flush()?;
        let mut writer = Writer {
            engine,
            out,
            chunked,
            most: self.lines.unwrap_or(usize::MAX),
            written: Instant::now(),
            ending: Vec::new(),
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
        writer.finish()
    }
}

struct Writer<'a, W> {
    engine: &'a Engine,
    out: W,
    chunked: bool,
    /// Lines of each run, of those that are kept.
    most: usize,
    written: Instant,
    /// Runs whose output is over, and which are not yet booked.
    ending: Vec<RunId>,
}

impl<W: Write> Writer<'_, W> {
    /// What is kept of a run, and its end if it is over. Gives back the lines.
    fn kept(&mut self, tails: &Tails, run: RunId, job: &JobName) -> io::Result<Vec<Line>> {
        self.record(&Record::Run { run: run.to_string(), job: job.clone() })?;
        let tail = tails.of(run).unwrap_or_default();
        self.lines(run, tail.skipped, tail.lines.clone())?;
        if let Ok(view) = self.ask(run)
            && view.state == "over"
        {
            self.record(&Record::End { end: Box::new(view) })?;
        }
        Ok(tail.lines)
    }

    fn follow_run(&mut self, tails: &Tails, run: RunId, job: &JobName) -> io::Result<()> {
        self.record(&Record::Run { run: run.to_string(), job: job.clone() })?;
        let mut events = None;
        match tails.follow(run) {
            Some((tail, receiver)) => {
                self.lines(run, tail.skipped, tail.lines)?;
                match tail.over {
                    true => self.ending.push(run),
                    false => events = Some(receiver),
                }
            }
            // Nothing is known of its output; that it ends is still worth waiting for.
            None => self.ending.push(run),
        }
        while let Some(receiver) = &events {
            match receiver.recv_timeout(HEARTBEAT) {
                Ok(TailEvent::Over) | Err(RecvTimeoutError::Disconnected) => {
                    self.ending.push(run);
                    events = None;
                }
                Ok(event) => self.event(run, event)?,
                Err(RecvTimeoutError::Timeout) => self.heartbeat()?,
            }
        }
        while !self.ending.is_empty() {
            self.settle()?;
            if !self.ending.is_empty() {
                std::thread::park_timeout(ASK_AGAIN);
            }
        }
        Ok(())
    }

    fn follow_job(&mut self, tails: &Tails, job: &JobName, runs: usize) -> io::Result<()> {
        let events: Receiver<(RunId, TailEvent)> = tails.follow_job(job);
        // What is printed between these two moments is in both.
        let mut seams = Vec::new();
        for run in last(tails.runs_of(job), runs) {
            seams.push((run, Seam(self.kept(tails, run, job)?)));
        }
        let mut current = seams.last().map(|(run, _)| *run);
        loop {
            let patience = if self.ending.is_empty() { HEARTBEAT } else { ASK_AGAIN };
            match events.recv_timeout(patience) {
                Ok((run, event)) => {
                    if let Some((_, seam)) = seams.iter_mut().find(|(of, _)| *of == run)
                        && seam.holds(&event)
                    {
                        continue;
                    }
                    if current != Some(run) {
                        self.record(&Record::Run { run: run.to_string(), job: job.clone() })?;
                        current = Some(run);
                    }
                    self.event(run, event)?;
                }
                Err(RecvTimeoutError::Timeout) => self.heartbeat()?,
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
            self.record(&Record::Skipped { skipped, run: run.to_string() })?;
        }
        lines.into_iter().try_for_each(|line| self.line(run, line))
    }

    fn line(&mut self, run: RunId, line: Line) -> io::Result<()> {
        self.record(&Record::Line(LineRecord::new(run, line)))
    }

    fn event(&mut self, run: RunId, event: TailEvent) -> io::Result<()> {
        match event {
            TailEvent::Line(line) => self.line(run, line),
            TailEvent::Dropped(dropped) => self.record(&Record::Dropped { dropped, run: run.to_string() }),
            TailEvent::Over => {
                self.ending.push(run);
                Ok(())
            }
        }
    }

    /// Tells the end of those whose output is over and that are booked by now.
    fn settle(&mut self) -> io::Result<()> {
        for run in std::mem::take(&mut self.ending) {
            match self.ask(run) {
                Ok(view) if view.state == "over" => self.record(&Record::End { end: Box::new(view) })?,
                Err(problem) if problem.status() == 404 => self.record(&Record::Gone { gone: run.to_string() })?,
                Ok(_) | Err(_) => self.ending.push(run),
            }
        }
        self.heartbeat()
    }

    fn ask(&self, run: RunId) -> Result<RunView, Problem> {
        self.engine.ask(|reply| Request::Run(run, reply))
    }

    fn heartbeat(&mut self) -> io::Result<()> {
        if self.written.elapsed() >= HEARTBEAT { self.chunk(b"\n") } else { Ok(()) }
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        let mut text = serde_json::to_vec(record)?;
        text.push(b'\n');
        self.chunk(&text)
    }

    fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.chunked {
            write!(self.out, "{:x}\r\n", bytes.len())?;
        }
        self.out.write_all(bytes)?;
        if self.chunked {
            self.out.write_all(b"\r\n")?;
        }
        self.written = Instant::now();
        self.out.flush()
    }

    fn finish(mut self) -> io::Result<()> {
        if self.chunked {
            self.out.write_all(b"0\r\n\r\n")?;
        }
        self.out.flush()
    }
}

/// The last `count` runs.
fn last(mut runs: Vec<RunId>, count: usize) -> Vec<RunId> {
    runs.split_off(runs.len().saturating_sub(count))
}

/// Lines that were shown from what is kept, and that may come once more as events.
struct Seam(Vec<Line>);

impl Seam {
    /// The event is one of them. From the first that is not, none is.
    fn holds(&mut self, event: &TailEvent) -> bool {
        let TailEvent::Line(line) = event else { return false };
        let at = self.0.iter().position(|shown| shown == line);
        self.0.drain(..at.map_or(self.0.len(), |at| at + 1));
        at.is_some()
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
        let mut seam = Seam(["a", "b", "c", "c"].map(line).into());
        let shown: Vec<&str> =
            ["b", "c", "c", "d", "a"].into_iter().filter(|text| !seam.holds(&TailEvent::Line(line(text)))).collect();
        assert_eq!(shown, ["d", "a"]);
        assert!(!seam.holds(&TailEvent::Over));
    }

    #[test]
    fn last_runs() {
        let runs: Vec<RunId> = (0..5).map(RunId).collect();
        assert_eq!(last(runs.clone(), 2), [RunId(3), RunId(4)]);
        assert_eq!(last(runs.clone(), 9), runs);
        assert!(last(runs, 0).is_empty());
    }
}
