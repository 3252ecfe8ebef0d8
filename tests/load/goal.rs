//! What is to be reached, and how far it is.

use std::fmt;

use crate::phase::{Measured, Phase, Plan};
use crate::report::{Runs, median_of, of, quantile};
use crate::server::Kind;

/// A goal: what, the most that it may be, and what was measured.
struct Goal {
    what: String,
    most: f64,
    unit: &'static str,
    measured: Option<f64>,
}

impl fmt::Display for Goal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, most, unit, measured } = self;
        let (measured, verdict) = match measured {
            Some(measured) if measured <= most => (format!("{measured:.3}"), "met"),
            Some(measured) => (format!("{measured:.3}"), "NOT met"),
            None => ("-".to_owned(), "not measured"),
        };
        write!(formatter, "{what:<62} {most:>8.3} {measured:>9} {unit:<12} {verdict}")
    }
}

/// Prints a line of a table of goals.
pub fn tell(what: impl Into<String>, most: f64, unit: &'static str, measured: Option<f64>) {
    println!("{}", Goal { what: what.into(), most, unit, measured });
}

/// Prints the heading of a table of goals.
pub fn head() {
    println!("\n{:<62} {:>8} {:>9}", "goal", "at most", "measured");
}

/// A number of ours divided by the same of another.
fn ratio(
    runs: &Runs,
    phase: Phase,
    other: Kind,
    value: impl Fn(&Measured) -> f64 + Copy,
) -> Option<f64> {
    let ours = median_of(&of(runs, Kind::Lamplight, phase), value)?;
    let theirs = median_of(&of(runs, other, phase), value)?;
    (theirs > 0.0).then(|| ours / theirs)
}

/// Bytes of PSS that a subscription takes in a server of that kind: at the end of subscribing, and
/// when the transactions have ended, where that was waited for.
pub fn bytes_a_subscription(runs: &Runs, kind: Kind, plan: &Plan) -> (Option<f64>, Option<f64>) {
    let pss = |phase| median_of(&of(runs, kind, phase), |m| m.memory.pss as f64);
    let settled = |phase| {
        let measured = of(runs, kind, phase);
        let has_settled = measured.iter().all(|m| m.settled.is_some());
        median_of(&measured, |m| m.settled.map_or(0.0, |m| m.pss as f64)).filter(|_| has_settled)
    };
    let each = |before: Option<f64>, after: Option<f64>| {
        Some((after? - before?) * 1_024.0 / f64::from(plan.size.dialogs()))
    };
    (
        each(settled(Phase::Publish).or_else(|| pss(Phase::Publish)), pss(Phase::Subscribe)),
        each(settled(Phase::Publish), settled(Phase::Subscribe)),
    )
}

/// Prints the goals of the bench; the plans in order of size.
pub fn print(plans: &[Plan], all: &[Runs]) {
    head();
    let cost = Measured::cpu_per_unit;
    for (plan, runs) in plans.iter().zip(all) {
        let size = plan.size.dialogs();
        let of_floor = ratio(runs, Phase::FanOut, Kind::Floor, cost);
        tell(format!("{size}: fan-out, CPU a NOTIFY"), 2.0, "x floor", of_floor);
        for (phase, share) in [(Phase::FanOut, 8.0), (Phase::Subscribe, 5.0), (Phase::Refresh, 5.0)]
        {
            let (name, unit) = phase.names();
            let measured = ratio(runs, phase, Kind::Kamailio, cost);
            let what = format!("{size}: {name}, CPU a {unit}");
            tell(what, 1.0 / share, "x Kamailio", measured);
        }
        let p99 = quantile(&mut of(runs, Kind::Lamplight, Phase::Steady), 990);
        let what = format!("{size}: p99 from change to NOTIFY at {} NOTIFY/s", plan.steady.0);
        tell(what, 5.0, "ms", p99.map(|p99| p99.as_secs_f64() * 1e3));
        if plan.settles {
            let (_, settled) = bytes_a_subscription(runs, Kind::Lamplight, plan);
            tell(format!("{size}: PSS a subscription, settled"), 1_536.0, "bytes", settled);
        }
    }
    if let (Some(small), Some(large)) = (all.first(), all.last())
        && all.len() > 1
    {
        let (from, to) = (plans[0].size.dialogs(), plans[all.len() - 1].size.dialogs());
        for kind in [Kind::Lamplight, Kind::Floor, Kind::Kamailio] {
            let of_kind = |runs| median_of(&of(runs, kind, Phase::FanOut), cost);
            let grown = of_kind(large).zip(of_kind(small)).map(|(l, s)| l / s);
            let what = format!("fan-out at {to} beside {from}: {}", kind.name());
            match kind {
                Kind::Lamplight => tell(what, 1.15, "x", grown),
                Kind::Floor | Kind::Kamailio => {
                    let grown = grown.map_or_else(|| "-".to_owned(), |g| format!("{g:.3}"));
                    println!("{what:<62} {:>8} {grown:>9} x", "");
                }
            }
        }
        let of_floor = |runs| ratio(runs, Phase::FanOut, Kind::Floor, cost);
        let grown = of_floor(large).zip(of_floor(small)).map(|(l, s)| l / s);
        tell(format!("the same in multiples of the floor: {}", "lamplight"), 1.15, "x", grown);
    }
}
