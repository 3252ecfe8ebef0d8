//! The counts of this node in the Prometheus text format. Labels come from fixed sets only; no
//! user, address or message text ever becomes one.

use std::time::Duration;

use presence::command::Totals;
use presence::counters::METHODS;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::server_task::Observation;
use crate::store_task::StoreCounters;

/// Everything that is shown at one scrape.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// The server task's counts.
    pub(crate) observation: Observation,
    /// The totals of users, bindings, publications, subscriptions.
    pub(crate) totals: Totals,
    /// The store's counts.
    pub(crate) store: StoreCounters,
    /// Open stream connections.
    pub(crate) connections: usize,
    /// The most there may be.
    pub(crate) max_connections: usize,
    /// Connections refused.
    pub(crate) connections_refused: u64,
    /// Names of the alarms that stand.
    pub(crate) alarms: Vec<&'static str>,
    /// Log lines that standard error was too slow for.
    pub(crate) log_lines_dropped: u64,
    /// From the kernel's start until this node was ready.
    pub(crate) kernel_to_ready: Option<Duration>,
}

type Labels = [(&'static str, &'static str); 1];

impl Reading {
    /// The text format; empty when it cannot be written, which a scraper reports.
    pub(crate) fn to_text(&self) -> String {
        let mut registry = Registry::with_prefix("lamplight");
        self.server(&mut registry);
        self.edge(&mut registry);
        self.amounts(&mut registry);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs here", build);
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            tracing::warn!("the metrics could not be written");
            text.clear();
        }
        text
    }

    /// Every counter by the name that the text format gives it, for `show tech-support`.
    pub(crate) fn by_name(&self) -> Vec<(String, u64)> {
        let text = self.to_text();
        let mut counters: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.split('.').next()?.parse().ok()?))
            })
            .collect();
        counters.sort();
        counters
    }

    fn server(&self, registry: &mut Registry) {
        let server = &self.observation.server;
        let requests = Family::<Labels, Counter>::default();
        for (method, count) in METHODS.iter().zip(server.requests) {
            requests.get_or_create(&[("method", *method)]).inc_by(count);
        }
        registry.register("sip_requests", "SIP requests taken, by method", requests);
        let responses = Family::<Labels, Counter>::default();
        for (class, count) in
            ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"].iter().zip(server.responses)
        {
            responses.get_or_create(&[("class", *class)]).inc_by(count);
        }
        registry.register("sip_responses", "SIP responses sent, by class", responses);
        let notifies = Family::<Labels, Counter>::default();
        for (outcome, count) in [
            ("sent", server.notifies),
            ("confirmed", server.notifies_confirmed),
            ("failed", server.notifies_failed),
            ("coalesced", server.notifies_coalesced),
        ] {
            notifies.get_or_create(&[("outcome", outcome)]).inc_by(count);
        }
        registry.register("notifies", "NOTIFY requests, by what became of them", notifies);
        for (name, help, count) in [
            ("sip_malformed_answered", "Malformed messages answered", server.malformed_answered),
            ("sip_malformed_dropped", "Malformed messages dropped", server.malformed_dropped),
            ("sip_retransmissions_in", "Requests received again", server.retransmissions_in),
            ("sip_retransmissions_out", "Messages sent again", server.retransmissions_out),
            ("sip_stray_responses", "Responses to nothing known", server.stray_responses),
            ("sip_overload", "Requests turned away for load", server.overload),
            ("digest_challenges", "Challenges sent", server.challenges),
            ("digest_failures", "Requests with wrong credentials", server.authentication_failures),
            ("digest_replays", "Nonce counts seen before", server.replays),
            ("documents_refused", "Published documents refused", server.documents_refused),
            (
                "list_members_left_out",
                "Members beyond a list's limit",
                server.list_members_left_out,
            ),
            ("devices_signed_off", "Devices whose connection was lost", server.devices_signed_off),
            ("messages_stored", "Messages stored for later", server.messages_stored),
            ("messages_not_stored", "Messages without room to store", server.messages_not_stored),
            ("messages_delivered", "Stored messages delivered", server.messages_delivered),
            ("messages_refused", "Stored messages refused by a device", server.messages_refused),
            ("messages_expired", "Stored messages nobody came for", server.messages_expired),
            ("records_unreadable", "Stored records not readable", server.records_unreadable),
        ] {
            registry.register(name, help, ConstCounter::new(count));
        }
    }

    fn edge(&self, registry: &mut Registry) {
        let edge = &self.observation.edge;
        for (name, help, count) in [
            ("sip_datagrams_in", "Datagrams received", edge.datagrams_in),
            ("sip_datagrams_out", "Datagrams sent", edge.datagrams_out),
            ("sip_stream_messages_in", "Messages received on streams", edge.stream_messages_in),
            ("sip_stream_messages_out", "Messages queued to streams", edge.stream_messages_out),
            ("sip_dropped_full", "Messages dropped: the peer is too far behind", edge.dropped_full),
            ("sip_undeliverable", "Messages without a way to the peer", edge.undeliverable),
            ("answers_released_early", "Answers sent before the disk had it", edge.released_early),
            ("contained_failures", "Failures of the program contained", edge.contained_failures),
            ("connections_refused", "Connections refused", self.connections_refused),
            ("store_commits", "Batches written to the store", self.store.commits),
            ("store_changes", "Changes written to the store", self.store.changes),
            ("store_failures", "Batches that the store refused", self.store.failures),
            ("store_dropped", "Changes that found no room to wait", self.store.dropped),
            ("store_snapshots", "Snapshots made", self.store.snapshots),
            ("log_lines_dropped", "Log lines not written", self.log_lines_dropped),
        ] {
            registry.register(name, help, ConstCounter::new(count));
        }
        let busy = ConstCounter::new(self.store.busy.as_secs_f64());
        registry.register("store_busy_seconds", "Time spent writing the store", busy);
    }

    fn amounts(&self, registry: &mut Registry) {
        let totals = &self.totals;
        for (name, help, amount) in [
            ("users", "Users", u64::from(totals.users)),
            ("users_enabled", "Enabled users", u64::from(totals.enabled_users)),
            ("users_max", "Enabled users that the machine carries", u64::from(totals.max_users)),
            ("users_unserved", "Enabled users not served", u64::from(totals.unserved_users)),
            ("registrations", "Registered contacts", number(totals.bindings)),
            ("publications", "Publications", number(totals.publications)),
            ("subscriptions", "Subscriptions", number(totals.subscriptions)),
            ("transactions", "SIP transactions under way", number(totals.transactions)),
            (
                "calls_ringing",
                "Calls passed on without a final answer",
                number(totals.ringing_calls),
            ),
            ("flows", "Open SIP stream flows", number(self.observation.flows)),
            ("connections", "Open SIP stream connections", number(self.connections)),
            ("connections_max", "Connections there may be", number(self.max_connections)),
            ("answers_held", "Answers waiting for the disk", number(self.observation.held)),
            ("store_waiting_changes", "Changes waiting", number(self.store.waiting_changes)),
            ("store_waiting_bytes", "Bytes waiting", number(self.store.waiting_bytes)),
        ] {
            let amount = i64::try_from(amount).unwrap_or(i64::MAX);
            registry.register(name, help, ConstGauge::new(amount));
        }
        let slowest = ConstGauge::new(self.store.slowest.as_secs_f64());
        registry.register(
            "store_slowest_write_seconds",
            "The longest write since the last reading",
            slowest,
        );
        if let Some(duration) = self.kernel_to_ready {
            let help = "From the start of the kernel until this node was ready";
            let seconds = ConstGauge::new(duration.as_secs_f64());
            registry.register("kernel_to_ready_seconds", help, seconds);
        }
        let alarms = Family::<Labels, Gauge>::default();
        for name in &self.alarms {
            alarms.get_or_create(&[("name", *name)]).set(1);
        }
        registry.register("alarm", "Alarms that stand", alarms);
    }
}

fn number(amount: usize) -> u64 {
    amount.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        let mut server = presence::counters::Counters { challenges: 3, ..Default::default() };
        server.requests[0] = 7;
        Reading {
            observation: Observation {
                server,
                edge: crate::server_task::EdgeCounters { datagrams_in: 9, ..Default::default() },
                held: 0,
                flows: 2,
            },
            totals: Totals { users: 4, ..Totals::default() },
            store: StoreCounters::default(),
            connections: 2,
            max_connections: 10,
            connections_refused: 0,
            alarms: vec!["store-slow"],
            log_lines_dropped: 0,
            kernel_to_ready: Some(Duration::from_millis(21_500)),
        }
    }

    #[test]
    fn counts_appear_under_stable_names() {
        let text = reading().to_text();
        for line in [
            "lamplight_sip_requests_total{method=\"REGISTER\"} 7",
            "lamplight_digest_challenges_total 3",
            "lamplight_sip_datagrams_in_total 9",
            "lamplight_users 4",
            "lamplight_kernel_to_ready_seconds 21.5",
            "lamplight_alarm{name=\"store-slow\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("lamplight_build_info{version="));
    }

    #[test]
    fn the_counters_can_be_listed() {
        let list = reading().by_name();
        assert!(list.contains(&("lamplight_digest_challenges_total".to_owned(), 3)));
        assert!(list.is_sorted());
    }
}
