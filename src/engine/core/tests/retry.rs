//! Another attempt: when, whose turn it is meanwhile, and what an engine that dies leaves of it.

use proptest::prelude::*;

use super::super::retry::counts;
use super::*;
use crate::engine::Outcome;
use crate::job::{Retries, RetryOn};
use crate::wire::Step;

const ALL: [OnOverlap; 4] = [OnOverlap::Skip, OnOverlap::Queue, OnOverlap::Replace, OnOverlap::Allow];

/// 10, 20 and 40 s, then no more.
fn retries() -> Option<Box<Retries>> {
    Some(Box::new(Retries::of(3)))
}

fn stubborn(schedule: &str, on_overlap: OnOverlap) -> Job {
    Job { retries: retries(), ..job("a", schedule, on_overlap) }
}

/// The one run of the job starts and fails.
fn fail(world: &mut World) -> RunId {
    world.start_all();
    let run = world.runs_of("a")[0];
    world.end(run, Exit::Code(1));
    world.drain_output(run);
    run
}

fn ask(world: &mut World) -> RunId {
    let (run, effects) = world.state.start(&name("a"), "uid 0", world.now);
    world.perform(effects);
    run.unwrap()
}

/// Attempts that were started: run, number, seconds after the beginning.
fn attempts(world: &World) -> Vec<(RunId, u32, i64)> {
    let mut attempts = Vec::new();
    for (fact, at) in world.facts.iter().zip(&world.told) {
        if let Fact::Started { ticket, .. } = fact {
            attempts.push((ticket.of, ticket.attempt, at.as_second() - T0));
        }
    }
    attempts
}

fn numbers(world: &World) -> Vec<(u32, i64)> {
    attempts(world).into_iter().map(|(_, attempt, at)| (attempt, at)).collect()
}

fn drops(world: &World) -> Vec<&'static str> {
    let why = |fact: &Fact| if let Fact::RetryDropped { why, .. } = fact { Some(why.code()) } else { None };
    world.facts.iter().filter_map(why).collect()
}

fn promised(world: &World) -> Vec<Option<i64>> {
    let next = |fact: &Fact| match fact {
        Fact::Over(record) => Some(record.next.map(|next| next.as_second() - T0)),
        _ => None,
    };
    world.facts.iter().filter_map(next).collect()
}

#[test]
fn what_counts_is_what_is_named_and_no_success() {
    let on = |words: &[&str], codes: &[u8]| RetryOn {
        failure: words.contains(&"failure"),
        timeout: words.contains(&"timeout"),
        could_not_start: words.contains(&"could-not-start"),
        codes: codes.to_vec(),
    };
    let code = |code| Exit::Code(code);
    let failed = |exit| Outcome::Exited { exit, success: false };
    let late = |exit| Outcome::TimedOut { exit };
    let killed = Exit::Signal { signal: 9, core: false };
    let unborn =
        Outcome::CouldNotStart { failure: Failure { step: Step::Exec, errno: 2 }, message: "no such file".into() };
    let stopped = Outcome::Stopped { exit: code(75), why: "request".into() };
    for (on, outcome, expected) in [
        (RetryOn::default(), failed(code(1)), true),
        (RetryOn::default(), failed(killed), true),
        (RetryOn::default(), late(killed), true),
        (RetryOn::default(), unborn.clone(), true),
        (RetryOn::default(), Outcome::Exited { exit: code(0), success: true }, false),
        (RetryOn::default(), stopped.clone(), false),
        (RetryOn::default(), Outcome::Lost, false),
        (on(&["failure"], &[]), late(code(1)), false),
        (on(&["failure"], &[]), unborn.clone(), false),
        (on(&["timeout"], &[]), failed(code(1)), false),
        (on(&["timeout"], &[75]), failed(code(75)), true),
        (on(&[], &[75]), late(code(75)), true),
        (on(&[], &[75]), failed(code(74)), false),
        (on(&[], &[75]), failed(killed), false),
        (on(&[], &[75]), Outcome::Exited { exit: code(75), success: true }, false),
        (on(&[], &[75]), stopped, false),
        (on(&["could-not-start"], &[]), unborn, true),
    ] {
        assert_eq!(counts(&on, &outcome), expected, "{on:?} {outcome:?}");
    }
}

#[test]
fn d72_a_run_is_attempted_until_it_succeeds_or_has_no_attempts_left() {
    let mut world = World::with(vec![stubborn("0 0 * * * *", OnOverlap::Skip)]);
    world.pass(3600);
    for wait in [10, 20, 40] {
        fail(&mut world);
        assert_eq!(world.state.show_status().running, 0, "what waits does not go on");
        world.pass(wait - 1);
        assert!(world.runs_of("a").is_empty(), "not before its time");
        world.pass(1);
    }
    fail(&mut world);
    world.pass(600);
    assert_eq!(numbers(&world), [(1, 3600), (2, 3610), (3, 3630), (4, 3670)]);
    assert_eq!(promised(&world), [Some(3610), Some(3630), Some(3670), None]);
    let of = attempts(&world)[0].0;
    assert!(attempts(&world).iter().all(|attempt| attempt.0 == of), "one run");
    assert_eq!(world.fates("a"), [(3600, Fate::Ran(of))], "and one verdict");
    assert_eq!(world.over.len(), 4, "each under an id of its own");
    assert!(world.warden.runs.is_empty());
    assert_eq!(world.state.show_status().outcomes["failure"], 1, "counted as one run");

    world.pass(3600 - 670);
    fail(&mut world);
    world.pass(10);
    world.finish("a");
    world.pass(600);
    assert_eq!(numbers(&world)[4..], [(1, 7200), (2, 7210)]);
    assert!(world.warden.runs.is_empty());
}

#[test]
fn the_next_attempt_is_of_the_present_definition_and_the_ended_one_decides_whether_it_comes() {
    let mut world = World::with(vec![stubborn("0 0 * * * *", OnOverlap::Skip)]);
    world.pass(3600);
    world.start_all();
    // What it started under decides: the file no longer says anything of retries.
    world.arm(job("a", "0 0 * * * *", OnOverlap::Skip), world.now.wall);
    fail(&mut world);
    world.pass(10);
    fail(&mut world);
    assert_eq!(promised(&world), [Some(3610), None]);
    assert!(world.warden.runs.is_empty());
}

#[test]
fn d72_whatever_starts_meanwhile_takes_its_place() {
    for on_overlap in ALL {
        let allow = on_overlap == OnOverlap::Allow;
        for by_slot in [true, false] {
            let mut world = World::with(vec![stubborn(if by_slot { "0 * * * * *" } else { "" }, on_overlap)]);
            match by_slot {
                true => world.pass(60),
                false => _ = ask(&mut world),
            }
            fail(&mut world);
            for wait in [10, 20] {
                world.pass(wait);
                fail(&mut world);
            }
            // 30 s after the beginning, due in 40.
            match by_slot {
                true => world.pass(30),
                false => _ = ask(&mut world),
            }
            world.start_all();
            assert_eq!(drops(&world), if allow { vec![] } else { vec!["superseded"] }, "{on_overlap:?}");
            assert_eq!(world.runs_of("a").len(), 1);
            world.finish("a");
            world.pass(40);
            let fourth = attempts(&world).iter().filter(|(_, attempt, _)| *attempt == 4).count();
            world.start_all();
            let after = attempts(&world).iter().filter(|(_, attempt, _)| *attempt == 4).count();
            assert_eq!((fourth, after), (0, usize::from(allow)), "{on_overlap:?}");
            world.finish("a");
            assert!(world.warden.runs.is_empty(), "{on_overlap:?}");
        }
    }
}

#[test]
fn d72_a_slot_at_the_very_instant_wins() {
    let quick = Retries { delay: Duration::from_secs(60), ..Retries::of(1) };
    let mut world =
        World::with(vec![Job { retries: Some(Box::new(quick)), ..job("a", "0 * * * * *", OnOverlap::Skip) }]);
    world.pass(60);
    fail(&mut world);
    world.pass(60);
    world.start_all();
    assert_eq!(numbers(&world), [(1, 60), (1, 120)]);
    assert_eq!(drops(&world), ["superseded"]);
}

#[test]
fn what_waits_for_the_attempt_goes_before_another_one() {
    for on_overlap in [OnOverlap::Queue, OnOverlap::Replace] {
        let mut world = World::with(vec![stubborn("", on_overlap)]);
        ask(&mut world);
        world.start_all();
        ask(&mut world);
        let run = world.runs_of("a")[0];
        // By itself: the stop came too late.
        world.end(run, Exit::Code(1));
        world.drain_output(run);
        world.start_all();
        assert_eq!(promised(&world), [None], "{on_overlap:?}");
        assert_eq!(numbers(&world), [(1, 0), (1, 0)]);
    }
}

#[test]
fn a_slot_that_is_made_up_for_waits_until_the_run_is_through() {
    for dies in [false, true] {
        let mut world = World::with(vec![stubborn("", OnOverlap::Skip)]);
        ask(&mut world);
        fail(&mut world);
        let definition = world.state.definition(&name("a")).unwrap();
        let missed = Ticket::first(world.state.next_run(world.now), Some(at(T0 - 60)), Trigger::CatchUp, String::new());
        world.state.enter(&definition, missed, 0, world.now);
        world.step(Event::Wake);
        if dies {
            world.next_engine();
        }
        assert_eq!(drops(&world), [""; 0]);
        world.pass(10);
        world.start_all();
        assert_eq!(numbers(&world), [(1, 0), (2, 10)], "the run first");
        if dies {
            world.next_engine();
        }
        world.finish("a");
        world.start_all();
        assert_eq!(numbers(&world)[2..], [(1, 10)], "then what was missed");
        world.finish("a");
        assert!(world.warden.runs.is_empty());
    }
}

#[test]
fn d72_who_ends_a_run_ends_its_attempts() {
    type Act = fn(&mut World, RunId);
    let acts: [(&str, Act); 6] = [
        ("paused", |world, _| drop(world.pause("a", None))),
        ("retired", |world, _| world.arm(Job { enable: false, ..stubborn("", OnOverlap::Skip) }, world.now.wall)),
        ("retired", |world, _| world.retire("a")),
        ("request", |world, of| {
            let (stopped, effects) = world.state.stop_job(&name("a"), world.now);
            assert_eq!(stopped.unwrap(), [of]);
            world.perform(effects);
        }),
        ("request", |world, of| {
            let (stopped, effects) = world.state.stop_run(of, world.now);
            assert_eq!(stopped.unwrap(), [of]);
            world.perform(effects);
        }),
        ("stopping", |world, _| world.step(Event::Drain { grace: Duration::from_secs(1) })),
    ];
    for (why, act) in acts {
        let mut world = World::with(vec![stubborn("", OnOverlap::Skip)]);
        let of = ask(&mut world);
        fail(&mut world);
        world.pass(10);
        fail(&mut world);
        assert_eq!(world.warden.runs.len(), 1, "the ended attempt remembers it");
        act(&mut world, of);
        assert_eq!(drops(&world), [why]);
        assert!(world.warden.runs.is_empty(), "{why}");
        world.next_engine();
        world.pass(60);
        assert_eq!(numbers(&world).len(), 2, "{why}");
    }
}

#[test]
fn d72_a_run_that_was_stopped_is_not_attempted_again() {
    // While it is starting, while it runs, and while its output is still coming.
    for stage in 0..3 {
        let mut world = World::with(vec![stubborn("", OnOverlap::Skip)]);
        let run = ask(&mut world);
        if stage > 0 {
            world.start_all();
        }
        if stage == 2 {
            world.end(run, Exit::Code(1));
        }
        let (stopped, effects) = world.state.stop_job(&name("a"), world.now);
        assert_eq!(stopped.unwrap(), [run]);
        world.perform(effects);
        world.start_all();
        if stage < 2 {
            world.end(run, Exit::Code(1));
        }
        world.drain_output(run);
        assert_eq!(promised(&world), [None], "stage {stage}");
        assert!(world.warden.runs.is_empty());
    }
}

#[test]
fn a_time_that_is_up_is_attempted_again() {
    let timed = Job { timeout: Some(Duration::from_secs(5)), ..stubborn("", OnOverlap::Skip) };
    let mut world = World::with(vec![timed]);
    let run = ask(&mut world);
    world.start_all();
    world.pass(5);
    world.end(run, Exit::Signal { signal: 15, core: false });
    world.drain_output(run);
    assert_eq!(promised(&world), [Some(15)]);
    world.pass(10);
    world.finish("a");
    assert_eq!(numbers(&world), [(1, 0), (2, 15)]);
}

#[test]
fn a_run_is_found_by_its_id_and_its_attempts_by_theirs() {
    let mut world = World::with(vec![stubborn("", OnOverlap::Skip)]);
    let of = ask(&mut world);
    let seen = |world: &World, id| {
        let view = world.state.show_run(id).unwrap();
        assert_eq!(view.run, of.to_string());
        (view.state, view.attempt, view.attempts)
    };
    assert_eq!(seen(&world, of), ("starting".into(), 1, 1));
    fail(&mut world);
    assert_eq!(seen(&world, of), ("retrying".into(), 1, 1));
    let job = world.state.show_job(&name("a")).unwrap();
    assert_eq!((job.running.len(), job.retrying.len()), (0, 1));
    assert_eq!(job.retrying[0].next_attempt, Some(at(T0 + 10)));
    assert_eq!((job.retrying[0].trigger.as_str(), job.retrying[0].by.as_str()), ("request", "uid 0"));
    world.pass(10);
    world.start_all();
    assert_eq!(seen(&world, of), ("running".into(), 2, 2));
    let second = world.runs_of("a")[0];
    assert_ne!(second, of);
    assert_eq!(seen(&world, second), ("running".into(), 2, 2));
    fail(&mut world);
    world.pass(20);
    world.finish("a");
    assert_eq!(seen(&world, of), ("over".into(), 3, 3));
    assert_eq!(seen(&world, second), ("over".into(), 2, 3), "and how that one ended");
    assert!(matches!(world.state.show_run(of).unwrap().outcome, Some(Outcome::Exited { success: true, .. })));
    assert!(matches!(world.state.show_run(second).unwrap().outcome, Some(Outcome::Exited { success: false, .. })));
}

#[test]
fn d72_an_engine_that_dies_while_a_run_waits_loses_nothing() {
    let mut world = World::with(vec![stubborn("0 0 * * * *", OnOverlap::Skip)]);
    world.pass(3600);
    let of = fail(&mut world);
    world.sleep(5);
    world.next_engine();
    assert_eq!(world.over.len(), 0, "not told of twice");
    let view = world.state.show_run(of).unwrap();
    assert_eq!((view.state.as_str(), view.attempt), ("retrying", 1));
    assert!(matches!(view.outcome, Some(Outcome::Exited { exit: Exit::Code(1), success: false })));
    assert!(world.state.show_job(&name("a")).unwrap().last.is_some());
    world.pass(5);
    world.start_all();
    assert_eq!(numbers(&world), [(1, 3600), (2, 3610)], "by the wall clock");
    fail(&mut world);
    world.sleep(300);
    world.next_engine();
    world.step(Event::Wake);
    world.finish("a");
    assert_eq!(numbers(&world)[2..], [(3, 3910)], "what came due meanwhile is due at once");
    assert!(world.warden.runs.is_empty());
}

#[test]
fn a_clock_that_was_set_back_meanwhile_keeps_no_attempt_waiting() {
    let mut world = World::with(vec![stubborn("", OnOverlap::Skip)]);
    ask(&mut world);
    fail(&mut world);
    world.now.wall = at(T0 - 86_400);
    world.next_engine();
    world.pass(10);
    world.start_all();
    assert_eq!(numbers(&world).len(), 2);
}

#[test]
fn d73_an_engine_that_dies_at_any_message_of_a_retry_doubles_and_loses_none() {
    for environment_file in [None, Some("/etc/env".into())] {
        for (cut, step) in (0..7).flat_map(|cut| (0..5).map(move |step| (cut, step))) {
            let definition = Job { environment_file: environment_file.clone(), ..stubborn("", OnOverlap::Skip) };
            let mut world = World::with(vec![definition]);
            let read = |world: &mut World| {
                while let Some(run) = world.reading.pop() {
                    world.step(Event::Environment { run, read: Ok(vec![]) });
                }
            };
            ask(&mut world);
            read(&mut world);
            world.start_all();
            let run = world.runs_of("a")[0];
            let cut_at = |world: &mut World, now: usize| {
                if now == step {
                    world.cut = Some(cut);
                }
            };
            cut_at(&mut world, 0);
            world.end(run, Exit::Code(1));
            world.drain_output(run);
            cut_at(&mut world, 1);
            world.pass(10);
            cut_at(&mut world, 2);
            read(&mut world);
            cut_at(&mut world, 3);
            if step == 4 {
                let (_, effects) = world.state.stop_job(&name("a"), world.now);
                world.cut = Some(cut);
                world.perform(effects);
            }
            world.next_engine();
            for _ in 0..30 {
                world.pass(1);
                read(&mut world);
                world.start_all();
            }
            let told = format!("cut after {cut} of step {step}, {environment_file:?}: {:?}", world.facts);
            let second = world.warden.attempts.iter().filter(|(_, attempt)| *attempt == 2).count();
            assert_eq!(second, 1, "{told}");
            assert_eq!(world.runs_of("a").len(), 1, "{told}");
            world.finish("a");
            world.pass(100);
            assert!(world.warden.runs.is_empty() && world.reading.is_empty(), "{told}");
        }
    }
}

#[test]
fn d73_a_retry_that_was_dropped_stays_dropped() {
    for cut in 1..4 {
        let mut world = World::with(vec![stubborn("", OnOverlap::Skip)]);
        ask(&mut world);
        fail(&mut world);
        let (_, effects) = world.state.stop_job(&name("a"), world.now);
        world.cut = Some(cut);
        world.perform(effects);
        world.next_engine();
        world.pass(100);
        world.start_all();
        assert_eq!(numbers(&world).len(), 1, "cut after {cut}");
        assert!(world.warden.runs.is_empty());
    }
}

#[test]
fn d73_what_the_warden_never_knew_is_in_the_mark() {
    let unreadable = Job { environment_file: Some("/etc/env".into()), ..stubborn("0 0 * * * *", OnOverlap::Skip) };
    let mut world = World::with(vec![unreadable]);
    let read = |world: &mut World, read: Result<(), &str>| {
        let run = world.reading.pop().expect("its environment is being read");
        let read = read.map(|()| vec![]).map_err(str::to_owned);
        world.step(Event::Environment { run, read });
    };
    world.pass(3600);
    read(&mut world, Err("no such file"));
    assert_eq!(promised(&world), [Some(3610)]);
    assert!(world.warden.runs.is_empty());
    world.next_engine();
    assert_eq!(world.state.show_status().retrying, 1);
    world.pass(10);
    // While it is prepared, it is remembered, too.
    world.next_engine();
    world.step(Event::Wake);
    read(&mut world, Err("still not"));
    world.pass(20);
    read(&mut world, Ok(()));
    world.start_all();
    assert_eq!(numbers(&world), [(3, 3630)]);
    assert_eq!(world.fates("a").len(), 1, "one verdict");
    world.next_engine();
    assert_eq!(world.state.show_status().retrying, 0, "begun is begun");
    world.finish("a");
    assert!(world.warden.runs.is_empty());
    assert_eq!(promised(&world), [Some(3610), Some(3630), None]);
}

#[test]
fn d73_of_an_attempt_that_is_remembered_twice_the_later_one_counts() {
    for cut in 0..3 {
        let definition = Job { environment_file: Some("/etc/env".into()), ..stubborn("", OnOverlap::Skip) };
        let mut world = World::with(vec![definition]);
        ask(&mut world);
        let read = |world: &mut World, read: Result<Vec<(String, String)>, String>| {
            let run = world.reading.pop().expect("its environment is being read");
            world.step(Event::Environment { run, read });
        };
        read(&mut world, Ok(vec![]));
        fail(&mut world);
        world.pass(10);
        // The mark says that a third attempt comes, the first one's context still that the second does.
        world.cut = Some(cut);
        read(&mut world, Err("gone".into()));
        world.next_engine();
        let (attempt, wait) = if cut == 0 { (2, 0) } else { (3, 20) };
        world.pass(wait);
        read(&mut world, Ok(vec![]));
        world.start_all();
        assert_eq!(numbers(&world), [(1, 0), (attempt, 10 + wait)], "cut after {cut}");
        world.finish("a");
        assert!(world.warden.runs.is_empty());
    }
}

#[test]
fn a_mark_holds_as_many_retries_as_fit() {
    let ticket = Ticket::first(RunId(1), Some(at(T0)), Trigger::Request, "x".repeat(64));
    let long = name(&"n".repeat(120));
    let retries = vec![(long, (ticket, at(T0))); 100];
    let stretches = world_stretches();
    let mark = Mark {
        base: at(T0),
        last_run: RunId(9),
        booted: true,
        doubts: vec![],
        stretches: stretches.clone(),
        ends: vec![],
        retries,
    };
    let bytes = mark.encode();
    assert!(bytes.len() <= MAX_MARK);
    let back = Mark::decode(&bytes).unwrap();
    assert_eq!(back.stretches, stretches, "what was watched matters more");
    assert!(back.retries.len() > 5);
}

fn world_stretches() -> Vec<super::super::clock::Stretch> {
    (0..16).map(|n| super::super::clock::Stretch { number: n, from: at(T0), to: at(T0 + 1) }).collect()
}

#[derive(Debug, Clone)]
enum Move {
    Pass(i64),
    Start,
    End(i32),
    Drain,
    Ask,
    Stop,
    Pause,
    Resume,
    Able(bool),
    Die(usize),
}

fn moves(death: bool) -> impl Strategy<Value = Vec<Move>> {
    let mut all = vec![
        (6, (0..25i64).prop_map(Move::Pass).boxed()),
        (8, Just(Move::Start).boxed()),
        (8, (0..3i32).prop_map(Move::End).boxed()),
        (8, Just(Move::Drain).boxed()),
        (3, Just(Move::Ask).boxed()),
        (1, Just(Move::Stop).boxed()),
        (1, Just(Move::Pause).boxed()),
        (2, Just(Move::Resume).boxed()),
        (1, any::<bool>().prop_map(Move::Able).boxed()),
        (1, Just(Move::Able(true)).boxed()),
    ];
    if death {
        all.push((3, (0..7usize).prop_map(Move::Die).boxed()));
    }
    prop::collection::vec(prop::strategy::Union::new_weighted(all), 1..150)
}

fn definition(on_overlap: OnOverlap) -> Job {
    let quick = Retries { delay: Duration::from_secs(8), ..Retries::of(2) };
    Job { retries: Some(Box::new(quick)), ..job("a", "0,40 * * * * *", on_overlap) }
}

fn play(world: &mut World, on_overlap: OnOverlap, a_move: Move) {
    let alive = |world: &World, state: fn(&Known) -> bool| {
        world.warden.runs.iter().find(|(_, known)| state(known)).map(|(run, _)| *run)
    };
    match a_move {
        Move::Pass(seconds) => world.pass(seconds),
        Move::Start => world.start_all(),
        Move::End(code) => {
            if let Some(run) = alive(world, |known| matches!(known.state, AdoptState::Running { .. })) {
                world.end(run, Exit::Code(code));
            }
        }
        Move::Drain => {
            if let Some(run) = alive(world, |known| known.state != AdoptState::Starting && !known.drained) {
                world.drain_output(run);
            }
        }
        Move::Ask => {
            let (_, effects) = world.state.start(&name("a"), "uid 0", world.now);
            world.perform(effects);
        }
        Move::Stop => {
            let (_, effects) = world.state.stop_job(&name("a"), world.now);
            world.perform(effects);
        }
        Move::Pause => drop(world.pause("a", None)),
        Move::Resume => world.resume("a"),
        Move::Able(enable) => world.arm(Job { enable, ..definition(on_overlap) }, world.now.wall),
        Move::Die(after) => {
            world.cut = Some(after);
            world.pass(9);
            world.next_engine();
        }
    }
    while let Some(run) = world.closed.pop() {
        world.drain_output(run);
    }
}

/// What may be seen of the job at any moment.
fn check(world: &World, on_overlap: OnOverlap) {
    let job = world.state.show_job(&name("a")).unwrap();
    if on_overlap != OnOverlap::Allow {
        assert!(world.runs_of("a").len() <= 1, "two of them go on");
        assert!(job.running.len() + job.retrying.len() <= 1, "{job:?}");
    }
    let idle = !job.enable || job.pause.is_some();
    assert!(!idle || job.retrying.is_empty(), "{job:?}");
}

fn close(world: &mut World) {
    world.step(Event::Drain { grace: Duration::from_secs(5) });
    for _ in 0..4 {
        world.start_all();
        for run in world.runs_of("a") {
            world.end(run, Exit::Signal { signal: 9, core: false });
            world.drain_output(run);
        }
        while let Some(run) = world.closed.pop() {
            world.drain_output(run);
        }
        world.pass(3);
    }
    assert!(world.warden.runs.is_empty(), "all forgotten");
    assert_eq!(world.state.show_status().retrying, 0);
}

/// How far a run has come, by what people were told of it.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Goes(u32),
    Waits(u32, Timestamp),
    Finished,
}

/// The story that people are told, against the rules as one would say them.
#[derive(Debug, Default)]
struct Story {
    runs: BTreeMap<RunId, Told>,
    read: usize,
    disabled: bool,
    paused: bool,
    stopping: bool,
    /// Attempts that went on when somebody wanted them to end.
    stopped: BTreeSet<RunId>,
}

impl Story {
    /// What is about to be done.
    fn hear(&mut self, world: &World, a_move: &Move) {
        match a_move {
            Move::Stop => self.stopped.extend(world.warden.runs.keys()),
            // Refused of a job that is disabled.
            Move::Pause => self.paused |= !self.disabled,
            Move::Resume => self.paused = false,
            Move::Able(enable) => self.disabled = !enable,
            _ => {}
        }
    }

    fn read(&mut self, world: &World, on_overlap: OnOverlap) {
        let allow = on_overlap == OnOverlap::Allow;
        let new = world.facts.iter().zip(&world.told).skip(self.read);
        self.read = world.facts.len();
        for (fact, now) in new {
            match fact {
                Fact::Started { ticket, .. } => {
                    match self.runs.insert(ticket.of, Told::Goes(ticket.attempt)) {
                        None => assert_eq!(ticket.attempt, 1),
                        Some(Told::Waits(attempt, at)) => {
                            assert_eq!(ticket.attempt, attempt + 1);
                            assert!(*now >= at, "too early");
                        }
                        other => panic!("{ticket:?} after {other:?}"),
                    }
                    let others = self.runs.iter().filter(|(of, _)| **of != ticket.of);
                    let busy = others.filter(|(_, told)| **told != Told::Finished).count();
                    assert!(allow || busy == 0, "{ticket:?} has not the place for itself: {:?}", self.runs);
                }
                Fact::Over(record) => self.over(record, *now, on_overlap),
                Fact::RetryDropped { of, why, .. } => {
                    let before = self.runs.insert(*of, Told::Finished);
                    assert!(matches!(before, Some(Told::Waits(..))), "{before:?}");
                    assert!(!allow || *why != Dropped::Superseded);
                    let reason = match why {
                        Dropped::Superseded => true,
                        Dropped::Paused | Dropped::Held => self.paused,
                        Dropped::Retired => self.disabled,
                        Dropped::Request => true,
                        Dropped::Stopping => self.stopping,
                    };
                    assert!(reason, "{why:?}: {self:?}");
                }
                _ => {}
            }
        }
    }

    fn over(&mut self, record: &Record, now: Timestamp, on_overlap: OnOverlap) {
        let Ticket { of, attempt, run, .. } = record.ticket;
        if let Some(told) = self.runs.get(&of) {
            assert_eq!(*told, Told::Goes(attempt), "{record:?}");
        }
        let failed = matches!(record.outcome, Outcome::Exited { success: false, .. });
        let barred = self.paused || self.disabled || self.stopping || self.stopped.contains(&run);
        let again = failed && attempt <= 2 && !barred;
        match record.next {
            Some(next) => {
                assert!(again, "{record:?}");
                assert_eq!(next, now + SignedDuration::from_secs([8, 16][attempt as usize - 1]));
                self.runs.insert(of, Told::Waits(attempt, next));
            }
            None => {
                // Under these two something may have waited for it.
                let gave_way = matches!(on_overlap, OnOverlap::Queue | OnOverlap::Replace);
                assert!(!again || gave_way, "{record:?} {self:?}");
                self.runs.insert(of, Told::Finished);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn d72_one_winner_whatever_comes_in_whatever_order(moves in moves(false)) {
        for on_overlap in ALL {
            let mut world = World::with(vec![definition(on_overlap)]);
            let mut story = Story::default();
            for a_move in moves.clone() {
                story.hear(&world, &a_move);
                play(&mut world, on_overlap, a_move);
                check(&world, on_overlap);
                story.read(&world, on_overlap);
            }
            story.stopping = true;
            close(&mut world);
            story.read(&world, on_overlap);
            prop_assert!(story.runs.values().all(|told| *told == Told::Finished), "every run is finished: {:?}", story);
        }
    }

    #[test]
    fn d73_engines_that_die_double_no_attempt_and_lose_no_run(moves in moves(true)) {
        for on_overlap in ALL {
            let mut world = World::with(vec![definition(on_overlap)]);
            for a_move in moves.clone() {
                play(&mut world, on_overlap, a_move);
                check(&world, on_overlap);
            }
            close(&mut world);
        }
    }
}
