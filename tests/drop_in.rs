//! rotad in mysql-crond's place, with its files and their owners as they are: the steps of rotad(8), real users, hostile ones
//! among them. Each test has mounts and a network of its own, in which /etc has a user mysql and port 9999 is free.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::{root_or_skip, until, until_true};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rotad::conf::{Before, Stamp, Trust, replace};
use serde_json::{Value, json};

/// Numbers of the users inside.
const MYSQL: (u32, u32) = (27_027, 27_028);
const STRANGER: u32 = 27_030;
/// mysql-crond's directory.
const HOME: &str = "/home/mysql/mysql-crond";

const RUNTIME: &str = "\
ip: 127.0.0.1
port: 9999
bk_cloud_id: 0
bk_monitor_beat:
    custom_metrics: {bk_data_id: 1, access_token: t, report_type: agent, message_kind: timeseries}
    custom_event: {bk_data_id: 2, access_token: t, report_type: agent, message_kind: event}
    beat_path: /bin/true
    agent_address: /dev/null
log: {console: false, log_file_dir: /home/mysql/mysql-crond/logs, debug: false, source: true, json: true}
pid_path: /home/mysql/mysql-crond
jobs_user: mysql
jobs_config: /home/mysql/mysql-crond/jobs-config.yaml
";

const JOBS: &str = "\
# kept
jobs:
    - name: mark
      enable: true
      command: /bin/sh
      args: [-c, 'id -un >> /home/mysql/ran']
      schedule: '@every 1s'
      creator: dba
      work_dir: \"\"
bk_biz_id: 3
";

/// A machine in small: mounts and network of its own, gone with the test.
struct World {
    dir: tempfile::TempDir,
    holder: Child,
    daemon: Option<Child>,
}

impl World {
    fn new(extra: &str) -> World {
        let dir = tempfile::Builder::new().prefix("rotad-drop-in-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let etc = dir.path().join("etc");
        assert!(Command::new("cp").arg("-a").arg("/etc").arg(&etc).status().unwrap().success());
        let add = |file: &str, lines: String| {
            let old = fs::read_to_string(etc.join(file)).unwrap();
            let kept: String =
                old.lines().filter(|line| !line.starts_with("mysql:")).map(|l| format!("{l}\n")).collect();
            fs::write(etc.join(file), kept + &lines).unwrap();
        };
        let (uid, gid) = MYSQL;
        add(
            "passwd",
            format!("mysql:x:{uid}:{gid}::/home/mysql:/bin/sh\nstranger:x:{STRANGER}:{STRANGER}::/:/bin/sh\n"),
        );
        add("group", format!("mysql:x:{gid}:\n"));
        add("shadow", "mysql:*:19000::::::\nstranger:*:19000::::::\n".to_owned());
        fs::create_dir_all(etc.join("rotad/conf.d")).unwrap();
        for (name, program) in [("rotad", env!("CARGO_BIN_EXE_rotad")), ("rota", env!("CARGO_BIN_EXE_rota"))] {
            fs::create_dir_all(dir.path().join("bin")).unwrap();
            fs::write(dir.path().join("bin").join(name), "").unwrap();
            fs::write(dir.path().join(format!("{name}.path")), program).unwrap();
        }
        let base = dir.path().display();
        let script = format!(
            "set -e; ip link set lo up; mount --bind {base}/etc /etc
             for at in /home /run /srv /var/lib /var/log; do mount -t tmpfs -o mode=755 none $at; done
             for name in rotad rota; do mount --bind \"$(cat {base}/$name.path)\" {base}/bin/$name; done
             mkdir -p {HOME}/logs; {extra}
             echo ready; exec cat"
        );
        let mut holder = Command::new("unshare")
            .args(["-mn", "--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let world = World { dir, holder, daemon: None };
        world.put("runtime.yaml", RUNTIME);
        world.put("jobs-config.yaml", JOBS);
        assert!(world.sh("chown -R mysql:mysql /home/mysql").status.success());
        world
    }

    /// A path inside, as seen from here.
    fn at(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder.id()))
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.at(&format!("{HOME}/{name}"));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        let path = format!("PATH={}/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.dir.path().display());
        command.args(["-t", &self.holder.id().to_string(), "-m", "-n", "--wd=/", "env", "-u", "XDG_STATE_HOME"]);
        command.args(["-u", "XDG_CONFIG_HOME", "-u", "NOTIFY_SOCKET", &path, "sh", "-c", line]);
        command.stdin(Stdio::null());
        command
    }

    fn sh(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Starts the daemon by this line; what it says goes to `said`.
    fn start(&mut self, line: &str) {
        let said = fs::File::create(self.dir.path().join("said")).unwrap();
        self.daemon = Some(self.command(&format!("exec {line}")).stderr(said).stdout(Stdio::null()).spawn().unwrap());
        until_true("the daemon answers", || self.ask("root", "/entries", None).0 == 200);
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("said")).unwrap()
    }

    /// The warden, by the file that scripts read.
    fn pid(&self) -> i32 {
        let file = self.at(&format!("{HOME}/mysql-crond.pid"));
        until("the pid file", || fs::read_to_string(&file).ok()?.trim().parse().ok())
    }

    fn stop(&mut self) {
        let pid = self.pid();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        let mut daemon = self.daemon.take().unwrap();
        until_true("the daemon ends", || daemon.try_wait().unwrap().is_some());
        assert!(!self.at(&format!("{HOME}/mysql-crond.pid")).exists(), "the pid file goes with it");
    }

    /// Asks by the port, as a user: status and body.
    fn ask(&self, user: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        let post = body.map(|body| format!("-X POST --data-binary '{body}'")).unwrap_or_default();
        let line =
            format!("exec runuser -u {user} -- curl -s -w '\\n%{{http_code}}' {post} http://127.0.0.1:9999{path}");
        let output = String::from_utf8(self.sh(&line).stdout).unwrap();
        let (body, status) = output.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap(), body.to_owned())
    }

    /// Makes a job for good, by a request that a tool of `user` sends.
    fn create(&self, user: &str, name: &str) -> (u16, String) {
        let job = json!({"name": name, "command": "/bin/true", "args": [], "schedule": "@every 1h",
            "creator": "dba", "enable": true});
        self.ask(user, "/create_or_replace", Some(&json!({"job": job, "permanent": true})))
    }

    fn jobs_text(&self) -> String {
        fs::read_to_string(self.at(&format!("{HOME}/jobs-config.yaml"))).unwrap()
    }

    /// All that tools and scripts of mysql-crond's rely on, and a restart in the middle.
    fn goes_on(&mut self, start: &str) {
        let jobs = self.at(&format!("{HOME}/jobs-config.yaml"));
        self.start(start);
        until_true("jobs run as mysql", || {
            fs::read_to_string(self.at("/home/mysql/ran")).is_ok_and(|ran| !ran.is_empty())
        });
        let ran = fs::read_to_string(self.at("/home/mysql/ran")).unwrap();
        assert!(ran.lines().all(|line| line == "mysql"), "{ran}");
        for user in ["mysql", "root"] {
            let (status, entries) = self.ask(user, "/entries", None);
            assert!(status == 200 && entries.contains("\"mark\""), "{user}: {status} {entries}");
            assert_eq!(self.create(user, &format!("new of {user}")).0, 200, "{user}: {}", self.said());
        }
        assert_eq!(self.ask("stranger", "/entries", None).0, 403);
        assert_eq!(self.create("stranger", "theirs").0, 403);
        let text = self.jobs_text();
        assert!(
            text.starts_with("# kept\n") && text.contains("new of mysql") && text.contains("new of root"),
            "{text}"
        );
        let meta = fs::metadata(&jobs).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (MYSQL.0, MYSQL.1, 0o644));
        let pid_file = fs::metadata(self.at(&format!("{HOME}/mysql-crond.pid"))).unwrap();
        assert_eq!(pid_file.uid(), MYSQL.0);
        assert!(fs::read_to_string(format!("/proc/{}/comm", self.pid())).unwrap().starts_with("rotad"));
        self.stop();

        self.start(start);
        let (_, entries) = self.ask("mysql", "/entries", None);
        for name in ["mark", "new of mysql", "new of root"] {
            assert!(entries.contains(&format!("\"{name}\"")), "{name}: {entries}");
        }
        // Gone and made anew: it belongs to whom its directory belongs.
        fs::remove_file(&jobs).unwrap();
        until_true("the jobs are gone", || !self.ask("root", "/entries", None).1.contains("\"mark\""));
        assert_eq!(self.create("mysql", "first").0, 200);
        assert_eq!(fs::metadata(&jobs).unwrap().uid(), MYSQL.0);
        self.stop();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon said:\n{}", self.said());
        }
        if let Some(mut daemon) = self.daemon.take() {
            for _ in 0..2 {
                let _ = kill(Pid::from_raw(daemon.id().cast_signed()), Signal::SIGTERM);
                std::thread::park_timeout(std::time::Duration::from_millis(50));
            }
            until_true("the daemon ends", || daemon.try_wait().unwrap().is_some());
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The lines to type of a part of the page.
fn steps(part: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/rotad.8")).unwrap();
    let (_, part) = page.split_once(&format!("\n.Ss {part}\n")).unwrap();
    let part = part.split("\n.S").next().unwrap();
    part.lines().filter_map(|line| line.strip_prefix(".Dl ")).map(str::to_owned).collect()
}

fn follow(world: &World, steps: &[String]) {
    for step in steps {
        let output = world.sh(step);
        assert!(output.status.success(), "{step}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn as_root_by_the_page() {
    if !root_or_skip("as_root_by_the_page") {
        return;
    }
    let mut world = World::new("");
    let steps = steps("As root");
    let (start, before) = steps.split_last().unwrap();
    // Without the steps it is refused, and says them.
    let output = world.sh(start);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78));
    let file = format!("{HOME}/runtime.yaml");
    for hint in [
        format!("chown root:root {file} && chmod 0644 {file}"),
        format!("runuser -u mysql -- rotad -c {file}"),
        "User=mysql".to_owned(),
    ] {
        assert!(said.contains(&hint), "{hint}: {said}");
    }
    follow(&world, before);
    world.goes_on(start);
    assert!(world.said().contains("install -o root -g root -m 0644"), "{}", world.said());
}

#[test]
fn as_a_service_by_the_page() {
    if !root_or_skip("as_a_service_by_the_page") {
        return;
    }
    let mut world = World::new("");
    let steps = steps("As a service");
    assert_eq!(steps.len(), 2);
    follow(&world, &steps[..1]);
    world.goes_on("rotad");
    assert!(!world.said().contains("install"), "{}", world.said());
}

#[test]
fn as_jobs_user_by_the_page() {
    if !root_or_skip("as_jobs_user_by_the_page") {
        return;
    }
    let mut world = World::new("");
    let steps = steps("As jobs_user");
    assert_eq!(steps.len(), 1);
    world.goes_on(&steps[0]);
    assert!(world.at("/home/mysql/.local/state/rotad").exists());
    assert!(world.at("/home/mysql/.config/rotad/conf.d").exists());
}

#[test]
fn a_user_without_a_home() {
    if !root_or_skip("a_user_without_a_home") {
        return;
    }
    let mut world = World::new("");
    assert!(world.sh("sed -i 's,:/home/mysql:,:/nonexistent:,' /etc/passwd").status.success());
    world.goes_on(&format!("su -s /bin/sh mysql -c 'exec rotad -c {HOME}/runtime.yaml'"));
    world.goes_on_without_home();
}

impl World {
    fn goes_on_without_home(&mut self) {
        assert!(self.at(&format!("{HOME}/rotad/conf.d")).is_dir());
        self.start(&format!(
            "env -u HOME setpriv --reuid mysql --regid mysql --clear-groups rotad -c {HOME}/runtime.yaml"
        ));
        assert!(self.ask("mysql", "/entries", None).1.contains("\"first\""));
        self.stop();
    }
}

/// What root keeps elsewhere, under the name that rotad asks for: a list that nobody else may read, and one that would run
/// something as root.
const VICTIMS: &str = "
mkdir -p /srv/secret /srv/roots
printf 'jobs: [\\n  {name: hunter2, hunter2' > /srv/secret/jobs-config.yaml
printf 'jobs:\\n  - {name: pwned, enable: true, command: /bin/touch, args: [/srv/pwned], \
user: root, schedule: \"@every 1s\", creator: root}\\n' > /srv/roots/jobs-config.yaml
chmod 600 /srv/secret/jobs-config.yaml
";

/// Swaps the directory for links to what is root's, and plants links wherever a writer may step.
const HOSTILE: &str = "
cd /home/mysql; n=0
while [ $n -lt 200 ]; do
  mv mysql-crond real
  if [ $((n % 2)) = 0 ]; then ln -s /srv/secret mysql-crond; else ln -s /srv/roots mysql-crond; fi
  [ $((n % 5)) = 0 ] && sleep 0.02
  rm mysql-crond; mv real mysql-crond
  case $((n % 4)) in
    0) for i in 1 2 3 4 5 6 7 8; do ln -sf /srv/roots/made mysql-crond/.rotad-$(($(cat mysql-crond/mysql-crond.pid) + i)); done;;
    1) mv mysql-crond/jobs-config.yaml mysql-crond/kept; ln -s /srv/secret/jobs-config.yaml mysql-crond/jobs-config.yaml
       sleep 0.01; rm mysql-crond/jobs-config.yaml; mv mysql-crond/kept mysql-crond/jobs-config.yaml;;
    2) ln -f mysql-crond/jobs-config.yaml mysql-crond/other;;
    3) rm -f mysql-crond/other;;
  esac
  n=$((n + 1))
done
";

#[test]
fn b28_b31_a_hostile_jobs_user_leads_root_nowhere() {
    if !root_or_skip("b28_b31_a_hostile_jobs_user") {
        return;
    }
    let mut world = World::new(VICTIMS);
    world.put("runtime.yaml", &format!("{RUNTIME}allow_root_jobs: true\n"));
    follow(&world, &[format!("chown root:root {HOME}/runtime.yaml")]);
    let victims = |world: &World| {
        let line = "cd /srv && find . -printf '%p %i %u %m %s %T@ %C@ %n\\n' | sort; cat */*";
        String::from_utf8_lossy(&world.sh(line).stdout).into_owned()
    };
    let before = victims(&world);
    assert!(before.contains("hunter2") && before.contains("pwned"));
    world.start(&format!("rotad -c {HOME}/runtime.yaml"));
    let mut hostile = world.command(&format!("exec runuser -u mysql -- sh -c '{HOSTILE}'")).spawn().unwrap();
    let (mut written, mut refused) = (0, 0);
    let mut told = String::new();
    while hostile.try_wait().unwrap().is_none() {
        // Root asks: where jobs may be root's, jobs_user is not admitted.
        match world.create("root", &format!("edit {}", written % 40)) {
            (200, _) => written += 1,
            (_, body) => {
                refused += 1;
                told.push_str(&body);
            }
        }
        told.push_str(&world.ask("root", "/rotad/v1/findings", None).1);
        told.push_str(&world.ask("root", "/rotad/v1/jobs", None).1);
    }
    eprintln!("{written} edits written, {refused} refused");
    assert!(written > 0);
    assert_eq!(victims(&world), before);
    told.push_str(&world.said());
    assert!(!told.contains("hunter2"), "{told}");
    assert_eq!(world.ask("mysql", "/entries", None).0, 403);

    // What mysql writes runs as mysql, whatever it asks for; other items are as before.
    let wishes = "  - {name: wants root, enable: true, command: /bin/touch, args: [/srv/pwned], user: root, \
        schedule: '@every 1s', creator: x}\n  - {name: fine, enable: true, command: /bin/true, args: [], user: mysql, \
        schedule: '@every 1s', creator: x}\n";
    let owner = |user: &str| follow(&world, &[format!("chown -R {user}:{user} {HOME}; chmod 0755 /home/mysql {HOME}")]);
    world.put("jobs-config.yaml", &format!("jobs:\n{wishes}"));
    owner("mysql");
    let shown = |name: &str| world.ask("root", "/entries", None).1.contains(&format!("\"{name}\""));
    follow(&world, &[format!("kill -HUP {}", world.pid())]);
    until_true("the fine one", || shown("fine"));
    assert!(!shown("wants root"));
    // The way is root's alone, and so is the file: now it may.
    follow(&world, &["chown root:root /home/mysql".to_owned()]);
    owner("root");
    follow(&world, &[format!("kill -HUP {}", world.pid())]);
    until_true("root's own", || shown("wants root"));
    until_true("it runs", || world.at("/srv/pwned").exists());
}

#[test]
fn a_full_disk_refuses_and_changes_nothing() {
    if !root_or_skip("a_full_disk_refuses") {
        return;
    }
    let mut world = World::new(&format!("mount -t tmpfs -o size=64k,mode=755 none {HOME}; mkdir {HOME}/logs"));
    follow(&world, &[format!("chown root:root {HOME}/runtime.yaml")]);
    let start = format!("rotad -c {HOME}/runtime.yaml");
    world.start(&start);
    let before = world.jobs_text();
    world.sh(&format!("cat /dev/zero > {HOME}/zeros"));
    let (status, body) = world.create("mysql", "no room");
    assert!(status == 500 && body.contains("the disk is full"), "{status} {body}");
    assert_eq!(world.jobs_text(), before);
    let left = world.sh(&format!("ls -A {HOME}"));
    assert!(!String::from_utf8_lossy(&left.stdout).contains(".rotad-"), "nothing is left of the try");
    let path = "/rotad/v1/jobs/mark/disable";
    let (status, body) = world.ask("mysql", path, Some(&Value::Null));
    assert!(status >= 400 && !body.is_empty(), "{status} {body}");
    assert!(!world.ask("mysql", "/entries?status=enabled&name=mark", None).1.contains("[null]"), "it is still armed");
    follow(&world, &[format!("rm {HOME}/zeros")]);
    assert_eq!(world.create("mysql", "room").0, 200);
}

#[test]
fn somebody_else_writes_the_same_file() {
    if !root_or_skip("somebody_else_writes") {
        return;
    }
    let mut world = World::new("");
    follow(&world, &[format!("chown root:root {HOME}/runtime.yaml")]);
    world.start(&format!("rotad -c {HOME}/runtime.yaml"));
    let directory = fs::File::open(world.at(HOME)).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (mut edits, mut outside, mut late) = (0, 0, 0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut count = 0;
            // So many and no more: who writes without end leaves no time for anybody.
            while count < 40 && !done.load(std::sync::atomic::Ordering::Relaxed) {
                // As careful as we are: whoever renames without a look undoes what others write, and nobody can help that.
                let file = rotad::conf::open_in(directory.as_fd(), "jobs-config.yaml").unwrap();
                let (bytes, stat, after) = rotad::conf::read_all(file, 1 << 20).unwrap();
                assert_eq!(stat.st_size, after.st_size);
                let item = format!(
                    "    - {{name: outside {count}, enable: true, command: /bin/true, args: [], schedule: '@every 1h', creator: x}}\n"
                );
                let text = String::from_utf8(bytes).unwrap().replacen("bk_biz_id", &(item + "bk_biz_id"), 1);
                let trust = Trust::of_root().and(Some(MYSQL.0));
                let before = Before::This(Stamp::of(&stat));
                match replace(directory.as_fd(), "jobs-config.yaml", text.as_bytes(), trust, usize::MAX, before) {
                    Ok(()) => count += 1,
                    Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "{error}"),
                }
                std::thread::park_timeout(std::time::Duration::from_millis(70));
            }
            count
        });
        let mut failed = String::new();
        while edits < 100 && failed.is_empty() {
            match world.create("mysql", &format!("edit {edits}")) {
                (200, _) => edits += 1,
                (_, body) if body.contains("somebody else") => late += 1,
                // Not here: the writer must hear of the end.
                (status, body) => failed = format!("{status} {body}"),
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        outside = writer.join().unwrap();
        assert_eq!(failed, "");
    });
    let text = world.jobs_text();
    let missing = |kind: &str, count: i32| -> Vec<i32> {
        let is_there =
            |n: &i32| text.contains(&format!("name: {kind} {n},")) || text.contains(&format!("name: {kind} {n}\n"));
        (0..count).filter(|n| !is_there(n)).collect()
    };
    assert!(outside > 5, "{outside}");
    assert_eq!((missing("edit", edits), missing("outside", outside)), (vec![], vec![]));
    eprintln!("{edits} edits and {outside} of somebody else; {late} edits were told to try again");
    until_true("all are live", || {
        world.ask("root", "/entries", None).1.contains(&format!("outside {}\"", outside - 1))
    });
}
