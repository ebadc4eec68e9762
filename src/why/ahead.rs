//! What is yet to come, and what stands in its way.

use super::absent::misfit;
use super::answer::{Case, Told};
use super::view::WhyFact;
use super::words::{because, by, length};
use crate::engine::{Pause, PauseKind};
use crate::job::OnOverlap;

impl Case<'_> {
    /// The instant lies in the future.
    pub(super) fn yet_to_come(&self) -> Told {
        let (name, then, at) = (self.name(), self.then(), self.asked.at);
        let Some(standing) = self.armed() else { return self.unbooked() };
        let Some(explanation) = self.explanation else {
            return Told::new("on-demand", format!("{name} is not due at {then}: it has no schedule"));
        };
        if !explanation.due {
            let misfit = misfit(standing, explanation).replace("(it was ", "(it is ");
            return Told::new("not-due", format!("{name} is not due at {then}: {misfit}"));
        }
        let covers = |pause: &&Pause| pause.since < at && pause.until.is_none_or(|until| at <= until);
        let ways = self.in_the_way();
        let hindered = match () {
            () if !standing.job.enable => Some("disabled"),
            () => match [&self.asked.known.pause, &self.asked.known.hold].into_iter().flatten().find(covers) {
                Some(pause) => Some(pause.kind.code()),
                None => self.asked.known.stopping.then_some("stopping"),
            },
        };
        let ahead = length(at.duration_since(self.asked.now));
        match hindered.and_then(|code| ways.iter().find(|fact| fact.code == code)) {
            Some(fact) => {
                let sentence = format!("{name} will not run at {then}, in {ahead}: {}", fact.text);
                Told::new(&fact.code.clone(), sentence).facts(ways)
            }
            None => Told::new("ahead", format!("{name} is due at {then}, in {ahead}")).facts(ways),
        }
    }

    /// The next slot, and what stands in its way.
    pub(super) fn next(&self) -> (Option<jiff::Timestamp>, Vec<WhyFact>) {
        let Some(standing) = self.armed() else { return (None, Vec::new()) };
        (standing.next, self.in_the_way())
    }

    fn in_the_way(&self) -> Vec<WhyFact> {
        let known = self.asked.known;
        let Some(standing) = self.armed() else { return Vec::new() };
        let mut ways = Vec::new();
        if !standing.job.enable {
            let text = format!("it is disabled since {}", self.clock.full(standing.since));
            ways.push(WhyFact::new("disabled", text).time(standing.since, None));
        }
        let until = |pause: &Pause| match pause.until {
            Some(until) => format!("until {}", self.clock.full(until)),
            None => "without an end".into(),
        };
        if let Some(pause) = &known.pause {
            let (who, why) = (by(&pause.by), because(&pause.reason));
            let code = pause.kind.code();
            let text = match (pause.kind, pause.until) {
                (PauseKind::SkipNext, Some(until)) => {
                    format!("its slots up to {} are skipped, as was asked for{who}{why}", self.clock.full(until))
                }
                _ => format!("it is paused{who} {}{why}", until(pause)),
            };
            ways.push(WhyFact::new(code, text).time(pause.since, pause.until).by(&pause.by));
        }
        if let Some(hold) = &known.hold {
            let text = format!("all jobs are held{} {}{}", by(&hold.by), until(hold), because(&hold.reason));
            ways.push(WhyFact::new("held", text).time(hold.since, hold.until).by(&hold.by));
        }
        if known.stopping {
            ways.push(WhyFact::new("stopping", "the daemon is stopping: nothing more is started"));
        }
        let rule = match standing.job.on_overlap {
            OnOverlap::Skip => "a slot is skipped while it does",
            OnOverlap::Queue => "a slot waits for it",
            OnOverlap::Replace => "a slot takes its place",
            OnOverlap::Allow => return ways,
        };
        ways.extend(known.running.iter().map(|run| {
            let text = format!("run {} goes on, and {rule}", run.run);
            WhyFact::new("overlap", text).time(run.started, None).run(&run.run)
        }));
        ways.extend(self.broken());
        ways
    }
}
