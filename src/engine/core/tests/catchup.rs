//! Slots that are made up for, and what outlives the daemon. Numbers are of the fault list, sections A and F.

use super::*;
use crate::engine::Outcome;
use crate::job::{CatchUp, CatchUpRule};

const DAY: u64 = 86_400;

pub fn catching_up(text: &str, schedule: &str, on_overlap: OnOverlap, rule: CatchUpRule, max: u32) -> Job {
    let catch_up = CatchUp { rule, window: Duration::from_secs(7 * DAY), max };
    Job { catch_up, ..job(text, schedule, on_overlap) }
}

fn last(schedule: &str) -> Job {
    catching_up("a", schedule, OnOverlap::Skip, CatchUpRule::Last, 10)
}

fn all(schedule: &str, max: u32) -> Job {
    catching_up("a", schedule, OnOverlap::Skip, CatchUpRule::All, max)
}

/// How a time comes about that nobody watches.
#[derive(Debug, Clone, Copy)]
enum Way {
    Stop,
    Suspend,
    Step,
    Kill,
    Orderly,
    Reboot,
    EngineAway,
}

const WAYS: [(Way, Cause); 7] = [
    (Way::Stop, Cause::Stopped),
    (Way::Suspend, Cause::Clock),
    (Way::Step, Cause::Clock),
    (Way::Kill, Cause::Down),
    (Way::Orderly, Cause::Down),
    (Way::Reboot, Cause::Off),
    (Way::EngineAway, Cause::Down),
];

impl World {
    /// So many seconds go by and nobody is there.
    fn unwatched(&mut self, way: Way, seconds: i64) {
        self.write_ledger();
        let to = self.now.wall + SignedDuration::from_secs(seconds);
        match way {
            Way::Stop => self.sleep(seconds),
            Way::Suspend | Way::Step => self.now.wall = to,
            Way::Kill | Way::EngineAway => self.sleep(seconds),
            Way::Orderly => {
                self.stop_in_order();
                self.sleep(seconds);
            }
            Way::Reboot => {
                self.now = Now { wall: to, mono: Duration::from_secs(3) };
                self.disk = self.disk.replace("rotad-ledger 2 boot ", "rotad-ledger 2 boot-before ");
            }
        }
        match way {
            Way::Stop | Way::Suspend | Way::Step => self.step(Event::Wake),
            Way::EngineAway => self.next_engine(),
            Way::Kill | Way::Orderly | Way::Reboot => self.next_daemon(),
        }
    }

    fn stop_in_order(&mut self) {
        self.step(Event::Drain { grace: Duration::from_secs(60) });
        let jobs: Vec<JobName> = self.files.keys().cloned().collect();
        for job in jobs {
            self.finish(job.as_str());
        }
        self.step(Event::Wake);
        assert_eq!(self.warden.drained, 1);
        self.write_ledger();
    }

    /// Finishes a job's runs one after the other, and tells for which slots they were started, in seconds after [`T0`].
    fn one_by_one(&mut self, job: &str) -> Vec<i64> {
        let before = self.warden.started.len();
        while !self.runs_of(job).is_empty() {
            assert_eq!(self.runs_of(job).len(), 1, "one after the other");
            self.finish(job);
        }
        let first = before.saturating_sub(1);
        self.warden.started[first..].iter().map(|(_, slot)| slot.as_second() - T0).collect()
    }

    fn aways(&self) -> Vec<Cause> {
        let away = |fact: &Fact| match fact {
            Fact::Away { cause, .. } => Some(*cause),
            _ => None,
        };
        self.facts.iter().filter_map(away).collect()
    }
}

/// Every ten minutes; away from minute 5 to minute 65 and 61 s: the slots of minutes 10 to 60 pass, all of them too late.
fn after_an_hour(job: Job, way: Way) -> World {
    let mut world = World::with(vec![job]);
    world.pass(300);
    world.unwatched(way, 3661);
    world
}

#[test]
fn a8_a9_f87_one_rule_for_every_cause() {
    for (way, cause) in WAYS {
        let every = "0 */10 * * * *";
        let world = after_an_hour(job("a", every, OnOverlap::Skip), way);
        assert_eq!(world.fates("a"), [(3600, Fate::Missed(6, cause))], "{way:?}: none");
        assert_eq!(world.aways(), [cause], "{way:?}: told once");

        let mut world = after_an_hour(last(every), way);
        assert_eq!(world.fates("a")[0], (3000, Fate::Missed(5, cause)), "{way:?}: last");
        assert_eq!(world.one_by_one("a"), [3600], "{way:?}: last");
        assert_eq!(world.aways(), [cause], "{way:?}: told once");

        let mut world = after_an_hour(all(every, 4), way);
        assert_eq!(world.fates("a")[0], (1200, Fate::Missed(2, cause)), "{way:?}: all");
        assert_eq!(world.one_by_one("a"), [1800, 2400, 3000, 3600], "{way:?}: all");

        let mut world = after_an_hour(all(every, 100), way);
        assert_eq!(world.one_by_one("a"), [600, 1200, 1800, 2400, 3000, 3600], "{way:?}: all of them");
        world.pass(1000);
        assert_eq!(world.ran("a").last(), Some(&4200), "{way:?}: and on it goes");
        world.assert_no_slot_twice();
    }
}

#[test]
fn f92_old_state_brings_no_flood_and_nothing_older_than_the_window() {
    for (way, _) in WAYS {
        let window = |seconds| Duration::from_secs(seconds);
        let hours = |job: Job, seconds| {
            let mut world =
                World::with(vec![Job { catch_up: CatchUp { window: window(seconds), ..job.catch_up }, ..job }]);
            world.pass(60);
            world.unwatched(way, 30 * DAY as i64 + 1800);
            let slots = world.one_by_one("a");
            world.assert_no_slot_twice();
            slots.into_iter().map(|slot| slot / 3600).collect::<Vec<_>>()
        };
        let newest = 30 * 24;
        assert_eq!(hours(last("0 0 * * * *"), 7 * DAY), [newest], "{way:?}");
        assert_eq!(hours(last("0 0 * * * *"), 600), [0; 0], "{way:?}: 31 minutes late");
        assert_eq!(hours(all("0 0 * * * *", 10), 7 * DAY), (newest - 9..=newest).collect::<Vec<_>>(), "{way:?}");
        assert_eq!(hours(all("0 0 * * * *", 10), 3 * 3600), (newest - 2..=newest).collect::<Vec<_>>(), "{way:?}");
    }
}

#[test]
fn a10_a_million_missed_slots_cost_little_whatever_the_rule() {
    for rule in [CatchUpRule::Last, CatchUpRule::All] {
        let jobs = (0..100).map(|n| catching_up(&format!("j{n}"), "* * * * * *", OnOverlap::Skip, rule, 100)).collect();
        let mut world = World::with(jobs);
        world.sleep(1_000_000);
        let begun = std::time::Instant::now();
        world.step(Event::Wake);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let (slot, fate) = world.fates("j0")[0];
        let made_up = if rule == CatchUpRule::All { 100 } else { 1 };
        assert!(matches!(fate, Fate::Missed(n, Cause::Stopped) if n >= COUNT_LIMIT), "{fate:?}");
        assert_eq!(slot, 1_000_000 - made_up);
        assert_eq!(world.one_by_one("j0").len(), made_up as usize);
    }
}

#[test]
fn a10_every_second_over_a_year() {
    let every = |rule| {
        let schedule = Schedule::parse("@every 1s", Dialect::Robfig, &TimeZone::UTC, "a").unwrap();
        let window = Duration::from_secs(400 * DAY);
        Job { schedule: Some(schedule), catch_up: CatchUp { rule, window, max: 100 }, ..job("a", "", OnOverlap::Skip) }
    };
    for (rule, count) in [(CatchUpRule::Last, 1), (CatchUpRule::All, 100)] {
        let mut world = World::with(vec![every(rule)]);
        let begun = std::time::Instant::now();
        world.unwatched(Way::Suspend, 365 * DAY as i64);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(world.one_by_one("a").len(), count);
    }
}

#[test]
fn the_newest_slots_are_found_wherever_they_are() {
    use super::super::catchup::newest;
    use std::cell::Cell;
    // A minute of every second, once a day, and one slot a month later.
    let slots = |after: Timestamp| {
        let second = after.as_second() + 1;
        let (day, of_day) = (second.div_euclid(86_400), second.rem_euclid(86_400));
        let next = if of_day < 60 { second } else { (day + 1) * 86_400 };
        Some(at(if day > 100 { return (second <= 131 * 86_400).then(|| at(131 * 86_400)) } else { next }))
    };
    let calls = Cell::new(0);
    let counted = |after| {
        calls.set(calls.get() + 1);
        slots(after)
    };
    for most in [1, 2, 10, 100] {
        let found = newest(counted, at(0), at(140 * 86_400), most);
        assert_eq!(found.len(), most);
        assert_eq!(found.last(), Some(&at(131 * 86_400)));
        assert!(found.is_sorted());
        let mut slow: Vec<Timestamp> = Vec::new();
        let mut after = at(98 * 86_400);
        while let Some(slot) = slots(after) {
            slow.push(slot);
            after = slot;
        }
        assert_eq!(found, slow.split_off(slow.len() - most));
    }
    assert!(calls.get() < 20_000, "{} calls", calls.get());
    assert_eq!(newest(counted, at(0), at(30), 100).len(), 30, "no more than there are");
    assert_eq!(newest(|_| None, at(0), at(30), 100), []);
}

#[test]
fn a_live_slot_is_the_newest_and_runs_as_any_slot() {
    for (way, cause) in WAYS.into_iter().filter(|(way, _)| !matches!(way, Way::Kill | Way::Reboot)) {
        let mut world = World::with(vec![last("0 */10 * * * *"), job("n", "0 */10 * * * *", OnOverlap::Skip)]);
        world.pass(300);
        world.unwatched(way, 3310);
        assert_eq!(world.fates("a")[0], (3000, Fate::Missed(5, cause)));
        let run = world.runs_of("a")[0];
        let context = Context::decode(&world.warden.runs[&run].context).unwrap();
        assert_eq!((context.ticket.trigger, context.ticket.slot), (Trigger::Schedule, Some(at(T0 + 3600))), "{way:?}");
        assert_eq!(world.ran("n"), [3600], "{way:?}: a restart at the slot loses nothing");
    }
}

#[test]
fn f87_what_a_killed_daemon_may_have_started_runs_only_where_it_would_be_known() {
    for way in [Way::Kill, Way::Reboot] {
        let mut world = World::with(vec![last("0 * * * * *"), job("n", "0 * * * * *", OnOverlap::Skip)]);
        world.pass(59);
        world.unwatched(way, 10);
        let cause = if matches!(way, Way::Kill) { Cause::Down } else { Cause::Off };
        assert_eq!(world.ran("a"), [60], "it claims");
        assert_eq!(world.fates("n"), [(60, Fate::Missed(1, cause))], "it may have run");
        world.pass(60);
        assert_eq!(world.ran("n"), [120], "the next one cannot have");
    }
}

#[test]
fn f87_a_slot_that_was_claimed_never_runs_again() {
    for starts in [false, true] {
        let mut world = World::with(vec![last("0 * * * * *")]);
        world.pass(59);
        world.hung = true;
        world.pass(1);
        assert_eq!(world.warden.started, [], "not before the ledger has it");
        world.disk = world.page.write("boot old", world.now.wall);
        if starts {
            world.write_ledger();
            assert_eq!(world.warden.started.len(), 1);
        }
        world.hung = true;
        world.sleep(5);
        world.hung = false;
        world.next_daemon();
        world.pass(5);
        assert_eq!(world.warden.started.len(), usize::from(starts), "claimed, and lost with the daemon");
        let view = world.state.show_job(&name("a")).unwrap();
        assert_eq!(view.last.unwrap().outcome, Some(Outcome::Lost));
        world.pass(60);
        assert_eq!(world.warden.started.len(), 1 + usize::from(starts));
    }
}

#[test]
fn f86_a_ledger_that_hangs_holds_a_run_up_for_a_second_and_is_told_of_once() {
    let mut world = World::with(vec![last("0 * * * * *"), job("n", "0 * * * * *", OnOverlap::Skip)]);
    world.hung = true;
    world.pass(60);
    assert_eq!(world.warden.started, [(name("n"), at(T0 + 60))], "who does not catch up waits for nobody");
    world.pass(1);
    assert_eq!(world.warden.started.len(), 2);
    world.finish("a");
    world.finish("n");
    world.pass(60);
    let told = |world: &World| world.facts.iter().filter(|fact| **fact == Fact::Unclaimed).count();
    assert_eq!((world.warden.started.len(), told(&world)), (4, 1));
    world.hung = false;
    world.finish("a");
    world.finish("n");
    world.pass(59);
    assert_eq!((world.warden.started.len(), told(&world)), (6, 1));
}

#[test]
fn what_is_made_up_for_waits_whatever_the_overlap_rule_says() {
    for on_overlap in [OnOverlap::Skip, OnOverlap::Queue, OnOverlap::Replace, OnOverlap::Allow] {
        let mut world = World::with(vec![catching_up("a", "0 */10 * * * *", on_overlap, CatchUpRule::All, 100)]);
        world.pass(600);
        world.start_all();
        let run = world.runs_of("a");
        world.unwatched(Way::Suspend, 3061);
        assert_eq!(world.runs_of("a"), run, "{on_overlap:?}");
        assert_eq!(world.warden.signals, [], "{on_overlap:?}: no reason to stop it");
        world.pass(540);
        assert_eq!(world.fates("a").len(), 1, "{on_overlap:?}: the slot of minute 70 joins");
        assert_eq!(world.one_by_one("a"), [600, 1200, 1800, 2400, 3000, 3600, 4200], "{on_overlap:?}");
        assert_eq!(world.warden.runs.len(), 0, "{on_overlap:?}: all forgotten");
    }
}

#[test]
fn as_many_wait_as_may_and_no_more() {
    let mut world = World::with(vec![all("0 */10 * * * *", 3)]);
    world.unwatched(Way::Suspend, 3661);
    assert_eq!(world.fates("a")[0], (1800, Fate::Missed(3, Cause::Clock)));
    world.start_all();
    world.pass(539);
    world.pass(600);
    assert_eq!(world.fates("a").last(), Some(&(4800, Fate::Skipped(Rule::Limit))), "two wait, one joins, one does not");
    assert_eq!(world.one_by_one("a"), [2400, 3000, 3600, 4200]);
}

#[test]
fn of_last_only_the_newest_waits() {
    let mut world = World::with(vec![last("0 */10 * * * *")]);
    world.pass(600);
    world.start_all();
    world.unwatched(Way::Suspend, 1300);
    world.unwatched(Way::Suspend, 1300);
    assert!(world.fates("a").contains(&(1800, Fate::Superseded)));
    assert_eq!(world.one_by_one("a"), [600, 3000]);
}

#[test]
fn a6_years_that_were_no_years() {
    for job in [last("0 */10 * * * *"), all("0 */10 * * * *", 3)] {
        let most = if job.catch_up.rule == CatchUpRule::All { 3 } else { 1 };
        let mut world = World::with(vec![job]);
        world.set_clock(T0 + 3 * 365 * DAY as i64 + 300);
        assert_eq!(world.one_by_one("a").len(), most);
        world.set_clock(T0 + 300);
        world.pass(600);
        assert_eq!(world.one_by_one("a"), [600], "and back: what is to come comes");
    }
}

#[test]
fn a7_what_was_made_up_for_is_not_run_again_when_the_clock_goes_back_over_it() {
    for (rule, made_up) in [(CatchUpRule::Last, vec![3600]), (CatchUpRule::All, vec![2400, 3000, 3600])] {
        for engine in [false, true] {
            let mut world = World::with(vec![catching_up("a", "0 */10 * * * *", OnOverlap::Skip, rule, 3)]);
            world.set_clock(T0 + 3900);
            assert_eq!(world.one_by_one("a"), made_up);
            world.write_ledger();
            world.set_clock(T0 + 30);
            if engine {
                world.next_engine();
            }
            for _ in 0..80 {
                world.pass(60);
                world.finish("a");
            }
            let mut ran: Vec<i64> = world.ran("a");
            ran.sort_unstable();
            assert_eq!(ran, [600, 1200, 1800, 2400, 3000, 3600, 4200, 4800], "{rule:?}");
            world.assert_no_slot_twice();
        }
    }
}

#[test]
fn a14_slots_before_a_definition_are_none_of_its_own() {
    for (way, _) in WAYS.into_iter().filter(|(way, _)| matches!(way, Way::Kill | Way::Orderly | Way::Reboot)) {
        let mut world = World::with(vec![]);
        world.pass(300);
        // Written while nobody was there.
        let armed = Armed { job: Arc::new(all("0 */10 * * * *", 100)), since: at(T0 + 2000) };
        world.files.insert(name("a"), armed);
        world.unwatched(way, 3661);
        assert_eq!(world.one_by_one("a"), [2400, 3000, 3600], "{way:?}");
    }
}

#[test]
fn a14_an_edit_makes_up_for_nothing() {
    let mut world = World::with(vec![all("0 */10 * * * *", 100)]);
    world.pass(3630);
    world.finish("a");
    let started = world.warden.started.len();
    world.arm(all("30 * * * * *", 100), world.now.wall);
    assert_eq!(world.warden.started.len(), started);
    world.pass(60);
    assert_eq!(world.ran("a").last(), Some(&3690));
}

#[test]
fn slots_of_a_pause_are_not_made_up_for() {
    for way in [Way::Suspend, Way::Stop, Way::EngineAway, Way::Kill] {
        let mut world = World::with(vec![all("0 */10 * * * *", 100)]);
        world.pass(300);
        world.pause("a", Some(1500)).unwrap();
        world.unwatched(way, 3361);
        assert_eq!(world.one_by_one("a"), [2400, 3000, 3600], "{way:?}");
        assert!(world.fates("a").contains(&(1800, Fate::Paused(crate::engine::PauseKind::Pause, 3))), "{way:?}");
        world.pause("a", None).unwrap();
        world.unwatched(way, 3600);
        assert_eq!(world.runs_of("a"), [], "{way:?}: it goes on");
    }
}

#[test]
fn what_waits_outlives_engines_and_daemons() {
    for way in [Way::EngineAway, Way::Kill, Way::Orderly, Way::Reboot] {
        let mut world = World::with(vec![all("0 */10 * * * *", 100)]);
        world.pass(300);
        world.unwatched(Way::Suspend, 3000);
        world.finish("a");
        world.start_all();
        assert_eq!(world.ran("a"), [600, 1200]);
        world.unwatched(way, 120);
        let expected = match way {
            Way::EngineAway | Way::Orderly => [1200, 1800, 2400, 3000].as_slice(),
            _ => &[1800, 2400, 3000],
        };
        let ran = world.one_by_one("a");
        assert!(ran.ends_with(&expected[1..]) || ran == expected, "{way:?}: {ran:?}");
        world.assert_no_slot_twice();
        assert_eq!(world.warden.started.len(), 5, "{way:?}");
        let before = world.fates("a").len();
        world.unwatched(Way::Kill, 30);
        assert_eq!(world.fates("a").len(), before, "{way:?}: nothing is owed any more");
    }
}

#[test]
fn what_comes_due_while_the_daemon_stops_is_the_next_one_s() {
    let queue = catching_up("q", "0 * * * * *", OnOverlap::Queue, CatchUpRule::Last, 10);
    let mut world = World::with(vec![queue, all("0 * * * * *", 10), job("n", "0 * * * * *", OnOverlap::Skip)]);
    world.pass(60);
    world.start_all();
    world.pass(60);
    let waited = world.fates("q").len();
    world.step(Event::Drain { grace: Duration::from_secs(200) });
    world.pass(70);
    assert_eq!(world.fates("n").last(), Some(&(180, Fate::Skipped(Rule::Stopping))));
    assert_eq!(world.fates("q").len(), waited, "no verdict yet");
    // An engine that dies over it leaves it to its successor.
    world.write_ledger();
    world.sleep(1);
    world.cut = Some(0);
    world.next_engine_that_stops();
    world.stop_in_order();
    world.next_daemon();
    assert_eq!(world.fates("q").last().unwrap().0, 180);
    assert!(matches!(world.fates("q").last().unwrap().1, Fate::Ran(_)));
    assert!(
        world.fates("q").contains(&(120, Fate::Missed(1, Cause::Down))),
        "of last the newest: {:?}",
        world.fates("q")
    );
    assert_eq!(world.ran("a").last(), Some(&180));
    world.assert_no_slot_twice();
}

impl World {
    /// As the warden starts one while it stops.
    fn next_engine_that_stops(&mut self) {
        self.next_engine();
        self.step(Event::Drain { grace: Duration::from_secs(100) });
    }
}

#[test]
fn what_is_owed_to_a_job_that_is_gone_or_changed_has_its_verdict() {
    let retired = Fate::Skipped(Rule::Retired);
    let states = [
        ("gone", None, retired),
        ("disabled", Some(Job { enable: false, ..all("0 */10 * * * *", 9) }), retired),
        ("none", Some(job("a", "0 */10 * * * *", OnOverlap::Skip)), Fate::Missed(1, Cause::Down)),
    ];
    for (text, job, expected) in states {
        let mut world = World::with(vec![all("0 */10 * * * *", 9)]);
        world.unwatched(Way::Suspend, 1861);
        assert_eq!(world.ran("a"), [600]);
        world.facts.clear();
        world.write_ledger();
        world.files.clear();
        if let Some(job) = job {
            world.files.insert(name("a"), Armed { job: Arc::new(job), since: at(T0 - 100) });
        }
        world.sleep(5);
        world.next_daemon();
        assert_eq!(world.fates("a"), [(1200, expected), (1800, expected)], "{text}");
    }
}

#[test]
fn a_ledger_that_cannot_be_read_is_none() {
    for disk in ["", "\n", "junk", "rotad-ledger 2 boot x\nmark open 0000000000000 2026-11-20T12:00:00Z\n"] {
        let mut world = World::with(vec![all("0 */10 * * * *", 9)]);
        world.pass(300);
        world.sleep(3661);
        world.disk = disk.into();
        world.next_daemon();
        assert_eq!(world.fates("a"), [], "{disk:?}: watched from its start");
        world.pass(600);
        assert_eq!(world.ran("a"), [4200]);
    }
}

#[test]
fn a6_a_machine_without_a_clock_at_boot_catches_up_once_it_has_the_time() {
    let mut world = World::with(vec![all("0 */10 * * * *", 3)]);
    world.pass(300);
    world.write_ledger();
    world.now = Now { wall: at(1000), mono: Duration::from_secs(2) };
    world.next_daemon();
    assert_eq!(world.ran("a"), [0; 0]);
    world.set_clock(T0 + 1900);
    assert_eq!(world.one_by_one("a"), [600, 1200, 1800]);
}

#[test]
fn an_idle_daemon_that_is_restarted_says_nothing_of_time() {
    let mut world = World::with(vec![job("a", "0 0 * * * *", OnOverlap::Skip)]);
    for way in [Way::Orderly, Way::Kill, Way::EngineAway] {
        world.pass(1000);
        world.unwatched(way, 20);
        world.warden.drained = 0;
        assert_eq!(world.aways(), [], "{way:?}");
    }
}

#[test]
fn an_attempt_that_the_warden_never_knew_is_not_lost_when_its_run_is_over() {
    let retries = Some(Box::new(crate::job::Retries::of(1)));
    let mut world =
        World::with(vec![Job { retries, environment_file: Some("/etc/env".into()), ..last("0 * * * * *") }]);
    world.pass(60);
    let run = world.reading.remove(0);
    world.step(Event::Environment { run, read: Err("unreadable".into()) });
    world.write_ledger();
    assert_eq!(ledger::read(&world.disk, "").unwrap().lost().len(), 1, "while it waits, it would be");
    world.pass(40);
    let run = world.reading.remove(0);
    world.step(Event::Environment { run, read: Ok(vec![]) });
    world.finish("a");
    world.write_ledger();
    assert_eq!(ledger::read(&world.disk, "").unwrap().lost(), [], "{}", world.disk);
}

#[test]
fn a7_what_is_owed_of_a_future_that_was_none_runs_once() {
    let mut world = World::with(vec![all("0 */10 * * * *", 9)]);
    world.unwatched(Way::Suspend, 1861);
    assert_eq!(world.ran("a"), [600]);
    // 1200 and 1800 wait; the clock is set back before them, and the daemon dies.
    world.set_clock(T0 + 900);
    world.unwatched(Way::Kill, 5);
    assert_eq!(world.one_by_one("a"), [1200, 1800], "they had come due");
    world.pass(1600);
    assert_eq!(world.one_by_one("a"), [2400]);
    world.assert_no_slot_twice();
}

#[test]
fn d73_an_engine_that_dies_while_it_tells_what_waits_leaves_it_to_all() {
    for cut in 0..4 {
        let mut world = World::with(vec![catching_up("a", "0 */10 * * * *", OnOverlap::Allow, CatchUpRule::All, 9)]);
        world.unwatched(Way::Suspend, 1861);
        world.start_all();
        let (asked, effects) = world.state.start(&name("a"), "uid 0", world.now);
        world.perform(effects);
        world.start_all();
        world.cut = Some(cut);
        world.pass(540);
        world.next_engine();
        // The run that was told first goes first.
        let first = world.runs_of("a").into_iter().find(|run| Ok(*run) != asked).unwrap();
        world.end(first, Exit::Code(0));
        world.drain_output(first);
        world.next_engine();
        world.end(asked.unwrap(), Exit::Code(0));
        let runs = world.warden.runs.keys().copied().collect::<Vec<_>>();
        runs.into_iter().for_each(|run| world.drain_output(run));
        assert_eq!(world.one_by_one("a")[1..], [1800, 2400], "cut after {cut}");
        world.assert_no_slot_twice();
    }
}
