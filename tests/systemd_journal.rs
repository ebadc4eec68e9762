//! What jobs print, in the journal: fields, priorities, odd bytes, a journald that restarts or does not read; and the way
//! back by `rota logs`. All on a machine with a real systemd.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod lab;

use std::collections::BTreeSet;
use std::time::Instant;

use lab::Lab;
use serde_json::Value;

/// The entries that match, oldest first.
fn entries(lab: &Lab, matches: &str) -> Vec<Value> {
    let text = lab.ok(&format!("journalctl --quiet --sync; journalctl --quiet --all --output json {matches}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An entry's line, whatever bytes it has.
fn message(entry: &Value) -> Vec<u8> {
    match &entry["MESSAGE"] {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(bytes) => bytes.iter().map(|byte| byte.as_u64().unwrap() as u8).collect(),
        odd => panic!("{odd}"),
    }
}

/// Runs a job to its end; its run.
fn run(lab: &Lab, job: &str) -> Value {
    // Its own output goes nowhere, and how it ended is in what is asked then.
    lab.run(&format!("rota run --wait {job} >/dev/null 2>&1"));
    let job: Value = serde_json::from_str(&lab.ok(&format!("rota show --json {job}"))).unwrap();
    job["last"].clone()
}

#[test]
fn every_line_is_an_entry_with_its_fields() {
    let Some(lab) = Lab::with_rotad("every_line_is_an_entry_with_its_fields") else { return };
    lab.arm("backup.yaml", "script: |\n  echo $$\n  echo one\n  echo '<2>two'\n  echo '<30>three'\n  echo four >&2\n");
    let last = run(&lab, "backup");
    let entries = entries(&lab, "-t backup");
    let mut lines: Vec<(String, &str, &str, &str)> = entries
        .iter()
        .map(|entry| {
            let field = |name: &str| entry[name].as_str().unwrap();
            assert_eq!(field("ROTA_JOB"), "backup");
            assert_eq!(field("ROTA_RUN_ID"), last["run"].as_str().unwrap());
            assert_eq!(field("ROTA_ATTEMPT"), "1");
            assert_eq!(field("_SYSTEMD_UNIT"), "rotad.service");
            assert_eq!(field("_UID"), lab.ok("id -u rotad"));
            let text = String::from_utf8(message(entry)).unwrap();
            (text, field("ROTA_STREAM"), field("PRIORITY"), field("SYSLOG_FACILITY"))
        })
        .collect();
    // The first is what the shell knows of itself: it leads the run.
    let leader = lines.remove(0).0;
    assert!(entries.iter().all(|entry| entry["ROTA_PID"] == *leader), "{leader}");
    lines.sort();
    let expected = [
        ("four", "stderr", "4", "9"),
        ("one", "stdout", "6", "9"),
        ("three", "stdout", "6", "3"),
        ("two", "stdout", "2", "9"),
    ];
    assert_eq!(lines, expected.map(|(text, stream, priority, facility)| (text.to_owned(), stream, priority, facility)));
}

#[test]
fn e75_e76_e78_odd_lines_survive_and_forge_nothing() {
    let Some(lab) = Lab::with_rotad("e75_e76_e78_odd_lines_survive_and_forge_nothing") else { return };
    let script = [
        r"printf 'first\n<4>rotad: forged\nROTA_JOB=other\n\nMESSAGE\n\004\000\000\000\000\000\000\000evil\n'",
        r"printf '\377\000\033[2J\r\n'",
        "head -c 300000 /dev/zero | tr '\\0' x; echo",
        "head -c 1500000 /dev/zero | tr '\\0' y; echo '<1>z'",
        "printf open",
    ];
    lab.arm("odd.yaml", &format!("script: |\n  {}\n", script.join("\n  ")));
    run(&lab, "odd");
    let entries = entries(&lab, "ROTA_JOB=odd ROTA_STREAM=stdout ROTA_STREAM=stderr");
    let lines: Vec<Vec<u8>> = entries.iter().map(message).collect();
    let mut long = vec![b'y'; 1_500_000 - (1 << 20)];
    long.extend(b"<1>z");
    let expected: [&[u8]; 11] = [
        b"first",
        b"rotad: forged",
        b"ROTA_JOB=other",
        b"",
        b"MESSAGE",
        b"\x04\0\0\0\0\0\0\0evil",
        b"\xff\0\x1b[2J\r",
        &[b'x'; 300_000],
        &[b'y'; 1 << 20],
        &long,
        b"open",
    ];
    let short = |lines: &[Vec<u8>]| {
        lines.iter().map(|line| (line.len(), line[..line.len().min(20)].to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(short(&lines), short(&expected.map(<[u8]>::to_vec)));
    assert!(lines.iter().zip(expected).all(|(line, expected)| line == expected));
    let open: Vec<bool> = entries.iter().map(|entry| entry["ROTA_OPEN"] == "1").collect();
    assert_eq!(open, [false, false, false, false, false, false, false, false, true, false, true]);
    let priorities: Vec<&str> = entries.iter().map(|entry| entry["PRIORITY"].as_str().unwrap()).collect();
    assert_eq!(priorities, ["6", "4", "6", "6", "6", "6", "6", "6", "6", "6", "6"]);
    assert!(entries.iter().all(|entry| entry["ROTA_JOB"] == "odd" && entry["SYSLOG_IDENTIFIER"] == "odd"));
    assert!(lab.ok("journalctl --quiet -t other -t evil").is_empty());
}

/// The numbers of a job that counts, as they are in the journal.
fn numbers(lab: &Lab, job: &str) -> Vec<u64> {
    let entries = entries(lab, &format!("ROTA_JOB={job} ROTA_STREAM=stdout"));
    entries.iter().map(|entry| entry["MESSAGE"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn e77_no_line_is_lost_over_restarts_of_journald() {
    let Some(lab) = Lab::with_rotad("e77_no_line_is_lost_over_restarts_of_journald") else { return };
    lab.arm("count.yaml", "script: for n in $(seq 3000); do seq $((n*10-9)) $((n*10)); done\n");
    let mut job = lab.command("rota run --wait count > /dev/null").spawn().unwrap();
    for _ in 0..3 {
        let before = numbers(&lab, "count").len();
        lab.ok("systemctl restart systemd-journald");
        lab.until("lines go on", || {
            (numbers(&lab, "count").len() > before || job.try_wait().unwrap().is_some()).then_some(())
        });
    }
    job.wait().unwrap();
    assert_eq!(numbers(&lab, "count"), (1..=30_000).collect::<Vec<_>>());
}

#[test]
fn e77_a_journald_that_does_not_read_holds_nobody_up_for_ever() {
    let Some(lab) = Lab::with_rotad("e77_a_journald_that_does_not_read_holds_nobody_up_for_ever") else { return };
    lab.arm("count.yaml", "script: seq 20000\n");
    lab.arm("filed.yaml", "script: seq 1000\nlog: file\n");
    lab.ok("systemctl kill --signal STOP systemd-journald");
    let mut job = lab.command("rota run --wait count > /dev/null").spawn().unwrap();
    // Another sink is not held up meanwhile.
    lab.ok("rota run --wait filed > /dev/null");
    let filed = lab.until_ok("test $(wc -l < /var/log/rotad/filed.log) = 1000 && cat /var/log/rotad/filed.log");
    assert_eq!(filed.lines().count(), 1000);
    let ended = lab.until("the job goes on", || job.try_wait().unwrap());
    assert!(ended.success());
    let unsent = lab.read("/var/log/rotad/count.unsent");
    lab.ok("systemctl kill --signal CONT systemd-journald");
    let told = lab.until("it is told", || entries(&lab, "ROTA_CODE=journal-away").pop());
    // Each is in one place or the other, and the count is told.
    let elsewhere: Vec<u64> = unsent.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    let told = told["MESSAGE"].as_str().unwrap().to_owned();
    assert!(
        told.contains(&format!(" {} of them are in /var/log/rotad/*.unsent, 0 were dropped", elsewhere.len())),
        "{told}"
    );
    let mut all = numbers(&lab, "count");
    assert!(!all.is_empty() && !elsewhere.is_empty());
    all.extend(elsewhere);
    assert_eq!(all, (1..=20_000).collect::<Vec<_>>());
    // And it is back.
    run(&lab, "count");
    assert_eq!(numbers(&lab, "count").len() + unsent.lines().count(), 40_000);
    assert_eq!(entries(&lab, "ROTA_CODE=journal-away").len(), 1);
}

#[test]
fn e77_a_slow_journald_hears_of_the_last_runs_too() {
    let Some(lab) = Lab::with_rotad("e77_a_slow_journald_hears_of_the_last_runs_too") else { return };
    for number in 0..300 {
        lab.job(
            &format!("hold-{number}.yaml"),
            "command: sleep\nargs: ['1000']\nschedule: '@every 1s'\non_overlap: queue\n",
        );
    }
    lab.until_ok("test $(rota status --json | grep -o '\"running\":[0-9]*' | cut -d: -f2) = 300");
    // It stops reading, and goes on while the daemon ends: more is said than waits in its socket.
    lab.ok("systemctl kill --signal STOP systemd-journald; (sleep 2; kill -CONT $(pidof systemd-journald)) & \
            systemctl stop rotad; wait");
    let ended = entries(&lab, "ROTA_CODE=stopped").len();
    assert_eq!(ended, 300);
}

#[test]
fn a_killed_engine_doubles_at_most_a_line() {
    let Some(lab) = Lab::with_rotad("a_killed_engine_doubles_at_most_a_line") else { return };
    lab.arm("count.yaml", "script: for n in $(seq 3000); do seq $((n*10-9)) $((n*10)); done\n");
    lab.ok("rota run count");
    let mut kills = 0;
    for _ in 0..3 {
        let before = numbers(&lab, "count").len();
        lab.until("lines come", || (numbers(&lab, "count").len() > before.min(29_000)).then_some(()));
        // The warden is the main process, the engine its child of another user.
        lab.ok("pkill -KILL -u rotad --full engine || pkill -KILL -u rotad rotad");
        kills += 1;
        lab.until_ok("rota status");
    }
    let all = lab.until("all lines are there", || {
        let all = numbers(&lab, "count");
        (all.last() == Some(&30_000)).then_some(all)
    });
    let distinct: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(distinct.len(), 30_000);
    assert!(all.len() <= 30_000 + kills, "{} lines", all.len());
    let pids: BTreeSet<String> =
        entries(&lab, "-t count").iter().map(|entry| entry["ROTA_PID"].as_str().unwrap().to_owned()).collect();
    assert_eq!(pids.len(), 1, "also after its adoption a run's lines have its process id");
    assert!(lab.ok("journalctl --quiet -x ROTA_CODE=engine-replaced").contains("The engine was replaced"));
}

#[test]
fn a_hundred_thousand_lines_are_all_there() {
    let Some(lab) = Lab::with_rotad("a_hundred_thousand_lines_are_all_there") else { return };
    lab.arm("flood.yaml", "script: seq 100000\n");
    let start = Instant::now();
    run(&lab, "flood");
    lab.until("every line", || {
        (lab.ok("journalctl --quiet --sync; journalctl --quiet -t flood -o cat | wc -l") == "100000").then_some(())
    });
    eprintln!("100,000 lines in {:?}", start.elapsed());
    assert_eq!(numbers(&lab, "flood"), (1..=100_000).collect::<Vec<_>>());
}

#[test]
fn the_catalog_explains() {
    let Some(lab) = Lab::with_rotad("the_catalog_explains") else { return };
    lab.arm("bad.yaml", "script: exit 3\n");
    run(&lab, "bad");
    lab.job("broken.yaml", "scrpt: true\n");
    for (code, subject) in [("failure", "Subject: Job bad failed"), ("unknown-key", "Subject: A job file is broken")] {
        let shown = lab.until_ok(&format!(
            "journalctl -x --no-pager ROTA_CODE={code} | grep -q Subject && journalctl -x ROTA_CODE={code}"
        ));
        assert!(shown.contains(subject) && shown.contains("Defined-By: rotad"), "{shown}");
        assert!(!shown.contains("@"), "{shown}");
    }
    let failed = entries(&lab, "ROTA_CODE=failure").remove(0);
    assert_eq!(
        (&failed["ROTA_JOB"], &failed["ROTA_ATTEMPT"], &failed["SYSLOG_IDENTIFIER"]),
        (&"bad".into(), &"1".into(), &"rotad".into())
    );
}

#[test]
fn logs_reads_the_journal_for_what_the_daemon_no_longer_has() {
    let Some(lab) = Lab::with_rotad("logs_reads_the_journal_for_what_the_daemon_no_longer_has") else { return };
    lab.arm("count.yaml", "script: seq 100000\n");
    lab.arm("odd.yaml", "script: printf 'a\\377\\n\\nopen'\n");
    let first = run(&lab, "count");
    let odd = run(&lab, "odd")["run"].as_str().unwrap().to_owned();
    // More than the daemon keeps of a run.
    let count = |subject: &str| lab.ok(&format!("rota logs {subject} | md5sum"));
    let expected = lab.ok("seq 100000 | md5sum");
    lab.until("all is in the journal", || (count("count") == expected).then_some(()));
    assert_eq!(lab.ok("rota logs -n 2 count"), "99999\n100000");

    // Somebody else's words, also in rotad's unit: a job's own.
    let forged = format!(
        "printf 'MESSAGE=forged\\nROTA_JOB=odd\\nROTA_STREAM=stdout\\nROTA_RUN_ID={odd}\\n' | logger --journald"
    );
    lab.ok(&forged);
    lab.arm("liar.yaml", &format!("script: {}\n", serde_json::to_string(&forged).unwrap()));
    run(&lab, "liar");
    lab.until("both lie", || {
        let lies = entries(&lab, "ROTA_JOB=odd").iter().filter(|entry| entry["MESSAGE"] == "forged").count();
        (lies == 2).then_some(())
    });

    lab.ok("systemctl restart rotad");
    assert_eq!(count("count"), expected);
    assert_eq!(count(first["run"].as_str().unwrap()), expected);
    assert_eq!(lab.run("rota logs odd").stdout, b"a\xff\n\nopen");
    let json = lab.ok("rota logs --json odd");
    let records: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&records[0]["base64"], &records[2]["open"]), (&"Yf8=".into(), &true.into()));
    // A job whose file is gone, a time, and what is nowhere.
    lab.ok("rm /etc/rotad/conf.d/odd.yaml");
    lab.until_ok("! rota show odd");
    assert_eq!(lab.run("rota logs odd").stdout, b"a\xff\n\nopen");
    assert_eq!(count("--since=-1h count"), expected);
    assert_eq!(lab.ok("rota logs --until -1h count 2>&1"), "rota: the journal has no lines of that time");
    assert!(lab.ok("rota logs --since --version count 2>&1 || true").contains("journalctl failed"));
    assert!(lab.ok("rota logs never 2>&1 || true").contains("no job"));

    // Who may ask the daemon and not read the journal is told so.
    lab.ok("useradd --no-create-home visitor && echo 'api: {readers: [visitor]}' >> /etc/rotad/rotad.yaml");
    lab.ok("systemctl restart rotad");
    let refused = lab.ok("setpriv --reuid visitor --regid visitor --clear-groups rota logs count 2>&1 || true");
    assert!(refused.contains("you may not read it") && refused.contains("systemd-journal"), "{refused}");
}

#[test]
fn logs_follows_over_a_restart_of_the_daemon() {
    let Some(lab) = Lab::with_rotad("logs_follows_over_a_restart_of_the_daemon") else { return };
    lab.arm("tick.yaml", "script: echo tick\n");
    run(&lab, "tick");
    lab.until("it is in the journal", || (entries(&lab, "-t tick").len() == 1).then_some(()));
    let mut follower = lab.command("rota logs -f tick > /root/followed").spawn().unwrap();
    lab.until_ok("test $(wc -l < /root/followed) = 1");
    lab.ok("systemctl restart rotad");
    run(&lab, "tick");
    lab.until_ok("test $(wc -l < /root/followed) = 2");
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert_eq!(lab.read("/root/followed"), "tick\ntick\n");
}
