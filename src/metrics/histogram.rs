//! A distribution over fixed buckets.

/// Upper bounds for how long a run takes, in seconds: a tenth of a second to a day.
pub const DURATIONS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0];

/// Upper bounds for how late a program starts, in seconds: a millisecond to a day.
pub const LATENESS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 3600.0, 86_400.0];

/// How often a value fell into each bucket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, then one for what is above all of them.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// Nothing yet, in buckets with these upper bounds, which rise.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts a value in seconds. What a clock that was set back made negative counts as 0.
    pub fn add(&mut self, seconds: f64) {
        let seconds = if seconds > 0.0 { seconds } else { 0.0 };
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.sum += seconds;
        }
    }

    /// The sum of all values, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bound and count of each bucket, not cumulated; the last bound is infinite.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_falls_into_the_first_bucket_that_holds_it() {
        let mut histogram = Histogram::new(&[1.0, 5.0]);
        for value in [0.0, 1.0, 1.1, 5.0, 5.1, 1e9, -3.0, f64::NAN] {
            histogram.add(value);
        }
        assert_eq!(histogram.buckets(), [(1.0, 4), (5.0, 2), (f64::INFINITY, 2)]);
        assert_eq!(histogram.count(), 8);
        assert!((histogram.sum() - 1_000_000_012.2).abs() < 1e-3, "{}", histogram.sum());
    }

    #[test]
    fn bounds_rise() {
        for bounds in [DURATIONS, LATENESS] {
            assert!(bounds.is_sorted_by(|low, high| low < high));
        }
    }
}
