//! The bench's table: medians over the runs, and ratios to the floor.

use crate::phase::{Measured, Phase, Plan};
use crate::server::Kind;
use crate::statistics::Millis;

/// What each run gave, by server.
pub type Runs = Vec<(Kind, Vec<Measured>)>;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn of(runs: &Runs, kind: Kind, phase: Phase) -> Vec<Measured> {
    let runs = runs.iter().filter(|(k, _)| *k == kind);
    runs.flat_map(|(_, all)| all.iter().filter(|m| m.phase == phase)).cloned().collect()
}

fn median_of(measured: &[Measured], value: impl Fn(&Measured) -> f64) -> f64 {
    median(measured.iter().map(value).collect())
}

/// Prints the table; how many failures there were.
pub fn print(runs: &Runs, kinds: &[Kind], plan: &Plan) -> u64 {
    let size = plan.size;
    println!(
        "\n{} presentities x {} watchers = {} subscriptions over UDP on loopback; every presentity \
         changes {} times;\nwindow {} PUBLISHes or {} SUBSCRIBEs; medians of {} runs. CPU is the \
         server's, all threads, microseconds.\nA NOTIFY's cost includes its answer and its share \
         of the PUBLISH; a SUBSCRIBE's its NOTIFY.\n",
        size.users,
        size.watchers,
        size.dialogs(),
        plan.rounds,
        plan.window,
        plan.subscribe_window,
        runs.len() / kinds.len().max(1),
    );
    println!(
        "{:<12} {:<10} {:<10} {:>9} {:>9} {:>9} {:>9} {:>6} {:>8} {:>8} {:>6} {:>6} {:>8}",
        "phase",
        "server",
        "unit",
        "count",
        "per s",
        "CPU/unit",
        "CPU/dgram",
        "ratio",
        "p50 ms",
        "p99 ms",
        "rexmit",
        "failed",
        "PSS MiB"
    );
    let mut failed = 0;
    for phase in Phase::ALL {
        let floor = median_of(&of(runs, Kind::Floor, phase), Measured::cpu_per_unit);
        for kind in kinds {
            let mut measured = of(runs, *kind, phase);
            let cost = median_of(&measured, Measured::cpu_per_unit);
            let ratio = if floor > 0.0 { format!("{:.2}", cost / floor) } else { "-".to_owned() };
            let mut quantile = |per_mille| {
                let found =
                    measured.iter_mut().filter_map(|m| m.statistics.latencies.quantile(per_mille));
                let mut found: Vec<_> = found.collect();
                found.sort();
                Millis(found.get(found.len() / 2).copied())
            };
            let (p50, p99) = (quantile(500), quantile(990));
            let repeated = measured
                .iter()
                .map(|m| m.statistics.retransmissions.0 + m.statistics.retransmissions.1);
            let failures: u64 = measured.iter().map(|m| m.statistics.failed()).sum();
            failed += failures;
            let (name, unit) = phase.names();
            let is_first = kinds.first() == Some(kind);
            println!(
                "{:<12} {:<10} {:<10} {:>9.0} {:>9.0} {:>9.2} {:>9.2} {:>6} {:>8} {:>8} {:>6} {:>6} {:>8.1}",
                if is_first { name } else { "" },
                kind.name(),
                unit,
                median_of(&measured, |m| m.units() as f64),
                median_of(&measured, Measured::rate),
                cost,
                median_of(&measured, Measured::cpu_per_datagram),
                ratio,
                p50,
                p99,
                repeated.sum::<u64>(),
                failures,
                median_of(&measured, |m| m.memory.pss as f64 / 1024.0),
            );
        }
    }
    println!();
    for kind in kinds {
        let pss = |phase| median_of(&of(runs, *kind, phase), |m| m.memory.pss as f64);
        let each =
            (pss(Phase::Subscribe) - pss(Phase::Publish)) * 1024.0 / f64::from(size.dialogs());
        println!("{:<10} {each:.0} bytes of PSS a subscription", kind.name());
        for (of_kind, all) in runs.iter().filter(|(k, _)| k == kind) {
            for measured in all {
                for (what, count) in &measured.statistics.failures {
                    let phase = measured.phase.names().0;
                    println!("{:<10} {phase}: {count} x {what}", of_kind.name());
                }
                if measured.statistics.overtaken > 0 {
                    let count = measured.statistics.overtaken;
                    println!("{:<10} {count} NOTIFYs before the answer to SUBSCRIBE", kind.name());
                }
            }
        }
    }
    failed
}
