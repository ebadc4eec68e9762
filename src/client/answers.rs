//! Shapes of answers that the engine itself only writes.

use serde::{Deserialize, Serialize};

use crate::job::JobName;

/// A file with something wrong or doubtful in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FileFindings {
    /// Its name.
    pub file: String,
    /// The job that it defines now; of a broken file by its last good definition.
    pub job: Option<JobName>,
    /// What is to be said of it.
    pub findings: Vec<FindingView>,
}

/// [`crate::job::Finding`], read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingView {
    /// `error` breaks the file, `warning` does not.
    pub severity: String,
    /// The stable word.
    pub code: String,
    /// The file.
    pub file: String,
    /// Where in it.
    pub place: Option<PlaceView>,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A place in a file, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceView {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
    /// The line's text.
    pub snippet: String,
}

impl FindingView {
    /// Nothing is wrong.
    pub fn is_note(&self) -> bool {
        self.severity == "note"
    }

    /// It breaks its file.
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }
}

impl From<crate::job::Finding> for FindingView {
    fn from(finding: crate::job::Finding) -> Self {
        let severity = finding.severity.word();
        let place = finding.place.map(|at| PlaceView { line: at.line, column: at.column, snippet: at.snippet });
        let (file, message, hint) = (finding.file, finding.message, finding.hint);
        Self { severity: severity.into(), code: finding.code.into(), file, place, message, hint }
    }
}
