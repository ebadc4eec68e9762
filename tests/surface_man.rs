//! The man pages know every verb, flag, route, key and exit code that there is, and are well formed. The parts that are
//! made of the program's definitions are made anew and compared; with ROTAD_WRITE=1 they are written instead.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Command;

use rotad::api::route::ROUTES;
use rotad::api::{crond, monitor};
use rotad::cli::Exit;

#[path = "surface/mdoc.rs"]
mod mdoc;

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
    let theirs = part(&page, ".Sh MYSQL-CROND", ".Sh");
    for verb in program.get_subcommands() {
        let verbs = if verb.is_hide_set() { theirs } else { verbs };
        flags(verb, part(verbs, &format!(".It Cm {}", verb.get_name()), ".It Cm"));
    }
    for line in verbs.lines().chain(theirs.lines()).filter_map(|line| line.strip_prefix(".It Cm ")) {
        let verb = line.split(' ').next().unwrap();
        assert!(program.find_subcommand(verb).is_some(), "there is no verb {verb}");
    }
}

#[test]
fn every_route_and_its_parameters() {
    let page = page("rotad.8");
    let verbs = ["GET", "POST", "PUT", "DELETE"];
    let listed = page.lines().filter(|line| verbs.iter().any(|verb| line.starts_with(&format!(".It Ic {verb} No /"))));
    assert_eq!(listed.count(), ROUTES.len() + crond::ROUTES.len() + monitor::ROUTES.len());
    let own = ROUTES.iter().map(|route| (route.method, route.path, route.query));
    let crond = crond::ROUTES.iter().map(|route| (route.method, route.path, route.query));
    let monitor = monitor::ROUTES.iter().map(|route| (route.method, route.path, &[][..]));
    for (method, path, query) in own.chain(crond).chain(monitor) {
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
    for (name, keys) in
        [("rotad-job.5", mdoc::all(rotad::job::keys::KEYS)), ("rotad.yaml.5", mdoc::all(rotad::conf::keys::KEYS))]
    {
        let page = page(name);
        for key in keys {
            assert!(page.contains(&format!("\n.It Ic {key} : ")), "{name}: {key} is missing");
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

/// The page with its made parts made anew.
fn made(page: &str) -> String {
    let mut out = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        out += &format!("{line}\n");
        if let Some(words) = line.strip_prefix(".\\\" from ") {
            out += &mdoc::part(words);
            let end = lines.find(|line| *line == ".\\\" end");
            out += &format!("{}\n", end.unwrap_or_else(|| panic!("{line}: no end")));
        }
    }
    out
}

#[test]
fn they_say_what_the_program_says() {
    for name in PAGES {
        let (old, new) = (page(name), made(&page(name)));
        if std::env::var_os("ROTAD_WRITE").is_some() {
            // The other tests read them meanwhile.
            let written = path(&format!(".{name}.new"));
            std::fs::write(&written, &new).unwrap();
            std::fs::rename(written, path(name)).unwrap();
        } else if let Some((old, new)) = old.lines().zip(new.lines()).find(|(old, new)| old != new) {
            panic!(
                "man/{name} says\n  {old}\nwhere the program says\n  {new}\nROTAD_WRITE=1 cargo test --test surface_man"
            );
        } else {
            assert_eq!(old.len(), new.len(), "{name}");
        }
    }
}

#[test]
fn texts_become_mdoc() {
    for (text, mdoc) in [
        (
            "Read `a b`, then `/c` (`x`). See rotad(8).",
            "Read\n.Ql a b ,\nthen\n.Pa /c\n.Ql ( x ) .\nSee\n.Xr rotad 8 .\n",
        ),
        ("One. Two (and `log`: three).\n\n.four", "One.\nTwo (and\n.Ic log :\nthree).\n.Pp\n\\&.four\n"),
        ("With `-w` it and `SIGKILL` or `PATH`.", "With\n.Fl w\nit and\n.Dv SIGKILL\nor\n.Ev PATH .\n"),
    ] {
        assert_eq!(mdoc::text(text), mdoc);
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
