//! Pauses and the numbers of entries.

use super::*;
use crate::engine::{Pause, PauseKind};

impl World {
    pub fn pause(&mut self, job: &str, seconds: Option<i64>) -> Result<u64, crate::engine::Refusal> {
        let until = seconds.map(|seconds| self.now.wall + SignedDuration::from_secs(seconds));
        let (answer, effects) = self.state.pause(&name(job), until, "why\nnot", "uid 0", self.now);
        self.perform(effects);
        answer
    }

    pub fn resume(&mut self, job: &str) {
        let effects = self.state.unpause(&name(job), self.now);
        self.perform(effects);
    }

    fn number(&self, job: &str) -> Option<u64> {
        self.state.number_of(&name(job))
    }

    /// Slots that fell in a pause, in seconds after [`T0`].
    fn paused(&self, job: &str) -> Vec<i64> {
        let fates = self.fates(job).into_iter();
        fates.filter_map(|(slot, fate)| matches!(fate, Fate::Paused(..)).then_some(slot)).collect()
    }
}

fn minutely(text: &str) -> Job {
    job(text, "0 * * * * *", OnOverlap::Skip)
}

#[test]
fn slots_of_a_pause_are_let_go_and_it_ends_by_itself() {
    let mut world = World::with(vec![minutely("a"), minutely("b")]);
    assert_eq!((world.number("a"), world.number("b")), (Some(1), Some(2)));
    world.pass(30);
    assert_eq!(world.pause("a", Some(150)).unwrap(), 1, "the entry it had");
    assert_eq!(world.pause("a", Some(10)).unwrap_err().code, "not-active");
    assert_eq!(world.pause("zzz", None).unwrap_err().code, "no-such-job");
    assert_eq!(world.number("a"), None);
    assert_eq!(world.kept[&name("a")].reason, "whynot");
    for _ in 0..5 {
        world.pass(60);
        world.finish("a");
        world.finish("b");
    }
    assert_eq!(world.paused("a"), [60, 120, 180], "its end is in it");
    assert_eq!(world.ran("a"), [240, 300]);
    assert_eq!(world.ran("b").len(), 5);
    assert_eq!(world.number("a"), Some(6), "after 1, 2, two that are left out, and the pause");
    assert!(world.kept.is_empty());
    assert!(world.facts.contains(&Fact::Resumed { job: name("a"), passed: 3 }));
    let view = world.state.show_job(&name("a")).unwrap();
    let rows: Vec<_> = view.verdicts.iter().map(|row| (row.slot, row.count)).collect();
    assert_eq!(rows[2..], [(at(T0 + 180), Some(3))], "one row");
}

#[test]
fn a_pause_is_shown_and_resumed() {
    let mut world = World::with(vec![minutely("a"), minutely("b")]);
    world.pause("a", None).unwrap();
    let view = world.state.show_job(&name("a")).unwrap();
    assert!(view.pause.is_some() && view.next.is_none());
    assert_eq!(world.state.show_status().paused, 1);
    assert_eq!(world.state.show_status().next.unwrap().0, name("b"));
    let (run, effects) = world.state.start(&name("a"), "uid 0", world.now);
    world.perform(effects);
    assert!(run.is_ok(), "it may be run on request");
    world.finish("a");
    world.pass(90);
    world.resume("a");
    assert_eq!(world.state.show_job(&name("a")).unwrap().next, Some(at(T0 + 120)));
    world.pause("b", Some(30)).unwrap();
    assert_eq!(world.state.show_job(&name("b")).unwrap().next, Some(at(T0 + 180)), "120 is its end");
    world.pass(60);
    assert_eq!(world.ran("a"), [120]);
}

#[test]
fn a_pause_keeps_hold_of_a_name_and_not_of_a_definition() {
    let mut world = World::with(vec![minutely("a")]);
    world.pause("a", Some(100)).unwrap();
    world.pass(10);
    world.arm(job("a", "30 * * * * *", OnOverlap::Skip), world.now.wall);
    assert_eq!(world.number("a"), None);
    world.pass(140);
    assert_eq!((world.paused("a"), world.ran("a")), (vec![30, 90], vec![150]));
    world.finish("a");
    world.pause("a", None).unwrap();
    let disabled = Job { enable: false, ..minutely("a") };
    world.arm(disabled, world.now.wall);
    world.resume("a");
    assert_eq!(world.number("a"), None, "what is disabled is not armed by the end of a pause");
}

#[test]
fn b38_a_file_that_comes_back_is_still_paused_and_one_that_does_not_leaves_nothing() {
    let mut world = World::with(vec![minutely("a")]);
    world.pause("a", None).unwrap();
    world.retire("a");
    world.pass(20);
    world.arm(minutely("a"), world.now.wall);
    world.pass(60);
    assert_eq!((world.paused("a"), world.ran("a")), (vec![60], vec![]));
    world.retire("a");
    world.pass(61);
    assert!(world.kept.is_empty());
    world.arm(minutely("a"), world.now.wall);
    world.pass(60);
    assert_eq!(world.ran("a").len(), 1);
}

#[test]
fn a_pause_outlives_engines_and_its_time_is_told_by_the_wall() {
    let mut world = World::with(vec![minutely("a")]);
    world.pass(30);
    world.pause("a", Some(300)).unwrap();
    world.pass(60);
    world.sleep(400);
    world.next_engine();
    assert_eq!(world.paused("a"), [60, 330 - 30], "the rest of it, in one row");
    let paused: u64 = world.facts.iter().filter_map(count_paused).sum();
    assert_eq!(paused, 5);
    assert_eq!(world.fates("a")[2..], [(420, Fate::Missed(2, Cause::Down)), (480, Fate::Ran(world.runs_of("a")[0]))]);
    assert!(world.kept.is_empty());
    assert!(world.number("a").unwrap() > u64::from(u32::MAX), "no number is given again");
}

fn count_paused(fact: &Fact) -> Option<u64> {
    match fact {
        Fact::Verdict { fate: Fate::Paused(_, count), .. } => Some(*count),
        _ => None,
    }
}

#[test]
fn what_waits_when_a_pause_begins_does_not_start() {
    let mut world = World::with(vec![job("a", "0 * * * * *", OnOverlap::Queue)]);
    world.pass(60);
    world.start_all();
    world.pass(60);
    world.pause("a", None).unwrap();
    world.finish("a");
    world.pass(1);
    assert_eq!((world.ran("a"), world.paused("a")), (vec![60], vec![120]));
}

#[test]
fn a_clock_set_back_does_not_leave_the_pause() {
    let mut world = World::with(vec![minutely("a")]);
    world.pass(600);
    world.finish("a");
    world.pause("a", Some(600)).unwrap();
    world.set_clock(T0 - 3600);
    world.pass(4000);
    assert_eq!(world.ran("a").into_iter().filter(|slot| *slot < 0).count(), 0);
    assert_eq!(world.state.pause_of(&name("a")).unwrap().until, Some(at(T0 + 1200)));
}

#[test]
fn a10_a_long_pause_costs_little() {
    let mut world = World::with(vec![job("a", "* * * * * *", OnOverlap::Skip)]);
    world.pause("a", Some(2_000_000)).unwrap();
    world.sleep(1_000_000);
    world.next_engine();
    let counts: Vec<u64> = world.facts.iter().filter_map(count_paused).collect();
    assert_eq!(counts, [COUNT_LIMIT]);
    assert!(world.ran("a").is_empty());
    world.sleep(1_000_000 + 30);
    world.next_engine();
    world.pass(1);
    assert_eq!(world.ran("a").first(), Some(&2_000_030));
}

#[test]
fn entries_are_in_the_order_in_which_they_are_due() {
    let mut world = World::with(vec![
        job("hourly", "0 0 * * * *", OnOverlap::Skip),
        minutely("minutely"),
        job("never", "", OnOverlap::Skip),
        Job { enable: false, ..minutely("off") },
        minutely("paused"),
    ]);
    world.pause("paused", Some(90)).unwrap();
    world.pass(60);
    let entries = world.state.show_entries();
    let rows: Vec<_> = entries.iter().map(|entry| (entry.job.name.as_str(), entry.id, entry.next)).collect();
    assert_eq!(
        rows,
        [
            ("minutely", Some(2), Some(at(T0 + 120))),
            ("hourly", Some(1), Some(at(T0 + 3600))),
            ("never", Some(3), None),
            ("off", None, None),
            ("paused", None, None),
        ]
    );
    assert_eq!(entries[0].previous, Some(at(T0 + 60)));
    assert_eq!(entries[4].pause.as_ref().unwrap().until, Some(at(T0 + 90)));
}

#[test]
fn every_arming_has_a_number_of_its_own() {
    let mut world = World::with(vec![minutely("a"), Job { enable: false, ..minutely("b") }]);
    assert_eq!((world.number("a"), world.number("b")), (Some(1), None));
    world.arm(minutely("c"), world.now.wall);
    assert_eq!(world.number("c"), Some(4), "2 and 3 are left out");
    world.arm(minutely("b"), world.now.wall);
    world.arm(Job { enable: false, ..minutely("a") }, world.now.wall);
    assert_eq!((world.number("a"), world.number("b")), (None, Some(5)));
    world.arm(minutely("a"), world.now.wall);
    assert_eq!(world.number("a"), Some(6));
}

#[test]
fn a_number_of_a_pause_of_another_daemon_is_not_believed() {
    let mut world = World::with(vec![minutely("a"), minutely("b")]);
    let pause =
        Pause { kind: PauseKind::Pause, id: 1, since: at(T0), until: None, reason: String::new(), by: String::new() };
    world.kept.insert(name("b"), pause);
    world.generation = 0;
    let setting = Setting { pauses: world.kept.clone(), ..setting(0, None, false, T0) };
    world.state = State::new(setting, world.now);
    world.load_all();
    assert_eq!((world.number("a"), world.number("b")), (Some(1), None));
    assert_eq!(world.state.pause_of(&name("b")).unwrap().id, 4);
}

#[test]
fn entries_are_handles_of_the_definitions_and_no_copies() {
    let world = World::with((0..10_000).map(|n| job(&format!("job{n}"), "@every 1h", OnOverlap::Skip)).collect());
    let entries = world.state.show_entries();
    assert_eq!(entries.len(), 10_000);
    assert!(
        entries.iter().zip(world.state.show_entries()).all(|(one, other)| std::sync::Arc::ptr_eq(&one.job, &other.job))
    );
}
