//! Skipped slots, a few beats a minute: a job that overlaps every second must not start a program every second for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::job::JobName;

/// Between two beats about the skipped slots of one job. What is skipped meanwhile is counted, and told with the next.
pub const SPAN: Duration = Duration::from_secs(10);

/// The jobs of which a beat was sent within the last [`SPAN`].
#[derive(Debug, Default)]
pub struct Skips {
    rows: BTreeMap<JobName, Row>,
}

#[derive(Debug)]
struct Row {
    /// No beat before (monotonic).
    until: Duration,
    /// Skipped since the last one.
    count: u64,
}

impl Skips {
    /// A slot was skipped. `true`: a beat is to say so now; else it counts for the next one.
    pub fn skip(&mut self, job: &JobName, mono: Duration) -> bool {
        match self.rows.get_mut(job) {
            Some(row) if row.count > 0 || mono < row.until => {
                row.count += 1;
                false
            }
            _ => {
                self.rows.insert(job.clone(), Row { until: mono + SPAN, count: 0 });
                true
            }
        }
    }

    /// When a beat about skipped slots is due (monotonic).
    pub fn due(&self) -> Option<Duration> {
        self.rows.values().filter(|row| row.count > 0).map(|row| row.until).min()
    }

    /// The beats that are due: of which job, and for how many slots.
    pub fn pass(&mut self, mono: Duration) -> Vec<(JobName, u64)> {
        let mut due = Vec::new();
        self.rows.retain(|job, row| {
            if row.until > mono {
                return true;
            }
            let count = std::mem::take(&mut row.count);
            row.until = mono + SPAN;
            if count > 0 {
                due.push((job.clone(), count));
            }
            count > 0
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i117_a_job_that_always_overlaps_makes_few_beats_and_no_skip_is_lost() {
        let mut skips = Skips::default();
        let (busy, calm) = (JobName::parse("busy").unwrap(), JobName::parse("calm").unwrap());
        let (mut beats, mut told) = (0, 0);
        for second in 0..600 {
            let now = Duration::from_secs(second);
            let mut rows = if skips.due().is_some_and(|due| due <= now) { skips.pass(now) } else { Vec::new() };
            if skips.skip(&busy, now) {
                rows.push((busy.clone(), 1));
            }
            beats += rows.len();
            told += rows.iter().map(|row| row.1).sum::<u64>();
        }
        assert_eq!(beats, 60, "one in ten seconds");
        assert!(skips.skip(&calm, Duration::from_secs(600)), "another job is told at once");
        let left = skips.pass(Duration::from_secs(700));
        assert_eq!(told + left.iter().map(|row| row.1).sum::<u64>(), 600);
        assert_eq!((skips.pass(Duration::from_secs(800)).len(), skips.rows.len()), (0, 0));
    }
}
