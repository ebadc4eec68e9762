//! Counting what happens, fact by fact.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Sums;
use super::histogram::{DURATIONS, Histogram, LATENESS};
use crate::engine::core::{Fact, Fate, Record, outcome_word};
use crate::job::JobName;
use crate::wire::RunId;

/// Counts by a word of a small closed set, as the set's order comes up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    /// Adds to a word's count.
    pub fn add(&mut self, word: &'static str, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == word) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => self.0.push((word, count)),
        }
    }

    /// Of a word.
    pub fn of(&self, word: &str) -> u64 {
        self.0.iter().find(|(known, _)| *known == word).map_or(0, |(_, count)| *count)
    }

    /// Every word that was counted, and `always` also where they were not: a monitor sees the first one of them as a rise.
    pub fn with(&self, always: &[&'static str]) -> impl Iterator<Item = (&'static str, u64)> {
        let absent = always.iter().filter(|word| self.0.iter().all(|(known, _)| known != *word));
        self.0.iter().copied().chain(absent.map(|word| (*word, 0)).collect::<Vec<_>>())
    }
}

/// What was counted of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs by outcome word.
    pub runs: Counts,
    /// Slots by verdict word.
    pub slots: Counts,
    /// How long the program of the run ran that ended last.
    pub last_duration: Option<SignedDuration>,
    /// When a run last ended as it should.
    pub last_success: Option<Timestamp>,
}

/// Everything that was counted since the engine started. Only jobs that have something to count cost memory, some 300 bytes
/// each.
#[derive(Debug)]
pub struct Tallies {
    sums: Sums,
    jobs: BTreeMap<JobName, Tally>,
    /// Runs that wait for their next attempt, each with how the last one ended.
    retrying: BTreeMap<RunId, &'static str>,
}

/// What a tally must ask about what a fact names.
pub trait Known {
    /// There is such a job now.
    fn is_job(&self, name: &JobName) -> bool;
    /// When the program of a run that goes on was started.
    fn started(&self, run: RunId) -> Option<Timestamp>;
}

impl Default for Tallies {
    fn default() -> Self {
        let sums = Sums { lateness: Histogram::new(LATENESS), ..Sums::default() };
        Self { sums, jobs: BTreeMap::new(), retrying: BTreeMap::new() }
    }
}

impl Tallies {
    /// Counts what happened. Of a job that was taken away nothing is kept.
    pub fn hear(&mut self, fact: &Fact, known: &impl Known) {
        match fact {
            Fact::Verdict { job, fate, .. } => {
                let (word, count) = match fate {
                    Fate::Ran(_) => ("ran", 1),
                    Fate::Skipped(_) => ("skipped", 1),
                    Fate::Paused(_, count) => ("skipped", *count),
                    Fate::Missed(count, _) => ("missed", *count),
                    Fate::Superseded => ("superseded", 1),
                };
                self.sums.slots.add(word, count);
                self.job(job, known, |tally| tally.slots.add(word, count));
            }
            // A later attempt is not late: it was not to start before.
            Fact::Started { ticket, .. } if ticket.attempt == 1 => {
                if let (Some(slot), Some(at)) = (ticket.slot, known.started(ticket.run)) {
                    self.sums.lateness.add(at.duration_since(slot).as_secs_f64());
                }
            }
            Fact::Over(record) => self.over(record, known),
            Fact::RetryDropped { job, of, .. } => {
                if let Some(word) = self.retrying.remove(of) {
                    self.count(job, word, known);
                }
            }
            Fact::Retired(job) => drop(self.jobs.remove(job)),
            _ => {}
        }
    }

    /// A run ended with an earlier warden, and nobody knows how.
    pub fn lost(&mut self, job: &JobName, known: &impl Known) {
        self.count(job, "lost", known);
    }

    fn count(&mut self, job: &JobName, word: &'static str, known: &impl Known) {
        self.sums.runs.add(word, 1);
        self.job(job, known, |tally| tally.runs.add(word, 1));
    }

    fn over(&mut self, record: &Record, known: &impl Known) {
        let word = outcome_word(&record.outcome);
        // A run counts once, by its last attempt.
        match record.next {
            Some(_) => drop(self.retrying.insert(record.ticket.of, word)),
            None => {
                self.retrying.remove(&record.ticket.of);
                self.count(&record.job, word, known);
            }
        }
        let took = record.led.map(|(_, began, ended)| ended.at.duration_since(began).max(SignedDuration::ZERO));
        if let Some(took) = took {
            let durations = &mut self.sums.durations;
            let at = durations.iter().position(|(known, _)| *known == word).unwrap_or_else(|| {
                durations.push((word, Histogram::new(DURATIONS)));
                durations.len() - 1
            });
            durations[at].1.add(took.as_secs_f64());
        }
        self.job(&record.job, known, |tally| {
            tally.last_duration = took.or(tally.last_duration);
            if record.outcome.success() {
                tally.last_success = Some(record.led.map_or(record.booked, |(_, _, ended)| ended.at));
            }
        });
    }

    fn job(&mut self, name: &JobName, known: &impl Known, change: impl FnOnce(&mut Tally)) {
        match self.jobs.get_mut(name) {
            Some(tally) => change(tally),
            None if known.is_job(name) => change(self.jobs.entry(name.clone()).or_default()),
            None => {}
        }
    }

    /// What was counted over all jobs.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// What was counted of a job; nothing where nothing was.
    pub fn of(&self, name: &JobName) -> Tally {
        self.jobs.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::Outcome;
    use crate::engine::core::{Cause, Dropped, Rule, Ticket, Trigger};
    use crate::wire::{Ended, Exit};

    /// Jobs that are there, and the instant at which every program started.
    struct There(Vec<JobName>, Timestamp);

    impl Known for There {
        fn is_job(&self, name: &JobName) -> bool {
            self.0.contains(name)
        }

        fn started(&self, _: RunId) -> Option<Timestamp> {
            Some(self.1)
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn name(text: &str) -> JobName {
        JobName::parse(text).unwrap()
    }

    fn verdict(job: &str, fate: Fate) -> Fact {
        Fact::Verdict { job: name(job), slot: at(9), oldest: at(1), fate }
    }

    fn ticket(slot: Option<Timestamp>) -> Ticket {
        Ticket::first(RunId(1), slot, Trigger::Schedule, String::new())
    }

    fn over(job: &str, took: Option<(i64, i64)>, outcome: Outcome) -> Fact {
        let exit = Exit::Code(0);
        let ended = |end| Ended { exit, at: at(end), user: Duration::ZERO, system: Duration::ZERO, max_rss: 0 };
        let led = took.map(|(began, end)| (7, at(began), ended(end)));
        Fact::Over(Record { led, ..Record::blank(name(job), ticket(None), outcome, at(1_000)) })
    }

    fn success() -> Outcome {
        Outcome::Exited { exit: Exit::Code(0), success: true }
    }

    #[test]
    fn d72_a_run_counts_once_however_many_attempts_it_took() {
        let (mut tallies, known) = (Tallies::default(), There(vec![name("a")], at(0)));
        let failed = |next| match over("a", None, Outcome::Exited { exit: Exit::Code(1), success: false }) {
            Fact::Over(record) => Fact::Over(Record { next, ..record }),
            other => other,
        };
        let counts = |tallies: &Tallies| ["success", "failure"].map(|word| tallies.of(&name("a")).runs.of(word));
        for fact in [failed(Some(at(9))), failed(Some(at(9))), over("a", None, success())] {
            tallies.hear(&fact, &known);
        }
        assert_eq!(counts(&tallies), [1, 0]);
        tallies.hear(&failed(Some(at(9))), &known);
        assert_eq!(counts(&tallies), [1, 0]);
        tallies.hear(&Fact::RetryDropped { job: name("a"), of: RunId(1), why: Dropped::Superseded }, &known);
        assert_eq!(counts(&tallies), [1, 1]);
    }

    #[test]
    fn rows_count_as_many_slots_as_they_stand_for() {
        let (mut tallies, known) = (Tallies::default(), There(vec![name("a")], at(0)));
        for fate in [
            Fate::Ran(RunId(1)),
            Fate::Missed(5, Cause::Down),
            Fate::Paused(crate::engine::PauseKind::Pause, 7),
            Fate::Skipped(Rule::Overlap),
            Fate::Missed(2, Cause::Clock),
            Fate::Superseded,
        ] {
            tallies.hear(&verdict("a", fate), &known);
        }
        let slots = tallies.of(&name("a")).slots;
        assert_eq!(["ran", "missed", "skipped", "superseded"].map(|word| slots.of(word)), [1, 7, 8, 1]);
        assert_eq!(tallies.sums().slots, slots);
    }

    #[test]
    fn what_is_gone_costs_nothing_and_still_counts_for_the_sum() {
        let (mut tallies, known) = (Tallies::default(), There(vec![name("a")], at(0)));
        for run in 0..1_000 {
            tallies.hear(&over(&format!("gone{run}"), None, Outcome::Lost), &known);
        }
        tallies.hear(&over("a", Some((1, 3)), success()), &known);
        assert_eq!((tallies.jobs.len(), tallies.sums().runs.of("lost")), (1, 1_000));
        tallies.hear(&Fact::Retired(name("a")), &known);
        assert_eq!((tallies.jobs.len(), tallies.sums().runs.of("success")), (0, 1));
    }

    #[test]
    fn the_last_duration_is_of_a_program_and_the_last_success_of_a_success() {
        let (mut tallies, known) = (Tallies::default(), There(vec![name("a")], at(0)));
        let failure = || Outcome::Exited { exit: Exit::Code(1), success: false };
        let mut hear = |took, outcome| {
            tallies.hear(&over("a", took, outcome), &known);
            let tally = tallies.of(&name("a"));
            (tally.last_duration.map(|took| took.as_secs()), tally.last_success.map(Timestamp::as_second))
        };
        assert_eq!(hear(None, Outcome::Lost), (None, None));
        assert_eq!(hear(Some((10, 13)), success()), (Some(3), Some(13)));
        assert_eq!(hear(Some((20, 25)), failure()), (Some(5), Some(13)));
        assert_eq!(hear(None, Outcome::Lost), (Some(5), Some(13)));
        assert_eq!(hear(Some((30, 28)), success()), (Some(0), Some(28)), "the clock was set back meanwhile");
        assert_eq!(tallies.sums().durations.iter().map(|(_, of)| of.count()).sum::<u64>(), 3);
    }

    #[test]
    fn lateness_is_that_of_slots() {
        let (mut tallies, known) = (Tallies::default(), There(Vec::new(), at(12)));
        for ticket in [ticket(Some(at(9))), ticket(None), ticket(Some(at(9))).again(RunId(2))] {
            tallies.hear(&Fact::Started { job: name("a"), ticket, pid: 7 }, &known);
        }
        assert_eq!((tallies.sums().lateness.count(), tallies.sums().lateness.sum()), (1, 3.0));
    }
}
