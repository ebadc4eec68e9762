//! `rota show NAME|RUN`: everything that is known of one job, or of one run.

use std::fmt::Write;

use jiff::Timestamp;

use clap_complete::engine::ArgValueCandidates;

use super::findings;
use super::socket::Place;
use super::stop::job_or_run;
use super::term::{Term, print, visible};
use super::{Error, Exit, completions, list, outcome, show_run, when};
use crate::client::{FileFindings, job_path};
use crate::engine::{JobView, Pause, PauseKind, RunView, Verdict, VerdictView};

/// Arguments of `rota show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The job, or the id of a run: 13 letters and digits. Where it can be both, it is the job
    #[arg(value_name = "NAME|RUN", add = ArgValueCandidates::new(completions::jobs))]
    subject: String,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        let (subject, term, now) = (&self.subject, Term::stdout(), Timestamp::now());
        if self.json {
            let (job, run) = (|name: &str| client.raw(&job_path(name, "")), |run| client.raw(&format!("/runs/{run}")));
            print(job_or_run(subject, job, run)?)?;
            return Ok(Exit::Ok);
        }
        let hold = client.status()?.held;
        let job = |name: &str| {
            let told = text(&term, &client.job(name)?, hold.as_ref(), &client.findings()?, now);
            Ok(list::held(&term, hold.as_ref(), now) + &told)
        };
        print(job_or_run(subject, job, |run| Ok(show_run::text(&term, &client.run_in_full(run)?, now)))?)?;
        Ok(Exit::Ok)
    }
}

fn text(term: &Term, job: &JobView, hold: Option<&Pause>, files: &[FileFindings], now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key:<10} {value}");
    };
    line("job", job.name.as_str());
    let (state, colour) = list::state(job);
    line("state", &term.paint(colour, &state));
    if let Some(pause) = &job.pause {
        let skips = pause.kind == PauseKind::SkipNext;
        line(if skips { "skips" } else { "paused" }, &paused(pause, now));
    }
    let broken = if job.broken { " (broken: this is its last good definition)" } else { "" };
    line("file", &format!("{}{broken}", visible(&job.file)));
    line("command", &command(&job.command));
    line("user", &visible(&job.user));
    if let Some(schedule) = &job.schedule {
        let mut more: Vec<String> =
            [&job.dialect, &job.timezone].into_iter().flatten().map(|text| visible(text)).collect();
        more.extend(job.dst.map(|dst| format!("dst: {dst}")));
        line("schedule", &format!("{} ({})", visible(schedule), more.join(", ")));
        let never = match (&job.pause, hold) {
            (Some(Pause { until: None, .. }), _) => "when it is resumed",
            (_, Some(Pause { until: None, .. })) => "when the hold is released",
            _ => "never",
        };
        line("next", &job.next.map_or_else(|| never.into(), |at| when::both(at, now)));
    }
    for (upstream, after) in &job.after {
        let end = format!("{:?}", after.end).to_lowercase();
        let more = match (after.ignored, after.ended) {
            (true, _) => ", ignored: they follow each other in a circle",
            (false, true) => ", which has come",
            (false, false) => "",
        };
        line("after", &format!("{upstream} ({end}{more})"));
    }
    line("overlap", &format!("{:?}", job.on_overlap).to_lowercase());
    for (key, value) in &job.labels {
        line("label", &format!("{}: {}", visible(key), visible(value)));
    }
    for run in &job.running {
        line("running", &going_on(run, now));
    }
    for run in &job.retrying {
        line("retrying", &going_on(run, now));
    }
    if let Some(run) = &job.last {
        line("last", &over(term, run, now));
    }
    for verdict in &job.verdicts {
        line("slot", &format!("{}  {}", when::local(verdict.slot, now), verdict_words(verdict)));
    }
    for finding in files.iter().filter(|file| file.job.as_ref() == Some(&job.name)).flat_map(|file| &file.findings) {
        text.push('\n');
        text.push_str(&findings::text(finding, term));
    }
    text
}

/// Until when, since when, by whom and why.
pub fn paused(pause: &Pause, now: Timestamp) -> String {
    let until = match (pause.kind, pause.until) {
        (PauseKind::SkipNext, Some(at)) => format!("its slots up to {}", when::both(at, now)),
        (_, Some(at)) => format!("until {}", when::both(at, now)),
        (PauseKind::Hold, None) => "until it is released".into(),
        (_, None) => "until it is resumed".into(),
    };
    let mut text = format!("{until}, since {}", when::local(pause.since, now));
    if !pause.by.is_empty() {
        let _ = write!(text, ", by {}", visible(&pause.by));
    }
    if !pause.reason.is_empty() {
        let _ = write!(text, ": {}", visible(&pause.reason));
    }
    text
}

/// Words as one could type them to a shell; a script as it is, its lines below each other.
fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = words.iter().map(|word| match word {
        word if !word.is_empty() && word.chars().all(plain) => word.clone(),
        word if words.len() == 1 => word.lines().map(visible).collect::<Vec<_>>().join("\n           "),
        word => format!("'{}'", visible(word).replace('\'', "'\\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn going_on(run: &RunView, now: Timestamp) -> String {
    if run.state == "retrying" {
        return outcome::retry(run, now);
    }
    let mut text = format!("{} {}", visible(&run.run), visible(&run.state));
    if run.attempt > 1 {
        let _ = write!(text, ", attempt {}", run.attempt);
    }
    if let Some(pid) = run.pid {
        let _ = write!(text, ", pid {pid}");
    }
    if let Some(started) = run.started {
        let _ = write!(text, ", for {}", when::length(now.duration_since(started)));
    }
    text
}

fn over(term: &Term, run: &RunView, now: Timestamp) -> String {
    let mut text = visible(&run.run);
    if run.attempt > 1 {
        let _ = write!(text, ", attempt {},", run.attempt);
    }
    if let Some(outcome) = &run.outcome {
        let (words, colour) = outcome::words(outcome);
        let _ = write!(text, " {}", term.paint(colour, &words));
    }
    if let Some(ended) = run.ended {
        let _ = write!(text, ", ended {} ({})", when::local(ended, now), when::distance(ended, now));
        if let Some(started) = run.started {
            let _ = write!(text, ", after {}", when::length(ended.duration_since(started)));
        }
    }
    if let Some(seconds) = run.cpu_seconds {
        let _ = write!(text, ", {seconds:.2} s CPU");
    }
    if let Some(kib) = run.max_rss_kib {
        let _ = write!(text, ", {} MiB", kib.div_ceil(1024));
    }
    if run.output_dropped > 0 {
        let _ = write!(text, ", {} bytes of output not kept", run.output_dropped);
    }
    if run.left_behind > 0 {
        let _ = write!(text, ", {} processes left behind", run.left_behind);
    }
    text
}

fn verdict_words(view: &VerdictView) -> String {
    let words = match &view.verdict {
        Verdict::Ran { run } => format!("ran as {}", visible(run)),
        Verdict::Skipped { why } => format!("skipped ({})", visible(why)),
        Verdict::Missed { why } => format!("missed ({})", visible(why)),
        Verdict::Superseded => "superseded by a newer slot".into(),
    };
    match view.count {
        Some(count) if count > 1 => format!("{words}, {count} slots"),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_so_that_words_stay_apart() {
        let words = |words: &[&str]| command(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["/bin/echo", "a b", "", "it's", "\u{1b}"]), "/bin/echo 'a b' '' 'it'\\''s' '\\u{1b}'");
        assert_eq!(words(&["set -e\ndate"]), "set -e\n           date");
    }
}
