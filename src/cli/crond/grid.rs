//! The table that `list` prints where one of mysql-crond's flags is given: scripts cut it into columns.

use std::cmp::Reverse;

use super::super::socket::Place;
use super::super::term::{print, visible};
use super::super::{Error, Exit};
use crate::client::{Row, Selected};

/// Its flags.
#[derive(Debug, clap::Args)]
pub struct Grid {
    /// mysql-crond's table, of the jobs whose whole name this expression matches
    #[arg(short = 'm', long, value_name = "REGEX", conflicts_with = "json", allow_hyphen_values = true)]
    name_match: Option<String>,
    /// mysql-crond's table, with the columns Args and WorkDir
    #[arg(long, conflicts_with = "json")]
    detail: bool,
    /// mysql-crond's table, of these: `enabled`, `disabled`, both with a comma between, or `all`
    #[arg(long, value_name = "LIST", conflicts_with = "json")]
    status: Option<String>,
}

impl Grid {
    /// One of them was given.
    pub fn is_wanted(&self) -> bool {
        self.name_match.is_some() || self.detail || self.status.is_some()
    }

    /// Prints it.
    pub fn run(&self, place: &Place) -> Result<Exit, Error> {
        let status = self.status.clone().filter(|status| !status.is_empty());
        let selected = Selected {
            name_match: self.name_match.clone().unwrap_or_default(),
            status: status.unwrap_or_else(|| "disabled,enabled".into()),
        };
        let rows = place.client().and_then(|client| Ok(client.entries(&selected)?)).map_err(Error::plain)?;
        print(table(rows, self.detail))?;
        Ok(Exit::Ok)
    }
}

fn table(mut rows: Vec<Row>, detail: bool) -> String {
    let key = |row: &Row| (row.job.command.clone(), row.job.schedule.clone(), row.job.args.join(" "));
    rows.sort_by_cached_key(|row| Reverse(key(row)));
    let mut head = vec!["ID", "JobName", "Schedule", "Command", "Args", "WorkDir", "Enable", "NextTime"];
    let mut lines: Vec<Vec<String>> = rows.iter().map(cells).collect();
    if !detail {
        head.drain(4..6);
        lines.iter_mut().for_each(|line| drop(line.drain(4..6)));
    }
    let widths: Vec<usize> = (0..head.len())
        .map(|column| lines.iter().map(|line| width(&line[column])).chain([head[column].len()]).max().unwrap_or(0))
        .collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect::<String>() + "+\n";
    let line = |cells: Vec<String>| cells.iter().map(|cell| format!("| {cell} ")).collect::<String>() + "|\n";
    let titles = head.iter().zip(&widths).map(|(title, width)| centred(title, *width)).collect();
    let mut text = [&rule, &line(titles), &rule].map(String::as_str).concat();
    for cells in lines {
        text += &line(cells.iter().zip(&widths).map(|(cell, width)| aligned(cell, *width)).collect());
        text += &rule;
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let job = &row.job;
    let enable = if job.enable { "true".into() } else { "\u{1b}[35mfalse\u{1b}[0m".into() };
    vec![
        row.id.to_string(),
        visible(&job.name),
        visible(&job.schedule),
        visible(&job.command),
        visible(&job.args.join(" ")),
        visible(&job.work_dir),
        enable,
        row.next_time.as_deref().map(seconds).unwrap_or_default(),
    ]
}

/// An instant without fractions of its second.
fn seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, rest)) => whole.to_owned() + rest.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => time.to_owned(),
    }
}

/// In columns; what colours takes none.
fn width(cell: &str) -> usize {
    let cell = cell.replace("\u{1b}[35m", "").replace("\u{1b}[0m", "");
    cell.chars().count()
}

fn centred(title: &str, columns: usize) -> String {
    let gap = columns - width(title);
    format!("{}{title}{}", " ".repeat(gap / 2), " ".repeat(gap.div_ceil(2)))
}

/// Numbers at the right, all else at the left.
fn aligned(cell: &str, columns: usize) -> String {
    let gap = " ".repeat(columns - width(cell));
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let number = !digits.is_empty() && digits.split('.').count() <= 2 && digits.split('.').all(is_digits);
    if number { gap + cell } else { cell.to_owned() + &gap }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::RowJob;

    fn row(id: i64, name: &str, command: &str, next: Option<&str>) -> Row {
        let job = RowJob {
            name: name.into(),
            enable: id >= 0,
            command: command.into(),
            args: vec!["-a".into(), "b c".into()],
            schedule: "@every 5m".into(),
            work_dir: "/".into(),
            ..RowJob::default()
        };
        Row { id, job, next_time: next.map(str::to_owned) }
    }

    #[test]
    fn the_table_is_theirs_to_the_byte() {
        let rows = || {
            vec![
                row(7, "mysql-monitor-20000-@every 10s", "a.sh", Some("2026-11-20T18:00:00.25+08:00")),
                row(-1, "off", "b.sh", Some("0001-01-01T00:00:00Z")),
            ]
        };
        let expected = "\
+----+--------------------------------+-----------+---------+--------+---------------------------+
| ID |            JobName             | Schedule  | Command | Enable |         NextTime          |
+----+--------------------------------+-----------+---------+--------+---------------------------+
| -1 | off                            | @every 5m | b.sh    | \u{1b}[35mfalse\u{1b}[0m  | 0001-01-01T00:00:00Z      |
+----+--------------------------------+-----------+---------+--------+---------------------------+
|  7 | mysql-monitor-20000-@every 10s | @every 5m | a.sh    | true   | 2026-11-20T18:00:00+08:00 |
+----+--------------------------------+-----------+---------+--------+---------------------------+
";
        assert_eq!(table(rows(), false), expected);
        assert!(table(rows(), true).contains("| Command |  Args  | WorkDir | Enable |"), "{}", table(rows(), true));
        assert!(table(rows(), true).contains("| b.sh    | -a b c | /       |"));
        let none = "\
+----+---------+----------+---------+--------+----------+
| ID | JobName | Schedule | Command | Enable | NextTime |
+----+---------+----------+---------+--------+----------+
";
        assert_eq!(table(Vec::new(), false), none);
    }
}
