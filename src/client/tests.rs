use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::api::crond;
use crate::api::route::{ROUTES, Route};
use crate::wire::RunId;

/// A daemon that refuses everything, and tells what was asked: method, path and query, body.
fn deaf() -> (tempfile::TempDir, Client, Receiver<(String, String, String)>) {
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("rotad.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let mut lengths =
                head.lines().filter_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; lengths.next().unwrap_or(0)];
            stream.read_exact(&mut body).unwrap();
            let mut words = head.split(' ').map(str::to_owned);
            let asked = (words.next().unwrap(), words.next().unwrap(), String::from_utf8(body).unwrap());
            if tell.send(asked).is_err() {
                return;
            }
            let answer = r#"{"code":"stopping","message":"m","hint":"h"}"#;
            let head = format!("HTTP/1.1 503 x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
            stream.write_all((head + answer).as_bytes()).unwrap();
        }
    });
    (scratch, Client::at(socket).unwrap(), told)
}

fn is_at(route: &Route, method: &str, url: &str) -> bool {
    let path = url.split('?').next().unwrap().strip_prefix(BASE).unwrap_or("/");
    let segments = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (mine, given) = (segments(route.path), segments(path));
    route.method == method
        && mine.len() == given.len()
        && mine.iter().zip(&given).all(|(mine, given)| mine == given || mine == "NAME" || mine == "ID")
}

/// Each method, called once with everything that it can say.
fn all(client: &Client) -> Vec<Error> {
    let run = RunId(7);
    let output = Output { follow: true, lines: Some(3), from: Some(2) };
    let instant = Some("2026-11-20T02:30:00Z".parse().unwrap());
    let before = Some("5.1.7".to_owned());
    let part = Part { since: instant, until: instant, failed: true, limit: Some(9), before };
    let name = "mysql-monitor-20000-@every 10s";
    let until = "2030-01-01T00:00:00Z".parse().unwrap();
    vec![
        client.status().unwrap_err(),
        client.jobs().unwrap_err(),
        client.job(name).unwrap_err(),
        client.define(name, "command: x\n", false).unwrap_err(),
        client.delete(name, false).unwrap_err(),
        client.file_of(name).unwrap_err(),
        client.disable(name, false).unwrap_err(),
        client.resume(name, false).unwrap_err(),
        client.reschedule(name, "@every 1m", false).unwrap_err(),
        client.pause(name, End::After(Duration::from_millis(90_500)), "a & b").unwrap_err(),
        client.pause(name, End::At(until), "").unwrap_err(),
        client.skip_next(name, 2, "a & b").unwrap_err(),
        client.hold(End::After(Duration::from_millis(90_500)), "a & b").unwrap_err(),
        client.hold(End::At(until), "").unwrap_err(),
        client.release().unwrap_err(),
        client.start(name).unwrap_err(),
        client.start_and_follow(name).unwrap_err(),
        client.stop_job(name).unwrap_err(),
        client.job_output(name, 3, output).unwrap_err(),
        client.run(run).unwrap_err(),
        client.stop_run(run).unwrap_err(),
        client.run_output(run, output).unwrap_err(),
        client.history(None, &part).unwrap_err(),
        client.history(Some(name), &part).unwrap_err(),
        client.history_text(Some(name), &Part::default()).unwrap_err(),
        client.slots(name, &part).unwrap_err(),
        client.past_runs(name, &part).unwrap_err(),
        client.run_in_full(run).unwrap_err(),
        client.why(name, instant).unwrap_err(),
        client.findings().unwrap_err(),
        client.reload().unwrap_err(),
        client.skip_next(name, 3, "a & b").unwrap_err(),
        client.hold(End::After(Duration::from_secs(90)), "a & b").unwrap_err(),
        client.hold(End::At(until), "").unwrap_err(),
        client.release().unwrap_err(),
    ]
}

#[test]
fn every_route_and_each_of_its_parameters_has_a_method() {
    let (_scratch, client, told) = deaf();
    for error in all(&client) {
        assert_eq!((error.kind(), error.code()), (Kind::Busy, Some("stopping")));
        assert_eq!(error.to_string(), "m (h)");
    }
    let asked: Vec<_> = told.try_iter().collect();
    for route in ROUTES {
        let mine: Vec<_> = asked.iter().filter(|(method, url, _)| is_at(&route, method, url)).collect();
        assert!(!mine.is_empty(), "{} {} has no method", route.method, route.path);
        for parameter in route.query {
            let key = format!("{}=", parameter.split('=').next().unwrap());
            assert!(mine.iter().any(|(_, url, _)| url.contains(&key)), "{} {parameter} is never said", route.path);
        }
        assert_eq!(mine.iter().any(|(.., body)| !body.is_empty()), !route.body.is_empty(), "{}", route.path);
    }
    for (method, url, _) in &asked {
        assert!(ROUTES.iter().any(|route| is_at(route, method, url)), "{method} {url} is no route");
    }
}

/// What is sent is read back as it was meant by the daemon's own table.
#[test]
fn the_daemon_understands_every_word() {
    use crate::api::peer::{Asked, Peer, Right};
    let (_scratch, client, told) = deaf();
    all(&client);
    let peer = Peer { uid: 0, right: Right::Change };
    for (method, url, body) in told.try_iter() {
        let call = crate::api::route::route(&Asked { method: &method, url: &url, body: body.as_bytes(), peer });
        assert!(call.is_ok(), "{method} {url}: {call:?}");
    }
}

#[test]
fn the_routes_of_mysql_crond_that_are_spoken_exist() {
    let (_scratch, client, told) = deaf();
    let selected = Selected { name_match: "a.*|b c".into(), status: "disabled,enabled".into() };
    client.entries(&selected).unwrap_err();
    let job = Define {
        name: "a b".into(),
        enable: true,
        command: "x".into(),
        args: vec!["-a".into()],
        schedule: "@daily".into(),
        creator: "o".into(),
        work_dir: String::new(),
    };
    client.create_or_replace(&job, true).unwrap_err();
    let asked: Vec<_> = told.try_iter().collect();
    for (method, url, _) in &asked {
        let path = url.split('?').next().unwrap();
        assert!(crond::ROUTES.iter().any(|route| route.method == method && route.path == path), "{url}");
    }
    assert_eq!(asked[0].1, "/entries?name-match=a.%2A%7Cb%20c&status=disabled%2Cenabled");
    assert_eq!(
        asked[1].2,
        r#"{"job":{"name":"a b","enable":true,"command":"x","args":["-a"],"schedule":"@daily","creator":"o","work_dir":""},"permanent":true}"#
    );
}

#[test]
fn a_socket_where_nobody_listens() {
    let scratch = tempfile::tempdir().unwrap();
    let error = Client::at(scratch.path().join("none")).unwrap().status().unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.hint().is_some_and(|hint| hint.contains("systemctl status rotad")));
}
