//! Jobs that follow jobs.

use proptest::prelude::*;

use super::*;
use crate::engine::PauseKind;
use crate::job::{After, AfterEnd};

/// A job that is due after these alone.
fn follower(text: &str, on_overlap: OnOverlap, after: &[(&str, AfterEnd)]) -> Job {
    let after: After = after.iter().map(|(upstream, end)| (name(upstream), *end)).collect();
    Job { after: (!after.is_empty()).then(|| Box::new(after)), ..job(text, "", on_overlap) }
}

fn plain(text: &str) -> Job {
    job(text, "", OnOverlap::Allow)
}

impl World {
    fn ask(&mut self, job: &str) -> RunId {
        let (run, effects) = self.state.start(&name(job), "uid 0", self.now);
        self.perform(effects);
        run.unwrap()
    }

    /// A run of the job from its beginning to its end. Nothing else starts on the way.
    fn run(&mut self, job: &str, code: i32) -> RunId {
        let run = self.ask(job);
        self.started(run);
        self.end(run, Exit::Code(code));
        self.drain_output(run);
        run
    }

    /// What began runs of a job: by whom, and by which ends.
    fn begun(&self, job: &str) -> Vec<(&str, Vec<RunId>)> {
        let mine = self.warden.begun.iter().filter(|(whose, _)| *whose == name(job));
        mine.map(|(_, ticket)| (ticket.by.as_str(), ticket.ends.clone())).collect()
    }

    fn read_environments(&mut self) {
        for run in std::mem::take(&mut self.reading) {
            self.step(Event::Environment { run, read: Ok(vec![]) });
        }
    }
}

#[test]
fn the_end_that_is_wanted_starts_what_follows() {
    for (wanted, after_success, after_failure) in
        [(AfterEnd::Success, 1, 0), (AfterEnd::Failure, 0, 1), (AfterEnd::Any, 1, 1)]
    {
        let mut world = World::with(vec![plain("a"), follower("d", OnOverlap::Allow, &[("a", wanted)])]);
        let good = world.run("a", 0);
        assert_eq!(world.begun("d").len(), after_success, "{wanted:?}");
        let bad = world.run("a", 3);
        assert_eq!(world.begun("d").len(), after_success + after_failure, "{wanted:?}");
        for (by, ends) in world.begun("d") {
            assert!(by == "after a" && (ends == [good] || ends == [bad]));
        }
    }
}

#[test]
fn all_must_have_ended_since_it_started_last() {
    use AfterEnd::{Any, Success};
    let mut world =
        World::with(vec![plain("a"), plain("b"), follower("d", OnOverlap::Allow, &[("a", Success), ("b", Any)])]);
    let _ = world.run("a", 0);
    let first = world.run("a", 0);
    assert_eq!(world.begun("d").len(), 0, "b has not ended");
    let last = world.run("b", 1);
    assert_eq!(world.begun("d"), [("after b", vec![first, last])]);
    world.run("b", 0);
    assert_eq!(world.begun("d").len(), 1, "a has not ended since");
    world.run("a", 0);
    assert_eq!(world.begun("d").len(), 2);
    world.run("a", 0);
    world.run("a", 2);
    world.run("b", 0);
    assert_eq!(world.begun("d").len(), 2, "the failure has taken back the success");
    world.run("a", 0);
    assert_eq!(world.begun("d").len(), 3);
    world.run("a", 0);
    let asked = world.ask("d");
    world.run("b", 0);
    assert_eq!(world.begun("d").len(), 4, "{asked}: what was asked for has used up the end of a");
}

#[test]
fn what_cannot_start_is_followed_too_and_a_chain_may_be_as_long_as_there_are_jobs() {
    let mut jobs = vec![plain("job0000")];
    for at in 1..2_000 {
        let upstream = format!("job{:04}", at - 1);
        let broken = Job {
            program: Program::Script("nul\0".into()),
            ..follower(&format!("job{at:04}"), OnOverlap::Allow, &[(&upstream, AfterEnd::Any)])
        };
        jobs.push(broken);
    }
    jobs.push(follower("last", OnOverlap::Allow, &[("job1999", AfterEnd::Failure)]));
    let mut world = World::with(jobs);
    world.run("job0000", 0);
    assert_eq!(world.begun("last").len(), 1);
}

#[test]
fn a_circle_is_ignored_and_what_leads_into_it_is_not() {
    use AfterEnd::Any;
    let mut world = World::with(vec![
        plain("start"),
        follower("a", OnOverlap::Allow, &[("b", Any), ("start", Any)]),
        follower("b", OnOverlap::Allow, &[("a", Any)]),
        follower("out", OnOverlap::Allow, &[("b", Any)]),
    ]);
    world.run("start", 0);
    assert_eq!((world.begun("a").len(), world.begun("b").len()), (1, 0), "b need not end for a");
    world.finish("a");
    assert_eq!(world.begun("b").len(), 0);
    world.run("b", 0);
    assert_eq!((world.begun("a").len(), world.begun("out").len()), (1, 1));
    // The circle is broken.
    world.arm(follower("a", OnOverlap::Allow, &[("start", Any)]), world.now.wall);
    world.run("start", 0);
    world.finish("a");
    assert_eq!(world.begun("b").len(), 2);
}

#[test]
fn what_lets_a_slot_go_lets_a_follower_go_with_a_verdict() {
    let any = [("a", AfterEnd::Any)];
    let mut world = World::with(vec![
        plain("a"),
        follower("skip", OnOverlap::Skip, &any),
        follower("paused", OnOverlap::Skip, &any),
        Job { enable: false, ..follower("off", OnOverlap::Skip, &any) },
    ]);
    world.pause("paused", None).unwrap();
    world.run("a", 0);
    world.pass(5);
    world.run("a", 0);
    assert_eq!(world.fates("skip"), [(5, Fate::Skipped(Rule::Overlap))]);
    assert_eq!(world.fates("paused"), [(0, Fate::Paused(PauseKind::Pause, 1)), (5, Fate::Paused(PauseKind::Pause, 1))]);
    assert_eq!((world.fates("off"), world.begun("off")), (vec![], vec![]), "what is disabled is not due");
    world.resume("paused");
    world.hold(None).unwrap();
    world.finish("skip");
    world.run("a", 0);
    assert_eq!(world.fates("skip")[1..], [(5, Fate::Paused(PauseKind::Hold, 1))]);
    world.release().unwrap();
    world.run("a", 0);
    assert_eq!((world.begun("skip").len(), world.begun("paused").len()), (2, 1));
    let last = world.ask("a");
    world.started(last);
    world.step(Event::Drain { grace: Duration::from_secs(5) });
    world.end(last, Exit::Code(0));
    world.drain_output(last);
    assert_eq!(world.fates("skip").last(), Some(&(5, Fate::Skipped(Rule::Stopping))));
}

#[test]
fn skipping_the_next_slot_says_nothing_of_followers() {
    let both = Job {
        after: follower("x", OnOverlap::Skip, &[("a", AfterEnd::Any)]).after,
        ..job("d", "0 * * * * *", OnOverlap::Skip)
    };
    let mut world = World::with(vec![plain("a"), both]);
    world.skip_next("d", 1).unwrap();
    world.run("a", 0);
    assert_eq!(world.begun("d").len(), 1);
}

#[test]
fn followers_wait_in_the_queue_and_give_way_there() {
    let mut world = World::with(vec![plain("a"), follower("d", OnOverlap::Queue, &[("a", AfterEnd::Any)])]);
    for _ in 0..3 {
        world.run("a", 0);
    }
    assert_eq!(world.fates("d"), [(0, Fate::Superseded)]);
    world.finish("d");
    assert_eq!(world.begun("d").len(), 2);
    world.finish("d");
    assert_eq!(world.warden.runs.len(), 0);
}

#[test]
fn lost_runs_are_failures() {
    let mut world = World::with(vec![
        plain("a"),
        follower("good", OnOverlap::Allow, &[("a", AfterEnd::Success)]),
        follower("bad", OnOverlap::Allow, &[("a", AfterEnd::Failure)]),
    ]);
    let ticket = Ticket::first(RunId(7), None, Trigger::Request, String::new());
    let entry = crate::engine::ledger::Entry::of(&name("a"), &ticket, at(T0));
    world.step(Event::Lost(vec![entry.clone()]));
    assert_eq!((world.begun("good").len(), world.begun("bad")), (0, vec![("after a", vec![RunId(7)])]));
    // The next engine finds the ledger as it was.
    world.next_engine();
    world.step(Event::Lost(vec![entry]));
    assert_eq!(world.begun("bad").len(), 1);
}

/// Whatever the message after which the engine dies, the follower starts once.
#[test]
fn f73_an_engine_dead_between_an_end_and_what_follows_loses_and_doubles_nothing() {
    use AfterEnd::{Any, Success};
    for cut in 0..8 {
        for environment_file in [None, Some("/etc/env".into())] {
            let one = Job { environment_file, ..follower("one", OnOverlap::Allow, &[("b", Success)]) };
            let both = follower("both", OnOverlap::Queue, &[("a", Any), ("b", Success)]);
            let mut world = World::with(vec![plain("a"), plain("b"), one, both]);
            world.run("a", 1);
            let run = world.ask("b");
            world.started(run);
            world.end(run, Exit::Code(0));
            world.cut = Some(cut);
            world.drain_output(run);
            world.read_environments();
            world.next_engine();
            world.read_environments();
            world.next_engine();
            world.pass(1);
            for job in ["one", "both"] {
                assert_eq!(world.begun(job).len(), 1, "{job}, cut after {cut}");
                world.finish(job);
            }
            world.run("b", 0);
            world.read_environments();
            assert_eq!((world.begun("one").len(), world.begun("both").len()), (2, 1), "cut after {cut}");
            world.finish("one");
            world.pass(1);
            assert_eq!(world.warden.runs.len(), 0, "all forgotten");
        }
    }
}

/// Half of what is waited for has come, and engines are replaced.
#[test]
fn ends_that_have_come_outlive_engines() {
    use AfterEnd::Any;
    let mut world =
        World::with(vec![plain("a"), plain("b"), follower("d", OnOverlap::Allow, &[("a", Any), ("b", Any)])]);
    let first = world.run("a", 0);
    assert!(world.warden.runs.is_empty());
    world.next_engine();
    world.next_engine();
    let last = world.run("b", 0);
    assert_eq!(world.begun("d"), [("after b", vec![first, last])]);
    world.next_engine();
    world.run("b", 0);
    assert_eq!(world.begun("d").len(), 1, "they are used up");
}

#[test]
fn a_mark_has_room_for_so_many_ends_and_more_are_told() {
    let jobs = (0..MAX_ENDS + 1)
        .map(|at| follower(&format!("d{at}"), OnOverlap::Allow, &[("a", AfterEnd::Any), ("b", AfterEnd::Any)]))
        .chain([plain("a"), plain("b")]);
    let mut world = World::with(jobs.collect());
    world.run("a", 0);
    assert!(world.facts.contains(&Fact::TooManyEnds(MAX_ENDS)));
    world.next_engine();
    world.run("b", 0);
    let begun: usize = (0..MAX_ENDS + 1).map(|at| world.begun(&format!("d{at}")).len()).sum();
    assert_eq!(begun, MAX_ENDS);
}

#[derive(Debug, Clone)]
enum Move {
    Ask(usize),
    Start,
    End(usize, i32),
    Read(bool),
    Pass(i64),
    Die(usize),
    Shadow(usize, i64),
}

const ASKED: [&str; 4] = ["a", "b", "both", "queue"];

fn moves(death: bool) -> impl Strategy<Value = Vec<Move>> {
    let mut all = vec![
        (6, any::<usize>().prop_map(Move::Ask).boxed()),
        (4, Just(Move::Start).boxed()),
        (6, (any::<usize>(), 0..2i32).prop_map(|(n, code)| Move::End(n, code)).boxed()),
        (2, any::<bool>().prop_map(Move::Read).boxed()),
        (2, (0..20i64).prop_map(Move::Pass).boxed()),
        (1, (any::<usize>(), 1..30i64).prop_map(|(n, seconds)| Move::Shadow(n, seconds)).boxed()),
    ];
    if death {
        all.push((3, (0..6usize).prop_map(Move::Die).boxed()));
    }
    prop::collection::vec(prop::strategy::Union::new_weighted(all), 1..80)
}

fn play(world: &mut World, a_move: Move) {
    match a_move {
        Move::Ask(n) => {
            let (_, effects) = world.state.start(&name(ASKED[n % ASKED.len()]), "uid 0", world.now);
            world.perform(effects);
        }
        Move::Start => world.start_all(),
        Move::End(n, code) => {
            let alive = |known: &Known| matches!(known.state, AdoptState::Running { .. });
            let alive: Vec<RunId> = world.warden.runs.iter().filter(|run| alive(run.1)).map(|run| *run.0).collect();
            if let Some(run) = alive.get(n % alive.len().max(1)) {
                world.end(*run, Exit::Code(code));
                world.drain_output(*run);
            }
        }
        Move::Read(good) => {
            for run in std::mem::take(&mut world.reading) {
                let read = if good { Ok(vec![]) } else { Err("unreadable".into()) };
                world.step(Event::Environment { run, read });
            }
        }
        Move::Pass(seconds) => world.pass(seconds),
        Move::Shadow(n, seconds) => drop(match n % 2 {
            0 => world.hold(Some(seconds)).err(),
            _ => world.pause("queue", Some(seconds)).err(),
        }),
        Move::Die(after) => {
            world.cut = Some(after);
            world.start_all();
            let running: Vec<RunId> = world.runs_of("a");
            for run in running {
                if matches!(world.warden.runs[&run].state, AdoptState::Running { .. }) {
                    world.end(run, Exit::Code(0));
                    world.drain_output(run);
                }
            }
            world.next_engine();
        }
    }
}

fn world() -> World {
    use AfterEnd::{Any, Failure, Success};
    let file = Some("/etc/env".into());
    World::with(vec![
        plain("a"),
        plain("b"),
        follower("each", OnOverlap::Allow, &[("a", Success)]),
        Job { environment_file: file.clone(), ..follower("file", OnOverlap::Allow, &[("a", Success)]) },
        Job { environment_file: file, ..follower("queue", OnOverlap::Queue, &[("a", Any)]) },
        follower("replace", OnOverlap::Replace, &[("a", Any)]),
        follower("both", OnOverlap::Allow, &[("a", Any), ("b", Success)]),
        follower("third", OnOverlap::Allow, &[("each", Failure)]),
    ])
}

/// Everything comes to its end. Nothing is left.
fn close(world: &mut World) {
    for _ in 0..200 {
        world.start_all();
        world.read_environments();
        let running = |known: &Known| matches!(known.state, AdoptState::Running { .. });
        let runs: Vec<RunId> = world.warden.runs.iter().filter(|run| running(run.1)).map(|run| *run.0).collect();
        for run in runs {
            world.end(run, Exit::Code(1));
            world.drain_output(run);
        }
        world.pass(1);
        if world.warden.runs.is_empty() && world.state.show_status().running == 0 {
            return;
        }
    }
    panic!("there is no end");
}

/// No end begins two runs, or is used up twice, and only ends that are wanted begin runs.
fn check(world: &World) {
    let mut used = BTreeSet::new();
    for (job, ticket) in &world.warden.begun {
        for end in &ticket.ends {
            assert!(used.insert((job.clone(), *end)), "the end of {end} started {job} twice");
        }
        let whose = |end: &RunId| {
            let found = world.warden.begun.iter().find(|(_, other)| other.of == *end);
            found.map(|(job, _)| job.as_str().to_owned()).unwrap_or_default()
        };
        if ticket.trigger == Trigger::After && job.as_str() == "both" {
            let mut jobs: Vec<String> = ticket.ends.iter().map(whose).collect();
            jobs.sort();
            assert_eq!(jobs, ["a", "b"]);
        }
    }
}

/// Each wanted end of `a` has begun a run of the followers that always may, or was let go with a verdict.
fn check_none_lost(world: &World) {
    let mut over: BTreeMap<RunId, bool> = BTreeMap::new();
    for fact in &world.facts {
        if let Fact::Over(record) = fact
            && record.job == name("a")
        {
            over.insert(record.ticket.of, record.outcome.success());
        }
    }
    for (job, wanted) in [("each", AfterEnd::Success), ("file", AfterEnd::Success), ("replace", AfterEnd::Any)] {
        for (run, success) in &over {
            let started = world.warden.begun.iter().any(|(whose, ticket)| *whose == name(job) && ticket.ends == [*run]);
            let let_go = world.facts.iter().any(|fact| match fact {
                Fact::Verdict { job: whose, .. } => *whose == name(job),
                Fact::Over(record) => record.job == name(job) && record.ticket.ends == [*run],
                _ => false,
            });
            match wanted.counts(*success) {
                true => assert!(started || let_go, "the end of {run} did not start {job}"),
                false => assert!(!started, "{run} failed and started {job}"),
            }
        }
    }
}

/// Without deaths: exactly what a slow reading of all that happened says of `both`.
fn check_both(world: &World) {
    let mut come: BTreeMap<&str, RunId> = BTreeMap::new();
    let mut due = Vec::new();
    for (at, fact) in world.facts.iter().enumerate() {
        for (job, ticket) in &world.warden.begun {
            if *job == name("both") && ticket.trigger == Trigger::Request && world.begun_at[&ticket.run] == at {
                come.clear();
            }
        }
        let Fact::Over(record) = fact else { continue };
        let (key, counts) = match record.job.as_str() {
            "a" => ("a", true),
            "b" => ("b", record.outcome.success()),
            _ => continue,
        };
        match counts {
            true => drop(come.insert(key, record.ticket.of)),
            false => drop(come.remove(key)),
        }
        if come.len() == 2 {
            due.push(record.ticket.of);
            come.clear();
        }
    }
    let let_go = world.fates("both").len();
    let followed: Vec<RunId> = world
        .begun("both")
        .iter()
        .filter(|(by, _)| by.starts_with("after"))
        .map(|(_, ends)| ends[ends.len() - 1])
        .collect();
    assert!(followed.iter().all(|end| due.contains(end)), "{followed:?} {due:?}");
    assert_eq!(followed.len() + let_go, due.len(), "{followed:?} {due:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_wanted_end_starts_what_follows_once(moves in moves(false)) {
        let mut world = world();
        for a_move in moves {
            play(&mut world, a_move);
            check(&world);
        }
        close(&mut world);
        check(&world);
        check_none_lost(&world);
        check_both(&world);
    }

    #[test]
    fn d73_and_so_it_is_with_engines_that_die_at_any_message(moves in moves(true)) {
        let mut world = world();
        for a_move in moves {
            play(&mut world, a_move);
            check(&world);
        }
        close(&mut world);
        check(&world);
        check_none_lost(&world);
    }
}
