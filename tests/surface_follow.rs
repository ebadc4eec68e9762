//! Following a run over HTTP. One test alone in its program: it counts the program's threads.

#![allow(clippy::unwrap_used, reason = "tests")]

mod surface;

use std::io::{Read, Write};

use rotad::wire::RunId;
use serde_json::Value;
use surface::{Daemon, exited, over, run_view, until};

fn followers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.trim() == "api-request").count()
}

#[test]
fn a_followed_run_ends_with_its_outcome_and_a_gone_client_ends_its_thread() {
    let daemon = Daemon::start();
    daemon.world.lock().unwrap().outcome = None;
    let id = RunId(9);
    let mut gone = daemon.connect();
    gone.write_all(b"POST /rotad/v1/jobs/backup/run?follow=1 HTTP/1.1\r\n\r\n").unwrap();
    until("the run has started", || daemon.world.lock().unwrap().runs.contains_key(&id));
    let mut stays = daemon.connect();
    write!(stays, "GET /rotad/v1/runs/{id}/output?follow=1 HTTP/1.0\r\n\r\n").unwrap();
    until("both are followed", || followers() == 2);
    drop(gone);
    until("the thread of the gone client ends", || followers() == 1);
    let view = over(run_view(id, &surface::name("backup")), exited(3));
    daemon.world.lock().unwrap().runs.insert(id, view);
    let mut answer = String::new();
    stays.read_to_string(&mut answer).unwrap();
    let last: Value = serde_json::from_str(answer.trim_end().lines().last().unwrap()).unwrap();
    assert_eq!(last["end"]["exit"]["code"], 3, "{answer}");
    until("its thread ends too", || followers() == 0);
}
