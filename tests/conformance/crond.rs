//! A daemon as mysql-crond's users start it: runtime.yaml, one file of jobs, a bkmonitorbeat; and requests as its Go client
//! sends them.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::common::{Daemon, Setup, until};
use super::shape::Known;

/// The daemon and its surroundings.
pub struct Crond {
    pub daemon: Daemon,
    pub port: u16,
    pub jobs_config: PathBuf,
    calls: PathBuf,
    agent: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: String,
}

impl Crond {
    /// With this text in the file of jobs; bkmonitorbeat ends with `beat_exit`.
    pub fn start(jobs: &str, beat_exit: i64) -> Crond {
        let setup = Setup::new("");
        let dir = setup.path().to_owned();
        let jobs_config = open_to_all(&dir, "jobs").join("jobs-config.yaml");
        fs::write(&jobs_config, jobs).unwrap();
        fs::set_permissions(&jobs_config, fs::Permissions::from_mode(0o644)).unwrap();
        let calls = open_to_all(&dir, "calls");
        let beat = dir.join("bkmonitorbeat");
        // Each call in a file of its own, complete when it has its name.
        let script = format!(
            "#!/bin/sh\nhere={calls}\nfile=$(mktemp $here/.XXXXXXXX)\nprintf '%s\\0' \"$@\" >$file\n\
             mv $file $here/$(date +%s%N)-$$\nexit {beat_exit}\n",
            calls = calls.display()
        );
        fs::write(&beat, script).unwrap();
        fs::set_permissions(&beat, fs::Permissions::from_mode(0o755)).unwrap();
        let agent = dir.join("agent.sock");
        fs::write(&agent, "").unwrap();
        let port = free_port();
        let jobs_user = match nix::unistd::geteuid() {
            uid if uid.is_root() => "nobody".to_owned(),
            uid => nix::unistd::User::from_uid(uid).unwrap().unwrap().name,
        };
        let channel = |id: u32, token: &str, kind: &str| json!({"bk_data_id": id, "access_token": token, "report_type": "agent", "message_kind": kind});
        let runtime = json!({
            "ip": "127.0.0.1",
            "port": port,
            "bk_cloud_id": 0,
            "bk_monitor_beat": {
                "custom_metrics": channel(543957, "mettok", "timeseries"),
                "custom_event": channel(542898, "evtok", "event"),
                "beat_path": beat,
                "agent_address": agent,
            },
            "log": {"console": true, "log_file_dir": dir.join("logs"), "debug": false, "source": true, "json": false},
            "pid_path": open_to_all(&dir, "pid"),
            "jobs_user": jobs_user,
            "jobs_config": jobs_config,
        });
        // One key a line, as a runtime.yaml has them; JSON is YAML.
        let lines = runtime.as_object().unwrap().iter().map(|(key, value)| format!("{key}: {value}"));
        let daemon = setup.configure(&lines.collect::<Vec<_>>().join("\n")).start();
        let crond = Crond { daemon, port, jobs_config, calls, agent };
        until("the port answers", || TcpStream::connect(("127.0.0.1", port)).ok());
        crond
    }

    /// What shapes may name.
    pub fn known(&self) -> Known {
        let text = |path: &Path| path.display().to_string();
        Known::from([("JOBS_CONFIG".to_owned(), text(&self.jobs_config)), ("AGENT".to_owned(), text(&self.agent))])
    }

    /// One request, with the headers of Go's client: none says what kind of body it is.
    pub fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Response {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = match (method, body) {
            (_, Some(body)) => format!("Content-Length: {}\r\n", body.len()),
            ("GET", None) => String::new(),
            (_, None) => "Content-Length: 0\r\n".to_owned(),
        };
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: Go-http-client/1.1\r\n{length}\
             Accept-Encoding: gzip\r\n\r\n{body}",
            self.port
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {answer:?}"));
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")))?;
            Some(line[name.len() + 2..].to_owned())
        };
        Response {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            content_type: header("content-type"),
            body: body.to_owned(),
        }
    }

    /// A wish that must be granted: its `entry_id`.
    pub fn wish(&self, path: &str, body: &Value) -> i64 {
        let response = self.ask("POST", path, Some(&body.to_string()));
        assert_eq!(response.status, 200, "{path} {body}: {response:?}");
        serde_json::from_str::<Value>(&response.body).unwrap()["entry_id"].as_i64().unwrap()
    }

    /// Names that are listed, sorted.
    pub fn names(&self, query: &str) -> Vec<String> {
        let body: Value = serde_json::from_str(&self.ask("GET", &format!("/entries{query}"), None).body).unwrap();
        let rows = body["entries"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> = rows.iter().map(|row| row["Job"]["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// The arguments of every call of bkmonitorbeat, but for heartbeats, in order.
    pub fn beats(&self) -> Vec<Value> {
        let names = fs::read_dir(&self.calls).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        let calls = names.iter().map(|name| fs::read_to_string(self.calls.join(name)).unwrap());
        let calls = calls.filter(|call| !call.contains("mysql_crond_heart_beat"));
        calls.map(|call| call.trim_end_matches('\0').split('\0').collect::<Value>()).collect()
    }

    /// The file of jobs.
    pub fn jobs(&self) -> String {
        fs::read_to_string(&self.jobs_config).unwrap()
    }

    /// Writes the file of jobs.
    pub fn write_jobs(&self, text: &str) {
        fs::write(&self.jobs_config, text).unwrap();
    }
}

fn open_to_all(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    fs::create_dir(&path).unwrap();
    let mode = if name == "calls" { 0o777 } else { 0o755 };
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
