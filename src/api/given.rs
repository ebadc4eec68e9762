//! What a request gives besides its route: the subject in its path, parameters, a body. Each is parsed to the type that its
//! place wants, or refused.

use jiff::Timestamp;

use super::answer::Problem;
use super::route::{End, Filter};
use crate::conf::units;
use crate::conf::yaml::MAX_FILE;
use crate::engine::core::MAX_SKIP;
use crate::job::JobName;
use crate::wire::RunId;

/// Most runs of a job whose output is given at once.
const MAX_RUNS: usize = 100;
/// Rows of the history that are given at once: at most, and where nothing is said.
const ROWS: (usize, usize) = (1000, 100);
/// Longest text that a person gives as a reason, in bytes.
const MAX_REASON: usize = 1000;

/// A request on its way to a call.
pub struct Given<'a> {
    /// Of the path behind the base.
    pub segments: Vec<&'a str>,
    /// Parameters as they were sent.
    pub query: Vec<&'a str>,
    /// The body; empty where the route takes none.
    pub body: &'a [u8],
}

impl Given<'_> {
    /// The segment in the place of `NAME` or `ID`: always the third, counting the empty one before the first `/`.
    fn subject(&self) -> Result<String, Problem> {
        let segment = self.segments.get(2).copied().unwrap_or_default();
        percent_decode(segment).ok_or_else(|| Problem::new(400, "bad-name", "the path is not percent-encoded UTF-8"))
    }

    pub fn name(&self) -> Result<JobName, Problem> {
        JobName::parse(&self.subject()?).map_err(|error| Problem::new(400, "bad-name", error.to_string()))
    }

    pub fn run(&self) -> Result<RunId, Problem> {
        RunId::parse(&self.subject()?)
            .ok_or_else(|| Problem::new(400, "bad-run", "a run's id has 13 letters and digits"))
    }

    /// The body as the text of a job file.
    pub fn text(&self) -> Result<String, Problem> {
        if self.body.len() > MAX_FILE {
            return Err(Problem::new(413, "too-large", format!("a job file has at most {MAX_FILE} bytes")));
        }
        let bad = |_| Problem::new(400, "bad-body", "the body is not UTF-8").hint("send the YAML text of a job file");
        String::from_utf8(self.body.to_vec()).map_err(bad)
    }

    pub fn permanent(&self) -> Result<bool, Problem> {
        self.truth("permanent", true)
    }

    pub fn schedule(&self) -> Result<String, Problem> {
        let missing = || Problem::new(400, "bad-query", "schedule=TEXT is missing").hint("?schedule=%40every%205m");
        self.decoded("schedule")?.filter(|text| !text.is_empty()).ok_or_else(missing)
    }

    pub fn reason(&self) -> Result<String, Problem> {
        let reason = self.decoded("reason")?.unwrap_or_default();
        if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            let rule = format!("a reason is one line of at most {MAX_REASON} bytes");
            return Err(Problem::new(400, "bad-query", rule));
        }
        Ok(reason)
    }

    pub fn end(&self) -> Result<End, Problem> {
        let bad = |message: String| Problem::new(400, "bad-query", message);
        match (self.decoded("for")?, self.decoded("until")?) {
            (None, None) => Ok(End::Resumed),
            (Some(_), Some(_)) => Err(bad("give either for or until".into())),
            (Some(length), None) => match units::duration(&length) {
                Ok(length) if !length.is_zero() => Ok(End::After(length)),
                Ok(_) => Err(bad("a pause is longer than 0".into())),
                Err(message) => Err(bad(message)),
            },
            (None, Some(until)) => {
                let until: Timestamp = until.parse().map_err(|_| {
                    bad("until is an instant with its offset".into()).hint("?until=2030-01-31T08:00:00%2B08:00")
                })?;
                Ok(End::At(until))
            }
        }
    }

    /// Which part of the history.
    pub fn filter(&self) -> Result<Filter, Problem> {
        let bad = || Problem::new(400, "bad-query", format!("limit is a number from 1 to {}", ROWS.0));
        let limit = self.value("limit").map_or(Ok(ROWS.1), str::parse).map_err(|_| bad())?;
        if limit == 0 || limit > ROWS.0 {
            return Err(bad());
        }
        let (since, until) = (self.instant("since")?, self.instant("until")?);
        Ok(Filter { since, until, failed: self.truth("failed", false)?, limit, before: self.decoded("before")? })
    }

    pub fn at(&self) -> Result<Option<Timestamp>, Problem> {
        self.instant("at")
    }

    pub fn from(&self) -> Result<Option<u64>, Problem> {
        let bad = || Problem::new(400, "bad-query", "from is the number of a line, counted from 1");
        let from: Option<u64> = self.value("from").map(str::parse).transpose().map_err(|_| bad())?;
        if from == Some(0) { Err(bad()) } else { Ok(from) }
    }

    fn instant(&self, key: &str) -> Result<Option<Timestamp>, Problem> {
        let bad = |_| {
            Problem::new(400, "bad-query", format!("{key} is an instant with its offset"))
                .hint(format!("?{key}=2030-01-31T08:00:00%2B08:00"))
        };
        self.decoded(key)?.map(|text| text.parse().map_err(bad)).transpose()
    }

    pub fn count(&self) -> Result<u32, Problem> {
        let bad = || Problem::new(400, "bad-query", format!("count is a number from 1 to {MAX_SKIP}"));
        let count = self.value("count").map_or(Ok(1), str::parse).map_err(|_| bad())?;
        if (1..=MAX_SKIP).contains(&count) { Ok(count) } else { Err(bad()) }
    }

    fn truth(&self, key: &str, otherwise: bool) -> Result<bool, Problem> {
        match self.value(key) {
            None => Ok(otherwise),
            Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(Problem::new(400, "bad-query", format!("{key} is 0 or 1"))),
        }
    }

    fn decoded(&self, key: &str) -> Result<Option<String>, Problem> {
        let bad = || Problem::new(400, "bad-query", format!("{key} is not percent-encoded UTF-8"));
        self.value(key).map(|value| percent_decode(value).ok_or_else(bad)).transpose()
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.query.iter().rev().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
    }

    pub fn follow(&self) -> Result<bool, Problem> {
        self.truth("follow", false)
    }

    pub fn lines(&self) -> Result<Option<usize>, Problem> {
        let bad = |_| Problem::new(400, "bad-query", "lines is a number");
        self.value("lines").map(|lines| lines.parse().map_err(bad)).transpose()
    }

    pub fn runs(&self) -> Result<usize, Problem> {
        let bad = || Problem::new(400, "bad-query", format!("runs is a number from 0 to {MAX_RUNS}"));
        let runs = self.value("runs").map_or(Ok(1), str::parse).map_err(|_| bad())?;
        if runs <= MAX_RUNS { Ok(runs) } else { Err(bad()) }
    }
}

/// A segment with its `%XX` resolved, once; `None` when one is malformed or the whole is not UTF-8.
pub fn percent_decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A job's name as a segment of a path.
pub fn percent_encode(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => segment.push(char::from(byte)),
            byte => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}
