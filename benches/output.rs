//! 1 GiB of lines through the capture into a log file, beside `job | cat > file` in the same run.
//!
//! `cargo bench --bench output [-- MIB ROUNDS]`

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rotad::conf::LogConfig;
use rotad::job::{JobName, LogTarget};
use rotad::run::{Capture, RunLabel};
use rotad::wire::{Link, RunId};

/// A line and its newline.
const LINE: usize = 80;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("print") {
        return print();
    }
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let (mib, rounds) = (numbers.next().unwrap_or(1024), numbers.next().unwrap_or(3));
    let dir = tempfile::tempdir_in(".").expect("a place for some GiB");
    let mut best = [Duration::MAX; 2];
    for round in 1..=rounds {
        let times = [cat(dir.path(), mib), capture(dir.path(), mib)];
        println!("round {round}: cat {:.2?}, capture {:.2?}", times[0], times[1]);
        best = [best[0].min(times[0]), best[1].min(times[1])];
    }
    let speed = |time: Duration| mib as f64 / time.as_secs_f64();
    println!("{mib} MiB of {LINE}-byte lines, best of {rounds}:");
    println!("  job | cat > file    {:6.0} MiB/s", speed(best[0]));
    println!("  job | rotad > file  {:6.0} MiB/s", speed(best[1]));
    println!("  ratio               {:6.2}  (at most 2 is promised)", best[1].as_secs_f64() / best[0].as_secs_f64());
}

/// The job: as many MiB as its second argument says.
fn print() {
    let mib = std::env::args().nth(2).and_then(|word| word.parse().ok()).unwrap_or(0);
    let mut block = Vec::new();
    while block.len() < 1 << 20 {
        block.extend([b'x'; LINE - 1]);
        block.push(b'\n');
    }
    for _ in 0..mib {
        std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map(std::fs::File::from)
            .and_then(|mut out| out.write_all(&block))
            .expect("a reader");
    }
}

fn job(mib: u64) -> Command {
    let mut job = Command::new(std::env::current_exe().expect("this program"));
    job.args(["print", &mib.to_string()]).stdin(Stdio::null());
    job
}

fn cat(dir: &Path, mib: u64) -> Duration {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let path = dir.join("cat");
    let file = std::fs::File::create(&path).expect("a file");
    let start = Instant::now();
    let mut cat = Command::new("cat").stdin(reader).stdout(file).spawn().expect("cat");
    let mut job = job(mib).stdout(writer).spawn().expect("the job");
    cat.wait().expect("cat");
    let time = start.elapsed();
    job.wait().expect("the job");
    std::fs::remove_file(path).expect("the file");
    time
}

fn capture(dir: &Path, mib: u64) -> Duration {
    let (engine, _warden) = Link::pair().expect("a link");
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let config = LogConfig { target: LogTarget::File, dir: dir.to_owned(), max_size: 1 << 40, keep: 1, debug: false };
    let capture = Capture::start(&config, Arc::new(engine), sender).expect("threads");
    capture.adopted();
    let (run, name) = (RunId(1), JobName::parse("bench").expect("a name"));
    capture.expect(RunLabel { run, of: run, attempt: 1, job: name, target: LogTarget::File, output_limit: u64::MAX });
    let ((stdout, out), (stderr, err)) = (std::io::pipe().expect("a pipe"), std::io::pipe().expect("a pipe"));
    let start = Instant::now();
    let mut job = job(mib).stdout(out).stderr(err).spawn().expect("the job");
    capture.take(run, job.id().cast_signed(), stdout.into(), stderr.into());
    let drained = events.blocking_recv();
    let time = start.elapsed();
    println!("  {drained:?}");
    job.wait().expect("the job");
    std::fs::remove_file(dir.join("bench.log")).expect("the log");
    time
}
