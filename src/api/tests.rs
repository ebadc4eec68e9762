//! Streams from the real tails through the real socket, with a few lines of engine that know which runs are over.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::record::Record;
use crate::engine::{JobView, Outcome, Refusal, Request, RunView};
use crate::job::{JobName, OnOverlap};
use crate::sink::Tails;
use crate::wire::{Exit, RunId, Stream};

const RUN: RunId = RunId(1);

struct Endpoint {
    socket: std::path::PathBuf,
    tails: Tails,
    over: Arc<Mutex<Vec<RunId>>>,
    /// State and attempt of a run, where they are to be said.
    at: Arc<Mutex<BTreeMap<RunId, (&'static str, u32)>>>,
    _directory: tempfile::TempDir,
}

fn job() -> JobName {
    JobName::parse("a").unwrap()
}

fn run_view(run: RunId, over: bool) -> RunView {
    let outcome = over.then_some(Outcome::Exited { exit: Exit::Code(0), success: true });
    RunView {
        run: run.to_string(),
        attempt: 1,
        attempts: 1,
        trigger: "request".into(),
        by: "uid 0".into(),
        next_attempt: None,
        job: job(),
        slot: None,
        state: if over { "over" } else { "running" }.into(),
        pid: None,
        started: Some(Timestamp::UNIX_EPOCH),
        ended: None,
        outcome,
        cpu_seconds: None,
        max_rss_kib: None,
        output_bytes: BTreeMap::new(),
        output_dropped: 0,
        left_behind: 0,
    }
}

fn job_view() -> JobView {
    JobView {
        name: job(),
        file: "a.yaml".into(),
        enable: true,
        broken: false,
        pause: None,
        schedule: None,
        dialect: None,
        dst: None,
        timezone: None,
        next: None,
        command: vec!["true".into()],
        user: "nobody".into(),
        on_overlap: OnOverlap::Skip,
        running: Vec::new(),
        retrying: Vec::new(),
        last: None,
        verdicts: Vec::new(),
        labels: BTreeMap::new(),
        after: BTreeMap::new(),
        log: crate::job::LogTarget::Auto,
    }
}

fn no_history() -> crate::history::History {
    crate::history::History::start(std::path::Path::new("/"), None, Box::new(|_| ()))
}

impl Endpoint {
    fn start() -> Endpoint {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("rotad.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (requests, mut inbox) = mpsc::channel(16);
        let tails = Tails::default();
        let (_, ports) = mpsc::unbounded_channel();
        let config = crate::conf::Config::first_look().unwrap();
        super::serve(listener.into(), ports, &config, requests, tails.clone(), no_history()).unwrap();
        let over: Arc<Mutex<Vec<RunId>>> = Arc::default();
        let (known, feed) = (Arc::clone(&over), tails.clone());
        let at: Arc<Mutex<BTreeMap<RunId, (&'static str, u32)>>> = Arc::default();
        let stages = Arc::clone(&at);
        thread::spawn(move || {
            let refusal = || Refusal { code: "no".into(), message: "no".into(), hint: None };
            while let Some(request) = inbox.blocking_recv() {
                match request {
                    Request::Run(run, reply) => {
                        let view = run_view(run, known.lock().unwrap().contains(&run));
                        let view = match stages.lock().unwrap().get(&run) {
                            Some((state, attempt)) => RunView { state: (*state).into(), attempt: *attempt, ..view },
                            None => view,
                        };
                        drop(reply.send(Ok(view)));
                    }
                    Request::Job(_, reply) => drop(reply.send(Ok(job_view()))),
                    Request::Start { reply, .. } => {
                        feed.open(RUN, &job());
                        // Before the answer: no line of these may be missed either.
                        feed.push(RUN, Stream::Stdout, b"first\n", false, 1);
                        drop(reply.send(Ok(RUN)));
                    }
                    _ => drop(refusal()),
                }
            }
        });
        Endpoint { socket, tails, over, at, _directory: directory }
    }

    fn print(&self, run: RunId, text: &[u8]) {
        self.tails.push(run, Stream::Stdout, text, false, memchr::memchr_iter(b'\n', text).count() as u64);
    }

    fn end(&self, run: RunId) {
        self.tails.end(run);
        self.over.lock().unwrap().push(run);
    }

    /// The records of a request, as they come.
    fn ask(&self, request: &str) -> impl Iterator<Item = Record> + use<> {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        // HTTP/1.0: no chunks between the lines.
        write!(stream, "{request} HTTP/1.0\r\n\r\n").unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap).skip_while(|line| !line.is_empty());
        lines.filter(|line| !line.is_empty()).map(|line| serde_json::from_str(&line).unwrap())
    }
}

/// A record in a word.
fn word(record: Record) -> String {
    match record {
        Record::Run { run, .. } => format!("run {run}"),
        Record::Line(line) => String::from_utf8_lossy(&line.bytes()).into_owned(),
        Record::Skipped { skipped, .. } => format!("skipped {skipped}"),
        Record::Dropped { dropped, .. } => format!("dropped {dropped}"),
        Record::Retry { retry } => format!("retry {} {}", retry.run, retry.attempt),
        Record::End { end } => format!("end {}", end.run),
        Record::Gone { gone } => format!("gone {gone}"),
    }
}

#[test]
fn a_line_is_seen_while_its_job_runs_and_none_is_missed() {
    let endpoint = Endpoint::start();
    let mut words = endpoint.ask("POST /rotad/v1/jobs/a/run?follow=1").map(word);
    let mut next = || words.next().unwrap();
    assert_eq!(next(), format!("run {RUN}"));
    assert_eq!(next(), "first");
    for line in ["second", "third"] {
        endpoint.print(RUN, format!("{line}\n").as_bytes());
        assert_eq!(next(), line);
    }
    endpoint.tails.push(RUN, Stream::Stderr, b"open", true, 1);
    endpoint.end(RUN);
    assert_eq!(next(), "open");
    assert_eq!(next(), format!("end {RUN}"));
    assert_eq!(words.next(), None);
}

#[test]
fn what_is_kept_is_given_at_once_and_cut_to_what_was_asked_for() {
    let endpoint = Endpoint::start();
    for id in [1, 2] {
        endpoint.tails.open(RunId(id), &job());
        endpoint.print(RunId(id), format!("a{id}\nb{id}\n").as_bytes());
    }
    endpoint.end(RunId(1));
    let ask = |path: &str| endpoint.ask(&format!("GET /rotad/v1{path}")).map(word).collect::<Vec<_>>().join(", ");
    let [one, two] = [RunId(1), RunId(2)];
    assert_eq!(ask("/jobs/a/output"), format!("run {two}, a2, b2"));
    assert_eq!(ask("/jobs/a/output?runs=2&lines=1"), format!("run {one}, b1, end {one}, run {two}, b2"));
    assert_eq!(ask(&format!("/runs/{one}/output")), format!("run {one}, a1, b1, end {one}"));
    assert_eq!(ask(&format!("/runs/{one}/output?follow=1&lines=0")), format!("run {one}, end {one}"));
    assert_eq!(
        ask(&format!("/runs/{}/output?follow=1", RunId(3)).replace("follow=1", "")),
        format!("run {}", RunId(3))
    );
}

#[test]
fn lines_are_given_by_their_numbers_and_those_that_are_gone_are_told() {
    let endpoint = Endpoint::start();
    let run = RunId(4);
    endpoint.tails.open(run, &job());
    endpoint.tails.skip(run, 2);
    endpoint.print(run, b"3\n4\n5\n6\n");
    endpoint.end(run);
    for (range, lines) in [
        ("from=4", "4, 5, 6"),
        ("from=4&lines=2", "4, 5"),
        ("from=3&lines=1", "3"),
        ("from=2&lines=3", "skipped 1, 3, 4"),
        ("from=1", "skipped 2, 3, 4, 5, 6"),
        ("from=1&lines=2", "skipped 2"),
        ("from=9", ""),
        ("from=5&follow=1", "5, 6"),
        ("lines=1", "6"),
    ] {
        let words: Vec<String> = endpoint.ask(&format!("GET /rotad/v1/runs/{run}/output?{range}")).map(word).collect();
        let between = &words[1..words.len() - 1];
        assert_eq!(between.join(", "), lines, "{range}: {words:?}");
    }
}

#[test]
fn following_a_job_tells_every_run_once() {
    let endpoint = Endpoint::start();
    let [one, two] = [RunId(1), RunId(2)];
    endpoint.tails.open(one, &job());
    endpoint.print(one, b"a\n");
    let mut words = endpoint.ask("GET /rotad/v1/jobs/a/output?follow=1").map(word);
    let mut next = || words.next().unwrap();
    assert_eq!((next(), next()), (format!("run {one}"), "a".into()));
    endpoint.print(one, b"b\n");
    assert_eq!(next(), "b");
    endpoint.tails.open(two, &job());
    endpoint.print(two, b"c\n");
    assert_eq!((next(), next()), (format!("run {two}"), "c".into()));
    endpoint.end(one);
    assert_eq!(next(), format!("end {one}"));
    endpoint.print(two, b"d\n");
    assert_eq!(next(), "d");
}

#[test]
fn e74_a_reader_that_is_too_slow_is_told_how_much_it_missed() {
    let endpoint = Endpoint::start();
    endpoint.tails.open(RUN, &job());
    let mut records = endpoint.ask(&format!("GET /rotad/v1/runs/{RUN}/output?follow=1"));
    assert_eq!(word(records.next().unwrap()), format!("run {RUN}"));
    // More than sockets and queues hold, and nobody reads.
    let line = [vec![b'x'; 1000], vec![b'\n']].concat();
    const LINES: u64 = 20_000;
    for _ in 0..LINES {
        // As a sink does: it waits, but not for ever.
        while endpoint.tails.holds(RUN) {
            std::thread::yield_now();
        }
        endpoint.print(RUN, &line);
    }
    endpoint.end(RUN);
    let (mut seen, mut dropped) = (0, 0);
    for record in records {
        match record {
            Record::Line(_) => seen += 1,
            Record::Dropped { dropped: count, .. } => dropped += count,
            Record::End { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(dropped > 0 && seen > 0, "{seen} {dropped}");
    assert_eq!(seen + dropped, LINES);
}

#[test]
fn d72_a_run_is_followed_through_its_attempts_to_its_end() {
    for path in [format!("/runs/{RUN}/output?follow=1"), "/jobs/a/output?follow=1".into()] {
        let endpoint = Endpoint::start();
        let stage = |state, attempt| _ = endpoint.at.lock().unwrap().insert(RUN, (state, attempt));
        let second = RunId(RUN.0 + 5);
        endpoint.tails.open(RUN, &job());
        endpoint.print(RUN, b"one\n");
        stage("running", 1);
        let mut words = endpoint.ask(&format!("GET /rotad/v1{path}")).map(word);
        let mut next = || words.next().unwrap();
        assert_eq!([next(), next()], [format!("run {RUN}"), "one".into()], "{path}");
        stage("retrying", 1);
        endpoint.tails.end(RUN);
        assert_eq!(next(), format!("retry {RUN} 1"));
        stage("running", 2);
        endpoint.tails.open_attempt(second, (RUN, 2), &job());
        endpoint.print(second, b"two\n");
        assert_eq!([next(), next()], [format!("run {RUN}"), "two".into()]);
        endpoint.print(second, b"more\n");
        assert_eq!(next(), "more");
        stage("over", 2);
        endpoint.tails.end(second);
        assert_eq!(next(), format!("end {RUN}"));
        let ask = |path: &str| endpoint.ask(&format!("GET /rotad/v1{path}")).map(word).collect::<Vec<_>>().join(", ");
        let all = format!("run {RUN}, one, run {RUN}, two, more, end {RUN}");
        assert_eq!(ask(&format!("/runs/{RUN}/output")), all, "and is found so afterwards");
        assert_eq!(ask("/jobs/a/output"), all);
        assert_eq!(ask(&format!("/runs/{RUN}/output?follow=1")), all);
        assert_eq!(ask(&format!("/runs/{RUN}/output?lines=1")), format!("run {RUN}, more, end {RUN}"));
    }
}

#[test]
fn d72_a_retry_that_is_dropped_is_the_end_of_its_run() {
    let endpoint = Endpoint::start();
    endpoint.tails.open(RUN, &job());
    endpoint.tails.end(RUN);
    endpoint.at.lock().unwrap().insert(RUN, ("retrying", 1));
    let mut words = endpoint.ask(&format!("GET /rotad/v1/runs/{RUN}/output?follow=1")).map(word);
    assert_eq!(words.next().unwrap(), format!("run {RUN}"));
    assert_eq!(words.next().unwrap(), format!("retry {RUN} 1"));
    endpoint.at.lock().unwrap().insert(RUN, ("over", 1));
    assert_eq!(words.collect::<Vec<_>>(), [format!("end {RUN}")]);
}
