//! Engines that die. What the warden has received by then is all that the next one gets.

use super::*;
use crate::engine::Outcome;

#[test]
fn d73_dead_between_start_and_mark() {
    for cut in 0..=3 {
        let mut world = World::with(vec![
            job("a", "0 * * * * *", OnOverlap::Skip),
            job("b", "0 * * * * *", OnOverlap::Skip),
            job("c", "0 * * * * *", OnOverlap::Skip),
        ]);
        world.pass(30);
        world.cut = Some(cut);
        world.pass(30);
        world.sleep(2);
        world.next_engine();
        assert_eq!(world.warden.started.len(), 3, "cut after {cut}");
        world.assert_no_slot_twice();
    }
}

#[test]
fn d73_dead_at_a_slot_and_back_a_minute_later() {
    let mut world = World::with(vec![job("a", "0 */5 * * * *", OnOverlap::Skip)]);
    world.pass(200);
    world.sleep(150);
    world.next_engine();
    assert_eq!(world.ran("a"), [300], "50 s late still runs");
    world.finish("a");
    world.sleep(500);
    world.next_engine();
    world.pass(1);
    assert_eq!(world.fates("a")[1..], [(600, Fate::Missed(1, Cause::Down))], "250 s late does not");
}

#[test]
fn d73_adopted_runs_count_for_overlap_and_keep_their_deadlines() {
    let timed = Job { timeout: Some(Duration::from_secs(100)), ..job("a", "0 * * * * *", OnOverlap::Skip) };
    let mut world = World::with(vec![timed]);
    world.pass(60);
    world.start_all();
    world.sleep(40);
    world.next_engine();
    world.pass(30);
    assert_eq!(world.fates("a")[1..], [(120, Fate::Skipped(Rule::Overlap))]);
    assert_eq!(world.warden.signals, []);
    world.pass(30);
    assert_eq!(world.warden.signals.len(), 2, "100 s after its start, whoever watches");
    world.next_engine();
    let run = world.runs_of("a")[0];
    world.end(run, Exit::Signal { signal: 15, core: false });
    world.drain_output(run);
    assert!(matches!(world.outcomes().last(), Some(Outcome::TimedOut { .. })), "the stop is remembered");
}

#[test]
fn d73_what_waits_outlives_the_engine() {
    for on_overlap in [OnOverlap::Queue, OnOverlap::Replace] {
        let mut world = World::with(vec![job("a", "0 * * * * *", on_overlap)]);
        world.pass(60);
        world.start_all();
        world.pass(60);
        let old = world.runs_of("a")[0];
        world.cut = Some(0);
        world.end(old, Exit::Code(0));
        world.drain_output(old);
        world.next_engine();
        world.pass(1);
        assert_eq!(world.warden.started, [(name("a"), at(T0 + 60)), (name("a"), at(T0 + 120))]);
        world.finish("a");
        assert_eq!(world.warden.runs.len(), 0);
    }
}

#[test]
fn a_run_of_another_version_is_reaped() {
    let mut world = World::with(vec![job("a", "0 * * * * *", OnOverlap::Skip)]);
    let run = RunId(77);
    let ended = world.ended(Exit::Code(0));
    world.warden.runs.insert(
        run,
        Known { context: vec![99, 1, 2], state: AdoptState::Ended { pid: 9, at: ended.at, ended }, drained: true },
    );
    world.warden.mark = Some(vec![99]);
    world.next_engine();
    world.pass(60);
    assert!(world.facts.contains(&Fact::Strange(run)));
    assert_eq!(world.ran("a"), [60]);
    assert!(!world.warden.runs.contains_key(&run));
}
