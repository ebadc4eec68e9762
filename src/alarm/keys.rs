//! The keys of rules and of targets, which a job file and rotad.yaml have in common.

use super::rule::MAX_RULES;
use super::target::MAX_ADDRESSES;
use crate::conf::yaml::key::Value::{self, Any, Duration, Either, Form, Keys, List, Map, Named, Whole, Word};
use crate::conf::yaml::key::{Group, Key};

/// An address that is called.
const URL: Value = Form("url", "https?://[!-~]+");
/// A mail address.
const MAIL: Value = Form("address", "[^-\\s,<>][^\\s,<>]*");
/// The name of a target.
const NAME: &str = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}";

/// Rules, or none.
pub const NOTIFY: Value = Either(&Word(&[("none", "")]), &List(&Keys(RULE), MAX_RULES));
/// Targets by their names.
pub const TARGETS: Value = Named(NAME, TARGET);

/// What a rule is about.
const ON: Value = Word(&[
    ("failure", ""),
    ("recovery", ""),
    ("still-failing", ""),
    ("skipped", ""),
    ("missed", ""),
    ("late", ""),
    ("silent", ""),
    ("long", ""),
    ("start", ""),
    ("success", ""),
    ("attempt", ""),
]);

/// The keys of a rule.
pub static RULE: &[Group] = &[Group {
    title: "",
    keys: &[
        Key::new("on", Either(&ON, &List(&ON, 11)), "Of what, a word or a list: `failure` (a run failed, and the one before \
            had not), `recovery` (a run succeeded after one that had failed), `still-failing` (a run failed again, and the last \
            word about it is an hour old, then two, four and so on up to a day), `skipped`, `missed`, `late` (a slot was not \
            started `within` a time), `silent` (no success `within` a time), `long` (a run takes longer than `over`, or `times` \
            as long as it usually does), `start`, `success`, `attempt` (one failed, and another follows). Needed.")
            .example("[failure, recovery]"),
        Key::new("within", Duration, "The time of `late` and `silent`.").example("26h"),
        Key::new("over", Duration, "The time of `long`.").example("2h"),
        Key::new("times", Whole(2, 100), "The factor of `long`; what is usual is the median of the last 9 runs that succeeded, and \
            is known from the third on. Less than 10s is never long.")
            .example("3"),
        Key::new("to", Either(&Any, &Either(&List(&Any, 16), &Keys(TARGET))), "Where to: the name of one of the `targets` of the configuration, a list of \
            names, or one target that stands here. Needed.")
            .example("{ping: 'https://hc-ping.com/UUID'}"),
    ],
}];

/// The keys of a target.
pub static TARGET: &[Group] = &[Group {
    title: "",
    keys: &[
        Key::new("webhook", URL, "A URL that is sent a `POST`: the alarms as JSON, or what `template` makes of them.")
            .example("https://chat.example.com/hook"),
        Key::new(
            "template",
            Any,
            "The text that `webhook` sends. `{{name}}` stands for a part of the alarm; in a text that is JSON it \
            is written as the inside of a string.",
        )
        .example("'{\"text\": \"{{message}}\"}'"),
        Key::new(
            "command",
            List(&Any, 64),
            "A program with its arguments, which runs as `jobs_user` and has the alarm in its \
            environment.",
        )
        .example("[/usr/local/bin/page, --from, rotad]"),
        Key::new(
            "mail",
            Either(&MAIL, &List(&MAIL, MAX_ADDRESSES)),
            "An address, or a list of them, that is sent a mail by `sendmail`.",
        )
        .example("dba@example.com"),
        Key::new(
            "beat",
            Word(&[("event", "")]),
            "`event`: an event to bk-monitor, by `bk_monitor_beat`. Every failed run is told.",
        )
        .example("event"),
        Key::new("report", URL, "A URL that takes what GopherCron sends to its `report_addr`. Every run is told.")
            .example("http://center:6306/report"),
        Key::new(
            "ping",
            URL,
            "A URL in the manner of healthchecks.io: `URL/start` for `start`, `URL` for `success`, `URL/CODE` or \
            `URL/fail` for `failure`, `URL/log` for all else, with the end of what the run printed. Every run is told.",
        )
        .example("'https://hc-ping.com/UUID'"),
        Key::new(
            "headers",
            Map("[!#-'*+.0-9A-Z^_`a-z|~-]+"),
            "Headers of the request, besides its own; they are shown nowhere.",
        )
        .example("{X-Key: k}"),
        Key::new("timeout", Duration, "How long a request may take in all, from `1s` to `60s`.")
            .default("5s")
            .example("2s"),
    ],
}];
