//! Instants of the past without a verdict: nothing was due, or nobody knows.

use super::answer::{Case, Told};
use super::booked::cause;
use super::known::Standing;
use super::view::WhyFact;
use super::words::by;
use crate::schedule::Explanation;

impl Case<'_> {
    /// Why nothing was booked for the instant.
    pub(super) fn unbooked(&self) -> Told {
        match self.armed() {
            None => self.gone(),
            Some(standing) if standing.since > self.asked.at => self.before_its_time(standing),
            Some(standing) => self.stands(standing),
        }
    }

    /// There is no such job now.
    fn gone(&self) -> Told {
        let (name, at) = (self.name(), self.asked.at);
        let gone = self.asked.past.happened.iter().rfind(|what| what.kind == "retired");
        match (gone, self.broken()) {
            (Some(gone), _) => {
                let when = self.clock.full(gone.at);
                let sentence = match gone.at <= at {
                    true => format!("there was no job {name} at {}: it was taken away at {when}", self.then()),
                    false => format!(
                        "{name} was taken away at {when}, and the history has nothing of a slot at {}",
                        self.then()
                    ),
                };
                let text = format!("taken away at {when}");
                Told::new("gone", sentence).fact(WhyFact::new("retired", text).time(gone.at, None))
            }
            (None, Some(broken)) => {
                Told::new("broken", format!("there is no job {name}: {}", broken.text)).fact(broken)
            }
            (None, None) => Told::new("gone", format!("there is no job {name} any more")),
        }
    }

    /// The definition is younger than the instant.
    fn before_its_time(&self, standing: &Standing) -> Told {
        let (name, then, at) = (self.name(), self.then(), self.asked.at);
        let past = self.asked.past;
        let since = self.clock.full(standing.since);
        let changed =
            WhyFact::new("changed", format!("the definition stands since {since}")).time(standing.since, None);
        let mut before =
            past.happened.iter().filter(|what| what.at <= at && matches!(what.kind.as_str(), "armed" | "retired"));
        if before.next_back().is_some_and(|what| what.kind == "armed") {
            let today = match self.explanation.map(|explanation| explanation.due) {
                Some(true) => "it is due at that time by its definition of today",
                _ => "it is not due at that time by its definition of today either",
            };
            let old = past.then.as_ref();
            if old.is_some_and(|old| old.disabled) {
                let sentence = format!("{name} did not run at {then}: it was disabled until it was changed at {since}");
                return Told::new("disabled", sentence).fact(changed);
            }
            let sentence = match old.map(|old| (old.schedule.as_deref(), old.due)) {
                Some((Some(schedule), Some(false))) => {
                    format!(
                        "{name} was not due at {then}: its schedule was '{schedule}' until it was changed at {since}"
                    )
                }
                Some((Some(_), Some(true))) if self.during("away").is_some() => {
                    return self.lost_from_sight().fact(changed);
                }
                Some((Some(schedule), Some(true))) => {
                    return self
                        .unknown(&format!("by '{schedule}', which was its schedule until {since}, it was due"))
                        .fact(changed);
                }
                Some((None, _)) => {
                    format!("{name} was not due at {then}: it had no schedule until it was changed at {since}")
                }
                _ => return self.unknown(&format!("it was changed at {since}, and {today}")).fact(changed),
            };
            return Told::new("changed", sentence).fact(changed);
        }
        // A name that was new when it was armed had no job before.
        let first = past.happened.iter().find(|what| what.kind == "armed").filter(|first| first.code == "armed");
        if let Some(first) = first {
            let first = first.at.min(standing.since);
            let when = self.clock.full(first);
            let sentence = format!("there was no job {name} at {then}: it is known since {when}");
            return Told::new("new", sentence)
                .fact(WhyFact::new("new", format!("known since {when}")).time(first, None));
        }
        self.unknown(&format!("its definition stands only since {since}")).fact(changed)
    }

    /// The definition stood at the instant.
    fn stands(&self, standing: &Standing) -> Told {
        let (name, then, at) = (self.name(), self.then(), self.asked.at);
        let Some(explanation) = self.explanation else {
            let after =
                standing.job.after.as_ref().map(|after| after.keys().map(ToString::to_string).collect::<Vec<_>>());
            let when = match after {
                Some(names) => format!("it runs after {}, or when asked to", names.join(" and ")),
                None => "it runs when asked to".into(),
            };
            let told = Told::new("on-demand", format!("{name} was not due at {then}: it has no schedule, {when}"));
            return told.facts(self.going_then());
        };
        if !standing.job.enable {
            let since = self.clock.full(standing.since);
            let edited = self.asked.past.happened.iter().rfind(|what| what.kind == "edited" && what.at <= at);
            let who = edited.map(|edited| by(&edited.by)).unwrap_or_default();
            let sentence = format!("{name} did not run at {then}: it is disabled since {since}{who}");
            let fact = WhyFact::new("disabled", format!("disabled since {since}{who}"));
            return Told::new("disabled", sentence).fact(fact.time(standing.since, None));
        }
        if !explanation.due {
            let sentence = format!("{name} was not due at {then}: {}", misfit(standing, explanation));
            return Told::new("not-due", sentence).facts(self.going_then());
        }
        if let Some((_, run)) = self.asked.known.waiting.iter().find(|(slot, _)| *slot == at) {
            let sentence = format!("{name} waits to run for {then}: a run of it goes on, and run {run} comes after it");
            let going = self.asked.known.running.iter().map(|going| {
                WhyFact::new("overlap", format!("run {} goes on", going.run)).time(going.started, None).run(&going.run)
            });
            return Told::new("waiting", sentence).facts(going);
        }
        if at > self.asked.known.decided {
            return Told::new("waiting", format!("{name} is due at {then}, and that is being decided just now"));
        }
        self.lost_from_sight()
    }

    /// Runs that went on at the instant, though nothing was due at it.
    fn going_then(&self) -> impl Iterator<Item = WhyFact> {
        let at = self.asked.at;
        self.asked.past.attempts.iter().filter(move |attempt| attempt.goes_on_at(at)).map(|attempt| {
            let cause = match (attempt.slot, attempt.trigger.as_str()) {
                (Some(slot), _) => format!(" for {}", self.clock.time(slot)),
                (None, "request") => ", as somebody asked for it".into(),
                (None, "after") => ", after the end of another job".into(),
                (None, _) => String::new(),
            };
            let span = attempt.started.map(|started| self.clock.span(started, attempt.ended)).unwrap_or_default();
            let text = format!("run {} went on {span}{cause}", attempt.run);
            WhyFact::new("run", text).time(attempt.started, attempt.ended).run(attempt.run)
        })
    }

    /// Due, and nothing was booked that is still there.
    fn lost_from_sight(&self) -> Told {
        let past = self.asked.past;
        if let Some(away) = self.during("away") {
            let cause = format!("{} {}", cause(&away.code), self.clock.span(away.at, away.until));
            let sentence = format!("{} missed {}: {cause}", self.name(), self.then());
            return Told::new(&away.code, sentence).fact(WhyFact::new(&away.code, cause).time(away.at, away.until));
        }
        let at = self.asked.at;
        match (&past.trouble, past.begins) {
            (Some(trouble), _) => self.unknown(&format!("it was due, and {trouble}")),
            (None, Some(begins)) if begins > at => {
                self.unknown(&format!("it was due, and the history begins at {}", self.clock.full(begins)))
            }
            (None, _) if past.dropped > 0 => {
                let rows = match past.dropped {
                    1 => "1 row was".to_owned(),
                    rows => format!("{rows} rows were"),
                };
                self.unknown(&format!("it was due, and {rows} dropped because the history could not be written"))
            }
            (None, _) => self.unknown("it was due, and nothing was noted of it"),
        }
    }

    /// What there is to say where nothing is known.
    fn unknown(&self, why: &str) -> Told {
        let sentence = format!("what became of {} at {} is not known: {why}", self.name(), self.then());
        let told = Told::new("unknown", sentence);
        match &self.asked.past.trouble {
            Some(trouble) => told.fact(WhyFact::new("no-history", trouble.clone())),
            None => told,
        }
    }
}

/// What of a schedule does not fit, as a part of a sentence.
pub(super) fn misfit(standing: &Standing, explanation: &Explanation) -> String {
    let text = standing.job.schedule.as_ref().map(|schedule| schedule.text().to_owned()).unwrap_or_default();
    let fields = explanation.fields.iter().filter(|field| !field.fits);
    let fields: Vec<String> =
        fields.map(|field| format!("{} {} (it was {})", field.name, field.text, field.value)).collect();
    match (&explanation.clock, fields.as_slice()) {
        (Some(clock), _)
            if explanation.fits || !explanation.fields.is_empty() && clock.contains("clocks have just") =>
        {
            clock.clone()
        }
        (_, []) => match explanation.rules.as_slice() {
            [] => format!("'{text}' is not due then"),
            rules => rules.join("; "),
        },
        (_, fields) => format!("its schedule '{text}' asks for {}", fields.join(" and ")),
    }
}
