//! The endpoint, driven with raw bytes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod surface;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rotad::api::route::ROUTES;
use rotad::wire::RunId;
use serde_json::Value;
use surface::{Daemon, until};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_route_answers() {
    let daemon = Daemon::start();
    for route in ROUTES {
        let path = route.path.replace("NAME", "backup").replace("ID", &RunId(7).to_string());
        let query = if route.query.contains(&"schedule=TEXT") { "?schedule=%40daily" } else { "" };
        let (status, body) = daemon.ask(route.method, &format!("/rotad/v1{path}{query}"));
        assert!(matches!(status, 200 | 202), "{} {path}: {status} {body}", route.method);
        for line in body.lines().filter(|line| line.starts_with('{')) {
            json(line);
        }
        assert_eq!(daemon.ask("PATCH", &format!("/rotad/v1{path}")).0, 405, "{path}");
    }
}

#[test]
fn refusals_have_one_shape() {
    let daemon = Daemon::start();
    for (method, path, status, code) in [
        ("GET", "/rotad/v1/jobs/nope", 404, "no-such-job"),
        ("GET", "/rotad/v1/jobs/nope/output", 404, "no-such-job"),
        ("POST", "/rotad/v1/jobs/nope/run?follow=1", 404, "no-such-job"),
        ("GET", "/rotad/v1/runs/0000000000000", 404, "no-such-run"),
        ("POST", "/rotad/v1/jobs/busy/run", 409, "overlap"),
        ("GET", "/rotad/v1", 404, "no-such-route"),
        ("POST", "/rotad/v1/jobs/nope/disable", 404, "no-such-job"),
        ("DELETE", "/rotad/v1/jobs/nope", 404, "no-such-job"),
        ("POST", "/rotad/v1/jobs/backup/pause?until=2001-01-01T00:00:00Z", 400, "bad-query"),
        ("GET", "/rotad/v1/jobs/..%2f..%2fetc%2fpasswd", 400, "bad-name"),
        ("GET", "/rotad/v1/jobs/%252e%252e%252f", 404, "no-such-job"),
        ("GET", "/rotad/v1/jobs/../../../etc/passwd", 404, "no-such-route"),
        ("PATCH", "/rotad/v1/jobs/backup", 405, "wrong-method"),
    ] {
        let (is, body) = daemon.ask(method, path);
        let body = json(&body);
        assert_eq!((is, body["code"].as_str()), (status, Some(code)), "{method} {path}");
        assert!(!body["message"].as_str().unwrap().is_empty() && body.get("hint").is_some(), "{method} {path}");
    }
}

#[test]
fn g98_heads_without_end_and_bodies_are_refused_and_others_are_served_meanwhile() {
    let daemon = Daemon::start();
    let mut long = b"GET /rotad/v1/status HTTP/1.1\r\nX: ".to_vec();
    long.resize(1 << 20, b'x');
    assert!(daemon.raw(&long).starts_with("HTTP/1.1 431 "));
    for (request, status) in [
        ("POST /rotad/v1/reload HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n", 413),
        ("POST /rotad/v1/reload HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400),
        ("POST /rotad/v1/reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 411),
        ("POST /rotad/v1/reload HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 400),
        ("GET /rotad/v1/status HTTP/1.1\r\nContent-Length: 4\r\n\r\nnull", 200),
        ("GET /rotad/v1/status HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
        ("POST /rotad/v1/reload HTTP/1.1\r\nContent-Length: 0\r\nExpect: tea\r\n\r\n", 200),
        ("nonsense\r\n\r\n", 400),
        ("GET /rotad/v1/status HTTP/3.0\r\n\r\n", 505),
        ("GET /rotad/v1/status HTTP/1.0\r\n\r\n", 200),
        ("GET /rotad/v1/status HTTP/1.1\r\nConnection: upgrade\r\n\r\n", 200),
        ("GET /rotad/v1/status HTTP/1.1\r\n\r\nGET /rotad/v1/status HTTP/1.1\r\n\r\n", 200),
    ] {
        let answer = daemon.raw(request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert_eq!(answer.matches("X-Content-Type-Options").count(), 1, "one request a connection");
    }
}

#[test]
fn g98_slow_clients_take_their_own_places_only_and_give_them_back() {
    let daemon = Daemon::start();
    let half = || {
        let mut stream = daemon.connect();
        stream.write_all(b"GET /rotad/v1/status HT").unwrap();
        stream
    };
    let some: Vec<UnixStream> = (0..40).map(|_| half()).collect();
    assert_eq!(daemon.ask("GET", "/rotad/v1/status").0, 200);
    let all: Vec<UnixStream> = (0..64).map(|_| half()).collect();
    until("too many connections of one user are refused", || {
        let answer = daemon.raw(b"GET /rotad/v1/status HTTP/1.1\r\n\r\n");
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"busy\"")
    });
    drop((some, all));
    until("closed connections give back their places", || {
        daemon.raw(b"GET /rotad/v1/status HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 ")
    });
}

#[test]
fn g95_g104_who_asks_is_what_the_kernel_says() {
    let daemon = Daemon::start();
    let request = "POST /rotad/v1/jobs/backup/run HTTP/1.1\r\nRotad-Peer: uid 4294967294\r\n\r\n";
    assert!(daemon.raw(request.as_bytes()).starts_with("HTTP/1.1 202 "));
    assert_eq!(daemon.world.lock().unwrap().asked_by, [format!("uid {}", nix::unistd::getuid())]);
}

#[test]
fn a_client_that_only_listens_is_answered() {
    let daemon = Daemon::start();
    let mut stream = daemon.connect();
    stream.write_all(b"GET /rotad/v1/status HTTP/1.1\r\n\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
