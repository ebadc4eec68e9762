use super::*;
use crate::alarm::tests::target;
use crate::alarm::{Call, Kind, Rule};
use crate::conf::Secret;

const ZERO: &str = "2026-11-20T10:00:00Z";

fn name() -> JobName {
    JobName::parse("a").unwrap()
}

fn rule(on: &[On], to: &str) -> Rule {
    Rule { on: on.to_vec(), within: None, over: None, times: None, to: vec![To::Named(to.into())] }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Rules under a clock of their own.
struct World {
    rules: Rules,
    mono: Duration,
    runs: u32,
}

impl World {
    fn new(rules: Vec<Rule>) -> World {
        let call = Call { url: Secret("http://p/".into()), headers: vec![], timeout: seconds(5) };
        let ping = Arc::new(Target { name: "ping".into(), kind: Kind::Ping(call) });
        let targets = [("ops", target("ops")), ("dba", target("dba")), ("ping", ping)];
        let targets = targets.into_iter().map(|(name, target)| (name.to_owned(), target)).collect();
        let mut world = World { rules: Rules::new(targets, Arc::new(Notify { rules })), mono: seconds(10), runs: 0 };
        world.tell(What::Armed { notify: None, active: true });
        world
    }

    fn now(&self) -> Now {
        let zero: Timestamp = ZERO.parse().unwrap();
        Now { wall: zero + jiff::SignedDuration::try_from(self.mono).unwrap(), mono: self.mono }
    }

    /// What it is told, and the targets of each.
    fn tell(&mut self, what: What) -> Vec<String> {
        let now = self.now();
        said(self.rules.take(Happening { job: name(), at: now.wall, what }, now))
    }

    /// Lets time pass as the loop does: to each deadline.
    fn pass(&mut self, by: u64) -> Vec<String> {
        let end = self.mono + seconds(by);
        let mut all = Vec::new();
        while let Some(due) = self.rules.due().filter(|due| *due <= end) {
            assert!(due >= self.mono, "never in the past");
            self.mono = due;
            let told = said(self.rules.pass(self.now()));
            assert!(self.rules.due().is_none_or(|next| next > due), "a deadline is met by a pass");
            all.extend(told);
        }
        self.mono = end;
        all
    }

    fn run(&mut self, good: bool, took: u64) -> Vec<String> {
        self.runs += 1;
        let told = Told { run: self.runs.to_string(), reason: "failed".into(), ..Told::default() };
        let mut all = self.tell(What::Started(told.clone()));
        all.extend(self.pass(took));
        all.extend(self.tell(if good { What::Succeeded(told) } else { What::Failed(told) }));
        all
    }
}

fn said(dues: Vec<Due>) -> Vec<String> {
    let to = |due: &Due| due.to.iter().map(|target| target.name.clone()).collect::<Vec<_>>().join("+");
    dues.iter().map(|due| format!("{} {} -> {}", due.alarm.on, due.alarm.count, to(due))).collect()
}

#[test]
fn i117_a_row_of_failures_is_told_once_then_seldom_and_its_end_once() {
    let mut world = World::new(vec![rule(&[On::Failure, On::Recovery, On::StillFailing], "ops")]);
    assert_eq!(world.run(true, 0), [""; 0]);
    assert_eq!(world.run(false, 0), ["failure 1 -> ops"]);
    // Every minute for three days.
    let mut told = Vec::new();
    for _ in 0..3 * 24 * 60 {
        told.extend(world.pass(60));
        told.extend(world.run(false, 0));
    }
    let words = [61, 181, 421, 901, 1861, 3301].map(|row| format!("still-failing {row} -> ops"));
    assert_eq!(told, words, "after 1, 2, 4, 8, 16 and 24 hours");
    assert_eq!(world.run(true, 0), ["recovery 4321 -> ops"]);
    assert_eq!(world.run(true, 0), [""; 0]);
    assert_eq!(world.run(false, 0), ["failure 1 -> ops"]);
}

#[test]
fn programs_hear_of_every_run_and_people_of_changes() {
    let mut world = World::new(vec![
        rule(&[On::Start, On::Success, On::Failure], "ping"),
        rule(&[On::Failure], "ops"),
        rule(&[On::Failure], "ops"),
    ]);
    assert_eq!(world.run(false, 0), ["start 1 -> ping", "failure 1 -> ping+ops"]);
    assert_eq!(world.run(false, 0), ["start 1 -> ping", "failure 2 -> ping"]);
    assert_eq!(world.run(true, 0), ["start 1 -> ping", "success 1 -> ping"]);
}

#[test]
fn silence_is_told_once_until_the_next_success() {
    let day = Rule { within: Some(seconds(26 * 3600)), ..rule(&[On::Silent], "ops") };
    let hour = Rule { within: Some(seconds(3600)), ..rule(&[On::Silent], "dba") };
    let mut world = World::new(vec![day, hour]);
    assert_eq!(world.pass(3599), [""; 0]);
    assert_eq!(world.pass(1), ["silent 1 -> dba"]);
    world.run(false, 0);
    assert_eq!(world.pass(25 * 3600), ["silent 1 -> ops"], "a failure is no success");
    assert_eq!(world.pass(1000 * 3600), [""; 0]);
    world.run(true, 0);
    assert_eq!(world.pass(26 * 3600), ["silent 1 -> dba", "silent 1 -> ops"]);
    // Paused: nobody expects a success. Saved anew under the same rules it is told no second time.
    world.run(true, 0);
    world.tell(What::Armed { notify: None, active: false });
    assert_eq!(world.pass(100 * 3600), [""; 0]);
    world.tell(What::Armed { notify: None, active: true });
    assert_eq!(world.pass(3600), ["silent 1 -> dba"]);
    world.tell(What::Armed { notify: None, active: true });
    assert_eq!(world.pass(3600), [""; 0]);
}

#[test]
fn a_slot_that_is_not_started_is_late() {
    let mut world = World::new(vec![Rule { within: Some(seconds(300)), ..rule(&[On::Late], "ops") }]);
    let slot = |world: &World, ahead: i64| world.now().wall + jiff::SignedDuration::from_secs(ahead);
    let first = slot(&world, 60);
    world.tell(What::Due(Some(first)));
    world.pass(100);
    world.tell(What::Started(Told { run: "1".into(), slot: Some(first), ..Told::default() }));
    assert_eq!(world.pass(10_000), [""; 0], "it was started in time");
    let second = slot(&world, 60);
    world.tell(What::Due(Some(second)));
    assert_eq!(world.pass(359), [""; 0]);
    assert_eq!(world.pass(1), ["late 1 -> ops"]);
    assert_eq!(world.pass(1000), [""; 0], "once");
    let third = slot(&world, 0);
    world.tell(What::Due(Some(third)));
    assert_eq!(world.tell(What::Skipped(third, "overlap")), [""; 0]);
    assert_eq!(world.pass(2000), [""; 0], "what was skipped is not late");
}

#[test]
fn a_run_is_long_by_time_and_by_what_is_usual() {
    let over = Rule { over: Some(seconds(7200)), ..rule(&[On::Long], "ops") };
    let times = Rule { times: Some(2), ..rule(&[On::Long], "dba") };
    let mut world = World::new(vec![over, times]);
    for took in [90, 100, 110] {
        assert_eq!(world.run(true, took), [""; 0], "what is usual is not known yet");
    }
    assert_eq!(world.run(true, 199), [""; 0]);
    assert_eq!(world.run(true, 230), ["long 1 -> dba"]);
    world.pass(100_000);
    assert_eq!(world.run(false, 7300), ["long 1 -> dba", "long 1 -> ops"], "each rule once");
}

#[test]
fn i117_what_happens_all_the_time_is_told_in_growing_intervals_and_counted() {
    let mut world = World::new(vec![rule(&[On::Skipped], "ops"), rule(&[On::Missed], "ops")]);
    let (mut told, mut count) = (Vec::new(), 0);
    for _ in 0..24 * 3600 {
        let slot = world.now().wall;
        told.extend(world.tell(What::Skipped(slot, "overlap")));
        count += 1;
        told.extend(world.pass(1));
    }
    assert_eq!(told.len(), 1 + 4, "at once, after 1, 3, 7 and 15 hours: {told:?}");
    told.extend(world.pass(100 * 3600));
    let sum: u64 = told.iter().filter_map(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).sum();
    assert_eq!(sum, count, "none is lost");
    assert_eq!(world.rules.due(), None, "and quiet is quiet");
    let slot = world.now().wall;
    assert_eq!(world.tell(What::Missed(slot, 7, "down")), ["missed 7 -> ops"]);
}

#[test]
fn what_is_restored_is_known() {
    let mut world = World::new(vec![]);
    assert!(!world.rules.watches(&name()), "a job without rules costs nothing");
    let rules = Notify {
        rules: vec![
            rule(&[On::Failure, On::Recovery], "ops"),
            Rule { within: Some(seconds(3600)), ..rule(&[On::Silent], "dba") },
        ],
    };
    let ago = |seconds| Some(world.now().wall - jiff::SignedDuration::from_secs(seconds));
    let tally = Tally { failing_since: ago(600), failures: 3, succeeded: ago(3000) };
    world.rules.restore(name(), tally);
    world.tell(What::Armed { notify: Some(Arc::new(rules)), active: true });
    assert_eq!(world.run(false, 0), [""; 0], "it was told before");
    assert_eq!(world.pass(600), ["silent 1 -> dba"], "time that passed before counts");
    assert_eq!(world.run(true, 0), ["recovery 4 -> ops"]);
    world.tell(What::Removed);
    assert_eq!((world.rules.due(), world.rules.watches(&name())), (None, false));
}

#[test]
fn an_unknown_target_is_nowhere() {
    let mut world = World::new(vec![rule(&[On::Failure], "gone")]);
    assert_eq!(world.run(false, 0), [""; 0]);
}
