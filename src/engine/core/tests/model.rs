//! All interleavings, against slow and obvious rules.

use proptest::prelude::*;

use super::super::errand::PLACES;
use super::catchup::catching_up;
use super::*;
use crate::engine::PauseKind;
use crate::job::CatchUpRule;

const JOBS: [(&str, &str, OnOverlap, CatchUpRule); 9] = [
    ("skip", "*/20 * * * * *", OnOverlap::Skip, CatchUpRule::None),
    ("queue", "*/30 * * * * *", OnOverlap::Queue, CatchUpRule::None),
    ("replace", "*/45 * * * * *", OnOverlap::Replace, CatchUpRule::None),
    ("allow", "0 * * * * *", OnOverlap::Allow, CatchUpRule::None),
    ("file", "*/40 * * * * *", OnOverlap::Queue, CatchUpRule::None),
    ("last", "*/25 * * * * *", OnOverlap::Replace, CatchUpRule::Last),
    ("last file", "*/35 * * * * *", OnOverlap::Queue, CatchUpRule::Last),
    ("all", "*/15 * * * * *", OnOverlap::Skip, CatchUpRule::All),
    ("all allow", "*/50 * * * * *", OnOverlap::Allow, CatchUpRule::All),
];
/// Slots of `all` that are made up for.
const MOST: u32 = 3;

/// Sequences of each property; 10,000 of each take some minutes.
fn cases() -> u32 {
    std::env::var("ROTAD_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
}

#[derive(Debug, Clone)]
enum Move {
    Pass(i64),
    Sleep(i64),
    SetClock(i64),
    Start(usize),
    Fail(usize),
    End(usize),
    Drain(usize),
    Read(usize),
    Ask(usize),
    StopJob(usize),
    Reload(usize),
    Retire(usize),
    Pause(usize, i64),
    Resume(usize),
    SkipNext(usize, u32),
    Hold(i64),
    Release,
    Die(usize),
    Order(usize),
    /// The wall clock goes on, and the monotonic one does not.
    Suspend(i64),
    /// The ledger is not written, for so many seconds.
    Hang(i64),
    /// Daemon and runs are gone at once, after so many messages and an age without a write; and come back so much later.
    Kill(usize, i64),
    /// The machine is.
    Reboot(usize, i64),
    /// The daemon is stopped in order, and started so much later.
    Restart(i64),
}

/// What may happen.
#[derive(Debug, Clone, Copy, Default)]
struct May {
    /// The clock is set.
    clock: bool,
    /// Definitions change.
    edits: bool,
    /// Engines die.
    death: bool,
    /// Daemons die.
    daemons: bool,
}

fn moves(may: May) -> impl Strategy<Value = Vec<Move>> {
    let May { clock, edits, death, daemons } = may;
    let mut all = vec![
        (6, (0..90i64).prop_map(Move::Pass).boxed()),
        (1, (0..400i64).prop_map(Move::Sleep).boxed()),
        (6, any::<usize>().prop_map(Move::Start).boxed()),
        (1, any::<usize>().prop_map(Move::Fail).boxed()),
        (5, any::<usize>().prop_map(Move::End).boxed()),
        (5, any::<usize>().prop_map(Move::Drain).boxed()),
        (4, any::<usize>().prop_map(Move::Read).boxed()),
        (2, any::<usize>().prop_map(Move::Ask).boxed()),
        (1, any::<usize>().prop_map(Move::StopJob).boxed()),
        (2, any::<usize>().prop_map(Move::Order).boxed()),
    ];
    if clock {
        all.push((3, (1..4000i64).prop_map(Move::SetClock).boxed()));
    }
    all.push((2, (any::<usize>(), 1..200i64).prop_map(|(n, seconds)| Move::Pause(n, seconds)).boxed()));
    all.push((1, any::<usize>().prop_map(Move::Resume).boxed()));
    all.push((2, (any::<usize>(), 1..6u32).prop_map(|(n, count)| Move::SkipNext(n, count)).boxed()));
    all.push((1, (1..300i64).prop_map(Move::Hold).boxed()));
    all.push((1, Just(Move::Release).boxed()));
    if edits {
        all.push((2, any::<usize>().prop_map(Move::Reload).boxed()));
        all.push((1, any::<usize>().prop_map(Move::Retire).boxed()));
    }
    if death {
        all.push((4, (0..6usize).prop_map(Move::Die).boxed()));
    }
    all.push((1, (0..400i64).prop_map(Move::Suspend).boxed()));
    if daemons {
        all.push((2, (0..9usize, 0..200i64).prop_map(|(after, away)| Move::Kill(after, away)).boxed()));
        all.push((1, (0..9usize, 0..400i64).prop_map(|(after, away)| Move::Reboot(after, away)).boxed()));
        all.push((2, (0..200i64).prop_map(Move::Restart).boxed()));
    } else {
        all.push((1, (0..3i64).prop_map(Move::Hang).boxed()));
    }
    prop::collection::vec(prop::strategy::Union::new_weighted(all), 1..120)
}

fn definition(n: usize) -> Job {
    let (name, schedule, on_overlap, rule) = JOBS[n % JOBS.len()];
    let environment_file = name.ends_with("file").then(|| "/etc/env".into());
    let retries = crate::job::Retries { delay: Duration::from_secs(15), ..crate::job::Retries::of(2) };
    let (timeout, retries) = (Some(Duration::from_secs(50)), Some(Box::new(retries)));
    Job { environment_file, timeout, retries, ..catching_up(name, schedule, on_overlap, rule, MOST) }
}

fn world() -> World {
    World::with((0..JOBS.len()).map(definition).collect())
}

fn pick<T: Clone>(of: Vec<T>, n: usize) -> Option<T> {
    (!of.is_empty()).then(|| of[n % of.len()].clone())
}

fn with_state(world: &World, of: impl Fn(&Known) -> bool) -> Vec<RunId> {
    world.warden.runs.iter().filter(|(_, known)| of(known)).map(|(id, _)| *id).collect()
}

fn play(world: &mut World, a_move: Move) {
    match a_move {
        Move::Pass(seconds) => world.pass(seconds),
        Move::Sleep(seconds) => {
            world.sleep(seconds);
            world.step(Event::Wake);
        }
        Move::SetClock(second) => world.set_clock(T0 + second),
        Move::Start(n) => {
            if let Some(run) = pick(with_state(world, |known| known.state == AdoptState::Starting), n) {
                world.started(run);
            }
        }
        Move::Fail(n) => {
            if let Some(run) = pick(with_state(world, |known| known.state == AdoptState::Starting), n) {
                let failure = Failure { step: crate::wire::Step::Fork, errno: 11 };
                world.warden.runs.get_mut(&run).unwrap().state = AdoptState::NotStarted(failure);
                world.step(Event::NotStarted { run, failure });
            }
        }
        Move::End(n) => {
            if let Some(run) = pick(with_state(world, |known| matches!(known.state, AdoptState::Running { .. })), n) {
                world.end(run, Exit::Code((n % 2) as i32));
            }
        }
        Move::Drain(n) => {
            let running = |known: &Known| !matches!(known.state, AdoptState::Starting) && !known.drained;
            if let Some(run) = pick(with_state(world, running), n) {
                world.drain_output(run);
            }
        }
        Move::Read(n) => {
            if let Some(run) = pick(world.reading.clone(), n) {
                world.reading.retain(|other| *other != run);
                let read = if n % 5 == 0 { Err("unreadable".into()) } else { Ok(vec![]) };
                world.step(Event::Environment { run, read });
            }
        }
        Move::Ask(n) => {
            let (_, effects) = world.state.start(&definition(n).name, "uid 0", world.now);
            world.perform(effects);
        }
        Move::StopJob(n) => {
            let (_, effects) = world.state.stop_job(&definition(n).name, world.now);
            world.perform(effects);
        }
        Move::Order(n) => {
            let timeout = Duration::from_secs(10);
            let errand = Errand {
                argv: vec!["/bin/beat".into()],
                environment: vec![],
                set_uid: false,
                timeout,
                urgent: n % 3 == 0,
            };
            let _ = world.state.order(errand, world.now);
            world.step(Event::Wake);
        }
        Move::Reload(n) => world.arm(definition(n), world.now.wall),
        Move::Retire(n) => world.retire(definition(n).name.as_str()),
        // Every third one has no end.
        Move::Pause(n, seconds) => {
            drop(world.pause(definition(n).name.as_str(), (seconds % 3 != 0).then_some(seconds)))
        }
        Move::Resume(n) => world.resume(definition(n).name.as_str()),
        Move::SkipNext(n, count) => drop(world.skip_next(definition(n).name.as_str(), count)),
        Move::Hold(seconds) => drop(world.hold((seconds % 3 != 0).then_some(seconds))),
        Move::Release => drop(world.release()),
        Move::Die(after) => {
            world.cut = Some(after);
            world.pass(25);
            world.next_engine();
        }
        Move::Suspend(seconds) => {
            let mono = world.now.mono;
            world.sleep(seconds);
            world.now.mono = mono;
            world.step(Event::Wake);
        }
        Move::Hang(seconds) => {
            world.hung = true;
            world.pass(seconds);
            world.hung = false;
            world.write_ledger();
        }
        Move::Kill(after, away) | Move::Reboot(after, away) => {
            // At a slot, with its claims on the disk or not.
            if let Some(next) = world.state.next_wall().filter(|next| *next > world.now.wall) {
                world.tick(next);
                (world.hung, world.cut) = (after % 2 == 0, Some(after));
                world.step(Event::Wake);
                world.start_all_that_start();
            }
            world.hung = true;
            world.sleep(away);
            (world.hung, world.cut) = (false, None);
            if matches!(a_move, Move::Reboot(..)) {
                world.now.mono = Duration::from_secs(away.unsigned_abs() % 7);
            }
            world.next_daemon();
        }
        Move::Restart(away) => {
            finish_in_order(world);
            world.write_ledger();
            world.sleep(away);
            world.next_daemon();
        }
    }
    while let Some(run) = world.closed.pop() {
        world.drain_output(run);
    }
}

/// What holds after every move, whatever happens.
fn check(world: &World) {
    world.assert_no_slot_twice();
    for (name, _, on_overlap, _) in JOBS {
        if on_overlap != OnOverlap::Allow {
            assert!(world.runs_of(name).len() <= 1, "two runs of {name}");
        }
    }
    let alive = |run: &RunId| matches!(world.warden.runs[run].state, AdoptState::Starting | AdoptState::Running { .. });
    assert!(world.errands().iter().filter(|run| alive(run)).count() <= PLACES, "more errands than may");
}

/// Every slot of the jobs up to now has exactly one verdict; rows of missed ones stand for as many as they say. Those that
/// wait or were put off by a clock set back are told apart by `settled`.
fn check_verdicts(world: &World) {
    for (text, ..) in JOBS {
        let schedule = definition(JOBS.iter().position(|job| job.0 == text).unwrap()).schedule.unwrap();
        let pauses = pauses_of(world, text);
        let mut due = BTreeSet::new();
        let mut slot = at(T0);
        while let Some(next) = schedule.next(slot, at(T0)).filter(|next| *next <= world.now.wall) {
            due.insert(next);
            slot = next;
        }
        for (fact, now) in world.facts.iter().zip(&world.told) {
            let Fact::Verdict { job, slot, oldest, fate } = fact else { continue };
            if *job != name(text) {
                continue;
            }
            let mine: Vec<Timestamp> = match fate {
                Fate::Missed(count, _) | Fate::Paused(_, count) => {
                    let row: Vec<_> = due.range(*oldest..=*slot).copied().collect();
                    assert_eq!(row.len() as u64, *count, "{text}: a row from {oldest} to {slot}");
                    row
                }
                _ => vec![*slot],
            };
            let paused = match fate {
                Fate::Paused(kind, _) => Some(*kind),
                _ => None,
            };
            // What waited for a run when a pause began went with it; what skips the next slots leaves it alone.
            let waited = matches!(fate, Fate::Paused(PauseKind::Pause | PauseKind::Hold, 1))
                && pauses.iter().any(|(since, _, kind)| since == now && *slot <= *since && Some(*kind) == paused);
            for slot in &mine {
                assert!(waited || in_pause(&pauses, *slot) == paused, "{text}: {slot} {fate:?} {pauses:?}");
            }
            for slot in mine {
                assert!(due.remove(&slot), "{text}: a second verdict for {slot}");
            }
        }
        assert!(due.is_empty(), "{text}: no verdict for {due:?}");
    }
}

type Span = (Timestamp, Timestamp, PauseKind);

/// The pauses of a job as they were told (begin, end, kind), its own before those of all jobs.
fn pauses_of(world: &World, of: &str) -> Vec<Span> {
    let (mut pauses, mut holds): (Vec<Span>, Vec<Span>) = (Vec::new(), Vec::new());
    let end = |spans: &mut Vec<Span>, now: Timestamp| {
        let last = spans.last_mut().expect("what ends has begun");
        last.1 = last.1.min(now);
    };
    for (fact, now) in world.facts.iter().zip(&world.told) {
        match fact {
            Fact::Paused { job, pause } if *job == name(of) => {
                if !pauses.is_empty() {
                    end(&mut pauses, *now);
                }
                pauses.push((pause.since, pause.until.unwrap_or(Timestamp::MAX), pause.kind));
            }
            Fact::Resumed { job, .. } if *job == name(of) => end(&mut pauses, *now),
            Fact::Held(hold) => holds.push((hold.since, hold.until.unwrap_or(Timestamp::MAX), hold.kind)),
            Fact::Released { .. } => end(&mut holds, *now),
            _ => {}
        }
    }
    pauses.into_iter().chain(holds).collect()
}

fn in_pause(pauses: &[Span], slot: Timestamp) -> Option<PauseKind> {
    pauses.iter().find(|(since, until, _)| *since < slot && slot <= *until).map(|(_, _, kind)| *kind)
}

/// Stops everything, and expects nothing to be left.
fn close(world: &mut World) {
    finish_in_order(world);
    assert_eq!(world.warden.runs.len(), 0, "all forgotten");
    assert_eq!(world.warden.drained, 1);
    assert_eq!(world.state.show_status().running, 0);
}

fn finish_in_order(world: &mut World) {
    world.step(Event::Drain { grace: Duration::from_secs(5) });
    for _ in 0..4 {
        world.start_all();
        for run in with_state(world, |known| matches!(known.state, AdoptState::Running { .. })) {
            world.end(run, Exit::Signal { signal: 9, core: false });
        }
        while let Some(run) = world.closed.pop() {
            world.drain_output(run);
        }
        for run in with_state(world, |known| is_errand(&known.context) && !known.drained) {
            world.drain_output(run);
        }
        world.pass(3);
    }
}

/// What the daemon put off at its end is decided by another, whose runs all end.
fn close_again(world: &mut World) {
    world.write_ledger();
    world.next_daemon();
    while !world.warden.runs.is_empty() || !world.reading.is_empty() {
        for run in std::mem::take(&mut world.reading) {
            world.step(Event::Environment { run, read: Ok(vec![]) });
        }
        world.start_all();
        for run in with_state(world, |known| matches!(known.state, AdoptState::Running { .. })) {
            world.end(run, Exit::Code(0));
        }
        for run in with_state(world, |known| matches!(known.state, AdoptState::Ended { .. })) {
            world.drain_output(run);
        }
    }
    check(world);
}

/// A world from its beginning to its end, checked after each move.
fn live(moves: Vec<Move>) -> World {
    let mut world = world();
    for a_move in moves {
        play(&mut world, a_move);
        check(&world);
    }
    close(&mut world);
    close_again(&mut world);
    world
}

/// With no more times that nobody watched than are remembered: each may end a stretch and leave a run in the future.
fn with_few_gaps(moves: Vec<Move>) -> Vec<Move> {
    let mut gaps = 0;
    let few = moves.into_iter().filter(|a_move| {
        let gap = !matches!(
            a_move,
            Move::Pass(_)
                | Move::Start(_)
                | Move::Fail(_)
                | Move::End(_)
                | Move::Drain(_)
                | Move::Read(_)
                | Move::Ask(_)
                | Move::StopJob(_)
                | Move::Order(_)
                | Move::Reload(_)
                | Move::Retire(_)
                | Move::Pause(..)
                | Move::Resume(_)
        );
        gaps += usize::from(gap);
        !gap || gaps <= 7
    });
    few.collect()
}

/// Every slot has at least one verdict, however often engines and daemons died.
fn check_accounted(world: &World) {
    for (n, (text, ..)) in JOBS.iter().enumerate() {
        let schedule = definition(n).schedule.unwrap();
        let mut told: Vec<(Timestamp, Timestamp)> = Vec::new();
        for fact in &world.facts {
            if let Fact::Verdict { job, slot, oldest, .. } = fact
                && *job == name(text)
            {
                told.push((*oldest, *slot));
            }
        }
        let mut slot = at(T0);
        while let Some(next) = schedule.next(slot, at(T0)).filter(|next| *next <= world.now.wall) {
            slot = next;
            assert!(told.iter().any(|(from, to)| (*from..=*to).contains(&slot)), "{text}: no verdict for {slot}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn d70_d71_d72_one_verdict_one_outcome_never_two_runs(moves in moves(May::default())) {
        check_verdicts(&live(moves));
    }

    #[test]
    fn a7_clock_steps_and_edits_never_run_a_slot_twice(moves in moves(May { clock: true, edits: true, ..May::default() })) {
        live(moves);
    }

    #[test]
    fn d73_an_engine_that_dies_at_any_message_loses_and_doubles_nothing(moves in moves(May { death: true, ..May::default() })) {
        live(moves);
    }

    #[test]
    fn d73_all_of_it_together(moves in moves(May { clock: true, edits: true, death: true, daemons: false })) {
        live(moves);
    }

    #[test]
    fn f87_a_daemon_that_dies_at_any_moment_runs_no_slot_twice_and_leaves_none_without_a_verdict(
        moves in moves(May { death: true, daemons: true, ..May::default() })
    ) {
        check_accounted(&live(moves));
    }

    #[test]
    fn f87_nor_when_clocks_jump_and_files_change(
        moves in moves(May { clock: true, edits: true, death: true, daemons: true })
    ) {
        live(with_few_gaps(moves));
    }
}
