//! From a question to its answer: which of the cases it is.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::known::{Known, Standing};
use super::remembered::{Happened, Remembered, Row};
use super::view::{WhyFact, WhyView};
use super::words::{Clock, because, by};
use crate::engine::{Verdict, VerdictView};
use crate::schedule::Explanation;

/// A question, and all that is known about it.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The instant that is asked about.
    pub at: Timestamp,
    /// When it is asked.
    pub now: Timestamp,
    /// The clock of jobs without a schedule.
    pub local: TimeZone,
    /// What the engine knows.
    pub known: &'a Known,
    /// What the history remembers.
    pub past: &'a Remembered,
}

/// One case: the answer without its surroundings.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub code: String,
    pub sentence: String,
    pub facts: Vec<WhyFact>,
}

impl Told {
    pub fn new(code: &str, sentence: String) -> Self {
        Self { code: code.into(), sentence, facts: Vec::new() }
    }

    pub fn fact(mut self, fact: WhyFact) -> Self {
        self.facts.push(fact);
        self
    }

    pub fn facts(mut self, facts: impl IntoIterator<Item = WhyFact>) -> Self {
        self.facts.extend(facts);
        self
    }
}

/// What the cases look at.
pub(super) struct Case<'a> {
    pub asked: &'a Asked<'a>,
    pub clock: Clock,
    pub explanation: Option<&'a Explanation>,
}

/// Says why the job ran at the instant, or did not.
pub fn answer(asked: &Asked<'_>) -> WhyView {
    let Known { name, armed, .. } = asked.known;
    let schedule =
        armed.as_ref().and_then(|armed| armed.job.schedule.as_ref().map(|schedule| (schedule, armed.anchor)));
    let explanation = schedule.map(|(schedule, anchor)| schedule.explain(asked.at, anchor));
    let zone = schedule.map_or_else(|| asked.local.clone(), |(schedule, _)| schedule.zone().clone());
    let clock = Clock::new(zone.clone(), asked.at);
    let case = Case { asked, clock, explanation: explanation.as_ref() };
    let row = case.row();
    let told = match &row {
        Some(row) => case.booked(row),
        None if asked.at > asked.now => case.yet_to_come(),
        None => case.unbooked(),
    };
    let told = case.surroundings(told);
    let (next, ahead) = case.next();
    WhyView {
        job: name.clone(),
        at: asked.at,
        wall: case.clock.full(asked.at),
        zone: zone.iana_name().unwrap_or("local").to_owned(),
        due: explanation.as_ref().map(|explanation| explanation.due),
        code: told.code,
        sentence: told.sentence,
        verdict: row.as_ref().and_then(verdict_view),
        facts: told.facts,
        next,
        ahead,
        explanation,
    }
}

impl Case<'_> {
    pub fn name(&self) -> &str {
        self.asked.known.name.as_str()
    }

    pub fn armed(&self) -> Option<&Standing> {
        self.asked.known.armed.as_ref()
    }

    /// The instant, for sentences.
    pub fn then(&self) -> String {
        self.clock.full(self.asked.at)
    }

    /// What was booked for the instant: what the history has, else what the engine still remembers.
    fn row(&self) -> Option<Row> {
        let Asked { at, known, past, .. } = self.asked;
        let fresh = known.verdicts.iter().find(|view| view.slot == *at).map(|view| {
            let (verdict, why, run) = match &view.verdict {
                Verdict::Ran { run } => ("ran", None, crate::wire::RunId::parse(run)),
                Verdict::Skipped { why } => ("skipped", Some(why.clone()), None),
                Verdict::Missed { why } => ("missed", Some(why.clone()), None),
                Verdict::Superseded => ("superseded", None, None),
            };
            let count = view.count.unwrap_or(1);
            Row { slot: *at, oldest: *at, count, verdict: verdict.into(), why, run }
        });
        past.row.clone().filter(|row| row.covers(*at) && !self.between_slots(row)).or(fresh)
    }

    /// The row has slots before and after the instant, and none at it.
    fn between_slots(&self, row: &Row) -> bool {
        let at = self.asked.at;
        if row.oldest == at || row.slot == at {
            return false;
        }
        match (self.armed(), self.explanation) {
            // Where a period was counted from then, nobody knows any more.
            (Some(standing), Some(explanation)) if standing.since <= at => {
                standing.job.schedule.as_ref().is_some_and(|schedule| schedule.period().is_none()) && !explanation.due
            }
            _ => self.asked.past.then.as_ref().is_some_and(|then| then.due == Some(false)),
        }
    }

    /// What was noted up to the instant put `on`, and nothing up to it put `off`: since when, and when that ended.
    pub fn state(&self, on: &str, off: &str) -> Option<(&Happened, Option<Timestamp>)> {
        let at = self.asked.at;
        let happened = || self.asked.past.happened.iter().filter(|what| what.kind == on || what.kind == off);
        let first = happened().take_while(|what| what.at <= at).fold(None, |first, what| match what.kind == off {
            true => None,
            // A pause takes the place of what skips the next slots, without a word that this has ended.
            false if on == "paused" => Some(what),
            false => first.or(Some(what)),
        })?;
        let end = happened().find(|what| what.at > at && what.kind == off).map(|what| what.at);
        let end = [end, first.until].into_iter().flatten().min();
        (end.is_none_or(|end| end >= at)).then_some((first, end))
    }

    /// What was noted that took its time, and had the instant in it.
    pub fn during(&self, kind: &str) -> Option<&Happened> {
        let at = self.asked.at;
        let covers = |what: &&Happened| what.kind == kind && what.at <= at && what.until.is_some_and(|end| end >= at);
        self.asked.past.happened.iter().find(covers)
    }

    /// Since when the file is broken, where it is now; and whether it may have been so before.
    fn broken_since(&self) -> Option<(Timestamp, bool)> {
        let (mut since, mut before) = (None, None);
        for what in &self.asked.past.happened {
            match (what.kind.as_str(), what.code.as_str()) {
                // Whatever is still broken is told of anew.
                ("started", _) => (before, since) = (since.or(before), None),
                ("broken", "still") => since = since.or(before).or(Some((what.at, true))),
                ("broken", _) => since = since.or(Some((what.at, false))),
                ("mended", _) => (since, before) = (None, None),
                _ => {}
            }
        }
        since
    }

    /// The file is broken now: the definition from before is what counts.
    pub fn broken(&self) -> Option<WhyFact> {
        let why = self.asked.known.broken.as_ref()?;
        let since = self.broken_since();
        let when = match since {
            Some((since, false)) => format!(" since {}", self.clock.time(since)),
            Some((since, true)) => format!(" since {} or before", self.clock.time(since)),
            None => String::new(),
        };
        let counts = if self.armed().is_some() { ", and the definition from before counts" } else { "" };
        let text = format!("its file is broken{when}{counts}: {why}");
        let since = since.map(|(since, _)| since);
        Some(WhyFact::new("broken", text).time(since, None))
    }

    /// What else was the matter around the instant, whatever the answer is.
    fn surroundings(&self, mut told: Told) -> Told {
        let Asked { at, known, past, .. } = self.asked;
        let has = |told: &Told, code: &str| told.facts.iter().any(|fact| fact.code == code);
        if let Some(remark) = self.explanation.and_then(|explanation| explanation.clock.as_ref()) {
            told = told.fact(WhyFact::new("dst", remark.clone()));
        }
        if let Some(broken) = self.broken().filter(|_| !has(&told, "broken")) {
            told = told.fact(broken);
        }
        if known.broken.is_none()
            && let Some((broken, end)) = self.state("broken", "mended")
        {
            let text = format!(
                "its file was broken {}, and the definition from before counted: {}",
                self.clock.span(broken.at, end),
                broken.text
            );
            told = told.fact(WhyFact::new("broken", text).time(broken.at, end));
        }
        let mut later =
            past.happened.iter().filter(|what| what.at > *at && what.kind == "armed" && what.code == "changed");
        if let Some(changed) = later.next_back().filter(|_| !has(&told, "changed")) {
            let text = format!("it was changed at {}{}", self.clock.time(changed.at), by(&changed.by));
            told = told.fact(WhyFact::new("changed", text).time(changed.at, None).by(&changed.by));
        }
        let edits = past.happened.iter().filter(|what| what.kind == "edited");
        told = told.facts(edits.map(|what| {
            let text = format!("{} at {}{}{}", what.code, self.clock.time(what.at), by(&what.by), because(&what.text));
            WhyFact::new("edited", text).time(what.at, None).by(&what.by)
        }));
        if let Some(trouble) = past.trouble.as_ref().filter(|_| !has(&told, "no-history")) {
            told = told.fact(WhyFact::new("no-history", trouble.clone()));
        }
        told
    }
}

fn verdict_view(row: &Row) -> Option<VerdictView> {
    let why = || row.why.clone().unwrap_or_default();
    let verdict = match row.verdict.as_str() {
        "ran" => Verdict::Ran { run: row.run?.to_string() },
        "skipped" => Verdict::Skipped { why: why() },
        "missed" => Verdict::Missed { why: why() },
        "superseded" => Verdict::Superseded,
        _ => return None,
    };
    Some(VerdictView { slot: row.slot, verdict, count: (row.count > 1).then_some(row.count) })
}
