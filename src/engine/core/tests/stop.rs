//! Ending runs. Numbers are of the fault list, section D.

use super::*;
use crate::engine::Outcome;
use crate::wire::{Failure, Step};

const KILLED: Exit = Exit::Signal { signal: 9, core: false };
const TERMED: Exit = Exit::Signal { signal: 15, core: false };

fn running(change: impl FnOnce(&mut Job)) -> (World, RunId) {
    let mut job = job("a", "", OnOverlap::Skip);
    change(&mut job);
    let mut world = World::with(vec![job]);
    let (answer, effects) = world.state.start(&name("a"), "uid 0", world.now);
    world.perform(effects);
    world.start_all();
    (world, answer.unwrap())
}

#[test]
fn d61_d67_the_ladder_of_a_run_that_ignores_term() {
    let (mut world, run) = running(|job| job.timeout = Some(Duration::from_secs(30)));
    world.pass(29);
    assert_eq!(world.warden.signals, []);
    world.pass(1);
    assert_eq!(world.warden.signals, [(run, 18, Reach::Group), (run, 15, Reach::Group)]);
    world.pass(9);
    assert_eq!(world.warden.signals.len(), 2);
    world.pass(1);
    assert_eq!(world.warden.signals[2..], [(run, 9, Reach::Group), (run, 9, Reach::Everything)]);
    world.end(run, KILLED);
    world.drain_output(run);
    assert_eq!(world.outcomes(), [&Outcome::TimedOut { exit: KILLED }]);
    assert_eq!(world.warden.runs.len(), 0);
}

#[test]
fn d62_a_stopped_run_leaves_nothing_and_one_that_ends_by_itself_keeps_its_own() {
    let (mut world, run) = running(|_| {});
    world.end(run, Exit::Code(0));
    world.drain_output(run);
    assert_eq!(world.warden.signals, []);
    world.step(Event::Left { run, processes: 2 });
    assert_eq!(world.state.show_run(run).unwrap().left_behind, 2);

    let (mut world, run) = running(|_| {});
    let (_, effects) = world.state.stop_run(run, world.now);
    world.perform(effects);
    world.end(run, TERMED);
    world.drain_output(run);
    assert_eq!(world.warden.signals.last(), Some(&(run, 9, Reach::Everything)));
}

#[test]
fn d63_a_grandchild_that_keeps_the_pipe_does_not_keep_the_run() {
    let (mut world, run) = running(|_| {});
    world.end(run, Exit::Code(3));
    world.pass(4);
    assert_eq!(world.closed, []);
    world.pass(1);
    assert_eq!(world.closed, [run]);
    world.drain_output(run);
    assert_eq!(world.outcomes(), [&Outcome::Exited { exit: Exit::Code(3), success: false }]);
    assert_eq!(world.warden.runs.len(), 0);
}

#[test]
fn d63_what_a_stopped_run_left_is_killed_before_its_output_is_closed() {
    let (mut world, run) = running(|_| {});
    let (_, effects) = world.state.stop_run(run, world.now);
    world.perform(effects);
    world.end(run, TERMED);
    world.pass(4);
    assert_eq!(world.warden.signals.len(), 2);
    world.pass(1);
    assert_eq!(world.warden.signals[2..], [(run, 9, Reach::Everything)]);
    assert_eq!(world.closed, []);
    world.pass(1);
    assert_eq!(world.closed, [run]);
}

#[test]
fn d63_not_even_a_capture_that_never_answers_keeps_it() {
    let (mut world, run) = running(|_| {});
    world.end(run, Exit::Code(0));
    world.pass(64);
    assert_eq!(world.closed, [run]);
    assert_eq!(world.outcomes().len(), 0, "a slow log is given time");
    world.pass(1);
    assert_eq!(world.outcomes().len(), 1);
    world.drain_output(run);
    assert_eq!(world.outcomes().len(), 1);
}

#[test]
fn d68_a_run_that_will_not_die_is_shown_and_holds_up_nothing() {
    let (mut world, run) = running(|_| {});
    world.step(Event::Drain { grace: Duration::from_secs(3) });
    world.pass(3);
    assert_eq!(world.warden.signals.last(), Some(&(run, 9, Reach::Everything)));
    assert_eq!(world.warden.drained, 0);
    world.pass(2);
    assert_eq!(world.state.show_run(run).unwrap().state, "will-not-die");
    assert_eq!(world.warden.drained, 1);
    world.pass(100);
    world.end(run, KILLED);
    world.drain_output(run);
    assert_eq!((world.warden.drained, world.warden.runs.len()), (1, 0));
}

#[test]
fn d69_code_and_signal_and_core_are_kept() {
    for (exit, success) in [
        (Exit::Code(0), true),
        (Exit::Code(7), true),
        (Exit::Code(255), false),
        (Exit::Signal { signal: 11, core: true }, false),
        (Exit::Signal { signal: 15, core: false }, false),
    ] {
        let (mut world, run) = running(|job| job.success_codes = vec![0, 7]);
        world.end(run, exit);
        world.drain_output(run);
        assert_eq!(world.outcomes(), [&Outcome::Exited { exit, success }]);
    }
}

#[test]
fn d70_a_run_that_ends_as_its_time_is_up_has_one_outcome() {
    let timeout = |job: &mut Job| job.timeout = Some(Duration::from_secs(30));
    let (mut world, run) = running(timeout);
    world.pass(29);
    let ended = world.ended(Exit::Code(0));
    world.pass(1);
    assert_eq!(world.warden.signals.len(), 2, "asked, though it was gone already");
    world.step(Event::Ended { run, ended });
    world.warden.runs.get_mut(&run).unwrap().state = AdoptState::Ended { pid: 1, at: ended.at, ended };
    world.drain_output(run);
    assert_eq!(world.outcomes(), [&Outcome::Exited { exit: Exit::Code(0), success: true }]);

    let (mut world, run) = running(timeout);
    world.drain_output(run);
    world.pass(30);
    world.end(run, Exit::Code(0));
    world.pass(100);
    assert_eq!(world.outcomes(), [&Outcome::TimedOut { exit: Exit::Code(0) }]);
}

#[test]
fn what_cannot_start_is_said_with_its_step() {
    let mut world = World::with(vec![job("a", "0 * * * * *", OnOverlap::Skip)]);
    world.pass(60);
    let run = world.runs_of("a")[0];
    let failure = Failure { step: Step::Exec, errno: nix::libc::ENOENT };
    world.warden.runs.get_mut(&run).unwrap().state = AdoptState::NotStarted(failure);
    world.step(Event::NotStarted { run, failure });
    let [Outcome::CouldNotStart { message, .. }] = world.outcomes()[..] else { panic!() };
    assert_eq!(message, "executing the program: No such file or directory");
    assert_eq!(world.warden.runs.len(), 0);
}

#[test]
fn a_plan_that_fits_no_message_could_not_start() {
    let (mut world, _) = {
        let script = Program::Script("x".repeat(crate::wire::MAX_MESSAGE));
        let mut world = World::with(vec![Job { program: script, ..job("a", "0 * * * * *", OnOverlap::Skip) }]);
        world.pass(120);
        (world, ())
    };
    assert_eq!(world.ran("a"), [60, 120]);
    assert_eq!(world.outcomes().len(), 2);
    assert_eq!(world.warden.runs.len(), 0);
    world.pass(1);
}

#[test]
fn a_stop_while_starting_waits_for_the_program() {
    let mut world = World::with(vec![job("a", "0 * * * * *", OnOverlap::Skip)]);
    world.pass(60);
    let run = world.runs_of("a")[0];
    let (answer, effects) = world.state.stop_job(&name("a"), world.now);
    world.perform(effects);
    assert_eq!(answer.unwrap(), [run]);
    assert_eq!(world.warden.signals, []);
    world.started(run);
    assert_eq!(world.warden.signals.len(), 2);
}

#[test]
fn the_end_of_the_daemon_is_hastened_by_a_second_word() {
    let (mut world, run) = running(|job| job.kill_after = Duration::from_secs(100));
    world.step(Event::Drain { grace: Duration::from_secs(90) });
    world.pass(10);
    assert_eq!(world.warden.signals.len(), 2);
    world.step(Event::Drain { grace: Duration::from_secs(500) });
    world.step(Event::Drain { grace: Duration::ZERO });
    assert_eq!(world.warden.signals[2..], [(run, 9, Reach::Group), (run, 9, Reach::Everything)]);
    world.end(run, KILLED);
    assert_eq!(world.warden.drained, 0);
    world.drain_output(run);
    assert_eq!(world.warden.drained, 1);
    assert_eq!(world.outcomes(), [&Outcome::Stopped { exit: KILLED, why: "shutdown".into() }]);
}

#[test]
fn the_end_of_an_idle_daemon_is_said_at_once_and_slots_are_skipped_after_it() {
    let mut world = World::with(vec![job("a", "0 * * * * *", OnOverlap::Skip)]);
    world.step(Event::Drain { grace: Duration::from_secs(90) });
    assert_eq!(world.warden.drained, 1);
    world.pass(60);
    assert_eq!(world.fates("a"), [(60, Fate::Skipped(Rule::Stopping))]);
}
