//! What is asked of the history, and of engine and history together. All of it on the request's own thread: the engine is
//! asked for what it has at hand, and disks and locks hold up nobody else.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::answer::{Answer, Problem};
use super::ask::Engine;
use super::route::Filter;
use super::stream::Copy;
use crate::engine::{JobView, Request, RunInFull, RunView};
use crate::history::{
    self, AttemptRow, AttemptView, Cursor, EntryView, History, PageView, PastRunView, PastSlotView, Unanswered,
};
use crate::job::JobName;
use crate::sink::Line;
use crate::why::{Asked, Known, Remembered, WhyView, answer, recall};
use crate::wire::{RunId, Stream};

impl From<Unanswered> for Problem {
    fn from(why: Unanswered) -> Self {
        // What will pass by itself: it is being opened, or many ask.
        let passes = match &why {
            Unanswered::Busy | Unanswered::TooSlow => true,
            Unanswered::Closed(why) => why.is_empty(),
            Unanswered::Off | Unanswered::Failed(_) => false,
        };
        let code = match why {
            Unanswered::Busy | Unanswered::TooSlow => why.code(),
            _ => "no-history",
        };
        let status = if passes { 503 } else { 409 };
        Problem::new(status, code, why.to_string())
    }
}

fn asked(job: Option<JobName>, filter: &Filter) -> Result<history::Filter, Problem> {
    let Filter { since, until, failed, limit, before } = filter;
    let bad = || Problem::new(400, "bad-query", "before is the 'next' of an answer");
    let after = before.as_ref().map(|text| Cursor::parse(text).ok_or_else(bad)).transpose()?;
    Ok(history::Filter { job, failed: *failed, since: *since, until: *until, limit: *limit, after })
}

/// What became of slots and requests.
pub fn entries(history: &History, job: Option<JobName>, filter: &Filter) -> Result<Answer, Problem> {
    let page: PageView<EntryView> = history.entries(&asked(job, filter)?)?.into();
    Ok(Answer::ok(&page))
}

/// What became of a job's slots.
pub fn slots(history: &History, job: JobName, filter: &Filter) -> Result<Answer, Problem> {
    let page: PageView<PastSlotView> = history.slots(&asked(Some(job), filter)?)?.into();
    Ok(Answer::ok(&page))
}

/// The runs of a job that are over.
pub fn runs(history: &History, job: JobName, filter: &Filter) -> Result<Answer, Problem> {
    let page: PageView<PastRunView> = history.runs(&asked(Some(job), filter)?)?.into();
    Ok(Answer::ok(&page))
}

/// A run with its attempts: as the engine knows it, or the history alone.
pub fn run(engine: &Engine, history: &History, id: RunId) -> Result<RunInFull, Problem> {
    let known = engine.ask(|reply| Request::Run(id, reply));
    let noted = history.run(id);
    let (run, attempts) = match (known, noted) {
        (Ok(run), noted) => (run, noted.unwrap_or_default()),
        (Err(problem), Ok(attempts)) if problem.code() == "no-such-run" => {
            let asked = attempts.iter().find(|attempt| attempt.id == id && attempt.id != attempt.run);
            let view = asked.or(attempts.last()).map(|attempt| past_run(attempt, attempts.len()));
            (view.ok_or(problem)?, attempts)
        }
        (Err(problem), _) => return Err(problem),
    };
    Ok(RunInFull { run, ended_attempts: attempts.into_iter().map(AttemptView::from).collect() })
}

/// What the history has of the output of a run: its last lines. Which of them came from which output, and when, it does not
/// know: they are given as of standard output, at the attempt's end.
pub fn output(history: &History, id: RunId) -> Option<(RunView, Vec<Copy>)> {
    let attempts = history.run(id).ok()?;
    let view = past_run(attempts.last()?, attempts.len());
    let copies = attempts.iter().map(|attempt| {
        let lines = attempt.tail.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let (bytes, open) = line.strip_suffix(b"\n").map_or((line, true), |line| (line, false));
            Line { at: attempt.ended, stream: Stream::Stdout, bytes: bytes.into(), open }
        });
        let whole = attempt.output.iter().sum::<u64>() <= attempt.tail.len() as u64;
        Copy { attempt: attempt.attempt, lines: lines.collect(), whole }
    });
    Some((view, copies.collect()))
}

/// A run that is over, as its last attempt stands for it.
fn past_run(attempt: &AttemptRow, attempts: usize) -> RunView {
    RunView {
        run: attempt.run.to_string(),
        attempt: attempt.attempt,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX).max(attempt.attempt),
        job: attempt.job.clone(),
        slot: attempt.slot,
        trigger: attempt.trigger.word().into(),
        by: attempt.by.clone(),
        state: "over".into(),
        next_attempt: None,
        pid: None,
        started: attempt.started,
        ended: Some(attempt.ended),
        outcome: Some(attempt.outcome.clone()),
        cpu_seconds: attempt.cpu.map(|cpu| cpu.as_secs_f64()),
        max_rss_kib: attempt.max_rss_kib,
        output_bytes: [Stream::Stdout, Stream::Stderr].into_iter().zip(attempt.output).collect(),
        output_dropped: attempt.dropped,
        left_behind: attempt.left,
    }
}

/// Jobs that have not run since the daemon's engine started have their last run from the history, where that can be asked.
pub fn remember_last(history: &History, jobs: &mut [JobView]) {
    let without: Vec<JobName> = jobs.iter().filter(|job| job.last.is_none()).map(|job| job.name.clone()).collect();
    if without.is_empty() {
        return;
    }
    let Ok(mut lasts) = history.last_runs(&without) else { return };
    for job in jobs.iter_mut().filter(|job| job.last.is_none()) {
        job.last = lasts.remove(&job.name).map(|run| past_run(&run.last, run.last.attempt as usize));
    }
}

/// Why a job ran at an instant, or did not; where none is given, at its newest slot.
pub fn why(engine: &Engine, history: &History, name: &JobName, at: Option<Timestamp>) -> Result<WhyView, Problem> {
    let now = Timestamp::now();
    let known = engine.ask(|reply| Request::Why(name.clone(), reply))?;
    let at = instant(&known, history, at, now);
    let past = remembered(&known, history, at, now);
    if known.armed.is_none() && known.broken.is_none() && !past.known {
        // The engine says it in its own words.
        engine.ask(|reply| Request::Job(name.clone(), reply))?;
    }
    Ok(answer(&Asked { at, now, local: TimeZone::system(), known: &known, past: &past }))
}

/// The instant that is meant. One that is given to the minute stands for the first slot in it.
fn instant(known: &Known, history: &History, at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let schedule = known.armed.as_ref().and_then(|armed| Some((armed.job.schedule.as_ref()?, armed)));
    let just_before = |at: Timestamp| at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(at);
    match at {
        Some(at) => {
            let whole = at.subsec_nanosecond() == 0 && at.as_second() % 60 == 0;
            let slot = schedule.and_then(|(schedule, armed)| schedule.next(just_before(at), armed.anchor));
            let within = |slot: &Timestamp| slot.duration_since(at) < SignedDuration::from_mins(1);
            let booked = || {
                let around = history.around(&known.name, at).ok()?;
                if around.slot.is_some() { Some(at) } else { around.after.map(|row| row.oldest) }
            };
            match whole {
                true => booked().filter(within).or(slot.filter(within)).unwrap_or(at),
                false => at,
            }
        }
        None => {
            let booked = history.around(&known.name, now).ok().and_then(|around| around.slot.or(around.before));
            let booked = booked.map(|row| row.slot).into_iter();
            let fresh = known.verdicts.iter().map(|view| view.slot);
            let due = schedule.and_then(|(schedule, armed)| schedule.explain(now, armed.anchor).before);
            // What was due before the definition was there is none of its slots.
            let due = due.filter(|due| schedule.is_some_and(|(_, armed)| *due > armed.since));
            let due = due.filter(|due| *due <= known.decided);
            booked
                .chain(fresh)
                .chain(due)
                .filter(|slot| *slot <= now)
                .max()
                .or(known.armed.as_ref().and_then(|armed| armed.next))
                .unwrap_or(now)
        }
    }
}

fn remembered(known: &Known, history: &History, at: Timestamp, now: Timestamp) -> Remembered {
    let since = known.armed.as_ref().map(|armed| armed.since);
    let asked = || -> Result<Remembered, Unanswered> {
        let around = history.around(&known.name, at)?;
        let facts = history.facts(Some(&known.name), at, now.max(at))?;
        let run = match &around.run {
            Some(run) => history.run(run.last.run)?,
            None => Vec::new(),
        };
        Ok(recall(around, facts, run, known.name.as_str(), at, since))
    };
    match asked() {
        Ok(past) => past,
        Err(why) => Remembered { trouble: Some(why.to_string()), ..Remembered::default() },
    }
}
