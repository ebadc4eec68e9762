//! The schedules against slow, obvious models: every minute of a window is looked at, and crond's loop is played minute
//! by minute with its virtual clock. The expressions are made from fields whose sets are known, so that the models need
//! no parser. The windows lie where clocks change.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rotad::schedule::{Dialect, Dst, Schedule, parse_zone};

/// A field as text, what it means, and whether it counts as a star when both day fields are looked at.
#[derive(Clone, Debug)]
struct Field {
    text: String,
    values: Vec<i8>,
    /// An item that is a bare star.
    star: bool,
}

impl Field {
    fn has(&self, value: i8) -> bool {
        self.values.contains(&value)
    }

    fn begins_with_star(&self) -> bool {
        self.text.starts_with('*')
    }
}

fn field(min: i8, max: i8) -> impl Strategy<Value = Field> {
    let all: Vec<i8> = (min..=max).collect();
    let star = Just(Field { text: "*".to_string(), values: all, star: true });
    let value = (min..=max).prop_map(|value| Field { text: value.to_string(), values: vec![value], star: false });
    let step = (2..=(max - min).max(3)).prop_map(move |step| Field {
        text: format!("*/{step}"),
        values: (min..=max).step_by(step as usize).collect(),
        star: false,
    });
    let range = (min..=max, min..=max, 1i8..4).prop_map(|(a, b, step)| {
        let (low, high) = (a.min(b), a.max(b));
        let text = if step == 1 { format!("{low}-{high}") } else { format!("{low}-{high}/{step}") };
        Field { text, values: (low..=high).step_by(step as usize).collect(), star: false }
    });
    let list = (min..=max, min..=max, min..=max).prop_map(|(a, b, c)| Field {
        text: format!("{a},{b},{c}"),
        values: vec![a, b, c],
        star: false,
    });
    prop_oneof![3 => star, 3 => value, 2 => step, 2 => range, 2 => list]
}

/// minute, hour, day of month, month, day of week (Sunday is 0).
type Fields = [Field; 5];

/// Mostly frequent expressions: a window of days must hold some slots.
fn fields() -> impl Strategy<Value = Fields> {
    let months = prop_oneof![4 => Just(Field { text: "*".to_string(), values: (1..=12).collect(), star: true }), 1 => field(1, 12)];
    (field(0, 59), field(0, 23), field(1, 31), months, field(0, 6)).prop_map(|(a, b, c, d, e)| [a, b, c, d, e])
}

fn day_matches(fields: &Fields, at: DateTime, and: bool) -> bool {
    let dom = fields[2].has(at.day());
    let dow = fields[4].has(at.weekday().to_sunday_zero_offset());
    fields[3].has(at.month()) && if and { dom && dow } else { dom || dow }
}

fn matches(fields: &Fields, at: DateTime, and: bool) -> bool {
    fields[0].has(at.minute()) && fields[1].has(at.hour()) && day_matches(fields, at, and)
}

/// Where and when clocks change, and how many days to look at.
const WINDOWS: &[(&str, &str, i64)] = &[
    ("America/New_York", "2026-03-07T00:00:00Z", 3),
    ("America/New_York", "2026-10-31T00:00:00Z", 3),
    ("Australia/Lord_Howe", "2026-04-03T00:00:00Z", 3),
    ("Australia/Lord_Howe", "2026-10-02T00:00:00Z", 3),
    ("America/Sao_Paulo", "2018-11-03T00:00:00Z", 3),
    ("America/Sao_Paulo", "2019-02-16T00:00:00Z", 3),
    ("Asia/Tehran", "2022-03-20T00:00:00Z", 3),
    ("Asia/Tehran", "2022-09-20T00:00:00Z", 3),
    ("Asia/Beirut", "2022-03-26T00:00:00Z", 2),
    ("Pacific/Apia", "2011-12-28T00:00:00Z", 4),
    ("Antarctica/Troll", "2026-03-28T00:00:00Z", 3),
    ("Antarctica/Troll", "2026-10-24T00:00:00Z", 3),
    ("Africa/Casablanca", "2026-02-13T00:00:00Z", 4),
    ("Africa/Cairo", "2026-04-22T00:00:00Z", 3),
    ("Europe/London", "2026-10-24T00:00:00Z", 2),
    ("UTC", "2027-12-30T00:00:00Z", 4),
];

fn minutes(from: Timestamp, days: i64) -> impl Iterator<Item = Timestamp> {
    (1..=days * 1440).map(move |minute| from + SignedDuration::from_mins(minute))
}

/// Each minute whose wall time matches; with `first_only`, not when that wall time was there before.
fn by_the_wall(
    zone: &TimeZone,
    from: Timestamp,
    days: i64,
    first_only: bool,
    matches: impl Fn(DateTime) -> bool,
) -> Vec<Timestamp> {
    minutes(from, days)
        .filter(|&at| {
            let wall = zone.to_datetime(at);
            let first = || zone.to_ambiguous_timestamp(wall).earlier().is_ok_and(|first| first == at);
            matches(wall) && (!first_only || first())
        })
        .collect()
}

/// crond's main loop: `virtual_time` is the minute for which all jobs have run.
fn by_crond(zone: &TimeZone, from: Timestamp, days: i64, fields: &Fields) -> Vec<Timestamp> {
    let and = fields[2].begins_with_star() || fields[4].begins_with_star();
    let wildcard = fields[0].begins_with_star() || fields[1].begins_with_star();
    let local_minute = |at: Timestamp| (at.as_second() + i64::from(zone.to_offset(at).seconds())).div_euclid(60);
    let due = |minute: i64| {
        let wall = TimeZone::UTC.to_datetime(Timestamp::from_second(minute * 60).unwrap());
        matches(fields, wall, and)
    };
    let mut virtual_time = local_minute(from);
    let mut runs = Vec::new();
    for at in minutes(from, days) {
        let now = local_minute(at);
        let difference = now - virtual_time;
        let runs_now = if !(-180..=180).contains(&difference) {
            virtual_time = now;
            due(now)
        } else if difference <= 0 {
            wildcard && due(now)
        } else {
            let missed = virtual_time + 1..=now;
            virtual_time = now;
            if wildcard { due(now) } else { missed.into_iter().any(due) }
        };
        if runs_now {
            runs.push(at);
        }
    }
    runs
}

/// What `dst` promises, minute by minute: the times that the clock shows, each the first time only unless `both`; and, unless
/// `skip`, the minute at which the clock has jumped over one.
fn by_dst(zone: &TimeZone, from: Timestamp, days: i64, dst: Dst, matches: impl Fn(DateTime) -> bool) -> Vec<Timestamp> {
    let wall_minute = |at: Timestamp| (at.as_second() + i64::from(zone.to_offset(at).seconds())).div_euclid(60);
    let wall = |minute: i64| TimeZone::UTC.to_datetime(Timestamp::from_second(minute * 60).unwrap());
    let shown = by_the_wall(zone, from, days, dst != Dst::Both, &matches);
    let jumped_over = |at: Timestamp| {
        let before = wall_minute(at - SignedDuration::from_mins(1));
        (before + 1..wall_minute(at)).any(|minute| matches(wall(minute)))
    };
    minutes(from, days).filter(|at| shown.contains(at) || dst != Dst::Skip && jumped_over(*at)).collect()
}

fn slots(schedule: &Schedule, from: Timestamp, days: i64) -> Vec<Timestamp> {
    let until = from + SignedDuration::from_hours(24 * days);
    std::iter::successors(schedule.next(from, from), |&after| schedule.next(after, from))
        .take_while(|&at| at <= until)
        .collect()
}

fn parse(text: &str, dialect: Dialect, zone: &TimeZone) -> Schedule {
    Schedule::parse(text, dialect, zone, "model").unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn cron_text(fields: &Fields) -> String {
    fields.each_ref().map(|field| field.text.as_str()).join(" ")
}

/// The same sets in systemd's words.
fn systemd_text(fields: &Fields) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let list = |field: &Field| {
        let numbers: Vec<String> = field.values.iter().map(|value| value.to_string()).collect();
        if field.star { "*".to_string() } else { numbers.join(",") }
    };
    let days: Vec<&str> = fields[4].values.iter().map(|&day| DAYS[day as usize]).collect();
    let [minute, hour, dom, month, _] = fields.each_ref().map(list);
    format!("{} *-{month}-{dom} {hour}:{minute}", days.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a4_every_dialect_agrees_with_its_model_where_clocks_change(fields in fields()) {
        for &(zone, from, days) in WINDOWS {
            let zone = &parse_zone(zone).unwrap();
            let from: Timestamp = from.parse().unwrap();
            let text = cron_text(&fields);

            let and = fields[2].star || fields[4].star;
            let model = by_the_wall(zone, from, days, false, |at| matches(&fields, at, and));
            prop_assert_eq!(slots(&parse(&text, Dialect::Robfig, zone), from, days), model, "robfig {} {:?}", text, zone.iana_name());

            // The same rule about stars: none of these texts has a `*/1`.
            let fits = |unit: &Field, max: usize| unit.text.split_once('/').is_none_or(|(_, step)| step.parse().is_ok_and(|step: usize| step <= max));
            if fits(&fields[4], 6) && fits(&fields[3], 12) {
                let model = by_the_wall(zone, from, days, true, |at| matches(&fields, at, and));
                prop_assert_eq!(slots(&parse(&text, Dialect::Cronexpr, zone), from, days), model, "cronexpr {} {:?}", text, zone.iana_name());
            }

            let model = by_crond(zone, from, days, &fields);
            prop_assert_eq!(slots(&parse(&text, Dialect::Vixie, zone), from, days), model, "vixie {} {:?}", text, zone.iana_name());

            let text = systemd_text(&fields);
            let model = by_the_wall(zone, from, days, true, |at| matches(&fields, at, true));
            prop_assert_eq!(slots(&parse(&text, Dialect::Systemd, zone), from, days), model, "systemd {} {:?}", text, zone.iana_name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a4_dst_agrees_with_its_model_where_clocks_change(fields in fields()) {
        for &(zone, from, days) in WINDOWS {
            let zone = &parse_zone(zone).unwrap();
            let from: Timestamp = from.parse().unwrap();
            let text = cron_text(&fields);
            let either = fields[2].star || fields[4].star;
            let vixie = fields[2].begins_with_star() || fields[4].begins_with_star();
            for dst in Dst::ALL {
                for (text, dialect, and) in [
                    (text.clone(), Dialect::Robfig, either),
                    (text.clone(), Dialect::Vixie, vixie),
                    (systemd_text(&fields), Dialect::Systemd, true),
                ] {
                    let model = by_dst(zone, from, days, dst, |at| matches(&fields, at, and));
                    let schedule = parse(&text, dialect, zone).with_dst(dst);
                    prop_assert_eq!(slots(&schedule, from, days), model, "{} {} {} {:?}", dialect, text, dst, zone.iana_name());
                }
            }
        }
    }

    #[test]
    fn an_explanation_tells_what_next_does(fields in fields(), offsets in prop::collection::vec(0..3 * 86_400i64, 4), dst in 0..4usize) {
        for &(name, from, days) in WINDOWS {
            let zone = &parse_zone(name).unwrap();
            let from: Timestamp = from.parse().unwrap();
            let texts = [
                (cron_text(&fields), Dialect::Robfig),
                (cron_text(&fields), Dialect::Vixie),
                (cron_text(&fields), Dialect::Cronexpr),
                (systemd_text(&fields), Dialect::Systemd),
            ];
            for (text, dialect) in texts {
                // cronexpr takes no step as large as some of these.
                let Ok(schedule) = Schedule::parse(&text, dialect, zone, "model") else { continue };
                let schedule = Dst::ALL.get(dst).map_or(schedule.clone(), |&dst| schedule.with_dst(dst));
                let all = slots(&schedule, from, days);
                let some = all.iter().step_by(all.len() / 4 + 1).flat_map(|&at| [at, at + SignedDuration::from_secs(1)]);
                let change = zone.following(from).next().map(|change| change.timestamp());
                let beside = change.iter().flat_map(|&at| (-3..=3).map(move |half| at + SignedDuration::from_mins(30 * half)));
                let slots_beside = all.iter().filter(|&&at| change.is_some_and(|change| at.duration_since(change).abs() < SignedDuration::from_mins(61)));
                let asked = offsets.iter().map(|&seconds| from + SignedDuration::from_secs(1 + seconds % (days * 86_400)));
                let asked = asked.chain(some).chain(beside).chain(slots_beside.copied().take(6));
                for at in asked.filter(|&at| from < at && at <= from + SignedDuration::from_hours(24 * days)) {
                    check_explanation(&schedule, at, from, &all);
                }
            }
        }
    }
}

/// `all` are the slots after `from`.
fn check_explanation(schedule: &Schedule, at: Timestamp, from: Timestamp, all: &[Timestamp]) {
    let zone = schedule.zone();
    let told = schedule.explain(at, from);
    let context = format!("{schedule:?} {:?} at {at}: {told:?}", schedule.dst());
    assert_eq!(told.due, all.contains(&at), "{context}");
    match all.iter().find(|&&slot| slot > at) {
        Some(next) => assert_eq!(told.after, Some(*next), "{context}"),
        None => assert!(told.after.is_none_or(|after| after > at), "{context}"),
    }
    // The slot before is one, and there is none between it and this instant.
    match told.before {
        Some(before) => assert!(before < at && schedule.next(before, from).is_none_or(|next| next >= at), "{context}"),
        None => assert_eq!(all.iter().find(|&&slot| slot < at), None, "{context}"),
    }
    if let Some(last) = all.iter().rfind(|&&slot| slot < at) {
        assert_eq!(told.before, Some(*last), "{context}");
    }
    let wall = zone.to_datetime(at);
    let comes_twice = zone.to_ambiguous_timestamp(wall).is_ambiguous();
    let jump = zone.to_offset(at) != zone.to_offset(at - SignedDuration::from_nanos(1));
    match comes_twice || jump {
        false => assert_eq!((told.due, told.clock.is_some()), (told.fits, false), "{context}"),
        true => assert!(told.due == told.fits || told.clock.is_some(), "{context}"),
    }
    // Joined as the rules say, the fields are `fits`.
    let either = told.rules.iter().any(|rule| rule.contains("either"));
    let (days, others): (Vec<_>, Vec<_>) = told.fields.iter().partition(|field| field.name.starts_with("day of"));
    let day = if either { days.iter().any(|field| field.fits) } else { days.iter().all(|field| field.fits) };
    assert_eq!(told.fits, day && others.iter().all(|field| field.fits), "{context}");
}

/// A day-of-month field with `L`, `W`, and a day-of-week field with `L`, `#`.
fn special_days() -> impl Strategy<Value = (String, String)> {
    let dom_item = prop_oneof![
        Just("L".to_string()),
        Just("LW".to_string()),
        (1..=31i8).prop_map(|day| format!("{day}W")),
        (1..=31i8).prop_map(|day| day.to_string()),
        (1..=15i8, 15..=31i8).prop_map(|(low, high)| format!("{low}-{high}")),
    ];
    let dow_item = prop_oneof![
        (0..=6i8).prop_map(|day| format!("{day}L")),
        (0..=6i8, 1..=5i8).prop_map(|(day, week)| format!("{day}#{week}")),
        (0..=6i8).prop_map(|day| day.to_string()),
    ];
    let list = |item| prop::collection::vec(item, 1..3).prop_map(|items: Vec<String>| items.join(","));
    let dom = prop_oneof![1 => Just("*".to_string()), 3 => list(dom_item.boxed())];
    let dow = prop_oneof![1 => Just("*".to_string()), 2 => list(dow_item.boxed())];
    // croner takes `L,LW` for `LW`; gorhill/cronexpr means both.
    let both = |dom: &String| dom.split(',').any(|item| item == "L") && dom.split(',').any(|item| item == "LW");
    (dom.prop_filter("L and LW", move |dom| !both(dom)), dow)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a13_last_nearest_and_nth_days_agree_with_croner((dom, dow) in special_days(), year in 1990..2090i16, month in 1..=12i8) {
        let text = format!("17 5 {dom} * {dow}");
        let oracle = croner::Cron::from_str(&text).unwrap();
        let ours = parse(&text, Dialect::Cronexpr, &TimeZone::UTC);
        let start = jiff::civil::date(year, month, 1).to_zoned(TimeZone::UTC).unwrap().timestamp();
        let mut theirs = chrono::DateTime::from_timestamp(start.as_second(), 0).unwrap();
        let mut after = start;
        for round in 0..30 {
            let next = ours.next(after, start).unwrap();
            if round == 0 {
                let told = ours.explain(next, start);
                prop_assert!(told.due && told.fits && (told.fields[3].fits || told.fields[5].fits), "{:?}", told);
                let day_before = ours.explain(next - SignedDuration::from_hours(24), start);
                prop_assert_eq!(day_before.due, day_before.fits, "{:?}", day_before);
            }
            theirs = oracle.find_next_occurrence(&theirs, false).unwrap();
            prop_assert_eq!(next.as_second(), theirs.timestamp(), "{} after {}", text, after);
            after = next;
        }
    }
}
