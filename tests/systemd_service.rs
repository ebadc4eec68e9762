//! The service under a real systemd, in a machine of its own (tests/lab).
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;
mod lab;

use lab::Lab;

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
fn the_service_starts_and_stops() {
    let Some(lab) = Lab::with_rotad("the_service_starts_and_stops") else { return };
    assert_eq!(lab.property("ActiveState"), "active");
    lab.arm("hello.yaml", "command: echo\nargs: [hello]\n");
    assert_eq!(lab.ok("rota run hello --wait"), "hello");
    lab.ok("systemctl stop rotad");
    assert_eq!(lab.property("Result"), "success");
}

#[test]
fn jobs_under_the_hardened_unit_can_do_what_backups_do() {
    let Some(lab) = Lab::boot("jobs_under_the_hardened_unit_can_do_what_backups_do") else { return };
    lab.install_tree();
    lab.ok("useradd --create-home backup-job && install -m 600 -o backup-job /dev/null /home/backup-job/secret");
    lab.ok("echo treasure > /home/backup-job/secret");
    lab.ok("install -m 4755 /usr/bin/id /usr/local/bin/root-id");
    lab.write("/etc/rotad/rotad.yaml", "jobs_user: backup-job\n", 0o644);
    lab.start_rotad();
    let rating = lab.ok("systemd-analyze security --no-pager rotad.service | tail -n 1");
    let exposure: f64 = rating.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(exposure <= 5.0, "{rating}");

    for (name, script, expected) in [
        ("reads", "cat ~/secret", "treasure"),
        ("writes", "echo kept > /var/tmp/kept && cat /var/tmp/kept", "kept"),
        ("connects", "X", "met"),
        ("yields", "nice -n 5 nice", "5"),
        ("set-uid", "root-id -u", "0"),
        ("tunes-nothing", "echo 1 > /proc/sys/vm/drop_caches || echo refused", "refused"),
        ("groups", "cut -d: -f3 /proc/self/cgroup | tail -n 1 | grep -o 'rotad.service/run-' ", "rotad.service/run-"),
    ] {
        lab.arm(&format!("{name}.yaml"), &format!("script: |\n  {script}\n"));
        assert_eq!(
            lab.ok(&format!("rota run --wait {name} 2>/root/stderr || {{ cat /root/stderr; exit 1; }}")),
            expected,
            "{name}"
        );
    }
    // For those who ask for it.
    lab.arm("closed.yaml", "command: root-id\nargs: [-u]\nno_new_privs: true\n");
    assert_ne!(lab.ok("rota run --wait closed"), "0");
}
