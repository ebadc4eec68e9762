//! The man pages know every verb, flag, route, key and exit code that there is, and are well formed.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Command;

use rotad::api::crond;
use rotad::api::route::ROUTES;
use rotad::cli::Exit;

const PAGES: [&str; 4] = ["rota.1", "rotad.8", "rotad.yaml.5", "rotad-job.5"];

fn path(page: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "man", page].iter().collect()
}

fn page(page: &str) -> String {
    std::fs::read_to_string(path(page)).unwrap()
}

/// The text from the line that begins with `head` to the one that begins with `next`.
#[track_caller]
fn part<'a>(page: &'a str, head: &str, next: &str) -> &'a str {
    let from = page.find(&format!("\n{head}")).unwrap_or_else(|| panic!("nothing says {head:?}")) + 1;
    let rest = &page[from..];
    &rest[..rest[1..].find(&format!("\n{next}")).map_or(rest.len(), |at| at + 1)]
}

fn has_flag(part: &str, flag: &str) -> bool {
    let words: Vec<&str> = part.split_whitespace().collect();
    words.windows(2).any(|pair| matches!(pair[0], "Fl" | ".Fl") && pair[1] == flag)
}

#[test]
fn every_verb_and_every_flag() {
    let page = page("rota.1");
    let program = rotad::cli::definition();
    let verbs = part(&page, ".Sh VERBS", ".Sh");
    let flags = |command: &clap::Command, part: &str| {
        for flag in command.get_opts() {
            let name = command.get_name();
            if let Some(long) = flag.get_long() {
                assert!(has_flag(part, &format!("-{long}")), "{name}: --{long} is missing");
            }
            if let Some(short) = flag.get_short() {
                assert!(has_flag(part, &short.to_string()), "{name}: -{short} is missing");
            }
        }
    };
    flags(&program, part(&page, ".Sh DESCRIPTION", ".Sh"));
    for verb in program.get_subcommands() {
        flags(verb, part(verbs, &format!(".It Cm {}", verb.get_name()), ".It Cm"));
    }
    for line in verbs.lines().filter_map(|line| line.strip_prefix(".It Cm ")) {
        let verb = line.split(' ').next().unwrap();
        assert!(program.find_subcommand(verb).is_some(), "there is no verb {verb}");
    }
}

#[test]
fn every_flag_of_the_daemon() {
    let page = page("rotad.8");
    let help = Command::new(env!("CARGO_BIN_EXE_rotad")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words = help.split(|c: char| c.is_whitespace() || c == ',');
    let flags: Vec<&str> = words.filter_map(|word| word.strip_prefix("--")).collect();
    assert!(flags.contains(&"without-heart-beat"));
    for flag in flags {
        assert!(page.contains(&format!("Fl -{flag}")), "--{flag} is missing");
    }
}

#[test]
fn every_route_and_its_parameters() {
    let page = page("rotad.8");
    let verbs = ["GET", "POST", "PUT", "DELETE"];
    let listed = page.lines().filter(|line| verbs.iter().any(|verb| line.starts_with(&format!(".It Ic {verb} No /"))));
    assert_eq!(listed.count(), ROUTES.len() + crond::ROUTES.len());
    let own = ROUTES.iter().map(|route| (route.method, route.path, route.query));
    let crond = crond::ROUTES.iter().map(|route| (route.method, route.path, route.query));
    for (method, path, query) in own.chain(crond) {
        let shown = path.replace("NAME", " Ns Ar NAME Ns ").replace("ID", " Ns Ar ID Ns ");
        let shown = shown.strip_suffix(" Ns ").unwrap_or(&shown);
        let part = part(&page, &format!(".It Ic {method} No {shown}\n"), ".It");
        for parameter in query {
            assert!(part.contains(parameter), "{method} {path}: {parameter}");
        }
    }
}

#[test]
fn every_key() {
    let job = "name enable command args script schedule dialect timezone creator work_dir overlap on_overlap timeout \
        stop_signal kill_after success_codes user environment environment_file umask nice limits nofile core nproc cpu \
        address_space file_size stack memlock output no_new_privs log labels";
    let daemon = "conf_d state_dir socket port jobs_user allowed_users allow_root_jobs engine_user admin_group api readers stop_timeout log \
        target dir max_size keep debug ip bk_cloud_id bk_biz_id immute_domain machine_type role bk_monitor_beat beat_path \
        agent_address custom_event custom_metrics bk_data_id access_token report_type message_kind inner_event_name \
        inner_metrics_name";
    for (name, keys) in [("rotad-job.5", job), ("rotad.yaml.5", daemon)] {
        let page = page(name);
        for key in keys.split_whitespace() {
            assert!(page.contains(&format!("\n.It Ic {key}\n")), "{name}: {key} is missing");
        }
    }
}

#[test]
fn every_exit_code() {
    let page = page("rota.1");
    let own = [Exit::Ok, Exit::Failed, Exit::Usage, Exit::Unavailable, Exit::Busy, Exit::Forbidden];
    for exit in own.into_iter().chain([Exit::TIMEOUT, Exit::NOT_STARTED, Exit::LOST]) {
        assert!(page.contains(&format!("\n.It {}\n", exit.code())), "{exit:?}");
    }
}

#[test]
fn they_are_well_formed() {
    if Command::new("mandoc").arg("-T").arg("lint").arg("/dev/null").output().is_err() {
        eprintln!("skipped: mandoc is not installed");
        return;
    }
    for page in PAGES {
        let output = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(path(page)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
