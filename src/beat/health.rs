//! How the sending goes: counts, and a word to people when it stops working or works again (I119).

use crate::conf::Secret;
use crate::engine::BeatsView;
use crate::engine::core::{ErrandEnd, Report};

/// Longest part of what the beat program printed, in characters.
const LONGEST: usize = 300;

/// What people are told, once for each change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Beats do not go out, and why.
    Fails(String),
    /// They do again; so many were given up or dropped meanwhile.
    Works(u64),
    /// Too many wait: they are dropped.
    Drops,
}

/// Counts since the engine started.
#[derive(Debug, Default)]
pub struct Health {
    counts: BeatsView,
    /// Given up or dropped since it began to fail.
    lost: u64,
    /// It was told that beats are dropped.
    dropping: bool,
}

impl Health {
    /// A beat found no room.
    pub fn dropped(&mut self) -> Option<Told> {
        self.counts.dropped += 1;
        self.lost += 1;
        (!std::mem::replace(&mut self.dropping, true)).then_some(Told::Drops)
    }

    /// A beat could not even be written.
    pub fn unfit(&mut self, why: String) -> Option<Told> {
        self.counts.given_up += 1;
        self.lost += 1;
        self.fails(why)
    }

    /// How a try ended.
    pub fn tried(&mut self, report: &Report, secrets: &[Option<&Secret>]) -> Option<Told> {
        if report.end.success() {
            self.counts.sent += 1;
            self.dropping = false;
            return self.counts.failing.take().map(|_| Told::Works(std::mem::take(&mut self.lost)));
        }
        if report.end == ErrandEnd::Waited {
            return self.dropped();
        }
        self.counts.failed += 1;
        if !report.again {
            self.counts.given_up += 1;
            self.lost += 1;
        }
        self.fails(why(report, secrets))
    }

    /// As people see it.
    pub fn view(&self) -> BeatsView {
        self.counts.clone()
    }

    fn fails(&mut self, why: String) -> Option<Told> {
        self.counts.failing.replace(why.clone()).is_none().then_some(Told::Fails(why))
    }
}

/// Why a try failed, as a part of a sentence. The program may have printed its arguments: no token gets out with them.
pub fn why(report: &Report, secrets: &[Option<&Secret>]) -> String {
    let end = match report.end {
        ErrandEnd::Exited(exit) => super::words::exit_words(exit),
        ErrandEnd::TimedOut => format!("it did not end within {} s and was stopped", super::TIMEOUT.as_secs()),
        ErrandEnd::Waited => "too many others were being sent".to_owned(),
        ErrandEnd::NotStarted(failure) => format!("it could not be started: {failure}"),
    };
    let mut said = String::from_utf8_lossy(&report.tail).into_owned();
    for Secret(secret) in secrets.iter().flatten() {
        let mut escaped = String::new();
        secret.chars().for_each(|c| super::json::character(&mut escaped, c));
        said = said.replace(secret.as_str(), "(secret)").replace(&escaped, "(secret)");
    }
    let said = said.trim();
    let skip = said.chars().count().saturating_sub(LONGEST);
    let said: String = said.chars().skip(skip).collect();
    if said.is_empty() { end } else { format!("{end}: {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::core::ErrandId;
    use crate::wire::Exit;

    fn report(code: i32, again: bool) -> Report {
        let tail = br#"sending {"access_token":"ev<tok"} ev\u003ctok: refused"#.to_vec();
        Report { id: ErrandId(1), end: ErrandEnd::Exited(Exit::Code(code)), tail, again }
    }

    #[test]
    fn i119_each_change_is_told_once_and_no_token_with_it() {
        let token = Secret("ev<tok".into());
        let mut health = Health::default();
        let mut hear = |code, again| health.tried(&report(code, again), &[Some(&token), None]);
        assert_eq!(hear(0, false), None);
        let Some(Told::Fails(why)) = hear(1, true) else { panic!("the first failure is told") };
        assert_eq!(why, r#"exit status 1: sending {"access_token":"(secret)"} (secret): refused"#);
        assert_eq!((hear(1, true), hear(1, false)), (None, None));
        assert_eq!(hear(0, false), Some(Told::Works(1)));
        assert_eq!(hear(0, false), None);
        let view = health.view();
        assert_eq!((view.sent, view.failed, view.given_up, view.failing), (3, 3, 1, None));
        assert_eq!((health.dropped(), health.dropped()), (Some(Told::Drops), None));
        assert_eq!(health.view().dropped, 2);
    }
}
