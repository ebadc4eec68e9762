//! A reading as OpenMetrics text.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::registry::Registry;

use super::family::{self, Family};
use super::{Counts, Histogram, JobReading, Reading};

/// Outcomes and verdicts that each job tells from the start on.
const RUNS: &[&str] = &["success", "failure"];
const SLOTS: &[&str] = &["ran", "missed"];
/// And those that the sums tell.
const ALL_RUNS: &[&str] = &["success", "failure", "timed-out", "stopped", "could-not-start", "lost"];
const ALL_SLOTS: &[&str] = &["ran", "skipped", "missed", "superseded"];

/// The text, up to its `# EOF`. Names of jobs stand in it as label values, in which the format escapes what could end them.
///
/// # Errors
/// The library refuses something; it has no reason to.
pub fn text(reading: Reading) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Read(reading)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Read(Reading);

impl Collector for Read {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.daemon(&self.0)?;
        page.sums(&self.0)?;
        page.jobs(&self.0.jobs)
    }
}

struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn daemon(&mut self, reading: &Reading) -> fmt::Result {
        self.open(&family::INFO)?.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        self.open(&family::START)?.encode_gauge(&seconds(reading.started))?;
        self.open(&family::ENGINE_START)?.encode_gauge(&seconds(reading.engine_started))?;
        count(&mut self.open(&family::ENGINE_RESTARTS)?, u64::from(reading.engine_restarts))?;
        // The reason has no place in a label: it is for people, and may be any text.
        let mode = reading.watch.split([':', ' ']).next().unwrap_or_default();
        self.gauges(&family::WATCH, "mode", [(mode, 1)])?;
        let gauges = &reading.gauges;
        self.gauges(&family::FINDINGS, "severity", [("error", gauges.errors), ("warning", gauges.warnings)])?;
        self.gauges(&family::JOBS, "state", gauges.jobs)?;
        self.open(&family::JOBS_DUE)?.encode_gauge(&gauges.due)?;
        self.open(&family::RUNNING)?.encode_gauge(&gauges.running)
    }

    fn sums(&mut self, reading: &Reading) -> fmt::Result {
        let sums = &reading.tallies;
        self.counters(&family::ALL_RUNS, "outcome", sums.runs.with(ALL_RUNS))?;
        self.counters(&family::ALL_SLOTS, "verdict", sums.slots.with(ALL_SLOTS))?;
        let mut durations = self.open(&family::DURATION)?;
        for (outcome, of) in &sums.durations {
            histogram(&mut durations.encode_family(&[("outcome", *outcome)])?, of)?;
        }
        histogram(&mut self.open(&family::LATENESS)?, &sums.lateness)?;
        self.gauges(&family::QUEUE, "queue", reading.queues.iter().copied())?;
        self.counters(&family::DROPPED, "what", reading.dropped.iter().copied())?;
        if let Some(beats) = &reading.beats {
            let results = [("sent", beats.sent), ("failed", beats.failed), ("given-up", beats.given_up)];
            self.counters(&family::BEATS, "result", results)?;
        }
        self.open(&family::NOT_SHOWN)?.encode_gauge(&reading.jobs_not_shown)
    }

    fn jobs(&mut self, jobs: &[JobReading]) -> fmt::Result {
        self.counts(&family::RUNS, "outcome", jobs, |job| &job.tally.runs, RUNS)?;
        self.counts(&family::SLOTS, "verdict", jobs, |job| &job.tally.slots, SLOTS)?;
        self.values(&family::LAST_DURATION, jobs, |job| Some(job.tally.last_duration?.as_secs_f64()))?;
        self.values(&family::LAST_SUCCESS, jobs, |job| job.tally.last_success.map(seconds))?;
        self.values(&family::NEXT_SLOT, jobs, |job| job.next.map(seconds))
    }

    fn open<'s>(&'s mut self, family: &'s Family) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(family.name, family.help, family.unit.as_ref(), family.kind)
    }

    /// A gauge for each value of one label.
    fn gauges<'v>(
        &mut self,
        family: &Family,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut metric = self.open(family)?;
        values
            .into_iter()
            .try_for_each(|(value, number)| metric.encode_family(&[(label, value)])?.encode_gauge(&number))
    }

    /// A counter for each value of one label.
    fn counters<'v>(
        &mut self,
        family: &Family,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut metric = self.open(family)?;
        values.into_iter().try_for_each(|(value, number)| labelled(&mut metric, &[(label, value)], number))
    }

    /// Counters of each job, by a word.
    fn counts(
        &mut self,
        family: &Family,
        label: &str,
        jobs: &[JobReading],
        of: impl Fn(&JobReading) -> &Counts,
        always: &[&'static str],
    ) -> fmt::Result {
        let mut metric = self.open(family)?;
        for job in jobs {
            for (word, number) in of(job).with(always) {
                labelled(&mut metric, &[("job", job.name.as_str()), (label, word)], number)?;
            }
        }
        Ok(())
    }

    /// A gauge of each job that has one.
    fn values(&mut self, family: &Family, jobs: &[JobReading], of: impl Fn(&JobReading) -> Option<f64>) -> fmt::Result {
        let mut metric = self.open(family)?;
        for job in jobs {
            if let Some(value) = of(job) {
                metric.encode_family(&[("job", job.name.as_str())])?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

fn labelled(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, number: u64) -> fmt::Result {
    count(&mut metric.encode_family(labels)?, number)
}

fn count(metric: &mut MetricEncoder<'_>, number: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, f64>(&number, None)
}

fn histogram(metric: &mut MetricEncoder<'_>, of: &Histogram) -> fmt::Result {
    metric.encode_histogram::<NoLabelSet>(of.sum(), of.count(), &of.buckets(), None)
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
