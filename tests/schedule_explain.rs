//! What is said of one instant, field by field.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use jiff::Timestamp;
use rotad::schedule::{Dialect, Dst, Explanation, Schedule, parse_zone};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn parse(text: &str, dialect: Dialect) -> Schedule {
    Schedule::parse(text, dialect, &parse_zone("Europe/Berlin").unwrap(), "job").unwrap()
}

fn explain(text: &str, dialect: Dialect, instant: &str) -> Explanation {
    parse(text, dialect).explain(at(instant), at("2026-01-01T00:00:00Z"))
}

/// `name text value`, with a `!` before what does not fit.
fn fields(told: &Explanation) -> String {
    let field = |field: &rotad::schedule::Field| {
        format!("{}{} `{}` {}", if field.fits { "" } else { "!" }, field.name, field.text, field.value)
    };
    told.fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_field_that_does_not_fit_is_named_in_every_dialect() {
    // Friday the 20th, 13:00:00 on the wall.
    let instant = "2026-11-20T12:00:00Z";
    for (text, dialect, expected, due) in [
        (
            "0 14 * * 5",
            Dialect::Robfig,
            "second `0` 0, minute `0` 0, !hour `14` 13, day of month `*` 20, month `*` 11 (Nov), day of week `5` 5 (Fri)",
            false,
        ),
        (
            "0 13 * * mon-fri",
            Dialect::Vixie,
            "second `0` 0, minute `0` 0, hour `13` 13, day of month `*` 20, month `*` 11 (Nov), day of week `mon-fri` 5 (Fri)",
            true,
        ),
        (
            "0 13 20W * 5L 2027",
            Dialect::Cronexpr,
            "second `0` 0, minute `0` 0, hour `13` 13, day of month `20W` 20, month `*` 11 (Nov), !day of week `5L` 5 (Fri), !year `2027` 2026",
            false,
        ),
        (
            "Fri *-11~11 13:0/30 Europe/Berlin",
            Dialect::Systemd,
            "day of week `Fri` 5 (Fri), year `*` 2026, month `11` 11 (Nov), day of month `~11` 20, hour `13` 13, minute `0/30` 0, second `0` 0",
            true,
        ),
        (
            "2026-11-20",
            Dialect::Systemd,
            "day of week `*` 5 (Fri), year `2026` 2026, month `11` 11 (Nov), day of month `20` 20, !hour `0` 13, minute `0` 0, second `0` 0",
            false,
        ),
        (
            "*:*:0/0.5",
            Dialect::Systemd,
            "day of week `*` 5 (Fri), year `*` 2026, month `*` 11 (Nov), day of month `*` 20, hour `*` 13, minute `*` 0, second `0/0.5` 0",
            true,
        ),
    ] {
        let told = explain(text, dialect, instant);
        let shown = fields(&told);
        assert_eq!(shown, expected, "{text}");
        assert_eq!((told.due, told.fits), (due, due), "{text}: {told:?}");
    }
    let tokyo = explain("CRON_TZ=Asia/Tokyo 0 21 20 nov ?", Dialect::Robfig, instant);
    assert_eq!(
        (tokyo.zone.as_str(), tokyo.wall.to_string().as_str(), tokyo.due),
        ("Asia/Tokyo", "2026-11-20T21:00:00", true)
    );
    assert!(fields(&tokyo).contains("month `nov` 11 (Nov), day of week `?` 5 (Fri)"), "{tokyo:?}");
    let half = explain("*:*:0/0.5", Dialect::Systemd, "2026-11-20T12:00:00.5Z");
    assert!(half.due && fields(&half).ends_with("second `0/0.5` 0.5"), "{half:?}");
    let between = explain("* * * * *", Dialect::Vixie, "2026-11-20T12:00:00.000000001Z");
    assert!(!between.due && !between.fits, "{between:?}");
}

#[test]
fn a13_how_the_days_are_joined_is_said() {
    const EITHER: &str = "day of month and day of week are both given: a day that fits either of them is enough";
    const BOTH: &str = "day of month and day of week must both fit";
    for (text, dialect, rules, due) in [
        ("0 13 13 * 5", Dialect::Robfig, &[EITHER] as &[&str], true),
        ("0 13 13 * 5", Dialect::Vixie, &[EITHER], true),
        ("0 13 13 * 5", Dialect::Cronexpr, &[EITHER], true),
        // The text begins with a star, so crond joins by AND; 20 is no day of */3 (1, 4 … 19, 22).
        ("0 13 */3 * 5", Dialect::Vixie, &[BOTH], false),
        ("0 13 */3 * 5", Dialect::Robfig, &[EITHER], true),
        ("0 13 * * 5", Dialect::Vixie, &[], true),
        // To gorhill/cronexpr `*/1` is no star.
        ("0 13 */1 * 1", Dialect::Cronexpr, &[EITHER], true),
        ("Fri *-*-13 13:00", Dialect::Systemd, &[BOTH], false),
        ("@daily", Dialect::Robfig, &["`@daily` stands for `0 0 0 * * *`"], false),
        ("@daily", Dialect::Vixie, &["`@daily` stands for `0 0 * * *`"], false),
        ("daily UTC", Dialect::Systemd, &["`daily` stands for `*-*-* 00:00:00`"], false),
        ("@1795176000", Dialect::Systemd, &["`@` counts seconds since 1970 in UTC"], true),
    ] {
        let told = explain(text, dialect, "2026-11-20T12:00:00Z");
        assert_eq!(
            (told.rules.as_slice(), told.due),
            (rules.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice(), due),
            "{text} {dialect}: {told:?}"
        );
        assert_eq!(told.due, told.fits, "{text} {dialect}");
    }
}

#[test]
fn what_has_no_fields_has_a_rule() {
    let every = explain("@every 90s", Dialect::Robfig, "2026-01-01T00:03:00Z");
    assert_eq!(every.rules, ["every 90 s, counted from 2026-01-01T00:00:00Z; the wall clock does not matter"]);
    let around = (Some(at("2026-01-01T00:01:30Z")), Some(at("2026-01-01T00:04:30Z")));
    assert!(every.due && every.fields.is_empty() && (every.before, every.after) == around, "{every:?}");
    let reboot = explain("@reboot", Dialect::Vixie, "2026-01-01T00:03:00Z");
    assert!(!reboot.due && reboot.rules[0].starts_with("when the machine has started"), "{reboot:?}");
    assert_eq!((reboot.before, reboot.after), (None, None));
    let once = Schedule::once("2027-03-28T02:30", &parse_zone("Europe/Berlin").unwrap()).unwrap();
    let told = once.explain(at("2027-03-28T01:00:00Z"), at("2026-01-01T00:00:00Z"));
    assert_eq!(told.rules, ["once, at 2027-03-28T03:00:00+02:00"]);
    assert_eq!(
        told.clock.as_deref(),
        Some("02:30 does not exist on this day: it runs when the clock has jumped over it")
    );
    let picked = explain("~ 13 * * *", Dialect::Vixie, "2026-11-20T12:00:00Z");
    assert_eq!(picked.rules, ["`~` stands for a value that the job's name has picked for ever"]);
    let slot = picked.after.max(picked.before).unwrap();
    assert!(parse("~ 13 * * *", Dialect::Vixie).explain(slot, slot).fits);
}

#[test]
fn what_a_change_of_the_clock_does_is_said() {
    let remark = |text: &str, dialect: Dialect, dst: Option<Dst>, instant: &str| {
        let schedule = parse(text, dialect);
        let schedule = dst.map_or(schedule.clone(), |dst| schedule.with_dst(dst));
        let told = schedule.explain(at(instant), at(instant));
        (told.due, told.clock.unwrap_or_default())
    };
    let jump = "clocks have just gone forward from 02:00 to 03:00";
    let (spring, first, second) = ("2027-03-28T01:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z");
    for (text, dialect, dst, instant, due, expected) in [
        (
            "30 2 * * *",
            Dialect::Robfig,
            None,
            spring,
            false,
            format!("{jump}: by the rule of robfig, nothing runs for the time 02:30"),
        ),
        (
            "30 2 * * *",
            Dialect::Robfig,
            Some(Dst::Once),
            spring,
            true,
            format!("{jump}: by `dst: once`, one run is made up now for the time 02:30"),
        ),
        (
            "*/9 2 * * *",
            Dialect::Vixie,
            Some(Dst::Both),
            spring,
            true,
            format!("{jump}: by `dst: both`, one run is made up now for times from 02:00"),
        ),
        ("0 3 * * *", Dialect::Vixie, None, spring, true, format!("{jump}, and leave no time of the schedule out")),
        (
            "30 2 * * *",
            Dialect::Robfig,
            None,
            first,
            true,
            "02:30 comes twice on this day, this is the first time: by the rule of robfig, it runs both times".into(),
        ),
        (
            "30 2 * * *",
            Dialect::Vixie,
            None,
            second,
            false,
            "02:30 comes twice on this day, this is the second time: by the rule of vixie, it runs the first time only"
                .into(),
        ),
        (
            "30 2 * * *",
            Dialect::Vixie,
            Some(Dst::Both),
            second,
            true,
            "02:30 comes twice on this day, this is the second time: by `dst: both`, it runs both times".into(),
        ),
        // Not one of its times, and no change at all.
        ("31 2 * * *", Dialect::Vixie, None, second, false, String::new()),
        ("30 2 * * *", Dialect::Vixie, None, "2026-11-20T01:30:00Z", true, String::new()),
    ] {
        assert_eq!(remark(text, dialect, dst, instant), (due, expected), "{text} {dialect} {dst:?} {instant}");
    }
}

#[test]
fn a11_the_slot_before_is_found_within_bounds() {
    let started = std::time::Instant::now();
    for (text, dialect, instant, before) in [
        ("* * * * * *", Dialect::Robfig, "2026-11-20T12:00:00.5Z", Some("2026-11-20T12:00:00Z")),
        ("*:*:0/0.000001", Dialect::Systemd, "2026-11-20T12:00:00Z", Some("2026-11-20T11:59:59.999999Z")),
        ("* * * 1 *", Dialect::Robfig, "2026-11-20T12:00:00Z", Some("2026-01-31T22:59:00Z")),
        ("0 0 29 2 *", Dialect::Robfig, "2026-11-20T12:00:00Z", Some("2024-02-28T23:00:00Z")),
        ("0 0 29 2 1", Dialect::Cronexpr, "2026-11-20T12:00:00Z", Some("2026-02-22T23:00:00Z")),
        ("Mon *-02-29", Dialect::Systemd, "2072-02-28T12:00:00Z", Some("2044-02-28T23:00:00Z")),
        ("30 2 30 2 *", Dialect::Robfig, "2026-11-20T12:00:00Z", None),
        ("2030-01-01", Dialect::Systemd, "2026-11-20T12:00:00Z", None),
    ] {
        let expected = before.map(at);
        let told = explain(text, dialect, instant);
        assert_eq!(told.before, expected, "{text}");
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    // The ends of time.
    for instant in [Timestamp::MIN, Timestamp::MAX] {
        let _told = parse("* * * * *", Dialect::Vixie).explain(instant, instant);
    }
}

#[test]
fn an_explanation_survives_its_json() {
    let told = explain("30 2 * * *", Dialect::Vixie, "2027-03-28T01:00:00Z");
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["wall"], "2027-03-28T03:00:00");
    assert_eq!(json["fields"][1], serde_json::json!({"name": "minute", "text": "30", "value": "0", "fits": false}));
    assert_eq!(serde_json::from_value::<Explanation>(json).unwrap(), told);
}
