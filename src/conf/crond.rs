//! What mysql-crond's `runtime.yaml` says beyond rotad.yaml. Such a file is taken as it is; the README's older keys
//! (`inner_event_name`, `inner_metrics_name`), which the program itself refused, are taken too.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::jobs_config::Identity;
use super::yaml::{Field, Reader};

/// The keys of `runtime.yaml` that rotad.yaml does not have by itself.
pub(super) const KEYS: [&str; 9] = [
    "ip",
    "bk_cloud_id",
    "bk_monitor_beat",
    "pid_path",
    "jobs_config",
    "bk_biz_id",
    "immute_domain",
    "machine_type",
    "role",
];

/// What `runtime.yaml` says besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crond {
    /// Address of this machine, a dimension of its beats.
    pub ip: Option<String>,
    /// Cloud area, likewise.
    pub bk_cloud_id: Option<i64>,
    /// How beats are sent.
    pub beat: Option<Beat>,
    /// Directory of the pid file.
    pub pid_path: Option<PathBuf>,
    /// mysql-crond's one file of jobs.
    pub jobs_config: Option<PathBuf>,
    /// What holds where there is no `jobs_config` that says it.
    pub identity: Identity,
}

/// `bk_monitor_beat`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Of the README; the program had a constant.
    pub inner_event_name: Option<String>,
    /// Of the README; the program had a constant.
    pub inner_metrics_name: Option<String>,
    /// Where events go.
    pub custom_event: Option<Channel>,
    /// Where metrics go.
    pub custom_metrics: Option<Channel>,
    /// The program that sends.
    pub beat_path: Option<PathBuf>,
    /// The agent's socket.
    pub agent_address: Option<PathBuf>,
}

/// Where events or metrics go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Number of the data source.
    pub bk_data_id: Option<i64>,
    /// Its key.
    pub access_token: Option<Secret>,
    /// `agent`.
    pub report_type: Option<String>,
    /// `event` or `timeseries`.
    pub message_kind: Option<String>,
}

/// A text that no log line shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The `bk_monitor_beat` map.
pub(super) fn beat(reader: &mut Reader<'_>, field: Option<Field<'_>>) -> Option<Beat> {
    const BEAT: [&str; 6] =
        ["inner_event_name", "inner_metrics_name", "custom_event", "custom_metrics", "beat_path", "agent_address"];
    let fields = reader.fields("'bk_monitor_beat'", field?.node, &BEAT);
    Some(Beat {
        inner_event_name: text(reader, fields.get("inner_event_name")),
        inner_metrics_name: text(reader, fields.get("inner_metrics_name")),
        custom_event: channel(reader, fields.get("custom_event")),
        custom_metrics: channel(reader, fields.get("custom_metrics")),
        beat_path: text(reader, fields.get("beat_path")).map(PathBuf::from),
        agent_address: text(reader, fields.get("agent_address")).map(PathBuf::from),
    })
}

fn channel(reader: &mut Reader<'_>, field: Option<Field<'_>>) -> Option<Channel> {
    let field = field?;
    let known = ["bk_data_id", "access_token", "report_type", "message_kind"];
    let fields = reader.fields(&format!("'{}'", field.key), field.node, &known);
    Some(Channel {
        bk_data_id: number(reader, fields.get("bk_data_id")),
        access_token: text(reader, fields.get("access_token")).map(Secret),
        report_type: text(reader, fields.get("report_type")),
        message_kind: text(reader, fields.get("message_kind")),
    })
}

pub(super) fn text(reader: &mut Reader<'_>, field: Option<Field<'_>>) -> Option<String> {
    reader.read(field, |text| Ok(text.to_owned()))
}

pub(super) fn number(reader: &mut Reader<'_>, field: Option<Field<'_>>) -> Option<i64> {
    reader.read(field, |text| text.parse().map_err(|_| "a whole number is expected".to_owned()))
}
