//! What goes into one message: pure. A message to a target waits [`GATHER`] for others; after it the next waits until [`SPAN`]
//! has passed, and after [`HOURLY`] of them in an hour until the first of them is an hour old. What comes meanwhile is listed
//! in the next one, up to [`LISTED`]; the rest of it is counted (I117).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::happening::Alarm;
use super::rule::On;
use super::target::{Target, TargetId};

/// How long the first alarm waits for others.
pub const GATHER: Duration = Duration::from_secs(2);
/// Between two messages to a target.
pub const SPAN: Duration = Duration::from_secs(30);
/// Messages to a target in an hour.
pub const HOURLY: usize = 60;
/// Alarms that a message lists.
pub const LISTED: usize = 50;
/// Names that a message has of what it does not list.
pub const NAMED: usize = 500;

const HOUR: Duration = Duration::from_secs(3600);

/// What is sent at once.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where to.
    pub target: Arc<Target>,
    /// At most [`LISTED`], oldest first.
    pub alarms: Vec<Alarm>,
    /// How many there were besides, by what they are about.
    pub more: BTreeMap<On, u64>,
    /// The jobs of the first [`NAMED`] of those, as they came.
    pub named: Vec<String>,
}

impl Message {
    /// With one alarm.
    pub fn of(target: Arc<Target>, alarm: Alarm) -> Self {
        Self { target, alarms: vec![alarm], more: BTreeMap::new(), named: Vec::new() }
    }

    /// How many alarms are not listed.
    pub fn unlisted(&self) -> u64 {
        self.more.values().sum()
    }
}

/// What waits, by target.
#[derive(Debug, Default)]
pub struct Groups(BTreeMap<TargetId, Group>);

#[derive(Debug)]
struct Group {
    message: Option<Message>,
    /// When it goes (monotonic).
    at: Duration,
    /// When those of the last hour went, oldest first.
    sent: VecDeque<Duration>,
}

impl Groups {
    /// An alarm for a target.
    pub fn add(&mut self, target: &Arc<Target>, alarm: Alarm, mono: Duration) {
        let empty = || Group { message: None, at: Duration::ZERO, sent: VecDeque::new() };
        self.0.entry(target.id()).or_insert_with(empty).add(target, alarm, mono);
    }

    /// When [`Self::pass`] has something to do (monotonic).
    pub fn due(&self) -> Option<Duration> {
        self.0.values().filter(|group| group.message.is_some()).map(|group| group.at).min()
    }

    /// The messages whose time has come.
    pub fn pass(&mut self, mono: Duration) -> Vec<Message> {
        let mut due = Vec::new();
        self.0.retain(|_, group| {
            if group.at <= mono {
                due.extend(group.take(mono));
            }
            group.message.is_some() || group.sent.back().is_some_and(|last| *last + HOUR > mono)
        });
        due
    }

    /// All messages that wait: the daemon ends.
    pub fn flush(&mut self, mono: Duration) -> Vec<Message> {
        self.0.values_mut().filter_map(|group| group.take(mono)).collect()
    }
}

impl Group {
    fn add(&mut self, target: &Arc<Target>, alarm: Alarm, mono: Duration) {
        let Some(message) = &mut self.message else {
            self.at = self.earliest(mono);
            self.message = Some(Message::of(target.clone(), alarm));
            return;
        };
        if message.alarms.len() < LISTED {
            message.alarms.push(alarm);
            return;
        }
        *message.more.entry(alarm.on).or_default() += 1;
        if message.named.len() < NAMED {
            message.named.push(alarm.job.as_str().to_owned());
        }
    }

    fn take(&mut self, mono: Duration) -> Option<Message> {
        let message = self.message.take()?;
        while self.sent.front().is_some_and(|first| *first + HOUR <= mono) || self.sent.len() >= HOURLY {
            self.sent.pop_front();
        }
        self.sent.push_back(mono);
        Some(message)
    }

    fn earliest(&self, mono: Duration) -> Duration {
        let spaced = self.sent.back().map(|last| *last + SPAN);
        let first = self.sent.len().checked_sub(HOURLY).and_then(|at| self.sent.get(at));
        let limited = first.map(|first| *first + HOUR);
        spaced.into_iter().chain(limited).chain([mono + GATHER]).max().unwrap_or(mono)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::tests::{alarm, target};

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn i117_two_hundred_at_once_are_few_messages_and_none_is_lost() {
        let (mut groups, target) = (Groups::default(), target("ops"));
        for n in 0..200 {
            groups.add(&target, alarm(&format!("job{n}"), On::Failure), seconds(100) + Duration::from_millis(n));
        }
        assert_eq!(groups.due(), Some(seconds(102)), "the first waits a moment");
        assert!(groups.pass(seconds(101)).is_empty());
        let messages = groups.pass(seconds(102));
        let [message] = messages.as_slice() else { panic!("one message") };
        assert_eq!((message.alarms.len(), message.unlisted(), message.named.len()), (LISTED, 150, 150));
        assert_eq!(message.more, BTreeMap::from([(On::Failure, 150)]));
        // Those that recover.
        for n in 0..200 {
            groups.add(&target, alarm(&format!("job{n}"), On::Recovery), seconds(110));
        }
        assert_eq!(groups.due(), Some(seconds(132)), "30 s after the one before");
        assert_eq!(groups.pass(seconds(132)).len(), 1);
        assert_eq!((groups.due(), groups.pass(seconds(500)).len()), (None, 0));
        groups.pass(seconds(132) + HOUR);
        assert!(groups.0.is_empty(), "nothing is kept of quiet targets");
    }

    #[test]
    fn i117_an_hour_has_so_many_messages_and_what_is_held_back_is_told() {
        let (mut groups, target) = (Groups::default(), target("ops"));
        let (mut told, mut sent, mut times) = (0, 0, Vec::new());
        for second in 0..2 * 3600 {
            groups.add(&target, alarm("a", On::Failure), seconds(second));
            for message in groups.pass(seconds(second)) {
                told += message.alarms.len() as u64 + message.unlisted();
                times.push(second);
            }
            sent += 1;
        }
        told += groups
            .flush(seconds(7200))
            .iter()
            .map(|message| message.alarms.len() as u64 + message.unlisted())
            .sum::<u64>();
        assert_eq!(told, sent);
        for start in &times {
            let within = times.iter().filter(|time| (*start..start + 3600).contains(*time)).count();
            assert!(within <= HOURLY, "{within} from {start}");
        }
        assert!(times.len() >= HOURLY + 10, "{}", times.len());
    }

    #[test]
    fn targets_are_apart() {
        let mut groups = Groups::default();
        groups.add(&target("a"), alarm("x", On::Failure), seconds(1));
        groups.add(&target("b"), alarm("x", On::Failure), seconds(2));
        assert_eq!((groups.pass(seconds(3)).len(), groups.pass(seconds(4)).len()), (1, 1));
    }
}
