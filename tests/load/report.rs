//! The bench's table: medians over the runs, and ratios to the floor and to Kamailio.

use std::time::Duration;

use crate::goal::bytes_a_subscription;
use crate::phase::{Measured, Phase, Plan};
use crate::server::Kind;
use crate::statistics::Millis;

/// What each run gave, by server.
pub type Runs = Vec<(Kind, Vec<Measured>)>;

/// The middle one.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// What a server's runs gave in a phase.
pub fn of(runs: &Runs, kind: Kind, phase: Phase) -> Vec<Measured> {
    let runs = runs.iter().filter(|(k, _)| *k == kind);
    runs.flat_map(|(_, all)| all.iter().filter(|m| m.phase == phase)).cloned().collect()
}

/// The median of a number over runs.
pub fn median_of(measured: &[Measured], value: impl Fn(&Measured) -> f64) -> Option<f64> {
    median(measured.iter().map(value).collect())
}

/// The median over runs of a quantile of the latencies.
pub fn quantile(measured: &mut [Measured], per_mille: usize) -> Option<Duration> {
    let found = measured.iter_mut().filter_map(|m| m.statistics.latencies.quantile(per_mille));
    let mut found: Vec<_> = found.collect();
    found.sort();
    found.get(found.len() / 2).copied()
}

/// Prints the table; how many failures there were, but the peer's.
pub fn print(runs: &Runs, kinds: &[Kind], plan: &Plan) -> u64 {
    let size = plan.size;
    println!(
        "\n{} presentities x {} watchers = {} subscriptions over {} on loopback, {} sockets; every \
         presentity\nchanges {} times; window {} PUBLISHes or {} SUBSCRIBEs; medians of {} runs. CPU \
         is the server's, all\nprocesses and threads, microseconds. A NOTIFY's cost includes its \
         answer and its share of the PUBLISH; a\nSUBSCRIBE's its NOTIFY. A message is one in or \
         out.\n",
        size.presentities,
        size.watchers,
        size.dialogs(),
        plan.transport.token(),
        plan.sockets,
        plan.rounds,
        plan.window,
        plan.subscribe_window,
        runs.len() / kinds.len().max(1),
    );
    println!(
        "{:<12} {:<10} {:<10} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9} {:>8} {:>8} {:>6} {:>6} {:>8}",
        "phase",
        "server",
        "unit",
        "count",
        "per s",
        "CPU/unit",
        "CPU/msg",
        "x floor",
        "Kamailio/",
        "p50 ms",
        "p99 ms",
        "rexmit",
        "failed",
        "PSS MiB"
    );
    let mut failed = 0;
    for phase in Phase::ALL {
        let cost_of = |kind| median_of(&of(runs, kind, phase), Measured::cpu_per_unit);
        let (floor, peer) = (cost_of(Kind::Floor), cost_of(Kind::Kamailio));
        let mut has_name = false;
        for kind in kinds {
            let mut measured = of(runs, *kind, phase);
            let Some(cost) = median_of(&measured, Measured::cpu_per_unit) else { continue };
            let number = |ratio: Option<f64>| ratio.map_or_else(dash, |r| format!("{r:.2}"));
            let (p50, p99) = (quantile(&mut measured, 500), quantile(&mut measured, 990));
            let repeated = measured
                .iter()
                .map(|m| m.statistics.retransmissions.0 + m.statistics.retransmissions.1);
            let failures: u64 = measured.iter().map(|m| m.statistics.failed()).sum();
            // What a peer fails at is shown, and is no fault of ours.
            failed += if *kind == Kind::Kamailio { 0 } else { failures };
            let (name, unit) = phase.names();
            let middle = |value: fn(&Measured) -> f64| median_of(&measured, value).unwrap_or(0.0);
            println!(
                "{:<12} {:<10} {:<10} {:>9.0} {:>9.0} {cost:>9.2} {:>9.2} {:>8} {:>9} {:>8} {:>8} \
                 {:>6} {failures:>6} {:>8.1}",
                if has_name { "" } else { name },
                kind.name(),
                unit,
                middle(|m| m.units() as f64),
                middle(Measured::rate),
                middle(Measured::cpu_per_datagram),
                number(floor.map(|floor| cost / floor)),
                number(peer.map(|peer| peer / cost)),
                Millis(p50),
                Millis(p99),
                repeated.sum::<u64>(),
                middle(|m| m.memory.pss as f64 / 1024.0),
            );
            has_name = true;
        }
    }
    println!();
    for kind in kinds {
        let (straight, settled) = bytes_a_subscription(runs, *kind, plan);
        let number = |bytes: Option<f64>| bytes.map_or_else(dash, |bytes| format!("{bytes:.0}"));
        println!(
            "{:<10} bytes of PSS a subscription: {} when all have subscribed, {} when their \
             transactions have ended",
            kind.name(),
            number(straight),
            number(settled),
        );
        for measured in runs.iter().filter(|(k, _)| k == kind).flat_map(|(_, all)| all) {
            let (phase, statistics) = (measured.phase.names().0, &measured.statistics);
            for (what, count) in &statistics.failures {
                println!("{:<10} {phase}: {count} x {what}", kind.name());
            }
            if statistics.overtaken > 0 {
                let count = statistics.overtaken;
                println!("{:<10} {phase}: {count} NOTIFYs before the answer", kind.name());
            }
        }
    }
    failed
}

fn dash() -> String {
    "-".to_owned()
}
