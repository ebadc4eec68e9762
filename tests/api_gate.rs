//! The gate of the HTTP endpoint before a real daemon, asked by real users.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

use common::{Daemon, Setup, root_or_skip, until, until_true};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Group, Uid, User, setfsuid};
use rotad::api::monitor;
use rotad::api::peer::Right;
use rotad::api::route::{BASE, ROUTES};
use rotad::wire::RunId;

/// Nobody's number.
const STRANGER: u32 = 3_000_000_000;
const JOB: &str = "script: 'true'\n";

/// A daemon on a port of its own.
struct Endpoint {
    daemon: Daemon,
    port: u16,
}

/// A port that is free now. (Others look for one as well: who gets none says so, and the test finds nobody.)
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn uid(name: &str) -> u32 {
    User::from_name(name).unwrap().unwrap().uid.as_raw()
}

fn gid(name: &str) -> u32 {
    Group::from_name(name).unwrap().unwrap().gid.as_raw()
}

/// An argument of setpriv.
fn with(flag: &str, group: &str) -> String {
    format!("{flag}={}", gid(group))
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

impl Endpoint {
    fn start(config: &str) -> Endpoint {
        Self::of(Setup::new(config).job("a.yaml", JOB))
    }

    fn of(setup: Setup) -> Endpoint {
        let port = free_port();
        let endpoint = Endpoint { daemon: setup.configure(&format!("port: {port}")).start(), port };
        until_true("the port is served", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        endpoint
    }

    /// A connection of a user: a socket belongs to the file-system user of the thread that makes it.
    fn connect(&self, uid: u32) -> TcpStream {
        let port = self.port;
        std::thread::spawn(move || {
            if uid != nix::unistd::geteuid().as_raw() {
                setfsuid(Uid::from_raw(uid));
            }
            TcpStream::connect(("127.0.0.1", port)).unwrap()
        })
        .join()
        .unwrap()
    }

    /// Sends bytes, and reads until the other end closes.
    fn raw(&self, uid: u32, bytes: &[u8]) -> String {
        let mut stream = self.connect(uid);
        let _enough = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn ask(&self, uid: u32, method: &str, path: &str) -> String {
        self.raw(uid, format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port).as_bytes())
    }

    /// `rota` on the unix socket, by another process of another user.
    fn rota_as(&self, who: &[&str], args: &[&str]) -> Output {
        // Where everybody reaches it.
        let rota = self.daemon.path().join("rota");
        if !rota.exists() {
            fs::copy(env!("CARGO_BIN_EXE_rota"), &rota).unwrap();
        }
        let socket = self.daemon.path().join("run/rotad.sock");
        Command::new("setpriv").args(who).arg(rota).arg("--socket").arg(socket).args(args).output().unwrap()
    }

    fn runs(&self) -> BTreeSet<String> {
        let verdicts = self.daemon.json(&["show", "a"]);
        [&verdicts["last"]["run"]].iter().filter_map(|run| run.as_str().map(str::to_owned)).collect()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

const RIGHTS: &str = "jobs_user: lp\nadmin_group: games\napi: {readers: [man, '@mail']}";

#[test]
fn g96_rights_on_tcp_by_user_and_route() {
    if !root_or_skip("g96_rights_on_tcp") {
        return;
    }
    let endpoint = Endpoint::start(RIGHTS);
    for (user, right) in [
        (STRANGER, None),
        (uid("bin"), None),
        (uid("man"), Some(Right::Read)),
        (uid("mail"), Some(Right::Read)),
        (uid("games"), Some(Right::Change)),
        (uid("lp"), Some(Right::Change)),
        (uid("nobody"), None),
        (uid("daemon"), Some(Right::Change)),
        (0, Some(Right::Change)),
    ] {
        for route in monitor::ROUTES {
            let answer = endpoint.ask(user, route.method, route.path);
            assert_eq!(status(&answer), if right.is_some() { 200 } else { 403 }, "{user} {}: {answer}", route.path);
        }
        for route in ROUTES {
            let path = route.path.replace("NAME", "a").replace("ID", &RunId(7).to_string());
            let answer = endpoint.ask(user, route.method, &format!("{BASE}{path}"));
            let expected = match right {
                None => "forbidden",
                Some(right) if right < route.right => "read-only",
                Some(_) => "",
            };
            let refused = status(&answer) == 403;
            assert_eq!(refused, !expected.is_empty(), "{user} {} {path}: {answer}", route.method);
            assert!(answer.contains(expected) && (!refused || answer.contains("\"hint\":\"")), "{answer}");
        }
    }
}

#[test]
fn g96_what_a_job_file_keeps_to_itself_no_reader_is_shown() {
    if !root_or_skip("g96_what_a_job_file_keeps") {
        return;
    }
    let text = "script: 'true'\nenvironment: {PASSWORD: hunter2}\nschedule: '@every 1h'\n";
    let endpoint = Endpoint::of(Setup::new(RIGHTS).job("a.yaml", text));
    fs::set_permissions(endpoint.daemon.conf_d().join("a.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
    let run = endpoint.daemon.json(&["show", "a"])["last"]["run"].as_str().unwrap_or("0000000000000").to_owned();
    let ours = ROUTES.iter().map(|route| format!("{BASE}{}", route.path.replace("NAME", "a").replace("ID", &run)));
    for path in ours.chain(["/entries".into(), "/entries?status=all".into(), "/disabled".into()]) {
        let answer = endpoint.ask(uid("man"), "GET", &path);
        assert!(!answer.contains("hunter2"), "{path}: {answer}");
    }
    assert!(endpoint.ask(uid("games"), "GET", &format!("{BASE}/jobs/a/file")).contains("hunter2"));
}

#[test]
fn g96_who_is_refused_has_changed_nothing_and_learns_nothing() {
    if !root_or_skip("g96_who_is_refused") {
        return;
    }
    let endpoint = Endpoint::start(RIGHTS);
    let run = format!("{BASE}/jobs/a/run");
    for user in [STRANGER, uid("man")] {
        assert_eq!(status(&endpoint.ask(user, "POST", &run)), 403);
    }
    assert!(endpoint.runs().is_empty(), "nobody has started it");
    assert_eq!(status(&endpoint.ask(uid("games"), "POST", &run)), 202);
    until_true("it has run", || endpoint.runs().len() == 1);
    // Whatever they send: no route, no parser, no bound tells a stranger anything.
    let expected = endpoint.ask(STRANGER, "GET", "/");
    assert_eq!(status(&expected), 403);
    for request in ["nonsense\r\n\r\n", "GET / HTTP/3.0\r\n\r\n", "GET /rotad/v1/jobs/a HTTP/1.0\r\n\r\n", "\0"] {
        assert_eq!(endpoint.raw(STRANGER, request.as_bytes()), expected, "{request:?}");
    }
    assert_eq!(endpoint.raw(STRANGER, &vec![b'x'; 300_000]), expected);
}

#[test]
fn g98_who_may_only_look_fills_no_log() {
    if !root_or_skip("g98_who_may_only_look") {
        return;
    }
    let endpoint = Endpoint::start(RIGHTS);
    let path = format!("/entries?name-match=({}", "x".repeat(8000));
    let words = |user| {
        assert_eq!(status(&endpoint.ask(user, "GET", &path)), 500);
        assert_eq!(status(&endpoint.ask(user, "GET", "/quit?x")), if user == 0 { 200 } else { 403 });
    };
    (0..20).for_each(|_| words(uid("man")));
    // In order: once this is there, whatever the others wrote would be.
    words(0);
    until_true("the word about root", || endpoint.daemon.stderr().contains("for uid 0: invalid regex"));
    let said = endpoint.daemon.stderr();
    assert!(!said.contains(&format!("for uid {}", uid("man"))), "{} bytes", said.len());
}

#[test]
fn g96_rights_on_the_unix_socket_by_process() {
    if !root_or_skip("g96_rights_on_the_unix_socket") {
        return;
    }
    let endpoint = Endpoint::start(RIGHTS);
    let mode = fs::metadata(endpoint.daemon.path().join("run/rotad.sock")).unwrap();
    assert_eq!((mode.mode() & 0o777, mode.gid()), (0o666, gid("games")), "readers reach it, the gate judges");
    let plain = |user: u32| [format!("--reuid={user}"), "--regid=65534".into(), "--clear-groups".into()];
    for (user, status, run) in [(STRANGER, Some(77), Some(77)), (uid("man"), Some(0), Some(77))] {
        let who = plain(user);
        let who: Vec<&str> = who.iter().map(String::as_str).collect();
        let [looked, ran] = [["status", "--json"], ["run", "a"]].map(|args| endpoint.rota_as(&who, &args));
        assert_eq!((looked.status.code(), ran.status.code()), (status, run), "{} {}", text(&looked), text(&ran));
        assert!(text(&ran).contains("hint: "), "{}", text(&ran));
    }
    // A group of the process alone, which the user database does not know.
    let who = ["--reuid=2", "--regid=2", &with("--groups", "games")];
    assert_eq!(endpoint.rota_as(&who, &["run", "a"]).status.code(), Some(0));
    let who = ["--reuid=2", &with("--regid", "games"), "--clear-groups"];
    assert_eq!(endpoint.rota_as(&who, &["reload"]).status.code(), Some(0));
    let who = ["--reuid=2", "--regid=2", &with("--groups", "mail")];
    assert_eq!(endpoint.rota_as(&who, &["status"]).status.code(), Some(0), "@mail reads");
    assert_eq!(endpoint.rota_as(&who, &["run", "a"]).status.code(), Some(77));
}

#[test]
fn g96_without_readers_the_socket_is_for_its_group() {
    if !root_or_skip("g96_without_readers") {
        return;
    }
    let endpoint = Endpoint::start("admin_group: games");
    let meta = fs::metadata(endpoint.daemon.path().join("run/rotad.sock")).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.uid(), meta.gid()), (0o660, 0, gid("games")));
    let as_bin = |groups: &str| endpoint.rota_as(&["--reuid=2", "--regid=2", groups], &["run", "a"]);
    assert_eq!(as_bin(&with("--groups", "games")).status.code(), Some(0));
    let refused = as_bin("--clear-groups");
    assert_eq!(refused.status.code(), Some(77));
    assert!(text(&refused).contains("permission denied"), "{}", text(&refused));
}

#[test]
fn an_admin_group_that_is_not_there_admits_nobody_and_jobs_run() {
    if !root_or_skip("an_admin_group") {
        return;
    }
    let endpoint = Endpoint::start("admin_group: no-such-group\napi: {readers: [no-such-user, '@no-such-group']}");
    assert!(endpoint.daemon.stderr().contains("there is no such group"), "{}", endpoint.daemon.stderr());
    assert_eq!(endpoint.daemon.run("a").0, Some(0));
    assert_eq!(status(&endpoint.ask(uid("games"), "GET", "/rotad/v1/status")), 403);
}

#[test]
fn g96_a_job_may_ask_and_change() {
    if !root_or_skip("g96_a_job") {
        return;
    }
    let endpoint = Endpoint::start("jobs_user: lp");
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{0}; printf 'POST /rotad/v1/jobs/a/run HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3",
        endpoint.port
    );
    endpoint.daemon.arm("b.yaml", &format!("command: /bin/bash\nargs: [-c, {script:?}]\n"));
    let (code, out) = endpoint.daemon.run("b");
    assert_eq!((code, out.trim_end()), (Some(0), "HTTP/1.1 202 Accepted"));
    // Where other jobs have other rights, it could give itself those.
    let endpoint = Endpoint::start("jobs_user: lp\nallowed_users: [games]");
    assert_eq!(status(&endpoint.ask(uid("lp"), "POST", "/rotad/v1/jobs/a/run")), 403);
}

#[test]
fn g93_g94_g98_what_is_no_request_of_ours_is_refused_over_tcp() {
    let endpoint = Endpoint::start("");
    let me = nix::unistd::geteuid().as_raw();
    let ours = format!("Host: 127.0.0.1:{}\r\n", endpoint.port);
    for (head, body, expected) in [
        ("GET /rotad/v1/status HTTP/1.1\r\nHOST", "", 200),
        ("GET /rotad/v1/status HTTP/1.0\r\n", "", 200),
        ("GET /rotad/v1/status HTTP/1.1\r\n", "", 421),
        ("GET /rotad/v1/status HTTP/1.1\r\nHost: localhost.evil.com\r\n", "", 421),
        ("GET /rotad/v1/status HTTP/1.1\r\nHost: evil.com\r\nHOST", "", 400),
        ("GET http://127.0.0.1/rotad/v1/status HTTP/1.1\r\nHOST", "", 400),
        ("POST /rotad/v1/reload HTTP/1.1\r\nOrigin: http://evil.com\r\nHOST", "", 403),
        ("GET /rotad/v1/jobs HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\nHOST", "", 403),
        ("GET /rotad/v1/jobs HTTP/1.1\r\nContent-Length: 4\r\nHOST", "null", 200),
        ("POST /rotad/v1/reload HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\nHOST", "{}", 400),
        ("POST /rotad/v1/reload HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nHOST", "{}", 400),
        ("POST /rotad/v1/reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHOST", "0\r\n\r\n", 411),
        ("POST /rotad/v1/reload HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nHOST", "{}", 411),
        ("POST /rotad/v1/reload HTTP/1.1\r\nContent-Length: 1048577\r\nHOST", "", 413),
        ("POST /rotad/v1/reload HTTP/1.1\r\nContent-Length: 99999999999\r\nHOST", "", 413),
        ("POST /rotad/v1/reload HTTP/1.1\r\nRotad-Peer: 0 change\r\nHOST", "GET / HTTP/1.1\r\n\r\n", 200),
    ] {
        let request = format!("{}\r\n{body}", head.replace("HOST", &ours));
        let answer = endpoint.raw(me, request.as_bytes());
        let last = answer.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(status(last), expected, "{request:?}: {answer}");
        assert_eq!(answer.matches("X-Content-Type-Options").count(), 1, "one request a connection: {answer}");
    }
}

#[test]
fn g102_a_port_that_is_taken_stops_no_job_and_is_served_once_it_is_free() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let daemon = Setup::new(&format!("port: {port}")).job("a.yaml", JOB).start();
    assert_eq!(daemon.run("a").0, Some(0));
    let said = daemon.stderr();
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("hint: "), "{said}");
    drop(other);
    let endpoint = Endpoint { daemon, port };
    until_true("the port is served", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let me = nix::unistd::geteuid().as_raw();
    assert_eq!(status(&endpoint.ask(me, "GET", "/rotad/v1/status")), 200);
    endpoint.daemon.replace_engine();
    assert_eq!(status(&endpoint.ask(me, "GET", "/rotad/v1/status")), 200, "the next engine has it from the start");
}

#[test]
fn connections_wait_while_the_engine_is_replaced() {
    let endpoint = Endpoint::start("");
    let me = nix::unistd::geteuid().as_raw();
    for _ in 0..3 {
        let engine = until("an engine", || endpoint.daemon.engine());
        Daemon::signal(engine, nix::sys::signal::Signal::SIGKILL);
        until_true("it is gone", || endpoint.daemon.engine() != Some(engine));
        assert_eq!(status(&endpoint.ask(me, "GET", "/rotad/v1/status")), 200);
    }
}

/// What the kernel says of the engine: threads, KiB of memory.
fn weight(engine: i32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{engine}/status")).unwrap();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (value("Threads:"), value("VmRSS:"))
}

#[test]
fn g98_ten_thousand_connections_cost_no_slot_and_no_admin_an_answer() {
    if !root_or_skip("g98_ten_thousand") {
        return;
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let many = usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(200).min(10_000);
    let setup = Setup::new("jobs_user: lp\napi: {readers: [man]}");
    let out = setup.path().join("slots");
    fs::write(&out, "").unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o666)).unwrap();
    let tick = format!("schedule: '* * * * * *'\nscript: echo tick >> {}\n", out.display());
    let endpoint = Endpoint::of(setup.job("tick.yaml", &tick).job("a.yaml", JOB));
    let ticks = || fs::read_to_string(&out).unwrap().lines().count();
    until_true("it ticks", || ticks() >= 2);
    let engine = endpoint.daemon.engine().unwrap();
    let before = weight(engine);

    // Strangers and a reader, who begin to ask or do not, and leave nothing.
    let port = endpoint.port;
    let held: Vec<TcpStream> = [STRANGER, uid("man")]
        .map(|user| {
            std::thread::spawn(move || {
                setfsuid(Uid::from_raw(user));
                let connect = |at: usize| {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
                    if at.is_multiple_of(2) {
                        let _refused = stream.write_all(b"GET /rotad/v1/status HT");
                    }
                    Some(stream)
                };
                (0..many / 2).filter_map(connect).collect::<Vec<_>>()
            })
        })
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    assert!(held.len() > many * 9 / 10, "{} of {many}", held.len());
    assert_eq!(status(&endpoint.ask(0, "GET", "/rotad/v1/status")), 200);
    assert!(endpoint.daemon.rota(&["run", "a", "--wait"]).status.success());
    assert_eq!(status(&endpoint.ask(uid("lp"), "POST", "/rotad/v1/jobs/a/run")), 202, "nor do they keep out others");
    let seen = ticks();
    until_true("slots go on", || ticks() >= seen + 3);
    let after = weight(engine);
    eprintln!("threads and KiB before {before:?}, with {} connections {after:?}", held.len());
    assert!(after.0 < before.0 + 40, "threads: {before:?} {after:?}");
    assert!(after.1 < before.1 + (16 << 10), "memory: {before:?} {after:?}");
    assert_eq!(endpoint.daemon.engine(), Some(engine), "nothing had to be restarted");
    let verdicts = endpoint.daemon.json(&["show", "tick"])["verdicts"].clone();
    assert!(verdicts.as_array().unwrap().iter().all(|row| row["verdict"] == "ran"), "{verdicts}");
    drop(held);
    until_true("readers are answered again", || status(&endpoint.ask(uid("man"), "GET", "/rotad/v1/status")) == 200);
}
