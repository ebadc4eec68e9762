//! Slots that come due while a run goes on.

use super::*;
use crate::engine::Outcome;

fn every_minute(on_overlap: OnOverlap) -> World {
    let mut world = World::with(vec![job("a", "0 * * * * *", on_overlap)]);
    world.pass(60);
    world.start_all();
    world
}

#[test]
fn skip_lets_the_slot_go() {
    let mut world = every_minute(OnOverlap::Skip);
    world.pass(60);
    assert_eq!(world.fates("a")[1], (120, Fate::Skipped(Rule::Overlap)));
    world.finish("a");
    world.pass(60);
    assert_eq!(world.ran("a"), [60, 180]);
}

#[test]
fn queue_holds_the_newest_slot() {
    let mut world = every_minute(OnOverlap::Queue);
    world.pass(120);
    assert_eq!(world.fates("a")[1], (120, Fate::Superseded));
    assert_eq!(world.runs_of("a").len(), 1);
    world.finish("a");
    assert_eq!(world.ran("a"), [60, 180]);
    world.finish("a");
    assert_eq!(world.warden.runs.len(), 0, "all forgotten");
}

#[test]
fn d71_replace_starts_once_the_old_run_is_gone() {
    let mut world = every_minute(OnOverlap::Replace);
    let old = world.runs_of("a")[0];
    world.pass(60);
    assert_eq!(world.warden.signals, [(old, 18, Reach::Group), (old, 15, Reach::Group)]);
    world.pass(60);
    assert_eq!(world.fates("a")[1], (120, Fate::Superseded));
    world.end(old, Exit::Signal { signal: 9, core: false });
    assert_eq!(world.runs_of("a"), [], "its output may still come");
    world.drain_output(old);
    assert_eq!(world.ran("a"), [60, 180]);
    assert!(matches!(world.outcomes()[..], [Outcome::Stopped { why, .. }] if why == "replaced"));
    assert_eq!(world.runs_of("a").len(), 1);
}

#[test]
fn allow_has_a_bound() {
    let mut world = World::with(vec![job("a", "* * * * * *", OnOverlap::Allow)]);
    world.pass(RUNS_PER_JOB as i64 + 2);
    assert_eq!(world.runs_of("a").len(), RUNS_PER_JOB);
    assert_eq!(world.fates("a").last().unwrap().1, Fate::Skipped(Rule::Limit));
}

#[test]
fn a_request_obeys_the_rule() {
    let mut world = every_minute(OnOverlap::Skip);
    let (answer, effects) = world.state.start(&name("a"), "uid 7", world.now);
    assert!(effects.is_empty());
    assert_eq!(answer.unwrap_err().code, "overlap");
    let (answer, _) = world.state.start(&name("nobody"), "uid 7", world.now);
    assert_eq!(answer.unwrap_err().code, "no-such-job");

    let mut world = every_minute(OnOverlap::Queue);
    let (answer, effects) = world.state.start(&name("a"), "uid 7", world.now);
    world.perform(effects);
    let waiting = answer.unwrap();
    assert_eq!(world.state.show_run(waiting).unwrap().state, "waiting");
    world.finish("a");
    assert_eq!(world.runs_of("a"), [waiting]);
    world.step(Event::Drain { grace: Duration::ZERO });
    assert_eq!(world.state.start(&name("a"), "uid 7", world.now).0.unwrap_err().code, "stopping");
}

#[test]
fn a_retired_job_keeps_its_run_and_drops_its_queue() {
    let mut world = every_minute(OnOverlap::Queue);
    let run = world.runs_of("a")[0];
    world.pass(60);
    world.retire("a");
    assert_eq!(world.fates("a")[1], (120, Fate::Skipped(Rule::Retired)));
    assert_eq!(world.warden.signals, []);
    world.arm(job("a", "0 * * * * *", OnOverlap::Skip), world.now.wall);
    world.pass(60);
    assert_eq!(world.fates("a")[2], (180, Fate::Skipped(Rule::Overlap)), "the old run still counts");
    world.end(run, Exit::Code(0));
    world.drain_output(run);
    assert_eq!(world.warden.runs.len(), 0);
}

#[test]
fn a_run_keeps_the_terms_it_started_under() {
    let timeout = |seconds| Some(Duration::from_secs(seconds));
    let mut world = World::with(vec![Job { timeout: timeout(30), ..job("a", "0 * * * * *", OnOverlap::Skip) }]);
    world.pass(60);
    world.start_all();
    world.arm(Job { timeout: timeout(3000), ..job("a", "0 * * * * *", OnOverlap::Skip) }, world.now.wall);
    world.pass(30);
    assert_eq!(world.warden.signals.len(), 2, "after 30 s, as it was when it started");
}

#[test]
fn a_slow_environment_file_holds_back_the_mark_and_nothing_else() {
    let file = Some("/etc/slow".into());
    let slow = Job { environment_file: file, ..job("slow", "0 * * * * *", OnOverlap::Skip) };
    let mut world = World::with(vec![slow, job("fast", "0 * * * * *", OnOverlap::Skip)]);
    world.pass(60);
    assert_eq!(world.warden.started, [(name("fast"), at(T0 + 60))]);
    world.finish("fast");
    assert_eq!(world.warden.runs.len(), 1, "not forgotten while the mark does not cover its slot");
    world.next_engine();
    assert_eq!(world.warden.started.len(), 1, "and not run again");
    let run = world.reading.pop().unwrap();
    world.step(Event::Environment { run, read: Ok(vec![("A".into(), "b".into())]) });
    assert_eq!(world.warden.started.len(), 2);
    assert_eq!(world.runs_of("slow"), [run]);
    assert_eq!(world.warden.runs.len(), 1);
    world.pass(70);
    world.finish("slow");
    world.pass(50);
    world.pass(6);
    assert!(matches!(world.outcomes().last(), Some(Outcome::CouldNotStart { message, .. }) if message.contains("5 s")));
}
