//! Numbers for monitors.

use std::time::Instant;

use super::*;
use crate::metrics::{JobReading, MAX_JOBS, Tallies};

fn due(world: &World) -> (u64, u64) {
    let gauges = world.state.gauges(world.now.wall);
    (gauges.due, gauges.running)
}

#[test]
fn a_slot_is_due_until_its_program_runs() {
    let mut world = World::with(vec![job("a", "0 * * * * *", OnOverlap::Queue)]);
    assert_eq!(due(&world), (0, 0));
    world.now.wall = at(T0 + 60);
    assert_eq!(due(&world), (1, 0), "the loop has not turned yet");
    world.now.wall = at(T0);
    world.pass(60);
    assert_eq!(due(&world), (1, 1), "the warden is to start it");
    world.start_all();
    assert_eq!(due(&world), (0, 1));
    world.pass(60);
    assert_eq!(due(&world), (1, 1), "it waits for the one before");
    world.finish("a");
    world.start_all();
    assert_eq!(due(&world), (0, 1));
}

#[test]
fn each_job_is_in_one_state() {
    let jobs = ["off", "held", "bad", "a", "b"]
        .map(|text| Job { enable: text != "off", ..job(text, "@every 1h", OnOverlap::Skip) });
    let mut world = World::with(jobs.into());
    for paused in ["held", "off"] {
        // A job that is disabled is not paused; one that was disabled meanwhile would be.
        let _ = world.state.pause(&name(paused), None, "", "uid 0", world.now);
    }
    let broken = ["bad", "held"].map(|text| Change::Broken(name(text), true)).into();
    world.step(Event::Loaded { changes: broken, complete: true });
    let states = world.state.gauges(world.now.wall).jobs;
    assert_eq!(states, [("enabled", 2), ("disabled", 1), ("paused", 1), ("broken", 1)]);
    let slots: Vec<_> = world.state.next_slots(4).map(|(name, next)| (name.as_str(), next.is_some())).collect();
    assert_eq!(slots, [("a", true), ("b", true), ("bad", true), ("held", false)]);
}

/// What the loop does for a scrape. In a release build it should be below 2 ms; the bound is wide, for debug builds on busy
/// machines, and `--nocapture` shows the number.
#[test]
fn ten_thousand_jobs_are_read_in_no_time() {
    let names = (0..10_000).map(|n| format!("job{n:05}"));
    let world = World::with(names.map(|name| job(&name, "@every 1h", OnOverlap::Skip)).collect());
    let mut tallies = Tallies::default();
    for (name, _) in world.state.next_slots(10_000) {
        for fate in [Fate::Ran(RunId(1)), Fate::Missed(1, Cause::Down), Fate::Superseded] {
            let slot = world.now.wall;
            tallies.hear(&Fact::Verdict { job: name.clone(), slot, oldest: slot, fate }, &world.state);
        }
    }
    let took = (0..20).map(|_| {
        let began = Instant::now();
        let gauges = world.state.gauges(world.now.wall);
        let jobs = world.state.next_slots(MAX_JOBS);
        let read: Vec<JobReading> =
            jobs.map(|(name, next)| JobReading { name: name.clone(), next, tally: tallies.of(name) }).collect();
        let took = began.elapsed();
        assert_eq!((gauges.jobs[0].1, read.len()), (10_000, MAX_JOBS));
        took
    });
    let best = took.min().unwrap();
    println!("a reading of 10,000 jobs: {best:?}");
    assert!(best < Duration::from_millis(250), "{best:?}");
}
