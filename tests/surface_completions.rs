//! What shells get to complete rota's command lines with, in the shells themselves.

#![allow(clippy::unwrap_used, reason = "tests")]

mod surface;

use std::path::Path;
use std::process::{Command, Output};

use surface::{Daemon, rota, stderr, stdout};

/// A program with rota in its PATH and a daemon to ask. `None` where it is not installed.
fn shell(program: &str, daemon: &Daemon, args: &[&str]) -> Option<Output> {
    let bin = Path::new(env!("CARGO_BIN_EXE_rota")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    command.args(args).env("PATH", path).env("ROTAD_SOCKET", &daemon.socket).env("HOME", bin);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/completions"));
    command.output().ok()
}

#[test]
fn each_shell_loads_what_is_made_for_it() {
    let daemon = Daemon::start();
    for (name, file, check) in [
        ("bash", "rota.bash", &["-n"][..]),
        ("zsh", "_rota", &["-f", "-n"]),
        ("fish", "rota.fish", &["--no-config", "--no-execute"]),
    ] {
        let printed = rota(&["completions", name]).output().unwrap();
        assert!(printed.status.success() && stdout(&printed).contains("ROTA_COMPLETE"), "{}", stderr(&printed));
        let scratch = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(scratch.path(), &printed.stdout).unwrap();
        for file in [file, scratch.path().to_str().unwrap()] {
            let Some(output) = shell(name, &daemon, &[check, &[file]].concat()) else {
                eprintln!("each_shell_loads_what_is_made_for_it skipped: why: {name} is not installed");
                continue;
            };
            assert!(output.status.success(), "{name}: {}", stderr(&output));
        }
    }
}

#[test]
fn bash_completes_verbs_options_and_jobs() {
    let daemon = Daemon::start();
    for (line, word, candidates) in [
        ("rota st", "st", &["status", "stop"][..]),
        ("rota run --w", "--w", &["--wait"]),
        ("rota next --dialect ''", "''", &["robfig", "cronexpr", "vixie", "systemd"]),
        ("rota show b", "b", &["backup", "broken", "busy"]),
        ("rota next --job ba", "ba", &["backup"]),
        ("rota completions ''", "''", &["bash", "zsh", "fish"]),
    ] {
        let program = format!(
            "source rota.bash; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_TYPE=9; \
             _clap_complete_rota rota {word} 2>/dev/null; IFS=$'\\n'; echo \"${{COMPREPLY[*]}}\""
        );
        let Some(output) = shell("bash", &daemon, &["--norc", "-c", &program]) else {
            return eprintln!("bash_completes_verbs_options_and_jobs skipped: why: bash is not installed");
        };
        let mut got: Vec<String> = stdout(&output).lines().map(|line| line.trim().to_owned()).collect();
        got.retain(|word| !word.is_empty());
        for candidate in candidates {
            assert!(got.iter().any(|word| word == candidate), "{line}: {candidate} is not among {got:?}");
        }
    }
}

#[test]
fn without_a_daemon_there_are_verbs_and_no_jobs() {
    let output = rota(&["--", "rota", "show", ""])
        .env("ROTA_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "2")
        .env("ROTAD_SOCKET", "/nowhere")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stdout(&output).contains("backup"), "{}", stdout(&output));
}
