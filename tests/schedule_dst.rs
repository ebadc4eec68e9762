//! What `dst` makes of the days on which clocks change, what is told of them beforehand, and times that come once.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use jiff::Timestamp;
use rotad::schedule::{Dialect, Dst, Event, Kind, Schedule, parse_zone};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn parse(text: &str, dialect: Dialect, zone: &str) -> Schedule {
    Schedule::parse(text, dialect, &parse_zone(zone).unwrap(), "job")
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The slots after `from` and not after `until`, on the wall, with the offset.
fn slots(schedule: &Schedule, from: &str, until: &str) -> Vec<String> {
    let (from, until) = (at(from), at(until));
    std::iter::successors(schedule.next(from, from), |&after| schedule.next(after, from))
        .take_while(|&at| at <= until)
        .map(|at| at.display_with_offset(schedule.zone().to_offset(at)).to_string())
        .collect()
}

/// Zone, schedule, after, until, then what `skip`, `once` and `both` do.
type Row = (&'static str, &'static str, &'static str, &'static str, [&'static [&'static str]; 3]);

const TABLE: &[Row] = &[
    // Gaps.
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2027-03-28T00:00:00Z",
        "2027-03-28T12:00:00Z",
        [&[], &["2027-03-28T03:00:00+02:00"], &["2027-03-28T03:00:00+02:00"]],
    ),
    // Several times in one gap are one run; a time at its end is the same run.
    (
        "Europe/Berlin",
        "*/20 2,3 * * *",
        "2027-03-28T00:00:00Z",
        "2027-03-28T12:00:00Z",
        [
            &["2027-03-28T03:00:00+02:00", "2027-03-28T03:20:00+02:00", "2027-03-28T03:40:00+02:00"],
            &["2027-03-28T03:00:00+02:00", "2027-03-28T03:20:00+02:00", "2027-03-28T03:40:00+02:00"],
            &["2027-03-28T03:00:00+02:00", "2027-03-28T03:20:00+02:00", "2027-03-28T03:40:00+02:00"],
        ],
    ),
    (
        "America/New_York",
        "15,45 2 * * *",
        "2026-03-08T05:00:00Z",
        "2026-03-08T20:00:00Z",
        [&[], &["2026-03-08T03:00:00-04:00"], &["2026-03-08T03:00:00-04:00"]],
    ),
    (
        "Australia/Lord_Howe",
        "15 2 * * *",
        "2026-10-03T12:00:00Z",
        "2026-10-04T12:00:00Z",
        [&[], &["2026-10-04T02:30:00+11:00"], &["2026-10-04T02:30:00+11:00"]],
    ),
    (
        "America/Sao_Paulo",
        "0 0 * * *",
        "2018-11-03T12:00:00Z",
        "2018-11-04T12:00:00Z",
        [&[], &["2018-11-04T01:00:00-02:00"], &["2018-11-04T01:00:00-02:00"]],
    ),
    (
        "Asia/Beirut",
        "0 0 * * *",
        "2022-03-26T12:00:00Z",
        "2022-03-27T12:00:00Z",
        [&[], &["2022-03-27T01:00:00+03:00"], &["2022-03-27T01:00:00+03:00"]],
    ),
    (
        "Africa/Cairo",
        "30 0 * * *",
        "2026-04-23T12:00:00Z",
        "2026-04-24T12:00:00Z",
        [&[], &["2026-04-24T01:00:00+03:00"], &["2026-04-24T01:00:00+03:00"]],
    ),
    // A whole day that does not exist: here too, who says `once` gets it.
    (
        "Pacific/Apia",
        "30 12 * * *",
        "2011-12-29T12:00:00Z",
        "2011-12-31T12:00:00Z",
        [
            &["2011-12-29T12:30:00-10:00", "2011-12-31T12:30:00+14:00"],
            &["2011-12-29T12:30:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:30:00+14:00"],
            &["2011-12-29T12:30:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:30:00+14:00"],
        ],
    ),
    // Folds.
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-10-24T22:00:00Z",
        "2026-10-25T12:00:00Z",
        [
            &["2026-10-25T02:30:00+02:00"],
            &["2026-10-25T02:30:00+02:00"],
            &["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"],
        ],
    ),
    // Asked within the second pass.
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-10-25T01:10:00Z",
        "2026-10-25T12:00:00Z",
        [&[], &[], &["2026-10-25T02:30:00+01:00"]],
    ),
    (
        "America/New_York",
        "59 1 * * *",
        "2026-11-01T03:00:00Z",
        "2026-11-01T20:00:00Z",
        [
            &["2026-11-01T01:59:00-04:00"],
            &["2026-11-01T01:59:00-04:00"],
            &["2026-11-01T01:59:00-04:00", "2026-11-01T01:59:00-05:00"],
        ],
    ),
    (
        "Australia/Lord_Howe",
        "45 1 * * *",
        "2026-04-04T12:00:00Z",
        "2026-04-05T12:00:00Z",
        [
            &["2026-04-05T01:45:00+11:00"],
            &["2026-04-05T01:45:00+11:00"],
            &["2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30"],
        ],
    ),
    (
        "America/Sao_Paulo",
        "30 23 * * *",
        "2019-02-16T12:00:00Z",
        "2019-02-17T12:00:00Z",
        [
            &["2019-02-16T23:30:00-02:00"],
            &["2019-02-16T23:30:00-02:00"],
            &["2019-02-16T23:30:00-02:00", "2019-02-16T23:30:00-03:00"],
        ],
    ),
    (
        "Africa/Cairo",
        "30 23 * * *",
        "2026-10-29T12:00:00Z",
        "2026-10-30T12:00:00Z",
        [
            &["2026-10-29T23:30:00+03:00"],
            &["2026-10-29T23:30:00+03:00"],
            &["2026-10-29T23:30:00+03:00", "2026-10-29T23:30:00+02:00"],
        ],
    ),
    // A day that comes twice (the date line moved): nobody's idea of summer time, and no exception.
    (
        "Pacific/Kwajalein",
        "30 12 * * *",
        "1969-09-29T14:00:00Z",
        "1969-10-02T01:00:00Z",
        [
            &["1969-09-30T12:30:00+11:00", "1969-10-01T12:30:00-12:00"],
            &["1969-09-30T12:30:00+11:00", "1969-10-01T12:30:00-12:00"],
            &["1969-09-30T12:30:00+11:00", "1969-09-30T12:30:00-12:00", "1969-10-01T12:30:00-12:00"],
        ],
    ),
];

#[test]
fn a1_a2_a4_dst_is_the_same_rule_in_every_dialect() {
    for (zone, text, from, until, expected) in TABLE {
        for dialect in [Dialect::Robfig, Dialect::Cronexpr, Dialect::Vixie] {
            for (dst, expected) in Dst::ALL.into_iter().zip(expected) {
                let schedule = parse(text, dialect, zone).with_dst(dst);
                // cronexpr knows no year before 1970.
                if dialect == Dialect::Cronexpr && from.starts_with("1969") {
                    continue;
                }
                assert_eq!(slots(&schedule, from, until), *expected, "{zone} `{text}` {dialect} {dst} after {from}");
            }
        }
    }
}

#[test]
fn a4_without_dst_a_dialect_keeps_its_own_rule() {
    let schedule = parse("30 2 * * *", Dialect::Vixie, "Europe/Berlin");
    let own = slots(&schedule, "2027-03-28T00:00:00Z", "2027-03-28T12:00:00Z");
    assert_eq!(own, ["2027-03-28T03:00:00+02:00"]);
    assert_eq!(schedule.dst(), None);
    let skip = schedule.with_dst(Dst::Skip);
    assert_eq!((skip.dst(), skip.text(), skip.dialect()), (Some(Dst::Skip), schedule.text(), schedule.dialect()));
    let every = parse("@every 1h", Dialect::Robfig, "Europe/Berlin").with_dst(Dst::Once);
    assert!(!every.follows_the_wall() && every.dst().is_none());
}

#[test]
fn what_rota_next_marks_is_true_of_dst_too() {
    let kinds = |dst| {
        let schedule = parse("30 2 * * *", Dialect::Robfig, "Europe/Berlin").with_dst(dst);
        let from = at("2027-03-27T12:00:00Z");
        let events = schedule.upcoming(from, from, 1);
        let fold = at("2027-10-30T12:00:00Z");
        let folds = schedule.upcoming(fold, fold, 2);
        let kind = |event: &Event| match event {
            Event::Slot(slot) => Some(slot.kind),
            Event::Lost(_) => None,
        };
        (events.iter().map(kind).collect::<Vec<_>>(), folds.iter().map(kind).collect::<Vec<_>>())
    };
    let (plain, first, second) = (Some(Kind::Plain), Some(Kind::FoldFirst), Some(Kind::FoldSecond));
    assert_eq!(kinds(Dst::Skip), (vec![None, plain], vec![first, plain]));
    assert_eq!(kinds(Dst::Once), (vec![Some(Kind::Gap)], vec![first, plain]));
    assert_eq!(kinds(Dst::Both), (vec![Some(Kind::Gap)], vec![first, second]));
}

#[test]
fn i116_what_will_happen_is_told_with_its_dates() {
    let now = at("2026-11-20T12:00:00Z");
    for (text, dialect, zone, expected) in [
        (
            "30 2 * * *",
            Dialect::Robfig,
            "Europe/Berlin",
            Some(
                "02:30 does not exist on 2027-03-28 in Europe/Berlin, where clocks go forward: no run; \
                 02:30 comes twice on 2027-10-31, where clocks go back: it runs both times",
            ),
        ),
        (
            "10,50 2 * * *",
            Dialect::Vixie,
            "Europe/Berlin",
            Some(
                "02:10 and others do not exist on 2027-03-28 in Europe/Berlin, where clocks go forward: \
                 one run at 03:00 instead",
            ),
        ),
        (
            "02:30",
            Dialect::Systemd,
            "America/New_York",
            Some("02:30 does not exist on 2027-03-14 in America/New_York, where clocks go forward: no run"),
        ),
        (
            "30 23 * * *",
            Dialect::Robfig,
            "Africa/Cairo",
            Some("23:30 comes twice on 2027-10-28 in Africa/Cairo, where clocks go back: it runs both times"),
        ),
        // The day is not one of its days.
        ("30 2 * * 1-5", Dialect::Robfig, "Europe/Berlin", None),
        ("30 2 1 1 *", Dialect::Robfig, "Europe/Berlin", None),
        ("30 4 * * *", Dialect::Robfig, "Europe/Berlin", None),
        // Due in every hour: one more or less is as any other.
        ("*/10 * * * *", Dialect::Robfig, "Europe/Berlin", None),
        ("30 2 * * *", Dialect::Robfig, "UTC", None),
        ("@every 24h", Dialect::Robfig, "Europe/Berlin", None),
        ("@reboot", Dialect::Vixie, "Europe/Berlin", None),
        // What the zone's file says of the past is no forecast.
        ("30 12 * * *", Dialect::Robfig, "Pacific/Apia", None),
    ] {
        let schedule = parse(text, dialect, zone);
        assert_eq!(schedule.forecast(now).as_deref(), expected, "{text} {zone}");
        // Who has said what is wanted knows.
        assert_eq!(
            schedule.with_dst(Dst::Both).forecast(now),
            schedule.forecast(now).filter(|_| !schedule.follows_the_wall())
        );
    }
    let lost_day = parse("30 12 * * *", Dialect::Robfig, "Pacific/Apia").forecast(at("2011-12-01T00:00:00Z")).unwrap();
    assert!(lost_day.starts_with("12:30 does not exist on 2011-12-30 in Pacific/Apia"), "{lost_day}");
}

#[test]
fn a_time_that_comes_once() {
    let berlin = parse_zone("Europe/Berlin").unwrap();
    for (text, expected) in [
        ("2026-12-01T02:30", "2026-12-01T01:30:00Z"),
        ("2026-12-01 02:30", "2026-12-01T01:30:00Z"),
        ("2026-12-01T02:30:15", "2026-12-01T01:30:15Z"),
        ("2026-12-01T02:30Z", "2026-12-01T02:30:00Z"),
        ("2026-12-01T02:30:00+09:30", "2026-11-30T17:00:00Z"),
        ("2026-12-01T02:30:00-05:00", "2026-12-01T07:30:00Z"),
        ("2026-12-01T02:30:00.250Z", "2026-12-01T02:30:00.25Z"),
        // It does not exist: when the clock has jumped. It comes twice: the first time.
        ("2027-03-28T02:30", "2027-03-28T01:00:00Z"),
        ("2027-03-28T02:00", "2027-03-28T01:00:00Z"),
        ("2027-03-28T02:59:59", "2027-03-28T01:00:00Z"),
        ("2027-03-28T03:00", "2027-03-28T01:00:00Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        // With an offset there is no doubt.
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30:00Z"),
    ] {
        let schedule = Schedule::once(text, &berlin).unwrap_or_else(|error| panic!("{text}: {error}"));
        let slot = at(expected);
        let moment = jiff::SignedDuration::from_nanos(1);
        assert_eq!(schedule.next(at("2026-01-01T00:00:00Z"), slot), Some(slot), "{text}");
        assert_eq!(schedule.next(slot - moment, slot), Some(slot), "{text}");
        assert_eq!(schedule.next(slot, slot), None, "{text}");
        assert!(schedule.is_once() && schedule.never_fires(slot) && !schedule.never_fires(slot - moment));
        assert_eq!((schedule.text(), schedule.dialect()), (text, None));
        let again = schedule.explain(slot, slot);
        assert!(again.due && again.before.is_none() && again.after.is_none(), "{again:?}");
    }
    let apia = parse_zone("Pacific/Apia").unwrap();
    let lost = Schedule::once("2011-12-30T12:00", &apia).unwrap();
    assert_eq!(lost.next(at("2011-01-01T00:00:00Z"), at("2011-01-01T00:00:00Z")), Some(at("2011-12-30T10:00:00Z")));
    let forecast = |text| Schedule::once(text, &berlin).unwrap().forecast(at("2026-01-01T00:00:00Z"));
    assert_eq!(
        forecast("2027-03-28T02:30").unwrap(),
        "02:30 does not exist on 2027-03-28 in Europe/Berlin, where clocks go forward: it runs at 03:00"
    );
    assert_eq!(
        forecast("2026-10-25T02:30").unwrap(),
        "02:30 comes twice on 2026-10-25 in Europe/Berlin, where clocks go back: it runs the first time"
    );
    assert_eq!(forecast("2026-10-25T02:30+01:00"), None);
    assert_eq!(forecast("2026-10-25T04:30"), None);
}

#[test]
fn a12_what_is_no_time_is_refused() {
    for text in [
        "",
        "tomorrow",
        "2026-12-01",
        "2026-12-01T",
        "2026-12-01T2:30",
        "2026-13-01T02:30",
        "2026-02-29T02:30",
        "2026-12-01T24:00",
        "2026-12-01T23:60",
        "2026-12-01T23:59:60",
        "2026-12-01T02:30:00.5",
        "2026-12-01T02:30:",
        "2026-12-01T02:30:00.Z",
        "2026-12-01T02:30:00.1234567Z",
        "2026-12-01T02:30 Z",
        "2026-12-01T02:30z",
        "2026-12-01t02:30",
        "2026-12-01T02:30+1:00",
        "2026-12-01T02:30+0100",
        "2026-12-01T02:30+24:00",
        "2026-12-01T02:30+01:00:00",
        "2026-12-01T02:30[Europe/Berlin]",
        "2026-12-01T02:30Z[UTC]",
        " 2026-12-01T02:30",
        "2026-12-01T02:30\n",
        "12026-12-01T02:30",
        "-026-12-01T02:30",
        "٢٠٢٦-12-01T02:30",
        "2026-12-01T02:30+é1:00",
    ] {
        let error = Schedule::once(text, &jiff::tz::TimeZone::UTC).expect_err(text);
        assert!(error.at == (0..text.len()) && error.hint.is_some(), "{text}: {error:?}");
    }
    // The ends of time are neither a panic nor a slot.
    for text in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00+23:59", "9999-12-31T23:59", "0000-01-01T00:00"] {
        let _any = Schedule::once(text, &parse_zone("Pacific/Apia").unwrap());
    }
}
