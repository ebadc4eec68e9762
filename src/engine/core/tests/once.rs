//! Jobs that run once, and what becomes of them.

use super::*;
use crate::job::{CatchUp, CatchUpRule, Retries, WhenDone};

/// Due so many seconds after [`T0`].
fn once(text: &str, second: i64) -> Job {
    let schedule = Schedule::once(&at(T0 + second).to_string(), &TimeZone::UTC).unwrap();
    Job { schedule: Some(schedule), when_done: WhenDone::Remove, hash: 7, ..job(text, "", OnOverlap::Skip) }
}

fn removed(world: &World) -> Vec<&str> {
    world.removed.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn what_has_run_once_is_removed_and_what_is_kept_is_not() {
    let kept = Job { when_done: WhenDone::Keep, ..once("kept", 60) };
    let mut world =
        World::with(vec![once("a", 60), once("later", 600), kept, job("plain", "0 * * * * *", OnOverlap::Skip)]);
    world.pass(60);
    assert_eq!(world.ran("a"), [60]);
    assert_eq!(removed(&world), [""; 0], "it goes on");
    for name in ["a", "kept", "plain"] {
        world.finish(name);
    }
    world.pass(60);
    assert_eq!(removed(&world), ["a"]);
}

#[test]
fn another_attempt_is_waited_for() {
    let mut world = World::with(vec![Job { retries: Some(Box::new(Retries::of(1))), ..once("a", 60) }]);
    world.pass(60);
    for attempt in 1..=2 {
        world.start_all();
        let run = world.runs_of("a")[0];
        assert_eq!(removed(&world), [""; 0], "{attempt}");
        world.end(run, Exit::Code(1));
        world.drain_output(run);
        world.pass(30);
    }
    assert_eq!(removed(&world), ["a"]);
}

#[test]
fn what_was_let_go_is_done_too() {
    let mut world = World::with(vec![once("paused", 60), once("missed", 60)]);
    world.pause("paused", None).unwrap();
    world.sleep(600);
    world.step(Event::Wake);
    assert_eq!(world.ran("missed"), [0; 0]);
    assert_eq!(removed(&world), ["missed", "paused"]);
}

#[test]
fn a_time_that_has_passed_is_none_of_its_own() {
    let mut world = World::with(vec![]);
    world.pass(120);
    world.arm(once("late", 60), world.now.wall);
    world.pass(60);
    world.next_engine();
    let (run, effects) = world.state.start(&name("late"), "uid 0", world.now);
    world.perform(effects);
    assert!(run.is_ok());
    world.finish("late");
    world.pass(1);
    assert_eq!(removed(&world), [""; 0]);
}

#[test]
fn an_engine_that_takes_over_finds_what_is_done() {
    let mut world = World::with(vec![once("a", 60)]);
    world.pass(60);
    world.start_all();
    world.next_engine();
    assert_eq!(removed(&world), [""; 0]);
    world.finish("a");
    assert_eq!(removed(&world), ["a"]);
    // It could not be removed, or nobody lived to see to it.
    world.next_engine();
    world.pass(1);
    assert_eq!(removed(&world), ["a", "a"]);
    world.arm(Job { hash: 8, ..once("a", 300) }, world.now.wall);
    world.pass(300);
    world.finish("a");
    assert_eq!(world.removed[2..], [(name("a"), 8)]);
}

#[test]
fn a_daemon_that_stops_removes_nothing() {
    let catch_up = CatchUp { rule: CatchUpRule::Last, ..CatchUp::NONE };
    let mut world = World::with(vec![Job { catch_up, ..once("a", 60) }]);
    world.step(Event::Drain { grace: Duration::from_secs(100) });
    world.pass(90);
    assert_eq!(removed(&world), [""; 0]);
}

#[test]
fn what_was_lost_with_the_daemon_is_done() {
    let catch_up = CatchUp { rule: CatchUpRule::Last, ..CatchUp::NONE };
    let mut world = World::with(vec![Job { catch_up, ..once("a", 60) }]);
    world.tick(at(T0 + 60));
    world.step(Event::Wake);
    world.start_all();
    // Its claim is in the ledger, and the mark that covers it is not yet.
    world.hung = true;
    world.sleep(600);
    world.hung = false;
    world.next_daemon();
    world.pass(1);
    assert_eq!(world.warden.started.len(), 1, "not twice");
    assert_eq!(removed(&world), ["a"]);
}

#[test]
fn an_attempt_that_only_the_mark_remembers_is_waited_for() {
    let retries = Some(Box::new(Retries { delay: Duration::from_secs(60), ..Retries::of(1) }));
    let mut world = World::with(vec![Job { retries, environment_file: Some("/etc/env".into()), ..once("a", 60) }]);
    world.pass(60);
    let run = world.reading.remove(0);
    world.step(Event::Environment { run, read: Err("unreadable".into()) });
    world.pass(5);
    world.next_engine();
    world.pass(5);
    assert_eq!(removed(&world), [""; 0], "another attempt is to come");
    world.pass(60);
    let run = world.reading.remove(0);
    world.step(Event::Environment { run, read: Ok(vec![]) });
    world.finish("a");
    world.pass(1);
    assert_eq!(removed(&world), ["a"]);
}
