//! Clocks that jump, nights that nobody watched, and definitions that change. Numbers are of the fault list, section A.

use super::*;

const SKIP: OnOverlap = OnOverlap::Skip;

fn minutely() -> Job {
    job("a", "0 * * * * *", OnOverlap::Allow)
}

#[test]
fn slots_run_once_each_as_time_passes() {
    let mut world = World::with(vec![minutely()]);
    world.pass(200);
    assert_eq!(world.ran("a"), [60, 120, 180]);
    assert_eq!(world.fates("a").len(), 3);
}

#[test]
fn a6_a_wrong_clock_at_boot_blocks_nothing_once_it_is_right() {
    let future = T0 + 4 * 365 * 86_400;
    let mut world = World::starting_at(future);
    world.arm(minutely(), at(future));
    world.arm(job("e", "@every 10s", OnOverlap::Allow), at(future));
    world.pass(65);
    assert!(!world.ran("a").is_empty());
    world.facts.clear();
    world.set_clock(T0);
    world.pass(125);
    assert_eq!(world.ran("a"), [60, 120]);
    assert!(world.ran("e").len() >= 10, "{:?}", world.ran("e"));
    world.next_engine();
    world.facts.clear();
    world.pass(60);
    assert_eq!(world.ran("a"), [180]);
    world.assert_no_slot_twice();
}

#[test]
fn a6_a_correction_that_is_taken_back_runs_what_it_had_missed() {
    let mut world = World::with(vec![minutely()]);
    world.pass(60);
    world.set_clock(T0 + 3 * 365 * 86_400 - 1 + 3_600);
    assert!(matches!(world.fates("a").iter().rev().nth(1), Some((_, Fate::Missed(n, _))) if *n >= COUNT_LIMIT));
    world.facts.clear();
    world.set_clock(T0 + 90);
    let view = world.state.show_job(&name("a")).unwrap();
    assert!(
        view.verdicts.iter().all(|row| row.slot <= at(T0 + 90) || row.count.is_none()),
        "missed rows are taken back"
    );
    world.pass(60);
    assert_eq!(world.ran("a"), [120]);
}

#[test]
fn a7_a_day_back_and_forward_again_runs_nothing_twice() {
    let mut world = World::with(vec![job("h", "0 0 * * * *", OnOverlap::Allow)]);
    world.pass(26 * 3600);
    let ran = world.ran("h").len();
    assert_eq!(ran, 26);
    world.set_clock(T0 + 2 * 3600);
    world.pass(5 * 3600);
    world.next_engine();
    world.pass(19 * 3600 - 1);
    assert_eq!(world.ran("h").len(), ran, "nothing that was watched runs again");
    world.pass(3601);
    assert_eq!(world.ran("h").len(), ran + 1);
    world.assert_no_slot_twice();
}

#[test]
fn a7_a_small_step_back_has_time_stand_still() {
    let mut world = World::with(vec![minutely()]);
    world.pass(61);
    world.set_clock(T0 + 30);
    world.pass(100);
    assert_eq!(world.ran("a"), [60, 120]);
    world.assert_no_slot_twice();
}

#[test]
fn a7_a_job_made_after_a_step_back_is_not_held_up() {
    let mut world = World::with(vec![minutely()]);
    world.pass(7200);
    world.set_clock(T0 + 600);
    world.arm(job("new", "0 * * * * *", SKIP), at(T0 + 600));
    world.pass(61);
    assert_eq!(world.ran("new"), [660]);
}

#[test]
fn a8_a9_a_night_that_nobody_watched_is_one_row_and_one_run() {
    let mut world = World::with(vec![minutely()]);
    world.pass(60);
    world.facts.clear();
    world.sleep(9 * 3600 + 10);
    world.step(Event::Wake);
    let night = 9 * 3600 + 60;
    assert_eq!(world.fates("a")[0], (night - 60, Fate::Missed(539, Cause::Stopped)));
    assert!(matches!(world.fates("a")[1], (slot, Fate::Ran(_)) if slot == night));
    assert_eq!(world.fates("a").len(), 2);
}

#[test]
fn a10_a_million_missed_slots_cost_little() {
    let jobs = (0..100).map(|n| job(&format!("j{n}"), "* * * * * *", SKIP)).collect();
    let mut world = World::with(jobs);
    world.sleep(1_000_000);
    let begun = std::time::Instant::now();
    world.step(Event::Wake);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(matches!(world.fates("j0")[0], (_, Fate::Missed(n, _)) if n >= COUNT_LIMIT));
    assert_eq!(world.ran("j99"), [1_000_000]);
    assert_eq!(world.warden.started.len(), 100);
}

#[test]
fn a14_a_changed_schedule_never_fires_for_the_past() {
    let mut world = World::with(vec![job("a", "0 0 18 * * *", SKIP)]);
    world.pass(1800);
    world.arm(job("a", "0 15 * * * *", SKIP), world.now.wall);
    assert_eq!(world.ran("a"), [0; 0]);
    world.pass(2699);
    assert_eq!(world.ran("a"), [0; 0]);
    world.pass(1);
    assert_eq!(world.ran("a"), [4500]);
}

#[test]
fn a14_a_definition_that_is_read_late_loses_no_slot_and_doubles_none() {
    let mut world = World::with(vec![job("a", "0 */2 * * * *", OnOverlap::Allow), job("b", "* * * * * *", SKIP)]);
    world.pass(120);
    world.arm(minutely(), at(T0 + 119));
    assert_eq!(world.ran("a"), [120], "the slot at 120 was decided under the old definition");
    world.pass(119);
    world.sleep(1);
    world.arm(job("a", "30 * * * * *", OnOverlap::Allow), at(T0 + 239));
    world.pass(91);
    world.arm(job("a", "0 * * * * *", OnOverlap::Allow), at(T0 + 299));
    assert_eq!(world.ran("a"), [120, 180, 240, 270, 330], "not back before a slot that was decided");
    world.assert_no_slot_twice();
}

#[test]
fn a14_a_file_moved_away_and_back_runs_nothing_twice() {
    let mut world = World::with(vec![minutely()]);
    world.pass(61);
    world.retire("a");
    world.arm(minutely(), at(T0 - 86_400));
    world.pass(60);
    assert_eq!(world.ran("a"), [60, 120]);
    world.retire("a");
    world.pass(300);
    world.arm(minutely(), at(T0 - 86_400));
    world.pass(60);
    assert_eq!(world.ran("a"), [60, 120, 420, 480], "420 is found one second late, what is older is none of its own");
    world.assert_no_slot_twice();
}

#[test]
fn a16_five_thousand_jobs_in_one_second_are_one_burst_in_order() {
    let jobs: Vec<Job> = (0..5000).map(|n| job(&format!("j{n:04}"), "0 * * * * *", SKIP)).collect();
    let mut world = World::with(jobs);
    world.sent = 0;
    world.pass(60);
    assert_eq!(world.warden.runs.len(), RUNS_MAX);
    assert_eq!(world.sent, RUNS_MAX + 1, "one mark for all");
    let skipped =
        world.facts.iter().filter(|fact| matches!(fact, Fact::Verdict { fate: Fate::Skipped(Rule::Limit), .. }));
    assert_eq!(skipped.count(), 5000 - RUNS_MAX);
    assert!(world.warden.started.is_sorted());
}

#[test]
fn a17_a_slot_is_not_evaluated_twice() {
    let mut world = World::with(vec![minutely()]);
    world.pass(60);
    let next = world.state.next_wall();
    for _ in 0..10 {
        world.step(Event::Wake);
    }
    assert_eq!(world.state.next_wall(), next);
    assert_eq!(world.ran("a"), [60]);
}

#[test]
fn a18_an_early_timer_neither_runs_nor_skips() {
    let mut world = World::with(vec![minutely()]);
    world.pass(59);
    world.now.wall += SignedDuration::from_millis(999);
    world.step(Event::Wake);
    assert_eq!(world.ran("a"), [0; 0]);
    assert_eq!(world.state.next_wall(), Some(at(T0 + 60)));
    world.pass(1);
    assert_eq!(world.ran("a"), [60]);
}

#[test]
fn nothing_to_do_wakes_nobody() {
    let world = World::with(vec![job("a", "", SKIP)]);
    assert_eq!((world.state.next_wall(), world.state.next_mono()), (None, None));
}

#[test]
fn disabled_jobs_are_never_due_and_may_be_asked_for() {
    let mut world = World::with(vec![Job { enable: false, ..minutely() }]);
    world.pass(300);
    assert_eq!(world.fates("a"), []);
    let (answer, effects) = world.state.start(&name("a"), "uid 0", world.now);
    world.perform(effects);
    assert_eq!(world.runs_of("a"), [answer.unwrap()]);
}

#[test]
fn reboot_jobs_run_once_in_a_boot() {
    let reboot = || {
        let schedule = Schedule::parse("@reboot", Dialect::Vixie, &TimeZone::UTC, "r").unwrap();
        Job { schedule: Some(schedule), ..job("r", "", SKIP) }
    };
    let mut world = World::with(vec![reboot()]);
    assert_eq!(world.ran("r"), [0; 0], "not the first start in this boot");
    world.warden = Warden::default();
    world.boot = true;
    world.cut = Some(0);
    world.next_engine();
    assert_eq!(world.warden.started.len(), 1);
    world.warden.mark = None;
    world.next_engine();
    world.pass(10);
    world.finish("r");
    world.next_engine();
    assert_eq!(world.warden.started.len(), 1, "neither the run nor the mark is forgotten");
}

#[test]
fn ten_thousand_jobs_cost_little_memory() {
    let verdicts = 8 * size_of::<(Timestamp, Fate)>();
    let due = size_of::<(Timestamp, JobName)>();
    let job = size_of::<jobs::Entry>() + size_of::<JobName>() + due + verdicts + size_of::<Record>();
    assert!(job <= 1024, "{job} bytes a job, without its name and definition");
}
