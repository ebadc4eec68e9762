//! The next day against every day looked at one after the other.

use proptest::prelude::*;

use super::super::days::YearKind;
use super::*;

fn day(text: &str) -> Wall {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

/// Sets of values from `low` to `high`: few of them, or nearly all.
fn set(low: u32, high: u32) -> impl Strategy<Value = Set> {
    let all = Set::span(low, high, 1);
    let few = proptest::collection::vec(low..=high, 1..4)
        .prop_map(|values| values.into_iter().fold(Set::default(), |set, value| set | Set::one(value)));
    let most = few.clone().prop_map(move |few| Set(all.0 & !few.0)).prop_filter("some", |set| !set.is_empty());
    prop_oneof![2 => Just(all), 3 => few, 1 => most]
}

fn days() -> impl Strategy<Value = Days> {
    let leap = prop_oneof![4 => Just(YearKind::Any), 1 => Just(YearKind::Leap), 1 => Just(YearKind::Common)];
    (set(1, 12), set(1, 31), set(0, 6), leap).prop_map(|(months, doms, dows, leap)| Days { months, doms, dows, leap })
}

fn calendar(days: &[Days], years: Years) -> Calendar {
    Calendar::new(Set::one(30), Set::one(6) | Set::one(18), days, Seconds::Whole(Set::one(0)), years).unwrap()
}

/// The first match at or after a minute, by looking at every half hour.
fn slowly(calendar: &Calendar, from: Wall, last_year: i32) -> Option<Wall> {
    let from = from.div_euclid(30 * MINUTE) * 30 * MINUTE;
    (0..).map(|step| from + step * 30 * MINUTE).take_while(|wall| year_of(*wall) <= last_year).find(|&wall| {
        let time = wall.rem_euclid(DAY) / MINUTE;
        matches!(time, 390 | 1110)
            && calendar.year_at_or_after(year_of(wall)) == Some(year_of(wall))
            && date(wall - time * MINUTE).is_some_and(|date| calendar.days.iter().any(|days| days.has(date)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_next_day_is_the_first_that_a_box_holds(
        boxes in proptest::collection::vec(days(), 1..4),
        half_hours in 0i64..220 * 365 * 48,
        spanned in any::<bool>(),
    ) {
        let from = day("1971-01-01T00:00:00Z") + half_hours * 30 * MINUTE;
        let span = Span { start: 1970, stop: 2199, step: 3 };
        let years = if spanned { Years::Spans([span].into()) } else { Years::Within(4) };
        let calendar = calendar(&boxes, years);
        // The crate reads whatever boxes there are.
        prop_assert!(Schedule::try_from(cron_text(&boxes).unwrap()).is_ok());
        let last_year = year_of(from) + 4;
        prop_assert_eq!(calendar.at_or_after(from, last_year), slowly(&calendar, from, last_year));
    }
}

#[test]
fn sets_are_written_as_ranges() {
    let of = |values: &[u32]| values.iter().fold(Set::default(), |set, value| set | Set::one(*value));
    let all = any_dom();
    for (values, text) in [(&[1, 2, 3, 5][..], "1-3,5"), (&[31], "31"), (&[1, 31], "1,31"), (&[30, 31], "30-31")] {
        assert_eq!(numbers(of(values), all), text);
    }
    assert_eq!(numbers(all, all), "*");
    assert_eq!(numbers(Set::span(1, 30, 1), all), "1-30");
}

#[test]
fn no_day_at_all_is_never() {
    let calendar = calendar(&[], Years::Within(400));
    assert_eq!(calendar.at_or_after(day("2026-01-01T00:00:00Z"), 2400), None);
}

#[test]
fn what_a_schedule_costs() {
    // Beside the boxes: 32 bytes each, mostly one.
    assert!(size_of::<Calendar>() <= 88, "{}", size_of::<Calendar>());
    assert!(size_of::<Days>() <= 32, "{}", size_of::<Days>());
}
