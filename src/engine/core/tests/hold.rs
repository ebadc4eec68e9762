//! The hold, and skipped slots.

use super::*;
use crate::engine::{Pause, PauseKind, Refusal};

impl World {
    pub fn hold(&mut self, seconds: Option<i64>) -> Result<Pause, Refusal> {
        let until = seconds.map(|seconds| self.now.wall + SignedDuration::from_secs(seconds));
        let (answer, effects) = self.state.hold(until, "new disks", "uid 0", self.now);
        self.perform(effects);
        answer
    }

    pub fn release(&mut self) -> Result<Pause, Refusal> {
        let (answer, effects) = self.state.release(self.now);
        self.perform(effects);
        answer
    }

    pub fn skip_next(&mut self, job: &str, count: u32) -> Result<Pause, Refusal> {
        let (answer, effects) = self.state.skip_next(&name(job), count, "", "uid 0", self.now);
        self.perform(effects);
        answer
    }

    /// Slots that were let go by this kind of pause, in seconds after [`T0`].
    fn let_go(&self, job: &str, by: PauseKind) -> Vec<i64> {
        let fates = self.fates(job).into_iter();
        fates.filter_map(|(slot, fate)| matches!(fate, Fate::Paused(kind, _) if kind == by).then_some(slot)).collect()
    }

    fn pass_and_finish(&mut self, minutes: i64, jobs: &[&str]) {
        for _ in 0..minutes {
            self.pass(60);
            jobs.iter().for_each(|job| self.finish(job));
        }
    }
}

fn minutely(text: &str) -> Job {
    job(text, "0 * * * * *", OnOverlap::Skip)
}

#[test]
fn a_hold_lets_every_slot_go_and_ends_by_itself() {
    let mut world = World::with(vec![minutely("a"), minutely("b")]);
    world.pass(30);
    assert_eq!(world.hold(Some(150)).unwrap().until, Some(at(T0 + 180)));
    let refusal = world.hold(None).unwrap_err();
    assert_eq!(refusal.code, "held");
    assert!(refusal.message.contains("uid 0") && refusal.message.contains("2026-11-20T12:03:00Z"), "{refusal:?}");
    assert_eq!(world.state.show_job(&name("a")).unwrap().next, Some(at(T0 + 240)), "its end is in it");
    let status = world.state.show_status();
    assert_eq!((status.held.unwrap().reason.as_str(), status.next), ("new disks", None));
    let (run, effects) = world.state.start(&name("a"), "uid 0", world.now);
    world.perform(effects);
    assert!(run.is_ok(), "what is asked for runs");
    world.pass_and_finish(5, &["a", "b"]);
    for job in ["a", "b"] {
        assert_eq!((world.let_go(job, PauseKind::Hold), world.ran(job)), (vec![60, 120, 180], vec![240, 300]));
    }
    assert!(world.facts.contains(&Fact::Released { passed: 6 }));
    assert_eq!((world.kept_hold.clone(), world.release().unwrap_err().code.as_str()), (None, "not-held"));
}

#[test]
fn a_hold_without_end_is_released_and_outlives_engines_and_definitions() {
    let mut world = World::with(vec![minutely("a")]);
    world.hold(None).unwrap();
    world.pass(60);
    world.sleep(100);
    world.next_engine();
    world.retire("a");
    world.pass(120);
    world.arm(minutely("a"), world.now.wall);
    world.pass(20);
    assert_eq!(world.state.show_job(&name("a")).unwrap().next, None, "nobody knows");
    assert!(world.ran("a").is_empty());
    assert_eq!(world.release().unwrap().since, at(T0));
    world.pass(60);
    assert_eq!(world.ran("a"), [360]);
}

#[test]
fn a_hold_without_any_job_ends_when_it_says() {
    let mut world = World::with(vec![]);
    world.hold(Some(50)).unwrap();
    world.pass(49);
    assert!(world.kept_hold.is_some());
    world.pass(1);
    assert!(world.kept_hold.is_none());
}

#[test]
fn the_own_pause_of_a_job_goes_before_the_hold() {
    let mut world = World::with(vec![minutely("a")]);
    world.pass(30);
    world.hold(Some(300)).unwrap();
    world.pause("a", Some(100)).unwrap();
    world.pass_and_finish(7, &["a"]);
    assert_eq!(world.let_go("a", PauseKind::Pause), [60, 120]);
    assert_eq!(world.let_go("a", PauseKind::Hold), [180, 240, 300]);
    assert_eq!(world.ran("a"), [360, 420]);
}

#[test]
fn what_waits_when_a_hold_begins_does_not_start_but_requests_do() {
    let mut world = World::with(vec![job("a", "0 * * * * *", OnOverlap::Queue), job("b", "", OnOverlap::Queue)]);
    world.pass(60);
    let (_, effects) = world.state.start(&name("b"), "uid 0", world.now);
    world.perform(effects);
    let (waits, effects) = world.state.start(&name("b"), "uid 0", world.now);
    world.perform(effects);
    world.start_all();
    world.pass(60);
    world.hold(None).unwrap();
    world.finish("a");
    world.finish("b");
    world.pass(1);
    assert_eq!((world.ran("a"), world.let_go("a", PauseKind::Hold)), (vec![60], vec![120]));
    assert_eq!(world.runs_of("b"), [waits.unwrap()]);
}

#[test]
fn the_next_slots_are_skipped_and_no_more() {
    let mut world = World::with(vec![minutely("a"), minutely("b"), job("never", "", OnOverlap::Skip)]);
    world.pass(30);
    assert_eq!(world.skip_next("a", 1).unwrap().until, Some(at(T0 + 60)));
    assert_eq!(world.skip_next("b", 3).unwrap().until, Some(at(T0 + 180)));
    assert_eq!(world.skip_next("never", 1).unwrap_err().code, "never-due");
    assert_eq!(world.skip_next("zzz", 1).unwrap_err().code, "no-such-job");
    assert_eq!(world.state.show_status().paused, 0, "they are not paused");
    assert_eq!(world.state.show_job(&name("b")).unwrap().next, Some(at(T0 + 240)));
    world.pass_and_finish(5, &["a", "b"]);
    assert_eq!((world.let_go("a", PauseKind::SkipNext), world.ran("a")), (vec![60], vec![120, 180, 240, 300]));
    assert_eq!((world.let_go("b", PauseKind::SkipNext), world.ran("b")), (vec![60, 120, 180], vec![240, 300]));
    assert!(world.kept.is_empty());
}

#[test]
fn a_slot_that_waits_is_not_the_next_one() {
    let mut world = World::with(vec![job("a", "0 * * * * *", OnOverlap::Queue)]);
    world.pass(60);
    world.start_all();
    world.pass(60);
    world.skip_next("a", 1).unwrap();
    world.pass(10);
    world.finish("a");
    world.pass(60);
    assert_eq!((world.ran("a"), world.let_go("a", PauseKind::SkipNext)), (vec![60, 120], vec![180]));
}

#[test]
fn what_skips_the_next_slot_gives_way_to_a_pause_and_a_pause_to_nothing() {
    let mut world = World::with(vec![minutely("a")]);
    world.skip_next("a", 1).unwrap();
    world.skip_next("a", 2).unwrap();
    assert_eq!(world.kept[&name("a")].until, Some(at(T0 + 120)));
    world.pause("a", None).unwrap();
    assert_eq!(world.skip_next("a", 1).unwrap_err().code, "not-active");
    world.resume("a");
    world.hold(Some(90)).unwrap();
    assert_eq!(world.skip_next("a", 1).unwrap().until, Some(at(T0 + 120)), "the first that the hold does not let go");
    world.pass_and_finish(3, &["a"]);
    assert_eq!(world.ran("a"), [180]);
}

#[test]
fn a10_skipping_many_slots_costs_little() {
    let mut world = World::with(vec![job("a", "* * * * * *", OnOverlap::Skip)]);
    let skipped = world.skip_next("a", u32::MAX).unwrap();
    assert_eq!(skipped.until, Some(at(T0 + 1000)));
}

#[test]
fn a_clock_set_back_does_not_leave_the_hold() {
    let mut world = World::with(vec![minutely("a")]);
    world.pass(600);
    world.finish("a");
    world.hold(Some(600)).unwrap();
    world.set_clock(T0 - 3600);
    world.pass(4000);
    assert_eq!(world.ran("a").into_iter().filter(|slot| *slot < 0).count(), 0);
}

#[test]
fn the_hold_lets_nothing_through_that_another_pause_would() {
    let mut world = World::with(vec![job("a", "0 * * * * *", OnOverlap::Queue)]);
    world.pass(60);
    world.start_all();
    world.pass(60);
    world.skip_next("a", 1).unwrap();
    // The hold is on the disk, and the engine did not live to drop what waits.
    world.cut = Some(0);
    world.hold(None).unwrap();
    world.kept_hold = world.state.hold_of_all().cloned();
    world.next_engine();
    world.finish("a");
    world.pass(1);
    assert_eq!(world.ran("a"), [60]);
    assert_eq!(world.let_go("a", PauseKind::Hold).last(), Some(&120));
}
