//! Errands: bounded, never in a job's way, finished whatever happens to the engine.

use super::super::errand::{BACKOFF, FAREWELL, PLACES, WAITING, WAITING_URGENT};
use super::*;

const FAILED: Exit = Exit::Code(1);
const TERM: Exit = Exit::Signal { signal: 15, core: false };

fn errand(urgent: bool) -> Errand {
    Errand {
        argv: vec!["/bin/beat".into(), "secret".into()],
        environment: vec![],
        set_uid: false,
        timeout: Duration::from_secs(10),
        urgent,
    }
}

impl World {
    fn order(&mut self, urgent: bool) -> Result<ErrandId, Full> {
        self.state.order(errand(urgent), self.now)
    }

    /// The loop wakes when it asked to, without time passing.
    fn wake(&mut self) {
        assert!(self.state.next_mono().is_some_and(|mono| mono <= self.now.mono), "the loop would sleep");
        self.step(Event::Wake);
    }

    fn end_errand(&mut self, run: RunId, exit: Exit) {
        self.end(run, exit);
        self.drain_output(run);
    }
}

fn ordered(count: usize, urgent: bool) -> World {
    let mut world = World::new();
    for _ in 0..count {
        let _ = world.order(urgent);
    }
    world.wake();
    world.start_all();
    world
}

#[test]
fn i116_an_errand_goes_its_way_and_is_forgotten() {
    let mut world = ordered(1, false);
    let run = world.errands()[0];
    assert!(world.state.is_errand(run));
    assert_eq!(world.state.show_status().running, 0, "it is no run");
    assert!(world.state.show_run(run).is_err());
    world.end_errand(run, Exit::Code(0));
    let end = ErrandEnd::Exited(Exit::Code(0));
    assert_eq!(world.reports, [Report { id: ErrandId(1), end, tail: b"said".into(), again: false }]);
    assert_eq!(world.errands(), []);
    world.step(Event::Left { run, processes: 1 });
    assert_eq!(world.facts, [], "nobody is told of it as of a run");
    assert_eq!(world.state.next_mono(), None);
}

#[test]
fn i116_jobs_go_first_and_errands_count_for_none_of_their_rules() {
    let mut world = World::with(vec![job("a", "* * * * * *", OnOverlap::Skip)]);
    for _ in 0..PLACES + 3 {
        world.order(false).unwrap();
    }
    world.sleep(1);
    let effects = world.state.step(Event::Wake, world.now);
    let starts: Vec<bool> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send(ToWarden::Start(start)) => Some(is_errand(&start.context)),
            _ => None,
        })
        .collect();
    assert_eq!(starts, [false, true, true, true, true]);
    world.perform(effects);
    world.finish("a");
    world.pass(3);
    assert_eq!(world.ran("a"), [1, 2], "errands that hang hold up no job");
}

#[test]
fn i116_one_that_hangs_is_asked_then_killed_and_tried_again_later() {
    let mut world = ordered(1, false);
    let run = world.errands()[0];
    world.pass(10);
    assert_eq!(world.warden.signals, [(run, 18, Reach::Group), (run, 15, Reach::Group)]);
    world.pass(2);
    assert_eq!(world.warden.signals[2..], [(run, 9, Reach::Group), (run, 9, Reach::Everything)]);
    world.end_errand(run, TERM);
    assert_eq!(world.reports[0].end, ErrandEnd::TimedOut);
    assert!(world.reports[0].again);
    assert_eq!(world.state.next_mono(), Some(world.now.mono + BACKOFF[0]));
    world.pass(1);
    assert_eq!(world.errands().len(), 1);
    assert_ne!(world.errands()[0], run);
}

#[test]
fn i116_what_will_not_die_is_reported_once_and_keeps_its_place() {
    let mut world = ordered(1, false);
    let run = world.errands()[0];
    world.pass(14);
    assert_eq!(world.reports.len(), 1);
    assert!(world.state.is_errand(run));
    for _ in 0..40 {
        world.start_all();
        world.pass(20);
    }
    assert_eq!(world.errands().len(), PLACES, "never more than a few");
    world.end_errand(run, TERM);
    assert!(!world.state.is_errand(run));
}

#[test]
fn i116_after_the_last_backoff_it_is_given_up() {
    let mut world = ordered(1, false);
    for (tried, pause) in BACKOFF.iter().enumerate() {
        let run = world.errands()[0];
        world.end_errand(run, FAILED);
        assert!(world.reports[tried].again);
        world.pass(i64::try_from(pause.as_secs()).unwrap() - 1);
        assert_eq!(world.errands(), [], "not before its time");
        world.pass(1);
        world.start_all();
    }
    let run = world.errands()[0];
    world.end_errand(run, FAILED);
    assert!(!world.reports[BACKOFF.len()].again);
    world.pass(1000);
    assert_eq!(world.reports.len(), BACKOFF.len() + 1);
    assert_eq!(world.errands(), []);
}

#[test]
fn i116_an_urgent_one_goes_first_is_tried_once_and_starves_nobody() {
    let mut world = World::new();
    world.order(false).unwrap();
    for _ in 0..PLACES {
        world.order(true).unwrap();
    }
    world.wake();
    world.start_all();
    assert_eq!(world.errands().len(), PLACES);
    for run in world.errands() {
        world.end_errand(run, FAILED);
    }
    let urgent = |report: &Report| report.id != ErrandId(1);
    assert_eq!(world.reports.iter().filter(|report| urgent(report)).count(), PLACES - 1, "one place is kept");
    assert!(world.reports.iter().all(|report| report.again != urgent(report)));
}

#[test]
fn i116_an_urgent_one_waits_no_longer_than_its_timeout() {
    let mut world = ordered(PLACES, true);
    assert_eq!(world.errands().len(), PLACES - 1);
    world.pass(9);
    assert_eq!(world.reports, []);
    world.pass(1);
    assert_eq!((world.reports.len(), world.reports[0].end), (1, ErrandEnd::Waited));
    assert!(!world.reports[0].again && world.errands().len() == PLACES - 1);
}

#[test]
fn i116_the_queue_is_bounded_in_number_and_bytes() {
    let mut world = World::new();
    let taken = |world: &mut World, urgent| (0..2 * WAITING).filter(|_| world.order(urgent).is_ok()).count();
    assert_eq!((taken(&mut world, false), taken(&mut world, true)), (WAITING, WAITING_URGENT));
    let mut world = World::new();
    let large = || Errand { argv: vec!["x".repeat(100 << 10)], ..errand(false) };
    let taken = (0..WAITING).filter(|_| world.state.order(large(), world.now).is_ok()).count();
    assert_eq!(taken, (32 << 20) / (100 << 10));
    world.wake();
    assert!(world.state.order(large(), world.now).is_ok(), "what goes on no longer waits");
}

#[test]
fn i116_one_that_no_message_holds_is_reported_and_not_sent() {
    let mut world = World::new();
    let errand = Errand { argv: vec!["x".repeat(200 << 10)], ..errand(true) };
    world.state.order(errand, world.now).unwrap();
    world.wake();
    assert!(matches!(world.reports[0].end, ErrandEnd::NotStarted(_)));
    assert_eq!((world.errands().len(), world.state.next_mono()), (0, None));
}

#[test]
fn d73_the_next_engine_finishes_what_goes_on_and_knows_nothing_of_what_waited() {
    let mut world = ordered(PLACES + 1, false);
    let [ends, hangs, ended, starts] = world.errands()[..] else { panic!("as many as may") };
    world.end(ended, FAILED);
    world.warden.runs.get_mut(&starts).unwrap().state = AdoptState::Starting;
    world.facts.clear();
    world.next_engine();
    assert!(!world.facts.iter().any(|fact| matches!(fact, Fact::Strange(_) | Fact::Adopted { .. })));
    world.started(starts);
    world.end(starts, FAILED);
    world.end(ends, Exit::Code(0));
    world.pass(12);
    assert_eq!(world.warden.signals.last(), Some(&(hangs, 9, Reach::Everything)));
    world.end(hangs, TERM);
    assert_eq!(world.errands(), []);
    world.pass(100);
    assert_eq!((world.errands().len(), world.reports.len()), (0, 0));
}

#[test]
fn i116_what_an_errand_leaves_on_its_pipe_is_killed() {
    let mut world = ordered(1, false);
    let run = world.errands()[0];
    world.end(run, Exit::Code(0));
    world.pass(1);
    assert_eq!(world.warden.signals, [(run, 9, Reach::Everything)]);
    assert_eq!((world.hushed.len(), world.reports.len(), world.errands().len()), (1, 1, 0));
}

#[test]
fn d66_the_daemons_end_waits_for_errands_a_moment_and_no_longer() {
    let mut world = ordered(2, false);
    let run = world.errands()[0];
    world.step(Event::Drain { grace: Duration::from_secs(90) });
    assert_eq!(world.warden.drained, 0);
    world.end_errand(run, FAILED);
    assert!(!world.reports[0].again, "there will be no later");
    world.pass(i64::try_from(FAREWELL.as_secs()).unwrap());
    assert_eq!(world.warden.drained, 1);

    let mut world = ordered(1, false);
    world.step(Event::Drain { grace: Duration::from_secs(90) });
    let run = world.errands()[0];
    world.end_errand(run, Exit::Code(0));
    assert_eq!(world.warden.drained, 1, "not waited for once it is over");

    let mut world = ordered(WAITING, false);
    world.step(Event::Drain { grace: Duration::ZERO });
    assert_eq!(world.warden.drained, 1, "hastened: no time for them either");
    assert_eq!(world.facts, [Fact::ErrandsLeft(WAITING - PLACES)]);
    let sent = world.sent;
    world.errands().into_iter().for_each(|run| world.end_errand(run, TERM));
    world.pass(5);
    assert!(world.errands().is_empty() && world.sent > sent);
}
