//! Beats: what mysql-crond's machines tell bk-monitor, by way of a program of its agent (`bkmonitorbeat`).
//!
//! ```text
//!  a run failed ──────────────┐                               ┌→ sent, counted
//!  slots skipped → skips ─────┤→ body → errand → warden ──────┤→ tried again, given up
//!  a minute passed → heart ───┤      (one program a beat)     └→ whoever asked is answered
//!  somebody asks ─────────────┘
//! ```
//!
//! Pure: what happened and what time it is comes in, errands come out. A beat is an alarm, so it must neither hold up a job nor
//! be held up by one; the [queue](crate::engine::core::Errand) sees to that.

pub mod body;
pub mod health;
pub mod heart;
pub mod json;
pub mod skips;
pub mod words;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::conf::{Channel, Crond, Identity, Secret};
use crate::engine::core::{Errand, ErrandId, Full, Now, Report};
use crate::engine::{Beat, BeatsView};
use crate::job::JobName;
use body::{Content, Frame, TooLong};
use health::{Health, Told};
use heart::Heart;
use skips::Skips;

/// How long the beat program may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// What mysql-crond calls its events.
const EVENT_NAME: &str = "mysql-crond-event";
/// What it calls its heartbeat.
const METRICS_NAME: &str = "mysql_crond_heart_beat";

/// All that is needed to make beats.
#[derive(Debug)]
pub struct Beats {
    program: String,
    agent: String,
    ip: String,
    cloud: String,
    event_name: String,
    metrics_name: String,
    event: Option<Address>,
    metrics: Option<Address>,
    /// As rotad.yaml has it.
    configured: Identity,
    /// As the file of jobs has it.
    said: Identity,
    skips: Skips,
    heart: Option<Heart>,
    health: Health,
}

/// Where events or metrics go, whole.
#[derive(Debug)]
struct Address {
    id: i64,
    token: Secret,
    report_type: String,
    message_kind: String,
}

/// Why beats cannot be sent as they are configured: the key that is missing, or is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incomplete(pub &'static str);

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no beats are sent: rotad.yaml has bk_monitor_beat, but no good {}", self.0)
    }
}

/// Why a beat cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// No `custom_event` or `custom_metrics` is configured for it.
    NoAddress,
    /// Its text would be too long: so many bytes.
    TooLong(usize),
}

impl From<TooLong> for Unfit {
    fn from(TooLong(bytes): TooLong) -> Self {
        Unfit::TooLong(bytes)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => write!(f, "rotad.yaml does not say where such beats go"),
            Self::TooLong(bytes) => {
                write!(f, "the beat would have {bytes} bytes without its content; at most {} fit", body::MOST)
            }
        }
    }
}

impl Beats {
    /// As rotad.yaml has it; `None` where it wants no beats. `started` is the daemon's start: heartbeats come at whole minutes
    /// after it, whichever engine sends them.
    pub fn new(crond: &Crond, started: Timestamp, now: Now) -> Option<Result<Beats, Incomplete>> {
        let beat = crond.beat.as_ref()?;
        let text = |path: &Option<PathBuf>, key| {
            let absolute = path.as_ref().filter(|path| path.is_absolute()).and_then(|path| path.to_str());
            absolute.map(str::to_owned).ok_or(Incomplete(key))
        };
        let make = || {
            let event = address(beat.custom_event.as_ref(), "event");
            let metrics = address(beat.custom_metrics.as_ref(), "timeseries");
            if event.is_none() && metrics.is_none() {
                return Err(Incomplete("custom_event or custom_metrics (each needs bk_data_id and access_token)"));
            }
            let heart = metrics.is_some() && !beat.without_heart_beat;
            Ok(Beats {
                program: text(&beat.beat_path, "beat_path (an absolute path)")?,
                agent: text(&beat.agent_address, "agent_address (an absolute path)")?,
                ip: crond.ip.clone().ok_or(Incomplete("ip"))?,
                cloud: crond.bk_cloud_id.unwrap_or(0).to_string(),
                event_name: beat.inner_event_name.clone().unwrap_or_else(|| EVENT_NAME.into()),
                metrics_name: beat.inner_metrics_name.clone().unwrap_or_else(|| METRICS_NAME.into()),
                event,
                metrics,
                configured: crond.identity.clone(),
                said: Identity::default(),
                skips: Skips::default(),
                heart: heart.then(|| Heart::new(started, now)),
                health: Health::default(),
            })
        };
        Some(make())
    }

    /// The kind of beats that go nowhere as it is configured, and the key that is missing or no good.
    pub fn lacks(&self) -> Option<&'static str> {
        match (&self.event, &self.metrics) {
            (None, _) => Some("alarms are not sent: rotad.yaml has no good custom_event (bk_data_id and access_token)"),
            (_, None) => {
                Some("no heartbeat is sent: rotad.yaml has no good custom_metrics (bk_data_id and access_token)")
            }
            _ => None,
        }
    }

    /// The program that sends them.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What the file of jobs says of the machine; what it leaves out is as rotad.yaml has it.
    pub fn identify(&mut self, said: Identity) {
        self.said = said;
    }

    /// A run of a job failed: why, the end of what it printed on standard error, and how many bytes came before that.
    pub fn failed(&self, job: &JobName, why: &str, stderr: &[u8], gone: u64, at: Timestamp) -> Result<Errand, Unfit> {
        let head = format!("execute job {job} failed: {why} [");
        self.of_job(job, &Content { head: &head, output: stderr, gone, end: "]" }, at)
    }

    /// An alarm about a job: a sentence, and the end of what its run printed.
    pub fn alarm(&self, job: &JobName, sentence: &str, output: &str, at: Timestamp) -> Result<Errand, Unfit> {
        let head = format!("{sentence} [");
        self.of_job(job, &Content { head: &head, output: output.as_bytes(), gone: 0, end: "]" }, at)
    }

    /// A slot of a job was skipped. `None`: not now, it is told with others.
    pub fn skipped(&mut self, job: &JobName, now: Now) -> Option<Result<Errand, Unfit>> {
        self.skips.skip(job, now.mono).then(|| self.skip_beat(job, 1, now))
    }

    /// What somebody asks for. Tried once: who asks may ask again.
    pub fn asked(&self, beat: &Beat, at: Timestamp) -> Result<Errand, Unfit> {
        let errand = match beat {
            Beat::Event { name, content, dimension } => {
                let content = Content { head: "", output: content.as_bytes(), gone: 0, end: "" };
                self.event(name, &content, dimension, at)
            }
            Beat::Metrics { name, value, dimension } => self.metric(name, *value, dimension, at),
        };
        Ok(Errand { urgent: true, ..errand? })
    }

    /// When [`Self::pass`] has something to do (monotonic).
    pub fn due(&self) -> Option<Duration> {
        self.skips.due().into_iter().chain(self.heart.as_ref().map(Heart::due)).min()
    }

    /// Time has passed: beats about skipped slots that are due.
    pub fn pass(&mut self, now: Now) -> Vec<Result<Errand, Unfit>> {
        if self.skips.due().is_none_or(|due| due > now.mono) {
            return Vec::new();
        }
        let rows = self.skips.pass(now.mono);
        rows.into_iter().map(|(job, count)| self.skip_beat(&job, count, now)).collect()
    }

    /// The heartbeat, when it is due and the one before has been reported.
    pub fn heart(&mut self, now: Now) -> Option<Result<Errand, Unfit>> {
        if !self.heart.as_mut()?.beat(now.mono) {
            return None;
        }
        let errand = self.metric(&self.metrics_name, 1, &Map::new(), now.wall);
        Some(errand.map(|errand| Errand { urgent: true, ..errand }))
    }

    /// The heartbeat was ordered as this errand.
    pub fn heart_ordered(&mut self, id: ErrandId) {
        self.heart.iter_mut().for_each(|heart| heart.ordered(id));
    }

    /// The queue took a beat, or did not.
    pub fn ordered(&mut self, ordered: Result<ErrandId, Full>) -> Option<Told> {
        ordered.err().and_then(|Full| self.health.dropped())
    }

    /// A beat could not be made.
    pub fn unfit(&mut self, why: Unfit) -> Option<Told> {
        match why {
            // Only the others are wanted.
            Unfit::NoAddress => None,
            Unfit::TooLong(_) => self.health.unfit(why.to_string()),
        }
    }

    /// How a try ended.
    pub fn reported(&mut self, report: &Report) -> Option<Told> {
        self.heart.iter_mut().for_each(|heart| heart.reported(report.id));
        let secrets = [&self.event, &self.metrics].map(|to| to.as_ref().map(|to| &to.token));
        self.health.tried(report, &secrets)
    }

    /// Why a try failed, for whoever asked for the beat.
    pub fn why(&self, report: &Report) -> String {
        health::why(report, &[&self.event, &self.metrics].map(|to| to.as_ref().map(|to| &to.token)))
    }

    /// Counts.
    pub fn view(&self) -> BeatsView {
        self.health.view()
    }

    fn skip_beat(&self, job: &JobName, count: u64, now: Now) -> Result<Errand, Unfit> {
        let many = if count > 1 { format!(" ({count} times)") } else { String::new() };
        let head = format!("{job} skipt for last round use too much time{many}");
        self.of_job(job, &Content { head: &head, output: b"", gone: 0, end: "" }, now.wall)
    }

    fn of_job(&self, job: &JobName, content: &Content<'_>, at: Timestamp) -> Result<Errand, Unfit> {
        let name = Map::from_iter([("job_name".to_owned(), Value::from(job.as_str()))]);
        self.event(&self.event_name, content, &name, at)
    }

    fn event(
        &self,
        name: &str,
        content: &Content<'_>,
        over: &Map<String, Value>,
        at: Timestamp,
    ) -> Result<Errand, Unfit> {
        let to = self.event.as_ref().ok_or(Unfit::NoAddress)?;
        let dimension = self.dimension(over);
        Ok(self.errand(to, body::event(&self.frame(to, &dimension, at), name, content)?))
    }

    fn metric(&self, name: &str, value: i64, over: &Map<String, Value>, at: Timestamp) -> Result<Errand, Unfit> {
        let to = self.metrics.as_ref().ok_or(Unfit::NoAddress)?;
        let dimension = self.dimension(over);
        Ok(self.errand(to, body::metrics(&self.frame(to, &dimension, at), name, value)?))
    }

    fn frame<'a>(&'a self, to: &'a Address, dimension: &'a Map<String, Value>, at: Timestamp) -> Frame<'a> {
        Frame { bk_data_id: to.id, access_token: &to.token.0, target: &self.ip, at, dimension }
    }

    /// The daemon's own dimensions, and over them those of whoever asks.
    fn dimension(&self, over: &Map<String, Value>) -> Map<String, Value> {
        let (said, configured) = (&self.said, &self.configured);
        // mysql-crond says 0 where it does not know it.
        let business = said.bk_biz_id.or(configured.bk_biz_id).unwrap_or(0).to_string();
        let own = [
            ("bk_biz_id", Some(&business)),
            ("appid", Some(&business)),
            ("bk_cloud_id", Some(&self.cloud)),
            ("bk_target_cloud_id", Some(&self.cloud)),
            ("server_ip", Some(&self.ip)),
            ("bk_target_ip", Some(&self.ip)),
            ("immute_domain", said.immute_domain.as_ref().or(configured.immute_domain.as_ref())),
            ("machine_type", said.machine_type.as_ref().or(configured.machine_type.as_ref())),
            ("role", said.role.as_ref().or(configured.role.as_ref())),
        ];
        let own = own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?.as_str()))));
        own.chain(over.clone()).collect()
    }

    fn errand(&self, to: &Address, body: String) -> Errand {
        let words = [
            self.program.as_str(),
            "-report",
            "-report.bk_data_id",
            &to.id.to_string(),
            "-report.type",
            &to.report_type,
            "-report.message.kind",
            &to.message_kind,
            "-report.agent.address",
            &self.agent,
            "-report.message.body",
        ];
        let argv = words.into_iter().map(str::to_owned).chain([body]).collect();
        Errand { argv, environment: Vec::new(), set_uid: false, timeout: TIMEOUT, urgent: false }
    }
}

/// Whole, or not at all.
fn address(channel: Option<&Channel>, kind: &str) -> Option<Address> {
    let Channel { bk_data_id, access_token, report_type, message_kind } = channel?;
    Some(Address {
        id: bk_data_id.filter(|id| *id != 0)?,
        token: access_token.clone().filter(|token| !token.0.is_empty())?,
        report_type: report_type.clone().unwrap_or_else(|| "agent".into()),
        message_kind: message_kind.clone().unwrap_or_else(|| kind.into()),
    })
}

#[cfg(test)]
mod tests;
