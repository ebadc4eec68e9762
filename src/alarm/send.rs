//! From alarms to what is sent: requests and errands. Pure.

use std::path::Path;
use std::time::Duration;

use super::group::Message;
use super::happening::Alarm;
use super::http::Request;
use super::mail;
use super::report::{Task, reports};
use super::rule::On;
use super::target::{Call, Kind};
use super::text::{self, Speaker};
use crate::conf::Secret;
use crate::engine::core::Errand;

/// How long a program that is told may take, and sendmail.
pub const ERRAND: Duration = Duration::from_secs(30);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What is sent.
#[derive(Debug)]
pub enum Sending {
    /// Over HTTP.
    Request(Request),
    /// By a program.
    Errand(Errand),
}

/// What a message to people is, or what a program of their choice gets.
pub fn message(message: &Message, speaker: &Speaker, sendmail: &Path) -> Option<Sending> {
    match &message.target.kind {
        Kind::Webhook { call, template } => {
            let (content_type, body) = match template {
                Some(template) if template.is_json() => (JSON, text::filled(template, message, speaker)),
                Some(template) => (TEXT, text::filled(template, message, speaker)),
                None => (JSON, text::json(message, speaker)),
            };
            let call = call.clone();
            Some(Sending::Request(Request { call, content_type, extra: None, body, only_200: false }))
        }
        Kind::Command(argv) => {
            let environment = variables(message, speaker);
            let argv = argv.clone();
            Some(Sending::Errand(Errand { argv, environment, set_uid: true, timeout: ERRAND, urgent: false }))
        }
        Kind::Mail(to) => {
            let subject = text::subject(message, speaker);
            let mail = mail::mail(to, &subject, &text::body(message, speaker));
            let environment = vec![(mail::MESSAGE.to_owned(), mail)];
            let argv = mail::argv(sendmail, to);
            Some(Sending::Errand(Errand { argv, environment, set_uid: true, timeout: ERRAND, urgent: false }))
        }
        Kind::Beat | Kind::Report(_) | Kind::Ping(_) => None,
    }
}

/// What a program gets that hears of every run; nothing for what it does not know.
pub fn alarm(alarm: &Alarm, kind: &Kind, task: &Task, speaker: &Speaker) -> Vec<Request> {
    match kind {
        Kind::Report(call) => {
            let made = reports(alarm, task, &speaker.zone).into_iter();
            made.map(|(kind, body)| Request {
                call: call.clone(),
                content_type: JSON,
                extra: Some(("Report-Type", kind)),
                body,
                only_200: true,
            })
            .collect()
        }
        Kind::Ping(call) => vec![ping(alarm, call)],
        Kind::Webhook { .. } | Kind::Command(_) | Kind::Mail(_) | Kind::Beat => Vec::new(),
    }
}

fn ping(alarm: &Alarm, call: &Call) -> Request {
    let suffix = match alarm.on {
        On::Start => "/start".to_owned(),
        On::Success => String::new(),
        On::Failure => match alarm.told.as_ref().and_then(|told| told.code) {
            Some(code @ 1..=255) => format!("/{code}"),
            _ => "/fail".to_owned(),
        },
        _ => "/log".to_owned(),
    };
    let (place, query) = match call.url.0.split_once('?') {
        Some((place, query)) => (place, format!("?{query}")),
        None => (call.url.0.as_str(), String::new()),
    };
    let url = Secret(format!("{}{suffix}{query}", place.trim_end_matches('/')));
    let body = match alarm.on {
        On::Start => String::new(),
        On::Success => alarm.tail.clone(),
        _ => format!("{}\n{}", text::sentence(alarm), alarm.tail),
    };
    Request { call: Call { url, ..call.clone() }, content_type: TEXT, extra: None, body, only_200: false }
}

/// What a program finds in its environment: of several alarms the first, and `ROTA_ALARM` with all of them.
fn variables(message: &Message, speaker: &Speaker) -> Vec<(String, String)> {
    let mut variables = vec![
        ("ROTA_ALARM", text::json(message, speaker)),
        ("ROTA_ALARM_SUBJECT", text::subject(message, speaker)),
        ("ROTA_ALARM_COUNT", (message.alarms.len() as u64 + message.unlisted()).to_string()),
        ("ROTA_ALARM_HOST", speaker.host.clone()),
    ];
    if let Some(alarm) = message.alarms.first() {
        let told = alarm.told.as_ref();
        variables.extend([
            ("ROTA_ALARM_JOB", alarm.job.to_string()),
            ("ROTA_ALARM_ON", alarm.on.to_string()),
            ("ROTA_ALARM_REASON", text::one_line(&alarm.reason, 500)),
            ("ROTA_ALARM_RUN", told.map(|told| told.run.clone()).unwrap_or_default()),
        ]);
    }
    variables.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::alarm::Told;
    use crate::alarm::tests::{alarm as an_alarm, target};

    #[test]
    fn pings_are_healthchecks() {
        let call = |url: &str| Call { url: Secret(url.into()), headers: vec![], timeout: ERRAND };
        let url = |on, code, base: &str| {
            let alarm = an_alarm("a", on);
            let alarm = Alarm { told: Some(Told { code, ..alarm.told.unwrap() }), ..alarm };
            ping(&alarm, &call(base)).call.url.0
        };
        for (on, code, made) in [
            (On::Start, None, "https://hc/u/start"),
            (On::Success, Some(0), "https://hc/u"),
            (On::Failure, Some(7), "https://hc/u/7"),
            (On::Failure, Some(0), "https://hc/u/fail"),
            (On::Failure, None, "https://hc/u/fail"),
            (On::Late, None, "https://hc/u/log"),
        ] {
            assert_eq!(url(on, code, "https://hc/u"), made);
        }
        assert_eq!(url(On::Start, None, "https://hc/k/slug?create=1"), "https://hc/k/slug/start?create=1");
        assert_eq!(url(On::Start, None, "https://hc/u/"), "https://hc/u/start");
        let failed = ping(&an_alarm("a", On::Failure), &call("https://hc/u"));
        assert_eq!(failed.body, "a failed with exit code 7\nboom\n");
    }

    #[test]
    fn a_command_has_the_alarm_in_its_environment_and_fits_what_the_system_takes() {
        let speaker = Speaker { host: "db1".into(), zone: TimeZone::UTC };
        let alarm = Alarm { tail: "\u{1}x\0".repeat(100_000), ..an_alarm("a", On::Failure) };
        let sent = message(&Message::of(target("ops"), alarm), &speaker, "/s".as_ref());
        let Some(Sending::Errand(errand)) = sent else { panic!("an errand") };
        let of = |key: &str| errand.environment.iter().find(|(known, _)| known == key).unwrap().1.clone();
        assert_eq!((of("ROTA_ALARM_JOB"), of("ROTA_ALARM_ON")), ("a".into(), "failure".into()));
        // MAX_ARG_STRLEN of Linux.
        assert!(errand.environment.iter().all(|(_, value)| value.len() < 128 << 10 && !value.contains('\0')));
    }
}
