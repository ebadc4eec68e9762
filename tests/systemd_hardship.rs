//! Hard days of the service: memory runs out, it is stopped under load, the machine boots again, its zone changes. In a
//! machine of its own (tests/lab).
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;
mod lab;

use common::until_true;
use lab::Lab;
use serde_json::Value;

/// Entries of the journal that match.
fn entries(lab: &Lab, matches: &str) -> Vec<Value> {
    let text = lab.ok(&format!("journalctl --quiet --sync; journalctl --quiet --all --output json {matches}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn show(lab: &Lab, job: &str) -> Value {
    serde_json::from_str(&lab.ok(&format!("rota show {job} --json"))).unwrap()
}

#[test]
fn h113_a_job_that_eats_the_services_memory_dies_alone() {
    let test = "h113_a_job_that_eats_the_services_memory_dies_alone";
    let Some(lab) = Lab::boot(test) else { return };
    lab.install_tree();
    let drop_in = "[Service]\nMemoryMax=200M\nMemorySwapMax=0\n";
    lab.write("/etc/systemd/system/rotad.service.d/test.conf", drop_in, 0o644);
    lab.ok("systemctl daemon-reload");
    lab.start_rotad();
    if !lab.run("systemctl status --no-pager rotad | grep 'Memory:.*max: 200.0M'").status.success() {
        eprintln!("{test} skipped: why: the machine's systemd has no memory controller");
        return;
    }
    lab.arm("hold.yaml", "command: sleep\nargs: ['1000']\n");
    lab.arm("eats.yaml", "command: perl\nargs: [-e, '$x = \"a\"; $x .= $x while 1']\n");
    let processes = "systemctl show --property MainPID --value rotad; pgrep -fx 'rotad --engine'; pgrep -x sleep";
    lab.ok("rota run hold");
    let before = lab.until_ok(processes);
    for _ in 0..3 {
        assert_eq!(lab.run("rota run --wait eats").status.code(), Some(137));
    }
    assert_eq!(lab.ok(processes), before, "the warden, the engine and the other job");
    assert_eq!((lab.property("ActiveState"), lab.property("NRestarts")), ("active".into(), "0".into()));
}

#[test]
fn h112_a_restart_tells_of_every_run_that_it_stopped() {
    let Some(lab) = Lab::with_rotad("h112_a_restart_tells_of_every_run_that_it_stopped") else { return };
    for number in 0..50 {
        lab.job(&format!("tick-{number}.yaml"), "script: sleep 0.3; echo line\nschedule: '@every 1s'\n");
    }
    (0..5).for_each(|number| lab.arm(&format!("long-{number}.yaml"), "script: echo line; exec sleep 1000\n"));
    for _ in 0..2 {
        lab.ok("for n in 0 1 2 3 4; do rota run long-$n; done");
        let lines = entries(&lab, "ROTA_STREAM=stdout").len();
        until_true("jobs run", || entries(&lab, "ROTA_STREAM=stdout").len() > lines + 100);
        lab.ok("systemctl restart rotad");
    }
    lab.ok("systemctl stop rotad");
    let said = entries(&lab, "SYSLOG_IDENTIFIER=rotad");
    let runs = |words: &[&str]| -> Vec<&str> {
        let has = |entry: &&Value| words.iter().any(|word| entry["MESSAGE"].as_str().unwrap().contains(word));
        let mut runs: Vec<_> = said.iter().filter(has).filter_map(|entry| entry["ROTA_RUN_ID"].as_str()).collect();
        runs.sort_unstable();
        runs
    };
    let started = runs(&["started "]);
    assert!(started.len() > 200, "{}", started.len());
    assert_eq!(started, runs(&[" succeeded ", " was stopped (shutdown) "]), "each has one outcome");
    let stopped: Vec<&Value> = said.iter().filter(|entry| entry["ROTA_CODE"] == "stopped").collect();
    let long = stopped.iter().filter(|entry| entry["ROTA_JOB"].as_str().unwrap().starts_with("long-"));
    assert_eq!(long.count(), 10, "{stopped:?}");
}

#[test]
fn the_next_boot_finds_its_state_and_starts_what_a_boot_starts() {
    let Some(lab) = Lab::with_rotad("the_next_boot_finds_its_state_and_starts_what_a_boot_starts") else { return };
    // A kernel is not booted anew here; rotad knows that only from this file.
    lab.ok("cp /proc/sys/kernel/random/boot_id /run/boot-id");
    let drop_in = "[Service]\nBindReadOnlyPaths=/run/boot-id:/proc/sys/kernel/random/boot_id\n";
    lab.write("/etc/systemd/system/rotad.service.d/test.conf", drop_in, 0o644);
    lab.ok("systemctl daemon-reload && systemctl enable rotad && systemctl restart rotad");
    lab.arm("boot.yaml", "command: echo\nargs: [booted]\nschedule: '@reboot'\ndialect: vixie\n");
    lab.arm("tick.yaml", "command: echo\nargs: [tick]\nschedule: '@every 1s'\n");
    lab.ok(
        "curl -sSf -X POST --unix-socket /run/rotad/rotad.sock 'http://rotad/rotad/v1/jobs/tick/pause?reason=moved'",
    );
    lab.until_ok("journalctl -u rotad | grep 'armed   boot  @reboot .*when the machine starts'");
    let booted = || entries(&lab, "-t boot").len();
    lab.ok("systemctl restart rotad");
    let first = booted();
    for boot in 1..=2 {
        lab.ok("systemctl stop rotad && cat /proc/sys/kernel/random/uuid > /run/boot-id && rm -r /run/rotad");
        lab.ok("systemd-tmpfiles --create --boot && systemctl start multi-user.target");
        until_true("what a boot starts", || booted() == first + boot);
        lab.ok("systemctl restart rotad && systemctl kill --kill-who=main --signal=SIGUSR2 rotad");
        lab.until_ok("journalctl -u rotad | grep 'engine runs the new program'");
    }
    assert_eq!(booted(), first + 2, "once a boot");
    assert_eq!(show(&lab, "tick")["pause"]["reason"], "moved", "{}", show(&lab, "tick"));
}

#[test]
fn a5_a_reload_takes_another_zone_of_the_machine() {
    let Some(lab) = Lab::boot("a5_a_reload_takes_another_zone_of_the_machine") else { return };
    lab.install_tree();
    if !lab.path("/usr/share/zoneinfo/Asia/Tokyo").exists() {
        eprintln!("a5_a_reload_takes_another_zone_of_the_machine skipped: why: no time zone database is installed");
        return;
    }
    let set = |zone: &str| lab.ok(&format!("ln -sfn /usr/share/zoneinfo/{zone} /etc/localtime"));
    set("Etc/UTC");
    lab.start_rotad();
    lab.arm("a.yaml", "command: 'true'\nschedule: '30 2 * * *'\n");
    lab.arm("b.yaml", "command: 'true'\nschedule: '30 2 * * *'\ntimezone: Europe/Berlin\n");
    let (zone, berlin) = (|| show(&lab, "a")["timezone"].clone(), show(&lab, "b"));
    assert_eq!(zone(), "Etc/UTC");
    set("Asia/Tokyo");
    lab.ok("systemctl reload rotad");
    until_true("the job follows", || zone() == "Asia/Tokyo");
    assert!(show(&lab, "a")["next"].as_str().unwrap().contains("T17:30:00"), "{}", show(&lab, "a"));
    assert_eq!(show(&lab, "b")["next"], berlin["next"]);
    set("Etc/UTC");
    lab.ok("rota reload");
    assert_eq!(zone(), "Etc/UTC");
}

#[test]
fn every_event_has_its_fields_and_its_explanation() {
    let Some(lab) = Lab::with_rotad("every_event_has_its_fields_and_its_explanation") else { return };
    lab.arm("bad.yaml", "script: exit 3\n");
    lab.arm("slow.yaml", "command: sleep\nargs: ['1000']\nschedule: '@every 1s'\n");
    lab.job("broken.yaml", "comand: x\n");
    lab.run("rota run --wait bad");
    for (matches, fields, subject) in [
        ("ROTA_CODE=failure", &["ROTA_JOB", "ROTA_RUN_ID", "ROTA_ATTEMPT"][..], "Job bad failed"),
        ("ROTA_CODE=skipped", &["ROTA_JOB"], "A slot of job slow was skipped"),
        ("ROTA_CODE=unknown-key", &["ROTA_FILE"], "A job file is broken"),
    ] {
        let entry = lab.until(matches, || entries(&lab, matches).pop());
        for field in [&["SYSLOG_IDENTIFIER", "MESSAGE_ID", "PRIORITY", "SYSLOG_FACILITY"], fields].concat() {
            assert!(entry[field].is_string(), "{field} in {entry}");
        }
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "rotad");
        let shown = lab.ok(&format!("journalctl --no-pager --quiet -x {matches}"));
        assert!(shown.contains(&format!("Subject: {subject}\n")) && !shown.contains('@'), "{shown}");
    }
}
