//! Slots that have a verdict.

use super::answer::{Case, Told};
use super::remembered::{Attempt, Row};
use super::view::WhyFact;
use super::words::{because, by, length};
use crate::engine::Pause;
use crate::job::CatchUpRule;

impl Case<'_> {
    /// The verdict, and what led to it.
    pub(super) fn booked(&self, row: &Row) -> Told {
        let told = match row.verdict.as_str() {
            "ran" => self.ran(row),
            "missed" => self.missed(row),
            "superseded" => self.superseded(),
            _ => self.skipped(row),
        };
        match row.count {
            0 | 1 => told,
            count => {
                let span = self.clock.span(row.oldest, Some(row.slot));
                told.fact(WhyFact::new("row", format!("one of {count} slots {span} that share this verdict")))
            }
        }
    }

    fn ran(&self, row: &Row) -> Told {
        let (name, then) = (self.name(), self.then());
        let run = row.run.map(|run| run.to_string()).unwrap_or_default();
        let known = self.asked.known;
        if let Some(going) = known.running.iter().find(|going| going.run == run) {
            let since =
                going.started.map(|started| format!(", for {}", length(self.asked.now.duration_since(started))));
            let sentence = format!("{name} runs for {then}: run {run} goes on{}", since.unwrap_or_default());
            return Told::new("ran", sentence).facts(self.attempts(row));
        }
        let of_run = || self.asked.past.attempts.iter().filter(|attempt| Some(attempt.run) == row.run);
        let Some(last) = of_run().next_back() else {
            let sentence = format!("{name} ran for {then} as run {run}; how it ended is not in the history");
            return Told::new("ran", sentence);
        };
        let first = of_run().next().and_then(|first| first.started);
        let late = match first.map(|started| started.duration_since(self.asked.at)) {
            _ if last.trigger == "catch-up" => " as a slot that was made up for,".into(),
            Some(late) if late.as_secs() >= 1 => format!(" {} late", length(late)),
            Some(_) => " on time".into(),
            None => String::new(),
        };
        let started = if first.is_some() { format!(" started{late} and") } else { String::new() };
        let attempts = match (last.attempt, last.next) {
            (attempt, Some(next)) => {
                let next = match self.retry_dropped(&run) {
                    Some(dropped) => dropped.text,
                    None if next < self.asked.now => format!("the next attempt was due at {}", self.clock.time(next)),
                    None => format!("the next attempt is due at {}", self.clock.time(next)),
                };
                format!(" (attempt {attempt}); {next}")
            }
            (1, None) => String::new(),
            (attempt, None) => format!(", after {attempt} attempts"),
        };
        let outcome = if last.outcome.is_empty() { "goes on" } else { &last.outcome };
        let sentence = format!("{name} ran for {then}: run {run}{started} {outcome}{attempts}");
        Told::new("ran", sentence).facts(self.attempts(row)).facts(self.retry_dropped(&run))
    }

    /// One fact an attempt.
    fn attempts(&self, row: &Row) -> impl Iterator<Item = WhyFact> {
        let of_run = self.asked.past.attempts.iter().filter(|attempt| Some(attempt.run) == row.run);
        of_run.map(|attempt| {
            let Attempt { attempt: number, outcome, started, ended, .. } = attempt;
            let when = started.map(|started| format!(" {}", self.clock.span(started, *ended))).unwrap_or_default();
            let outcome = if outcome.is_empty() { "goes on" } else { outcome };
            WhyFact::new("attempt", format!("attempt {number}{when}: {outcome}"))
                .time(*started, *ended)
                .run(attempt.run)
        })
    }

    fn retry_dropped(&self, run: &str) -> Option<WhyFact> {
        let dropped = self.asked.past.happened.iter().find(|what| what.kind == "retry" && what.text == run)?;
        let why = match dropped.code.as_str() {
            "superseded" => "a newer run took its place",
            "paused" => "the job was paused",
            "held" => "all jobs were held",
            "retired" => "the job was taken away or disabled",
            "request" => "somebody stopped it",
            "stopping" => "the daemon stopped",
            other => other,
        };
        let text = format!("its next attempt was dropped at {}: {why}", self.clock.time(dropped.at));
        Some(WhyFact::new("retry-dropped", text).time(dropped.at, None).run(run))
    }

    fn skipped(&self, row: &Row) -> Told {
        let (name, then) = (self.name(), self.then());
        let why = row.why.as_deref().unwrap_or_default();
        let skipped = format!("{name} was skipped at {then}");
        let sentence = match why {
            "overlap" => return self.overlapped(),
            "paused" | "skip-next" => return self.paused(why),
            "held" => return self.held(),
            "limit" => format!("{skipped}: as many runs went on as may"),
            "stopping" => format!("{skipped}: the daemon was stopping"),
            "retired" => {
                format!("{skipped}: it waited for a run to end, and the job was taken away or disabled meanwhile")
            }
            "request" => format!("{skipped}: it waited for a run to end, and somebody stopped the job meanwhile"),
            other => format!("{skipped}: {other}"),
        };
        Told::new(why, sentence)
    }

    /// By which run, and how long that went on.
    fn overlapped(&self) -> Told {
        let (name, then, at) = (self.name(), self.then(), self.asked.at);
        let skipped = format!("{name} was skipped at {then}");
        let going = self.asked.past.attempts.iter().rfind(|attempt| attempt.goes_on_at(at) && attempt.slot != Some(at));
        if let Some(going) = going {
            let span = going.started.map(|started| self.clock.span(started, going.ended)).unwrap_or_default();
            let text = format!("run {} went on {span}", going.run);
            let fact = WhyFact::new("overlap", text).time(going.started, going.ended).run(going.run);
            let sentence = format!("{skipped}: run {} was going on, {span}", going.run);
            return Told::new("overlap", sentence).fact(fact);
        }
        let running = &self.asked.known.running;
        let now = running.iter().find(|run| run.started.is_some_and(|started| started <= at));
        match now.and_then(|run| Some((run, run.started?))) {
            Some((run, started)) => {
                let sentence = format!("{skipped}: run {} goes on since {}", run.run, self.clock.time(started));
                let fact = WhyFact::new("overlap", format!("run {} still goes on", run.run));
                Told::new("overlap", sentence).fact(fact.time(started, None).run(&run.run))
            }
            None => Told::new("overlap", format!("{skipped}: a run of it was going on")),
        }
    }

    fn paused(&self, why: &str) -> Told {
        let (name, then, at) = (self.name(), self.then(), self.asked.at);
        let skipped = format!("{name} was skipped at {then}");
        let now = self.asked.known.pause.as_ref().filter(|pause| pause.since <= at);
        let noted =
            self.state("paused", "resumed").map(|(what, end)| (what.at, end, what.by.as_str(), what.text.as_str()));
        let Some((from, end, who, reason)) = noted.or(now.map(parts)) else {
            return Told::new(why, format!("{skipped}: it was paused"));
        };
        let sentence = match why {
            "skip-next" => {
                format!("{skipped}: this was asked for{} at {}{}", by(who), self.clock.time(from), because(reason))
            }
            _ => format!("{skipped}: it was paused{} {}{}", by(who), self.clock.span(from, end), because(reason)),
        };
        let what = if why == "skip-next" { "skipping its next slots was asked for" } else { "paused" };
        let text = format!("{what}{} {}{}", by(who), self.clock.span(from, end), because(reason));
        Told::new(why, sentence).fact(WhyFact::new(why, text).time(from, end).by(who))
    }

    fn held(&self) -> Told {
        let (name, then, at) = (self.name(), self.then(), self.asked.at);
        let skipped = format!("{name} was skipped at {then}");
        let now = self.asked.known.hold.as_ref().filter(|hold| hold.since <= at);
        let noted =
            self.state("held", "released").map(|(what, end)| (what.at, end, what.by.as_str(), what.text.as_str()));
        let Some((from, end, who, reason)) = noted.or(now.map(parts)) else {
            return Told::new("held", format!("{skipped}: all jobs were held"));
        };
        let span = format!("all jobs were held{} {}{}", by(who), self.clock.span(from, end), because(reason));
        let fact = WhyFact::new("held", span.clone()).time(from, end).by(who);
        Told::new("held", format!("{skipped}: {span}")).fact(fact)
    }

    fn missed(&self, row: &Row) -> Told {
        let why = row.why.as_deref().unwrap_or("unwatched");
        let away = self.during("away").or_else(|| self.during("clock"));
        let when = match (away, why) {
            (Some(away), _) => format!(" {}", self.clock.span(away.at, away.until)),
            // It was away for too short a time to be noted.
            (None, "down" | "off") => {
                self.back().map(|at| format!(" until {}", self.clock.time(at))).unwrap_or_default()
            }
            (None, _) => String::new(),
        };
        let cause = format!("{}{when}", cause(why));
        let made_up = self.armed().filter(|armed| armed.since <= self.asked.at).map(|armed| {
            let window = length(armed.job.catch_up.window.try_into().unwrap_or(jiff::SignedDuration::MAX));
            match armed.job.catch_up.rule {
                CatchUpRule::None => ", and its catch_up is none".to_owned(),
                CatchUpRule::Last => {
                    format!(", and its catch_up, last, makes up for the newest slot alone, within {window}")
                }
                CatchUpRule::All => {
                    let max = armed.job.catch_up.max;
                    format!(", and its catch_up, all, makes up for the newest {max} alone, within {window}")
                }
            }
        });
        let sentence = format!("{} missed {}: {cause}{}", self.name(), self.then(), made_up.unwrap_or_default());
        let told = Told::new(why, sentence);
        match away {
            Some(away) => told.fact(WhyFact::new(why, cause).time(away.at, away.until)),
            None => told,
        }
    }

    /// When a daemon started after the instant.
    fn back(&self) -> Option<jiff::Timestamp> {
        let (past, at) = (self.asked.past, self.asked.at);
        past.happened
            .iter()
            .find(|what| what.kind == "started" && what.code == "daemon" && what.at >= at)
            .map(|what| what.at)
    }

    fn superseded(&self) -> Told {
        let newer = match self.asked.past.newer {
            Some(newer) => format!("the newer slot {} took its place", self.clock.time(newer)),
            None => "a newer slot took its place".into(),
        };
        let sentence =
            format!("{} did not run for {}: it waited for a run to end, and {newer}", self.name(), self.then());
        Told::new("superseded", sentence).fact(WhyFact::new("superseded", newer).time(self.asked.past.newer, None))
    }
}

fn parts(pause: &Pause) -> (jiff::Timestamp, Option<jiff::Timestamp>, &str, &str) {
    (pause.since, pause.until, &pause.by, &pause.reason)
}

/// What a cause of missed slots says, as a part of a sentence.
pub(super) fn cause(code: &str) -> &'static str {
    match code {
        "down" => "the daemon was not running",
        "off" => "the machine was off",
        "stopped" => "the daemon was stopped and did not get to run",
        "clock" => "the machine was suspended or its clock was set",
        _ => "nobody watched",
    }
}
