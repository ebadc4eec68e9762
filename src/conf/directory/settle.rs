//! What changes in the sources mean for jobs, and what files have to say, in one piece.

use jiff::Timestamp;

use super::{Change, Directory, Origin, Source, Stand, name_of};
use crate::engine::FileView;
use crate::job::{Armed, Finding};

impl Directory {
    /// What all that has come to since the last call: jobs that changed, and files whose findings changed (`None`: nothing
    /// to say any more). Jobs come in the order of `jobs_config`, then in that of the files.
    pub fn settle(&mut self, now: Timestamp) -> (Vec<Change>, Vec<(String, Option<FileView>)>) {
        let mut changes: Vec<((u8, usize, String), Change)> = Vec::new();
        for (job, before) in std::mem::take(&mut self.touched) {
            let after = self.stand(&job);
            let moved = before.as_ref().map(|stand| &stand.origin) != after.as_ref().map(|stand| &stand.origin);
            if moved && let Some(claims) = self.claims.get(&job) {
                let labels: Vec<String> = claims.0.iter().filter_map(|origin| self.label(origin)).collect();
                self.looked.extend(labels);
            }
            self.follow(&job, before.as_ref(), after.as_ref());
            match (before, after) {
                (None, None) => {}
                (Some(_), None) => changes.push(((0, 0, String::new()), Change::Retired(job))),
                (Some(before), Some(after))
                    if before.origin == after.origin && before.armed.job.says_the_same(&after.armed.job) =>
                {
                    if before.broken != after.broken {
                        changes.push(((0, 0, String::new()), Change::Broken(job, after.broken)));
                    }
                }
                (before, Some(Stand { origin, armed, broken })) => {
                    let found = before.is_some() && !self.read.contains(&origin);
                    let since = if found || self.bared.contains(&job) { now } else { armed.since };
                    let rank = self.rank(&origin);
                    changes.push((rank.clone(), Change::Armed(Armed { since, ..armed })));
                    changes.extend(broken.then(|| (rank, Change::Broken(job, true))));
                }
            }
        }
        self.find_circles();
        self.read.clear();
        self.bared.clear();
        changes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut views = Vec::new();
        for name in std::mem::take(&mut self.looked) {
            let view = self.view(&name);
            if view.as_ref() == self.told.get(&name) {
                continue;
            }
            match &view {
                Some(view) => self.told.insert(name.clone(), view.clone()),
                None => self.told.remove(&name),
            };
            views.push((name, view));
        }
        (changes.into_iter().map(|(_, change)| change).collect(), views)
    }

    fn rank(&self, origin: &Origin) -> (u8, usize, String) {
        match origin {
            Origin::Item(_) => (1, self.sources.get(origin).map_or(0, |source| source.index), String::new()),
            Origin::File(name) => (2, 0, name.clone()),
            Origin::Memory(_) => (3, 0, String::new()),
        }
    }

    /// What a file has to say.
    fn view(&self, name: &str) -> Option<FileView> {
        let (mut findings, mut job) = (Vec::new(), None);
        if name == self.jobs_config.0 {
            findings.clone_from(&self.jobs_config.1);
            for (origin, source) in self.sources.iter().filter(|(origin, _)| matches!(origin, Origin::Item(_))) {
                findings.extend(source.findings.iter().cloned());
                let duplicate = self.duplicate(origin, source, name);
                if let (None, Some(good)) = (&duplicate, &source.good) {
                    findings.extend(self.doubts_of_after(name, &good.job));
                }
                findings.extend(duplicate);
            }
        } else {
            let origin = Origin::File(name.to_owned());
            let source = self.sources.get(&origin)?;
            findings.clone_from(&source.findings);
            job = source.good.as_ref().map(|good| good.job.name.clone());
            if let Some(duplicate) = self.duplicate(&origin, source, name) {
                findings.push(duplicate);
                job = None;
            } else if let Some(good) = &source.good {
                findings.extend(self.doubts_of_after(name, &good.job));
            }
        }
        (!findings.is_empty()).then(|| FileView { file: name.to_owned(), job, findings })
    }

    /// Another file makes the job of this source.
    fn duplicate(&self, origin: &Origin, source: &Source, file: &str) -> Option<Finding> {
        let job = name_of(origin, source)?;
        let first = self.written_origin(job).filter(|first| *first != origin)?;
        let message = format!("job '{job}' is already made by file '{}'", self.label(first)?.escape_debug());
        let finding = Finding::error("duplicate-name", file, message);
        Some(finding.hint("give one of them another name, or take one of the files away"))
    }
}
