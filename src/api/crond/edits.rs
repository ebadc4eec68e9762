//! Changes of definitions: the body becomes an edit, the engine's refusal becomes mysql-crond's sentence.

use std::time::Duration;

use jiff::Timestamp;

use super::super::answer::Problem;
use super::{Fault, Wish, complaint, write};
use crate::conf::yaml::MAX_FILE;
use crate::engine::{Change, Edit, Edited, Keys, Request};
use crate::job::JobName;
use crate::schedule::go_duration;

/// Longest pause: beyond it somebody has counted in another unit.
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 366 * 86_400);

/// `POST /disable`.
pub fn disable(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    let (name, permanent) = named(wish)?;
    let missing = format!("entry [{name}] from active list: not found");
    edit(wish, &name, permanent, &missing, Change::Disable).map(entry)
}

/// `POST /resume`.
pub fn resume(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    let (name, permanent) = named(wish)?;
    let missing = format!("entry {name} from disabled list: not found");
    edit(wish, &name, permanent, &missing, Change::Resume).map(entry)
}

/// `POST /delete`. Its `entry_id` was never anything but 0.
pub fn delete(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    let (name, permanent) = named(wish)?;
    let missing = format!("job {name} not found");
    edit(wish, &name, permanent, &missing, Change::Delete).map(|edited| entry(Edited { entry: 0, ..edited }))
}

/// `POST /schedule/change`. A schedule that cannot be is the caller's fault here, and nowhere else.
pub fn change(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    let mut form = wish.form()?;
    let name = form.text("name", "Name");
    let schedule = form.text("schedule", "Schedule");
    let permanent = form.flag("permanent", "Permanent");
    form.done().map_err(Fault::bound)?;
    let missing = format!("change [{name}] schedule time: not found");
    let name = parse(&name, &missing)?;
    let change = Change::Reschedule(name.clone(), schedule.clone());
    ask(wish, change, permanent).map(entry).map_err(|problem| match problem.code() {
        "bad-schedule" => {
            let why = complaint::of_change(&schedule).unwrap_or_else(|| problem.message().to_owned());
            Fault::new(400, format!("invalid schedule format {schedule}: {why}"))
        }
        _ => fault(wish, &name, &missing, problem),
    })
}

/// `POST /create_or_replace`.
pub fn create_or_replace(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    if wish.body.len() > MAX_FILE {
        return Err(Fault::new(500, format!("the definition of a job has at most {MAX_FILE} bytes")));
    }
    let mut form = wish.form()?;
    let job = form.within(("job", "job."), ("Job", "Job."), |job| Defined {
        name: job.text("name", "Name"),
        enable: job.flag("enable", "Enable"),
        command: job.text("command", "Command"),
        args: job.texts("args", "Args"),
        schedule: job.text("schedule", "Schedule"),
        creator: job.text("creator", "Creator"),
        work_dir: job.optional_text("work_dir"),
        overlap: job.optional_flag("overlap"),
    });
    let permanent = form.flag("permanent", "Permanent");
    form.done().map_err(Fault::bound)?;
    // Not reached without a job: that is missing.
    let Defined { name, enable, command, args, schedule, creator, work_dir, overlap } = job.unwrap_or_default();
    let name = JobName::parse(&name).map_err(|error| Fault::new(500, error.to_string()))?;
    let text = schedule.clone();
    let keys = Keys { name: name.clone(), enable, command, args, schedule, creator, work_dir, overlap };
    // What is defined as disabled has no entry, whichever it replaces had.
    let own = |edited: Edited| if enable { edited } else { Edited { entry: 0, ..edited } };
    ask(wish, Change::Define(keys), permanent).map(own).map(entry).map_err(|problem| match problem.code() {
        "bad-schedule" => Fault::new(500, complaint::of(&text).unwrap_or_else(|| problem.message().to_owned())),
        _ => fault(wish, &name, &format!("job {name} not found"), problem),
    })
}

#[derive(Default)]
struct Defined {
    name: String,
    enable: bool,
    command: String,
    args: Vec<String>,
    schedule: String,
    creator: String,
    work_dir: String,
    overlap: Option<bool>,
}

/// `POST /pause`: so many nanoseconds, or a Go duration as text. A pause without end was a bug there.
pub fn pause(wish: &Wish<'_>) -> Result<Vec<u8>, Fault> {
    let mut form = wish.form()?;
    let name = form.text("name", "Name");
    let duration = form.number("duration", "Duration", |text| go_duration(text).ok());
    form.done().map_err(Fault::bound)?;
    let refused = |rule| format!("Key: 'Duration' Error:Field validation for 'Duration' failed on the '{rule}' tag");
    let duration = u64::try_from(duration).map_err(|_| Fault::bound(refused("gt")))?;
    let duration = Duration::from_nanos(duration);
    if duration > LONGEST_PAUSE {
        return Err(Fault::bound(refused("lte")));
    }
    let missing = format!("entry {name} from active jobs: not found");
    let name = parse(&name, &missing)?;
    let until = Timestamp::now().checked_add(duration).map_err(|error| Fault::new(500, error.to_string()))?;
    let (asked, by) = (name.clone(), wish.peer.to_string());
    let paused =
        wish.engine.ask(|reply| Request::Pause { name: asked, until: Some(until), reason: String::new(), by, reply });
    paused.map(entry).map_err(|problem| fault(wish, &name, &missing, problem))
}

/// The body that most routes take.
fn named(wish: &Wish<'_>) -> Result<(String, bool), Fault> {
    let mut form = wish.form()?;
    let name = form.text("name", "Name");
    let permanent = form.flag("permanent", "Permanent");
    form.done().map_err(Fault::bound)?;
    Ok((name, permanent))
}

/// A name that cannot be a job's is the name of none.
fn parse(name: &str, missing: &str) -> Result<JobName, Fault> {
    JobName::parse(name).map_err(|_| Fault::new(500, missing))
}

fn edit(
    wish: &Wish<'_>,
    name: &str,
    permanent: bool,
    missing: &str,
    change: fn(JobName) -> Change,
) -> Result<Edited, Fault> {
    let name = parse(name, missing)?;
    ask(wish, change(name.clone()), permanent).map_err(|problem| fault(wish, &name, missing, problem))
}

fn ask(wish: &Wish<'_>, change: Change, permanent: bool) -> Result<Edited, Problem> {
    let edit = Edit { change, permanent, by: wish.peer.to_string() };
    wish.engine.ask(|reply| Request::Edit(edit, reply))
}

/// The engine's refusal in mysql-crond's words; `missing` is what the route says of a job that it does not find.
fn fault(wish: &Wish<'_>, name: &JobName, missing: &str, problem: Problem) -> Fault {
    match problem.code() {
        "no-such-job" | "not-active" | "not-disabled" => Fault::new(500, missing),
        "not-in-file" => {
            let file = wish.places.jobs_config.display();
            Fault::new(500, format!("target job {name} not found in {file}"))
        }
        _ => problem.into(),
    }
}

fn entry(edited: Edited) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Entry {
        entry_id: u64,
    }
    write::value(&Entry { entry_id: edited.entry })
}
