//! `rota run --wait` shows all that the job prints, however much and however fast.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::common::Setup;

#[test]
fn e74_who_waits_for_a_run_gets_every_line_of_it_in_order() {
    let daemon = Setup::new("")
        .job("file.yaml", "log: file\nscript: seq 200000\n")
        .job("both.yaml", "log: none\nscript: seq 200000; seq 200000 >&2; printf open\n")
        .start();
    let all: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    let (code, shown) = daemon.run("file");
    assert!(code == Some(0) && shown == all, "{code:?}, {} of {} bytes", shown.len(), all.len());
    let output = daemon.rota(&["run", "both", "--wait"]);
    assert!(output.status.success());
    assert!(output.stdout == format!("{all}open").into_bytes(), "{} bytes", output.stdout.len());
    assert!(output.stderr == all.as_bytes(), "{} bytes", output.stderr.len());
}

#[test]
fn e74_a_reader_that_is_slower_than_the_job_gets_every_line() {
    // More than waits in spool and queue together, read by somebody who is in no hurry.
    let daemon =
        Setup::new("").job("a.yaml", "log: none\nlimits: {output: 1G}\nscript: seq -f %01000.0f 40000\n").start();
    let mut rota = daemon.rota_command(&["run", "a", "--wait"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::with_capacity(64 << 10, rota.stdout.take().unwrap()).lines();
    for number in 1..=40_000 {
        assert!(lines.next().unwrap().unwrap() == format!("{number:01000}"), "line {number}");
    }
    assert!(lines.next().is_none());
    assert!(rota.wait().unwrap().success());
}
