//! The service under a real systemd, in a machine of its own (tests/lab).
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;
mod lab;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use common::{Setup, until, until_true};
use lab::Lab;
use serde_json::Value;

/// A job that runs until it is stopped, as a program that can be told from others.
const LONG: &str = "command: holdout\nargs: ['1000']\n";

/// A machine with the daemon, started, in which `holdout` is a program like sleep(1).
fn machine(test: &str) -> Option<Lab> {
    let lab = prepared(test)?;
    lab.start_rotad();
    Some(lab)
}

fn prepared(test: &str) -> Option<Lab> {
    let lab = Lab::boot(test)?;
    lab.install_tree();
    lab.ok("install -m 755 $(command -v sleep) /usr/local/bin/holdout");
    Some(lab)
}

/// Lines for the unit, beside those that it has.
fn drop_in(lab: &Lab, lines: &str) {
    lab.write("/etc/systemd/system/rotad.service.d/test.conf", format!("[Service]\n{lines}\n"), 0o644);
    lab.ok("systemctl daemon-reload");
}

fn show(lab: &Lab, job: &str) -> Value {
    serde_json::from_str(&lab.ok(&format!("rota show {job} --json"))).unwrap()
}

/// Starts a job and answers with its leader's pid.
fn start(lab: &Lab, job: &str) -> u64 {
    lab.ok(&format!("rota run {job}"));
    until(&format!("{job} runs"), || show(lab, job)["running"][0]["pid"].as_u64())
}

fn engine(lab: &Lab) -> String {
    lab.until_ok("pgrep --full '^rotad --engine$'")
}

/// Waits until the journal has a line of the service that says so.
fn until_told(lab: &Lab, text: &str) {
    until_true(&format!("the journal says {text:?}"), || lab.journal().contains(text));
}

#[test]
fn two_machines_at_once_do_not_see_each_other() {
    let test = "two_machines_at_once_do_not_see_each_other";
    let (Some(one), Some(other)) = (Lab::boot(test), Lab::boot(test)) else { return };
    one.write("/root/mark", "one", 0o600);
    other.ok("systemd-run --wait true && ! test -e /root/mark");
    one.ok("systemd-run --unit alone sleep 600");
    other.ok("! systemctl is-active alone");
    drop(one);
    other.ok("systemd-run --wait true");
}

#[test]
fn h106_started_means_armed_and_the_status_line_says_how_things_stand() {
    let Some(lab) = prepared("h106_started_means_armed_and_the_status_line_says_how_things_stand") else { return };
    for number in 0..200 {
        lab.job(&format!("job-{number}.yaml"), "command: 'true'\nschedule: '0 0 1 1 *'\n");
    }
    lab.job("bad.yaml", "comand: true\n");
    lab.start_rotad();
    let list: Value = serde_json::from_str(&lab.ok("rota status --json")).unwrap();
    assert_eq!(list["jobs"], 200);
    let status = lab.until("a status line", || Some(lab.property("StatusText")).filter(|text| text.contains("next")));
    assert!(status.starts_with("200 jobs, 0 running, broken: bad.yaml; next: job-"), "{status}");
    assert!(status.contains(" in "), "{status}");
    assert!(lab.ok("systemctl status --no-pager rotad").contains(&status));
    // The engine is its own user, who knows no way to systemd.
    let engine = engine(&lab);
    assert_eq!(lab.ok(&format!("stat --format %U /proc/{engine}")), "rotad");
    assert!(!lab.ok(&format!("tr '\\0' '\\n' < /proc/{engine}/environ")).contains("NOTIFY"));
    assert_eq!(lab.ok("systemd-analyze verify --man=no rotad.service 2>&1"), "");
    lab.ok("rota check -c /etc/rotad/rotad.yaml /etc/rotad/conf.d/job-1.yaml");
    // Before the first job, and after the last when the machine goes down.
    for unit in ["remote-fs", "nss-user-lookup", "network", "time-set", "time-sync"] {
        assert!(lab.property("After").contains(&format!("{unit}.target")), "{unit}");
    }
}

#[test]
fn a_reload_arms_what_was_edited_and_leaves_what_runs() {
    let Some(lab) = machine("a_reload_arms_what_was_edited_and_leaves_what_runs") else { return };
    lab.arm("long.yaml", LONG);
    let pid = start(&lab, "long");
    lab.job("long.yaml", &format!("{LONG}schedule: '0 0 1 1 *'\n"));
    lab.ok("systemctl reload rotad");
    until_true("the edit is armed", || show(&lab, "long")["schedule"] == "0 0 1 1 *");
    lab.until("the reload is done", || (lab.property("ActiveState") == "active").then_some(()));
    assert_eq!(show(&lab, "long")["running"][0]["pid"], pid);
    // A broken file is seen wherever one looks, and its job goes on.
    lab.job("long.yaml", "command: [\n");
    lab.ok("systemctl reload rotad");
    lab.until_ok("systemctl status --no-pager rotad | grep 'broken: long.yaml'");
    assert!(lab.ok("rota list").contains("long.yaml"));
    assert_eq!(show(&lab, "long")["running"][0]["pid"], pid);
    assert_eq!(show(&lab, "long")["broken"], true);
}

#[test]
fn h107_a_stopped_engine_is_replaced_and_jobs_live() {
    let Some(lab) = prepared("h107_a_stopped_engine_is_replaced_and_jobs_live") else { return };
    drop_in(&lab, "WatchdogSec=10");
    lab.start_rotad();
    lab.arm("long.yaml", LONG);
    let (warden, pid, old) = (lab.property("MainPID"), start(&lab, "long"), engine(&lab));
    lab.ok(&format!("kill -STOP {old}"));
    lab.until("another engine", || Some(engine(&lab)).filter(|new| *new != old));
    lab.until_ok("rota status");
    assert_eq!(show(&lab, "long")["running"][0]["pid"], pid);
    assert_eq!(lab.property("MainPID"), warden);
}

#[test]
fn d73_a_stopped_warden_is_replaced_by_systemd_and_what_was_cut_is_told_as_lost() {
    let Some(lab) = prepared("d73_a_stopped_warden_is_replaced_by_systemd_and_what_was_cut_is_told_as_lost") else {
        return;
    };
    drop_in(&lab, "WatchdogSec=10\nRestartSec=100ms");
    lab.start_rotad();
    lab.arm("long.yaml", LONG);
    lab.arm("short.yaml", "command: 'true'\n");
    lab.ok("rota run short --wait");
    start(&lab, "long");
    lab.until_ok("grep -q ' long$' /var/lib/rotad/running && ! grep -q ' short$' /var/lib/rotad/running");
    let warden = lab.property("MainPID");
    lab.ok(&format!("kill -STOP {warden}"));
    lab.until("another warden", || Some(lab.property("MainPID")).filter(|new| *new != warden && new != "0"));
    lab.until_ok("rota status");
    assert_eq!(show(&lab, "long")["last"]["outcome"], "lost");
    let known = || show(&lab, "short")["last"]["outcome"].as_str().map(str::to_owned);
    assert_eq!(lab.until("the history is open", known), "exited", "what had ended is no loss");
    lab.ok("! pgrep -x holdout");
    until_told(&lab, "long was lost (run ");
    until_told(&lab, "the daemon was killed while it ran");
    // Told once: an engine that is replaced, or a daemon that is restarted, has nothing to tell.
    lab.until_ok("! grep -q ' long$' /var/lib/rotad/running");
    lab.ok("systemctl restart rotad");
    let known = || show(&lab, "long")["last"]["outcome"].as_str().map(str::to_owned);
    assert_eq!(lab.until("the history is open again", known), "lost");
    assert_eq!(lab.journal().matches("long was lost").count(), 1);
}

#[test]
fn d61_d62_a_stop_leaves_nothing_behind_and_tells_how_each_run_ended() {
    let Some(lab) = prepared("d61_d62_a_stop_leaves_nothing_behind_and_tells_how_each_run_ended") else { return };
    lab.write("/etc/rotad/rotad.yaml", "stop_timeout: 1s\n", 0o644);
    lab.start_rotad();
    lab.arm("deaf.yaml", "script: |\n  trap '' TERM\n  holdout 1000 & wait; while :; do holdout 1000; done\n");
    lab.arm("escaped.yaml", "script: |\n  (setsid holdout 1000 >/dev/null 2>&1 &)\n  exec holdout 1000\n");
    start(&lab, "deaf");
    start(&lab, "escaped");
    lab.until_ok("test $(pgrep -xc holdout) -ge 3");
    lab.ok("systemctl stop rotad");
    lab.ok("! pgrep -x holdout");
    assert_eq!(lab.property("Result"), "success");
    until_told(&lab, "deaf was stopped (shutdown) and ended with SIGKILL");
    until_told(&lab, "escaped was stopped (shutdown) and ended with SIGTERM");
}

#[test]
fn h109_a_stop_may_take_longer_than_systemd_knew() {
    let Some(lab) = prepared("h109_a_stop_may_take_longer_than_systemd_knew") else { return };
    drop_in(&lab, "TimeoutStopSec=5");
    lab.write("/etc/rotad/rotad.yaml", "stop_timeout: 1h\n", 0o644);
    lab.start_rotad();
    let script = "trap '' TERM\n  touch /tmp/up; for _ in 1 2 3 4 5; do holdout 2; done\n  echo done > /tmp/kept";
    lab.arm("careful.yaml", &format!("kill_after: 1h\nscript: |\n  {script}\n"));
    start(&lab, "careful");
    lab.until_ok("test -e /tmp/up");
    lab.ok("systemctl stop rotad");
    assert_eq!((lab.property("Result"), lab.ok("cat /tmp/kept")), ("success".into(), "done".into()));
}

#[test]
fn h109_a_second_sigterm_hastens() {
    let Some(lab) = prepared("h109_a_second_sigterm_hastens") else { return };
    lab.write("/etc/rotad/rotad.yaml", "stop_timeout: 1h\n", 0o644);
    lab.start_rotad();
    lab.arm(
        "deaf.yaml",
        "kill_after: 1h\nscript: |\n  trap '' TERM\n  touch /tmp/up; while :; do holdout 1000; done\n",
    );
    start(&lab, "deaf");
    lab.until_ok("test -e /tmp/up");
    lab.ok("systemctl stop --no-block rotad");
    until_told(&lab, "once more to kill them at once");
    lab.ok("systemctl kill --kill-who=main --signal=TERM rotad");
    lab.until("it has stopped", || (lab.property("ActiveState") == "inactive").then_some(()));
    lab.ok("! pgrep -x holdout");
}

#[test]
fn h112_a_restart_under_load_goes_on_where_it_was() {
    let Some(lab) = prepared("h112_a_restart_under_load_goes_on_where_it_was") else { return };
    for number in 0..50 {
        lab.job(&format!("tick-{number}.yaml"), "command: 'true'\nschedule: '@every 1s'\n");
    }
    lab.start_rotad();
    let ran = || -> u64 {
        let status: Value = serde_json::from_str(&lab.ok("rota status --json")).unwrap();
        status["outcomes"]["success"].as_u64().unwrap_or(0)
    };
    for _ in 0..3 {
        until_true("jobs run", || ran() >= 60);
        lab.ok("systemctl restart rotad");
    }
    until_true("jobs run after the last restart", || ran() >= 60);
    assert_eq!(lab.property("NRestarts"), "0");
    let journal = lab.journal();
    assert!(!journal.contains("error") && !journal.contains("lost"), "{journal}");
}

#[test]
fn h110_other_signals_do_not_end_the_daemon() {
    let Some(lab) = machine("h110_other_signals_do_not_end_the_daemon") else { return };
    let warden = lab.property("MainPID");
    for signal in ["USR1", "PIPE", "HUP", "CHLD"] {
        lab.ok(&format!("kill -{signal} {warden}"));
        lab.ok("rota status");
    }
    assert_eq!((lab.property("MainPID"), lab.property("NRestarts")), (warden, "0".into()));
}

#[test]
fn a_killed_daemon_comes_back_and_a_wrong_configuration_is_not_tried_again() {
    let Some(lab) = machine("a_killed_daemon_comes_back_and_a_wrong_configuration_is_not_tried_again") else { return };
    let warden = lab.property("MainPID");
    lab.ok(&format!("kill -KILL {warden}"));
    lab.until("another warden", || Some(lab.property("MainPID")).filter(|new| *new != warden && new != "0"));
    lab.until_ok("rota status");
    lab.ok("systemctl stop rotad");
    lab.write("/etc/rotad/rotad.yaml", "no_such_key: 1\n", 0o644);
    lab.ok("! systemctl start rotad");
    assert_eq!((lab.property("ActiveState"), lab.property("ExecMainStatus")), ("failed".into(), "78".into()));
    assert!(lab.journal().contains("no_such_key"));
    // One that is gone says nothing: every default holds, and no other jobs come from wherever it was started.
    lab.ok("rm /etc/rotad/rotad.yaml && mkdir /conf.d && echo 'command: id' > /conf.d/planted.yaml");
    lab.start_rotad();
    lab.arm("hello.yaml", "command: 'true'\n");
    lab.ok("! rota show planted && cd / && rota check | grep 'checked 1 file'");
}

#[test]
fn h114_a_new_program_is_taken_up_under_running_jobs() {
    let Some(lab) = prepared("h114_a_new_program_is_taken_up_under_running_jobs") else { return };
    drop_in(&lab, "WatchdogSec=10");
    lab.start_rotad();
    let take_up = "systemctl kill --kill-who=main --signal=SIGUSR2 rotad.service";
    let inode = |path: &str| lab.ok(&format!("stat --dereference --format %i {path}"));
    let replace = |program: &str, mode: &str| {
        lab.ok(&format!("install -m {mode} {program} /usr/sbin/rotad.new && mv /usr/sbin/rotad.new /usr/sbin/rotad"));
    };
    lab.arm(
        "long.yaml",
        "script: |\n  echo before\n  while ! test -e /tmp/go; do holdout 0.05; done\n  echo after\n  exit 7\n",
    );
    let warden = lab.property("MainPID");
    let pid = start(&lab, "long");
    let run = show(&lab, "long")["running"][0]["run"].as_str().unwrap().to_owned();
    let old = engine(&lab);
    lab.ok("cp /usr/sbin/rotad /root/rotad");

    replace("/root/rotad", "755");
    lab.ok(take_up);
    until_told(&lab, "the engine runs the new program /usr/sbin/rotad");
    let new = engine(&lab);
    assert_ne!(new, old);
    assert_eq!(inode(&format!("/proc/{new}/exe")), inode("/usr/sbin/rotad"));
    assert_ne!(inode(&format!("/proc/{warden}/exe")), inode("/usr/sbin/rotad"));
    assert_eq!(show(&lab, "long")["running"][0]["pid"], pid);

    // What others could have written is not executed, and the engine stays.
    replace("/root/rotad", "777");
    lab.ok(take_up);
    until_told(&lab, "is not taken up: it belongs to another user, or others may write to it");
    assert_eq!(engine(&lab), new);

    // What does not come up gives way to the one before: it ends, it is no program, it hangs, it speaks another version.
    let mut broken = vec!["/bin/false", "/etc/hostname"];
    lab.write("/root/hangs.c", "#include <unistd.h>\nint main(void) { for (;;) pause(); }", 0o644);
    let hello = "#include <sys/socket.h>\n#include <unistd.h>\nint main(void) { send(3, \"\\0\\347\\7\", 3, 0); for (;;) pause(); }";
    lab.write("/root/other.c", hello, 0o644);
    if lab.run("cd /root && cc -o hangs hangs.c && cc -o other other.c").status.success() {
        broken.extend(["/root/hangs", "/root/other"]);
    }
    for broken in broken {
        let told = lab.journal().matches("back to the one before").count();
        let good = inode(&format!("/proc/{}/exe", engine(&lab)));
        replace(broken, "755");
        lab.ok(take_up);
        until_true("the old program is back", || lab.journal().matches("back to the one before").count() > told);
        lab.until_ok("rota status");
        assert_eq!(inode(&format!("/proc/{}/exe", engine(&lab))), good, "{broken}");
    }

    if lab.run("test -x /root/other").status.success() {
        until_told(&lab, "the engine speaks version 999, the warden ");
    }

    lab.ok("touch /tmp/go");
    until_true("the run is over", || show(&lab, "long")["running"].as_array().unwrap().is_empty());
    let last = &show(&lab, "long")["last"];
    assert_eq!((last["run"].as_str(), &last["exit"]["code"]), (Some(run.as_str()), &Value::from(7)), "{last}");
    let text = lab.ok("rota logs long");
    assert!(text.contains("before") && text.contains("after"), "{text}");
    assert_eq!((lab.property("MainPID"), lab.property("NRestarts")), (warden, "0".into()));
}

#[test]
fn a_job_cannot_speak_to_systemd_in_the_daemons_name() {
    let Some(lab) = machine("a_job_cannot_speak_to_systemd_in_the_daemons_name") else { return };
    lab.arm("env.yaml", "script: env\n");
    assert!(!lab.ok("rota run --wait env").contains("NOTIFY"));
    lab.arm(
        "liar.yaml",
        "environment: {NOTIFY_SOCKET: /run/systemd/notify}\nscript: |\n  systemd-notify --status=EVIL --reloading; systemd-notify --pid=1 MAINPID=1 STOPPING=1; exit 0\n",
    );
    let warden = lab.property("MainPID");
    lab.ok("rota run --wait liar");
    // A line of our own comes after what was sent before it.
    lab.arm("another.yaml", LONG);
    let status = lab
        .until("the status is renewed", || Some(lab.property("StatusText")).filter(|text| text.starts_with("3 jobs")));
    assert!(!status.contains("EVIL"), "{status}");
    assert_eq!((lab.property("MainPID"), lab.property("ActiveState")), (warden, "active".into()));
}

#[test]
fn h108_an_abstract_notify_socket_hears_ready_and_stopping() {
    let name = format!("rotad-test-{}", std::process::id());
    let systemd = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut buffer = [0; 4096];
    let mut heard = |wanted: &str| loop {
        let length = systemd.recv(&mut buffer).expect(wanted);
        if String::from_utf8_lossy(&buffer[..length]).starts_with(wanted) {
            return;
        }
    };
    let variable = format!("NOTIFY_SOCKET=@{name}");
    let mut daemon = Setup::new("").job("a.yaml", "command: 'true'\n").through(&["env", &variable]).spawn();
    heard("READY=1");
    heard("STATUS=1 job, 0 running");
    assert_eq!(daemon.json(&["status"])["jobs"], 1);
    assert!(daemon.stop().success());
    heard("STOPPING=1");
    // And one that nobody listens at is no reason not to start.
    let mut daemon = Setup::new("").through(&["env", "NOTIFY_SOCKET=@nobody-listens-here"]).start();
    assert!(daemon.stop().success());
}
