//! What jobs can do under the unit's sandbox, and what not, in a machine with a real systemd (tests/lab).
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;
mod lab;

use lab::Lab;

/// Lines for the unit, beside those that it has.
fn drop_in(lab: &Lab, lines: &str) {
    lab.write("/etc/systemd/system/rotad.service.d/test.conf", format!("[Service]\n{lines}\n"), 0o644);
    lab.ok("systemctl daemon-reload");
}

/// Runs a job of this user to its end; what it printed.
fn output(lab: &Lab, name: &str, user: &str, script: &str) -> String {
    lab.arm(&format!("{name}.yaml"), &format!("user: {user}\nscript: {}\n", serde_json::to_string(script).unwrap()));
    let output = lab.run(&format!("rota run --wait {name}"));
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

#[test]
fn jobs_under_the_hardened_unit_can_do_what_backups_do() {
    let Some(lab) = Lab::boot("jobs_under_the_hardened_unit_can_do_what_backups_do") else { return };
    lab.install_tree();
    lab.ok("useradd --create-home backup-job && install -m 600 -o backup-job /dev/null /home/backup-job/secret");
    lab.ok("echo treasure > /home/backup-job/secret");
    lab.ok("install -m 4755 $(command -v id) /usr/local/bin/root-id");
    lab.write("/etc/rotad/rotad.yaml", "jobs_user: backup-job\n", 0o644);
    lab.start_rotad();
    let rating = lab.ok("systemd-analyze security --no-pager rotad.service | tail -n 1");
    let exposure: f64 = rating.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(exposure <= 5.0, "{rating}");
    let unit = include_str!("../systemd/rotad.service");
    let table = lab.ok("systemd-analyze security --no-pager rotad.service");
    let open: Vec<&str> = table.lines().filter_map(|line| line.trim_start().strip_prefix("✗ ")).collect();
    assert!(open.len() > 10, "{table}");
    for open in open {
        for directive in open.split_whitespace().next().unwrap().split('/') {
            let name = directive.split_inclusive('=').next().unwrap();
            assert!(unit.contains(name) || name == "DynamicUser=" || name == "RootImage=", "{open}: no word about it");
        }
    }
    for (name, value) in
        [("OOMPolicy", "continue"), ("LimitNOFILE", "65536"), ("KillMode", "mixed"), ("Delegate", "yes")]
    {
        assert_eq!(lab.property(name), value, "{name}");
    }

    let meet = "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\") or die; \
                IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $s->sockport) or die; print \"met\"'";
    let own = "awk -F: '/rotad.service/ { print $3 }' /proc/self/cgroup | grep -o 'rotad.service/run-[0-9a-z]*$' | cut -c 1-18";
    for (name, script, expected) in [
        ("reads", "cat ~/secret", "treasure"),
        ("writes", "echo kept > /var/tmp/kept && cat /var/tmp/kept", "kept"),
        ("connects", meet, "met"),
        ("yields", "nice -n 5 nice", "5"),
        ("set-uid", "root-id -u", "0"),
        ("sees-processes", "pgrep -x systemd", "1"),
        ("own-cgroup", own, "rotad.service/run-"),
        ("cannot-write-programs", "root-id >/dev/null; touch /usr/local/bin/x 2>/dev/null || echo no", "no"),
        ("cannot-unshare", "unshare --user true 2>/dev/null || echo no", "no"),
    ] {
        lab.arm(&format!("{name}.yaml"), &format!("script: |\n  {script}\n"));
        let output = lab.run(&format!("rota run --wait {name}"));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{name}: {output:?}");
    }
    // What an administrator opens is open.
    drop_in(&lab, "RestrictNamespaces=no\nSystemCallFilter=@mount\nProtectSystem=no");
    lab.ok("systemctl restart rotad");
    lab.arm("unshares.yaml", "script: unshare --user --map-root-user --mount chroot / id -u\n");
    assert_eq!(lab.ok("rota run --wait unshares"), "0");
    lab.arm("closed.yaml", "command: root-id\nargs: [-u]\nno_new_privs: true\n");
    assert_ne!(lab.ok("rota run --wait closed"), "0", "for those who ask for it");
}

#[test]
fn jobs_of_root_can_back_up_and_restore() {
    let Some(lab) = Lab::boot("jobs_of_root_can_back_up_and_restore") else { return };
    lab.install_tree();
    lab.ok("useradd --create-home dba");
    lab.ok(
        "echo treasure > /home/dba/secret; chown dba /home/dba/secret; chmod 600 /home/dba/secret; chmod 700 /home/dba",
    );
    lab.ok("install -d -o dba -m 750 /var/backups/dba && install -m 4755 $(command -v id) /home/dba/root-id");
    lab.write("/etc/rotad/rotad.yaml", "allowed_users: [dba]\nallow_root_jobs: true\n", 0o644);
    lab.start_rotad();
    let raw = "perl -MSocket -e 'socket(S, PF_INET, SOCK_RAW, 1) or die $!; print \"open\"'";
    let many = "perl -e 'for (1 .. 5000) { defined($p = fork) or die $!; $p or exec \"sleep\", 60; } print \"forked\"'; \
                pkill -x sleep";
    let most = lab
        .ok("grep 'Max open files' /proc/$(systemctl show --property MainPID --value rotad)/limits | awk '{print $5}'");
    let (files, files_seen) = (format!("ulimit -n {most}; ulimit -n"), most.as_str());
    let restore = "umask 077; tar --create --gzip --file /root/home.tgz --directory / home/dba && mkdir /srv/back && \
                   tar --extract --preserve-permissions --file /root/home.tgz --directory /srv/back && \
                   stat --format '%U %a' /srv/back/home/dba/secret /srv/back/home/dba/root-id";
    for (name, user, script, expected) in [
        ("reads", "root", "cat /home/dba/secret", "treasure"),
        ("restores", "root", restore, "dba 600\nroot 4755"),
        ("keeps", "dba", "tar czf /var/backups/dba/x.tgz -C / etc/hostname && ls /var/backups/dba", "x.tgz"),
        ("pings", "root", raw, "open"),
        ("hurries", "root", "nice -n -5 nice", "-5"),
        ("configures", "root", "touch /etc/renewed && ls /etc/renewed", "/etc/renewed"),
        ("forks", "dba", many, "forked"),
        ("opens", "dba", &files, files_seen),
        ("no-cores", "dba", "ulimit -c", "0"),
        ("shares-tmp", "dba", "echo real > /tmp/from-a-job && ls -d /home/dba", "/home/dba"),
        ("devices", "dba", "head -c 3 /dev/zero | wc -c; test -e /dev/full && echo there", "3\nthere"),
        ("no-device-nodes", "root", "mknod /srv/null c 1 3 2>/dev/null || echo no", "no"),
        ("no-kernel-log", "root", "dmesg >/dev/null 2>&1 || echo no", "no"),
        ("no-real-time", "root", "chrt --fifo 1 true 2>/dev/null || echo no", "no"),
        ("no-packets", "root", "perl -MSocket -e 'print socket(S, 17, SOCK_RAW, 0) ? 1 : \"no\"'", "no"),
    ] {
        assert_eq!(output(&lab, name, user, script), expected, "{name}");
    }
    assert_eq!(lab.ok("cat /tmp/from-a-job"), "real", "sockets of databases are there: it is the one that all have");
    lab.arm("cores.yaml", "user: dba\nlimits: {core: unlimited}\nscript: ulimit -c\n");
    assert_eq!(lab.ok("rota run --wait cores"), "unlimited");

    // What the page says for each.
    drop_in(&lab, "CapabilityBoundingSet=CAP_MKNOD\nRestrictAddressFamilies=AF_PACKET");
    lab.ok("systemctl restart rotad");
    assert_eq!(output(&lab, "device-nodes", "root", "mknod /srv/null c 1 3 && echo yes"), "yes");
    let packets = "perl -MSocket -e 'print socket(S, 17, SOCK_RAW, 0) ? \"yes\" : $!'";
    assert_eq!(output(&lab, "packets", "root", packets), "yes");
}

#[test]
fn every_line_that_the_page_opens_the_sandbox_with_is_known_to_systemd() {
    let Some(lab) = Lab::boot("every_line_that_the_page_opens_the_sandbox_with_is_known_to_systemd") else { return };
    lab.install_tree();
    let page = include_str!("../man/rotad.8");
    let lines = page.split(".Bd -literal -offset indent\n[Service]\n").nth(1).unwrap().split(".Ed").next().unwrap();
    drop_in(&lab, lines);
    assert_eq!(lab.ok("systemd-analyze verify --man=no rotad.service 2>&1"), "");
    lab.start_rotad();
}

#[test]
fn e83_what_a_job_prints_is_for_few_eyes() {
    let Some(lab) = Lab::with_rotad("e83_what_a_job_prints_is_for_few_eyes") else { return };
    lab.arm("leaks.yaml", "script: echo PASSWORD; exec sleep 1000\nlog: file\n");
    lab.arm("tells.yaml", "script: echo PASSWORD\n");
    lab.ok("useradd --no-create-home visitor && rota run leaks && rota run --wait tells");
    lab.until_ok("grep PASSWORD /var/log/rotad/leaks.log");
    let visitor = "setpriv --reuid visitor --regid visitor --clear-groups";
    let seen = lab.run(&format!(
        "{visitor} sh -c 'rota logs leaks; rota logs tells; journalctl -q -t tells; \
         grep -rs PASSWORD /var/log/rotad /var/lib/rotad /run /proc/[0-9]*/fd'"
    ));
    assert!(!String::from_utf8_lossy(&seen.stdout).contains("PASSWORD"), "{seen:?}");
    // Those who may read the journal see it as it was printed: nothing is guessed at and taken out.
    assert_eq!(lab.ok("journalctl -q -t tells -o cat"), "PASSWORD");
}
