//! What the server counts; plain numbers that only rise, read by the edge for its metrics.

/// Counts since the start.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Requests taken, by method in the order of [`METHODS`].
    pub requests: [u64; METHODS.len()],
    /// Responses sent, by class 1xx to 6xx.
    pub responses: [u64; 6],
    /// Messages that could not be parsed and were answered.
    pub malformed_answered: u64,
    /// Messages that could not be parsed or matched and were dropped.
    pub malformed_dropped: u64,
    /// Requests that were retransmissions.
    pub retransmissions_in: u64,
    /// Requests and responses that were sent again.
    pub retransmissions_out: u64,
    /// Responses that belong to no transaction.
    pub stray_responses: u64,
    /// Requests turned away with 503 because a limit was reached.
    pub overload: u64,
    /// Challenges sent.
    pub challenges: u64,
    /// Requests with wrong credentials.
    pub authentication_failures: u64,
    /// Nonce counts seen before.
    pub replays: u64,
    /// Messages that were stored.
    pub messages_stored: u64,
    /// Messages that there was no room to store.
    pub messages_not_stored: u64,
    /// Stored messages that a device took.
    pub messages_delivered: u64,
    /// Stored messages that a device will not have.
    pub messages_refused: u64,
    /// Stored messages that nobody came for.
    pub messages_expired: u64,
    /// Devices that signed off because their connection was lost.
    pub devices_signed_off: u64,
    /// Members of lists that were left out, since there were too many.
    pub list_members_left_out: u64,
    /// NOTIFYs sent.
    pub notifies: u64,
    /// NOTIFYs answered with 2xx.
    pub notifies_confirmed: u64,
    /// NOTIFYs answered otherwise or not at all.
    pub notifies_failed: u64,
    /// Changes that a watcher got folded into a later NOTIFY.
    pub notifies_coalesced: u64,
    /// Documents refused.
    pub documents_refused: u64,
    /// Stored records that could not be read at the start.
    pub records_unreadable: u64,
}

/// The methods counted by name.
pub const METHODS: [&str; 15] = [
    "REGISTER",
    "PUBLISH",
    "SUBSCRIBE",
    "NOTIFY",
    "OPTIONS",
    "MESSAGE",
    "INVITE",
    "ACK",
    "CANCEL",
    "BYE",
    "INFO",
    "UPDATE",
    "PRACK",
    "REFER",
    "other",
];

impl Counters {
    pub(crate) fn count_request(&mut self, method: &str) {
        let place = METHODS.iter().position(|known| *known == method);
        let place = place.unwrap_or(METHODS.len() - 1);
        if let Some(count) = self.requests.get_mut(place) {
            *count += 1;
        }
    }

    pub(crate) fn count_response(&mut self, status: u16) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(count) = self.responses.get_mut(class) {
            *count += 1;
        }
    }
}
