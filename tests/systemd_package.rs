//! The Debian package in a machine of its own (tests/lab): installed, upgraded under a running job, removed, purged.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;
mod lab;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use lab::Lab;

const DPKG: &str = "DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold";
/// All that a package may have put somewhere. What the system itself writes as it runs is left out.
const LISTING: &str = "find /etc /usr /var /run \\( -path /var/lib/dpkg -o -path /var/log/journal -o -path /run/log \
    -o -path /run/systemd -o -path /run/dbus -o -path /run/credentials \\) -prune -o -print | sort";
/// What bears the name, wherever.
const NAMED: &str =
    "find /etc /usr /var /run /tmp -name '*rotad*' -o -name 'rota.*' -o -name rota -o -name _rota | sort";
/// The engine's process.
const ENGINE: &str =
    "grep -lzx -e '--engin[e]' /proc/[0-9]*/cmdline 2>/dev/null | sed -n 's,^/proc/\\([0-9]*\\)/.*,\\1,p'";

/// Runs a program of this host to its end.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// cargo-deb, where `cargo install` puts it or where PATH has it.
fn cargo_deb() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(home.map(|home| home.join("bin")));
    places.map(|place| place.join("cargo-deb")).find(|program| program.is_file())
}

/// The package of the programs under test, and a later one: other programs and another rotad.yaml.
fn packages(cargo_deb: &Path, dir: &Path) -> [PathBuf; 2] {
    // cargo-deb takes programs from where a release build would have put them.
    let release = dir.join("release");
    fs::create_dir(&release).unwrap();
    for program in [env!("CARGO_BIN_EXE_rotad"), env!("CARGO_BIN_EXE_rota")] {
        fs::copy(program, release.join(Path::new(program).file_name().unwrap())).unwrap();
    }
    let [one, two] = ["one.deb", "two.deb"].map(|name| dir.join(name));
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    run(Command::new(cargo_deb)
        .args(["--no-build", "--strip", "--fast", "--offline", "--manifest-path", manifest, "--output"])
        .arg(&one)
        .env("CARGO_TARGET_DIR", dir));
    let tree = dir.join("tree");
    run(Command::new("dpkg-deb").arg("--raw-extract").args([&one, &tree]));
    append(&tree.join("usr/sbin/rotad"), "\n");
    append(&tree.join("etc/rotad/rotad.yaml"), "# another word\n");
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let version = text.lines().find(|line| line.starts_with("Version: ")).unwrap();
    fs::write(&control, text.replace(version, &format!("{version}+later"))).unwrap();
    run(Command::new("dpkg-deb").args(["-Zgzip", "-z1", "--root-owner-group", "--build"]).args([&tree, &two]));
    [one, two]
}

fn append(path: &Path, text: &str) {
    let bytes = [fs::read(path).unwrap(), text.into()].concat();
    fs::write(path, bytes).unwrap();
}

/// A machine with both packages in /root.
fn machine(test: &str) -> Option<Lab> {
    let Some(cargo_deb) = cargo_deb() else {
        eprintln!("{test} skipped: why: cargo-deb is not installed (cargo install cargo-deb --locked)");
        return None;
    };
    let lab = Lab::boot(test)?;
    static PACKAGES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let packages = PACKAGES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        packages(&cargo_deb, dir.path()).map(|package| fs::read(package).unwrap())
    });
    for (package, name) in packages.iter().zip(["one", "two"]) {
        lab.write(&format!("/root/{name}.deb"), package, 0o644);
    }
    // What a daemon on this host has left; and images of containers say with it that no service is to be started.
    lab.ok("rm -rf /etc/rotad /var/lib/rotad /var/log/rotad /usr/sbin/policy-rc.d");
    // The index of all manuals of this host is not made anew for four pages.
    lab.ok("rm -f /var/lib/man-db/auto-update");
    // The first change of users leaves a backup of each of its files; that is not the package's.
    lab.ok("useradd --system somebody && userdel somebody");
    Some(lab)
}

#[test]
fn h114_an_upgrade_goes_on_with_the_jobs() {
    let Some(lab) = machine("h114_an_upgrade_goes_on_with_the_jobs") else { return };
    lab.ok(&format!("{DPKG} -i /root/one.deb"));
    lab.ok("systemctl is-active rotad && systemctl is-enabled rotad");
    let asked = "perl -e 'do \"/etc/needrestart/conf.d/rotad.conf\"; print \"$_ \" for %{$nrconf{override_rc}}'";
    assert_eq!(lab.ok(asked).trim(), r"(?^:^rotad\.service$) 0", "a new library ends no job");
    assert_eq!(lab.ok("stat -c '%U %a' /etc/rotad/conf.d /var/lib/rotad"), "root 755\nrotad 750");
    lab.arm("hello.yaml", "command: echo\nargs: [hello]\n");
    assert_eq!(lab.ok("rota run --wait hello"), "hello");
    lab.arm("long.yaml", "script: until [ -e /tmp/go ]; do sleep 0.1; done; exit 7\n");
    lab.ok("rota run long");
    let running = "rota show long --json | grep -o '\"pid\": *[0-9][0-9]*'";
    let job = lab.until_ok(running);
    let (warden, engine) = (lab.property("MainPID"), lab.ok(ENGINE));
    lab.ok("echo 'stop_timeout: 30s' >> /etc/rotad/rotad.yaml");

    let said = lab.ok(&format!("{DPKG} -i /root/two.deb"));
    assert!(said.contains("systemctl restart rotad"), "{said}");
    // The old one may still be on its way out, or the new one on trial.
    lab.until("the engine is another", || {
        let engines = lab.ok(ENGINE);
        (engines.lines().count() == 1 && engines != engine).then_some(())
    });
    assert_eq!(lab.until_ok(running), job, "the job goes on");
    assert_eq!(lab.property("MainPID"), warden);
    lab.ok(&format!("cmp /proc/$({ENGINE})/exe /usr/sbin/rotad"));
    lab.ok("! cmp -s /proc/$(systemctl show --property MainPID --value rotad)/exe /usr/sbin/rotad");
    lab.ok("touch /tmp/go");
    lab.until_ok("rota show long --json | tr -d ' \\n' | grep -q '\"code\":7'");
    assert!(lab.read("/etc/rotad/rotad.yaml").ends_with("stop_timeout: 30s\n"), "what the administrator wrote stays");

    lab.ok("systemctl restart rotad");
    lab.ok("cmp /proc/$(systemctl show --property MainPID --value rotad)/exe /usr/sbin/rotad");
    assert_eq!(lab.ok("rota run --wait hello"), "hello");
    let said = lab.ok(&format!("{DPKG} -i /root/two.deb"));
    assert!(!said.contains("systemctl restart"), "nothing has changed: {said}");
    lab.ok("systemctl disable --now rotad");
    lab.ok(&format!("{DPKG} -i /root/one.deb"));
    lab.ok("! systemctl is-active rotad && ! systemctl is-enabled rotad");
}

#[test]
fn a_purge_leaves_no_trace() {
    let Some(lab) = machine("a_purge_leaves_no_trace") else { return };
    let (before, named) = (lab.ok(LISTING), lab.ok(NAMED));
    for _ in 0..2 {
        lab.ok(&format!("{DPKG} -i /root/one.deb"));
        lab.ok("systemctl is-active rotad && getent passwd rotad");
        lab.arm("hello.yaml", "command: echo\nargs: [hello]\nlog: file\n");
        lab.ok("rota run --wait hello && systemctl restart rotad");
        lab.ok(&format!("{DPKG} -r rotad"));
        lab.ok("! systemctl is-active rotad && test -e /etc/rotad/conf.d/hello.yaml && test -e /etc/rotad/rotad.yaml");
        lab.ok(&format!("{DPKG} -i /root/two.deb"));
        lab.ok("systemctl is-active rotad && rota run --wait hello");
        let said = lab.ok(&format!("{DPKG} -P rotad"));
        assert!(!said.contains("warning"), "{said}");
        for (what, before, after) in [("files", &before, lab.ok(LISTING)), ("names", &named, lab.ok(NAMED))] {
            let [before, after]: [BTreeSet<&str>; 2] = [before, &after].map(|text| text.lines().collect());
            let left: Vec<_> = after.difference(&before).collect();
            let lost: Vec<_> = before.difference(&after).collect();
            assert_eq!((left, lost), (Vec::<&&str>::new(), Vec::<&&str>::new()), "{what}");
        }
        lab.ok("! getent passwd rotad && ! getent group rotad");
        assert_eq!(lab.property("LoadState"), "not-found");
    }
}

#[test]
fn h114_a_purge_follows_no_link() {
    let Some(lab) = machine("h114_a_purge_follows_no_link") else { return };
    lab.ok(&format!("{DPKG} -i /root/one.deb && systemctl stop rotad"));
    lab.ok("mkdir /srv/precious && touch /srv/precious/kept && mkdir -p /var/lib/rotad");
    lab.ok("rm -rf /var/log/rotad && ln -s /srv/precious /var/log/rotad && ln -s /srv/precious /var/lib/rotad/link");
    lab.ok(&format!("{DPKG} -P rotad"));
    lab.ok("test -e /srv/precious/kept && ! test -L /var/log/rotad && ! test -e /var/lib/rotad");
}

#[test]
fn h114_a_purge_goes_to_its_end_where_something_is_mounted() {
    let Some(lab) = machine("a_purge_goes_to_its_end") else { return };
    lab.ok(&format!("{DPKG} -i /root/one.deb && systemctl stop rotad"));
    lab.ok("mkdir -p /var/lib/rotad/kept && mount -t tmpfs none /var/lib/rotad/kept && touch /var/lib/rotad/kept/it");
    lab.ok(&format!("{DPKG} -P rotad"));
    lab.ok("test -e /var/lib/rotad/kept/it && ! test -e /etc/rotad && ! getent passwd rotad");
}

#[test]
fn h114_an_upgrade_under_load_loses_no_line_and_no_exit_code() {
    let Some(lab) = machine("h114_an_upgrade_under_load_loses_no_line_and_no_exit_code") else { return };
    lab.ok(&format!("{DPKG} -i /root/one.deb"));
    for number in 0..50 {
        let script = format!("script: echo line; exit {}\nschedule: '@every 1s'\n", number % 3);
        lab.job(&format!("tick-{number}.yaml"), &script);
    }
    let count = "script: n=0; until test -e /tmp/go; do n=$((n+1)); echo $n; sleep 0.01; done; echo $n; exit 9\n";
    (0..5).for_each(|number| lab.arm(&format!("long-{number}.yaml"), count));
    lab.ok("for n in 0 1 2 3 4; do rota run long-$n; done");
    let lines = |matches: &str| -> Vec<(String, String)> {
        let text = lab.ok(&format!(
            "journalctl --quiet --sync; journalctl --quiet -o json {matches} | jq -r '[.ROTA_RUN_ID, .MESSAGE] | @tsv'"
        ));
        text.lines().filter_map(|line| line.split_once('\t')).map(|(run, text)| (run.into(), text.into())).collect()
    };
    for package in ["two", "one", "two"] {
        let before = lines("ROTA_STREAM=stdout").len();
        lab.until("jobs run", || (lines("ROTA_STREAM=stdout").len() > before + 1000).then_some(()));
        let old = lab.ok(ENGINE);
        lab.ok(&format!("{DPKG} -i /root/{package}.deb"));
        if package == "two" {
            lab.until("the engine is another", || {
                let new = lab.ok(ENGINE);
                (new.lines().count() == 1 && new != old).then_some(())
            });
        }
    }
    lab.ok("touch /tmp/go");
    lab.until_ok("test $(rota status --json | jq .running) = 0 && rm /etc/rotad/conf.d/tick-*");
    lab.until_ok("rota status --json | jq -e '.jobs == 5 and .running == 0'");

    let said = lines("SYSLOG_IDENTIFIER=rotad");
    let runs = |what: &str| -> BTreeSet<&str> {
        said.iter().filter(|(_, text)| text.contains(what)).map(|(run, _)| run.as_str()).collect()
    };
    let started = runs("started ");
    let ended: BTreeSet<&str> = runs(" succeeded ").union(&runs(" failed with exit code ")).copied().collect();
    assert_eq!(started, ended, "each has its outcome");
    let printed = lines("ROTA_STREAM=stdout");
    let of: BTreeSet<&str> = printed.iter().map(|(run, _)| run.as_str()).collect();
    assert_eq!(of, started, "each has its line");
    for number in 0..5 {
        let lines = lines(&format!("-t long-{number}"));
        let mut numbers: Vec<u64> = lines.iter().map(|(_, text)| text.parse().unwrap()).collect();
        let last = numbers.pop().unwrap();
        numbers.dedup();
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    }
    assert_eq!(runs("failed with exit code 9 ").len(), 5);
    eprintln!("{} runs", started.len());
}
