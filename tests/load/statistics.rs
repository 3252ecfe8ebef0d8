//! What happened in a phase.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Counts and latencies of a phase.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// Requests of ours that were answered and, where due, told of.
    pub done: u64,
    /// NOTIFYs, repeated ones not counted.
    pub notifies: u64,
    /// Datagrams in both directions.
    pub datagrams: u64,
    /// Our own retransmissions, and repeated NOTIFYs.
    pub retransmissions: (u64, u64),
    /// Changes that a watcher never heard of, because a later one came first.
    pub superseded: u64,
    /// Challenges of digest.
    pub challenges: u64,
    /// First NOTIFYs that came before the answer to their SUBSCRIBE.
    pub overtaken: u64,
    /// What went wrong, by kind.
    pub failures: BTreeMap<String, u64>,
    /// From a change to its NOTIFY, or from a request to the end of what it asks for.
    pub latencies: Latencies,
}

impl Statistics {
    /// Counts a failure.
    pub fn fail(&mut self, what: impl Into<String>) {
        *self.failures.entry(what.into()).or_default() += 1;
    }

    /// Adds what happened later.
    pub fn add(&mut self, later: Self) {
        self.done += later.done;
        self.notifies += later.notifies;
        self.datagrams += later.datagrams;
        self.retransmissions.0 += later.retransmissions.0;
        self.retransmissions.1 += later.retransmissions.1;
        self.superseded += later.superseded;
        self.challenges += later.challenges;
        self.overtaken += later.overtaken;
        for (what, count) in later.failures {
            *self.failures.entry(what).or_default() += count;
        }
        self.latencies.0.extend(later.latencies.0);
    }

    /// Failures of all kinds.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Notes one.
    pub fn note(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// The latency that so many of a thousand do not exceed.
    pub fn quantile(&mut self, per_mille: usize) -> Option<Duration> {
        let rank = (self.0.len().checked_sub(1)? * per_mille).div_ceil(1_000);
        let (_, found, _) = self.0.select_nth_unstable(rank);
        Some(Duration::from_micros(u64::from(*found)))
    }
}

/// A duration in milliseconds, or a dash.
pub struct Millis(pub Option<Duration>);

impl fmt::Display for Millis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => formatter.pad(&format!("{:.2}", duration.as_secs_f64() * 1_000.0)),
            None => formatter.pad("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_latencies() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(500), None);
        (1..=101).rev().for_each(|n| latencies.note(Duration::from_micros(n)));
        assert_eq!(latencies.quantile(500), Some(Duration::from_micros(51)));
        assert_eq!(latencies.quantile(990), Some(Duration::from_micros(100)));
        assert_eq!(latencies.quantile(1_000), Some(Duration::from_micros(101)));
    }
}
