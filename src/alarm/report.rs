//! What GopherCron sends to its `report_addr`: `report_task_result` for the end of every run, `report_warning` for what is not
//! as it should be.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::happening::Alarm;
use super::rule::On;
use super::text;

/// Longest output, in characters.
const OUTPUT: usize = 5000;

/// What is known of the job besides: GopherCron has it in every result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Task {
    /// Program and arguments as one text, or the script.
    pub command: String,
    /// The schedule's text.
    pub cron: String,
    /// Seconds; 0 for none.
    pub timeout: u64,
    /// `project_id` of the labels; 0 where it is not given.
    pub project_id: i64,
    /// `project_title` of the labels.
    pub project_title: String,
    /// The address of this machine, or its name.
    pub ip: String,
}

/// `Report-Type` and body of each request that an alarm makes; none for what GopherCron does not know.
pub fn reports(alarm: &Alarm, task: &Task, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let result = || ("report_task_result", result(alarm, task, zone).to_string());
    let warning = || ("report_warning", warning(alarm, task).to_string());
    match alarm.on {
        On::Success => vec![result()],
        On::Failure => vec![result(), warning()],
        On::Start | On::Recovery => Vec::new(),
        _ => vec![warning()],
    }
}

fn warning(alarm: &Alarm, task: &Task) -> Value {
    json!({
        "data": {
            "agent_ip": task.ip,
            "task_name": alarm.job.as_str(),
            "task_id": alarm.job.as_str(),
            "project_id": task.project_id,
            "project_title": task.project_title,
            "message": text::sentence(alarm),
        },
        "time": alarm.at.as_second(),
        "type": "task",
    })
}

fn result(alarm: &Alarm, task: &Task, zone: &TimeZone) -> Value {
    let time = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string();
    let started = alarm.told.as_ref().and_then(|told| told.started).unwrap_or(alarm.at);
    let plan = alarm.slot.unwrap_or(started);
    let output: Vec<char> = alarm.tail.chars().collect();
    let output: String = output.iter().skip(output.len().saturating_sub(OUTPUT)).collect();
    let error = if alarm.on == On::Failure { text::one_line(&alarm.reason, 500) } else { String::new() };
    json!({
        "execute_info": {
            "task": {
                "task_id": alarm.job.as_str(),
                "name": alarm.job.as_str(),
                "project_id": task.project_id,
                "command": task.command,
                "cron": task.cron,
                "remark": "",
                "timeout": task.timeout,
                "create_time": 0,
                "status": 1,
                "is_running": 0,
                "noseize": 0,
                "exclusion": 0,
                "client_ip": task.ip,
            },
            "plan_time": time(plan),
            "real_time": time(started),
        },
        "output": output,
        "error": error,
        "start_time": time(started),
        "end_time": time(alarm.at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::Told;
    use crate::alarm::tests::alarm;

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn a_result_has_what_gophercrons_has() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let started = Some(time("2023-12-31T16:00:00.4Z"));
        let mut alarm = alarm("nightly", On::Success);
        alarm.told = Some(Told { started, ..alarm.told.unwrap() });
        (alarm.slot, alarm.at) = (Some(time("2023-12-31T16:00:00Z")), time("2023-12-31T16:00:01Z"));
        let task = Task {
            command: "date".into(),
            cron: "0 0 * * *".into(),
            timeout: 60,
            project_id: 1,
            ip: "10.0.0.5".into(),
            ..Task::default()
        };
        let made = reports(&alarm, &task, &zone);
        let [("report_task_result", body)] = made.as_slice() else { panic!("{made:?}") };
        // As its agent sent it.
        let theirs: Value = serde_json::from_str(
            r#"{"execute_info":{"task":{"task_id":"42","name":"nightly","project_id":1,"command":"date","cron":"0 0 * * *",
            "remark":"","timeout":60,"create_time":1700000000,"status":1,"is_running":1,"noseize":0,"exclusion":0,
            "client_ip":"10.0.0.5"},"plan_time":"2024-01-01T00:00:00+08:00","real_time":"2024-01-01T00:00:00.4+08:00"},
            "output":"…","error":"","start_time":"2024-01-01T00:00:00.4+08:00","end_time":"2024-01-01T00:00:01+08:00"}"#,
        )
        .unwrap();
        let ours: Value = serde_json::from_str(body).unwrap();
        assert_eq!(keys(&ours), keys(&theirs));
        assert_eq!(keys(&ours["execute_info"]), keys(&theirs["execute_info"]));
        assert_eq!(keys(&ours["execute_info"]["task"]), keys(&theirs["execute_info"]["task"]));
        for key in ["error", "start_time", "end_time"] {
            assert_eq!(ours[key], theirs[key]);
        }
        for key in ["plan_time", "real_time"] {
            assert_eq!(ours["execute_info"][key], theirs["execute_info"][key]);
        }
        for key in ["name", "project_id", "command", "cron", "remark", "timeout", "status", "client_ip"] {
            assert_eq!(ours["execute_info"]["task"][key], theirs["execute_info"]["task"][key]);
        }
        assert_eq!(ours["output"], "boom\n");
    }

    #[test]
    fn a_failure_is_a_result_and_a_warning() {
        let made = reports(&alarm("a", On::Failure), &Task::default(), &TimeZone::UTC);
        let [("report_task_result", result), ("report_warning", warning)] = made.as_slice() else { panic!("{made:?}") };
        let result: Value = serde_json::from_str(result).unwrap();
        assert_eq!(result["error"], "failed with exit code 7");
        let warning: Value = serde_json::from_str(warning).unwrap();
        assert_eq!(
            (&warning["type"], &warning["data"]["message"]),
            (&"task".into(), &"a failed with exit code 7".into())
        );
        assert_eq!(
            keys(&warning["data"]),
            ["agent_ip", "message", "project_id", "project_title", "task_id", "task_name"]
        );
        assert!(reports(&alarm("a", On::Start), &Task::default(), &TimeZone::UTC).is_empty());
    }
}
