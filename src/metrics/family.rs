//! The families of numbers that monitors find: one row a family.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// What a family is called and means. All begin with `rotad`.
#[derive(Debug)]
pub struct Family {
    /// Its name, without unit and suffix.
    pub name: &'static str,
    /// A sentence for people.
    pub help: &'static str,
    /// What its values are counted in, where the name is to say so.
    pub unit: Option<Unit>,
    /// The labels of its samples, beside `le` of a histogram's buckets.
    pub labels: &'static [&'static str],
    /// What sort of number it is.
    pub kind: MetricType,
}

impl Family {
    /// The name that a monitor finds, with unit and suffix: of a histogram without the suffixes of its parts.
    pub fn shown(&self) -> String {
        let unit = self.unit.as_ref().map_or(String::new(), |unit| format!("_{}", unit.as_str()));
        let suffix = match self.kind {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            MetricType::Gauge | MetricType::Histogram | MetricType::Unknown => "",
        };
        format!("{}{unit}{suffix}", self.name)
    }
}

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal $(in $unit:ident)? [$($label:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family = Family {
                name: $name,
                help: $help,
                unit: families!(@unit $($unit)?),
                labels: &[$($label),*],
                kind: MetricType::$kind,
            };
        )*
        /// Every family there is, in the order in which they are told.
        pub const ALL: &[Family] = &[$($constant),*];
    };
    (@unit) => { None };
    (@unit $unit:ident) => { Some(Unit::$unit) };
}

families! {
    INFO: Info "rotad" ["version"],
        "The program that answers.";
    START: Gauge "rotad_start_time" in Seconds [],
        "When the daemon started.";
    ENGINE_START: Gauge "rotad_engine_start_time" in Seconds [],
        "When the engine started: counters begin there.";
    ENGINE_RESTARTS: Counter "rotad_engine_restarts" [],
        "Engines that were replaced since the daemon started.";
    WATCH: Gauge "rotad_conf_watch" ["mode"],
        "1 for the way in which conf.d is watched.";
    FINDINGS: Gauge "rotad_findings" ["severity"],
        "What is wrong (error) or doubtful (warning) in files.";
    JOBS: Gauge "rotad_jobs" ["state"],
        "Jobs, each in one state: disabled, else paused, else broken, else enabled.";
    JOBS_DUE: Gauge "rotad_jobs_due" [],
        "Slots that are due and whose program does not run yet.";
    RUNNING: Gauge "rotad_running" [],
        "Runs that go on.";
    ALL_RUNS: Counter "rotad_all_runs" ["outcome"],
        "Runs that ended, of all jobs together.";
    ALL_SLOTS: Counter "rotad_all_slots" ["verdict"],
        "Slots that got their verdict, of all jobs together.";
    DURATION: Histogram "rotad_run_duration" in Seconds ["outcome"],
        "How long the programs of ended runs ran, of all jobs together.";
    LATENESS: Histogram "rotad_start_lateness" in Seconds [],
        "From a slot to the start of its program, of all jobs together.";
    QUEUE: Gauge "rotad_queue_length" ["queue"],
        "What waits in the engine's queues.";
    DROPPED: Counter "rotad_dropped" ["what"],
        "What was given up because there was no room for it.";
    BEATS: Counter "rotad_beats" ["result"],
        "Beats, by what became of them: failed counts tries.";
    NOT_SHOWN: Gauge "rotad_jobs_not_shown" [],
        "Jobs without numbers of their own, because there are too many.";
    RUNS: Counter "rotad_runs" ["job", "outcome"],
        "Runs of a job that ended.";
    SLOTS: Counter "rotad_slots" ["job", "verdict"],
        "Slots of a job that got their verdict.";
    LAST_DURATION: Gauge "rotad_job_last_duration" in Seconds ["job"],
        "How long the program of the run ran that ended last.";
    LAST_SUCCESS: Gauge "rotad_last_success_timestamp" in Seconds ["job"],
        "When a run of the job last ended as it should.";
    NEXT_SLOT: Gauge "rotad_next_slot_timestamp" in Seconds ["job"],
        "The next slot of the job, unless it is paused.";
}
