//! What an administrator decides for the whole node, kept in the store and in force at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::administration::Undo;
use crate::command::{Answer, PolicyItem, Refusal};
use crate::compositor::Order;
use crate::output::Ticket;
use crate::policy::Handling;
use crate::record::{Change, Table, encode};
use crate::server::{Pending, Server};
use crate::stored_message::STORED;

/// One thing to decide. Values are kept as numbers, by name, so that a version that knows more or
/// fewer of them reads the record of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// Watchers of our own domain, where the presentity has no rules.
    Inside,
    /// Watchers of other domains, where the presentity has no rules.
    Outside,
    /// Contacts that one user may have in lists.
    Contacts,
    /// Seconds between two NOTIFYs of a list.
    ListInterval,
    /// How long a device that registered over TCP may be without its connection.
    SignOffTcp,
    /// The same over TLS.
    SignOffTls,
    /// The same over WebSocket.
    SignOffWebSocket,
    /// Whether messages are passed on, and stored where nobody is there.
    Messages,
    /// How long they are.
    MessagesDays,
    /// How many of them.
    MessagesPerUser,
    /// Which overall state wins over which.
    Composition,
}

struct Description {
    name: &'static str,
    meaning: &'static str,
    values: Values,
    usual: u32,
}

enum Values {
    Words(&'static [&'static str]),
    Range(u32, u32),
    /// Seconds up to this, or never.
    Pause(u32),
    /// All states, in some order.
    Order,
}

const NEVER: u32 = u32::MAX;
const SIGN_OFF: &str = "seconds after which a device whose connection is lost has signed off";

const HANDLINGS: &[&str] = &["block", "confirm", "polite-block", "allow"];

impl Item {
    const ALL: [Self; 11] = [
        Self::Inside,
        Self::Outside,
        Self::Contacts,
        Self::ListInterval,
        Self::SignOffTcp,
        Self::SignOffTls,
        Self::SignOffWebSocket,
        Self::Messages,
        Self::MessagesDays,
        Self::MessagesPerUser,
        Self::Composition,
    ];

    const fn describe(self) -> Description {
        let (name, meaning, values, usual) = match self {
            Self::Inside => (
                "inside",
                "watchers of our own domain, where the user has no rules",
                Values::Words(HANDLINGS),
                3,
            ),
            Self::Outside => (
                "outside",
                "watchers of other domains, where the user has no rules",
                Values::Words(HANDLINGS),
                1,
            ),
            Self::Contacts => {
                ("contacts", "contacts that a user may have", Values::Range(1, 1000), 200)
            }
            Self::ListInterval => (
                "list-interval",
                "seconds between two NOTIFYs about a list, which gathers what changes between",
                Values::Range(0, 600),
                5,
            ),
            Self::SignOffTcp => ("sign-off-tcp", SIGN_OFF, Values::Pause(3600), 0),
            Self::SignOffTls => ("sign-off-tls", SIGN_OFF, Values::Pause(3600), 0),
            Self::SignOffWebSocket => ("sign-off-websocket", SIGN_OFF, Values::Pause(3600), 0),
            Self::Messages => (
                "messages",
                "instant messages: passed on and stored where nobody is there, only passed on, or off",
                Values::Words(&["off", "online", "stored"]),
                STORED,
            ),
            Self::MessagesDays => {
                ("messages-days", "days that a message is stored", Values::Range(1, 90), 14)
            }
            Self::MessagesPerUser => {
                ("messages-per-user", "messages stored for one user", Values::Range(1, 1000), 100)
            }
            Self::Composition => (
                "composition",
                "which overall state wins when devices say different ones: the first",
                Values::Order,
                0,
            ),
        };
        Description { name, meaning, values, usual }
    }
}

impl Description {
    fn text(&self, value: u32) -> String {
        match self.values {
            Values::Words(words) => {
                words.get(value as usize).map_or_else(|| value.to_string(), |w| (*w).to_owned())
            }
            Values::Pause(_) if value == NEVER => "never".to_owned(),
            Values::Order => Order::from_number(value).to_string(),
            Values::Range(..) | Values::Pause(_) => value.to_string(),
        }
    }

    fn parse(&self, text: &str) -> Option<u32> {
        match self.values {
            Values::Words(words) => {
                u32::try_from(words.iter().position(|word| *word == text)?).ok()
            }
            Values::Range(least, most) => {
                text.parse().ok().filter(|value| (least..=most).contains(value))
            }
            Values::Order => Order::parse(text).map(Order::to_number),
            Values::Pause(_) if text == "never" => Some(NEVER),
            Values::Pause(most) => text.parse().ok().filter(|value| *value <= most),
        }
    }

    fn allowed(&self) -> String {
        match self.values {
            Values::Words(words) => words.join(", "),
            Values::Range(least, most) => format!("{least} to {most}"),
            Values::Pause(most) => format!("0 to {most}, never"),
            Values::Order => "every state once, with commas between".to_owned(),
        }
    }
}

/// What has been decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct NodePolicy {
    decided: BTreeMap<String, u32>,
}

impl NodePolicy {
    pub(crate) fn value(&self, item: Item) -> u32 {
        let description = item.describe();
        self.decided.get(description.name).copied().unwrap_or(description.usual)
    }

    /// Which state wins over which.
    pub(crate) fn order(&self) -> Order {
        Order::from_number(self.value(Item::Composition))
    }

    /// A pause; none for never.
    pub(crate) fn pause(&self, item: Item) -> Option<Duration> {
        let value = self.value(item);
        (value != NEVER).then(|| Duration::from_secs(u64::from(value)))
    }

    pub(crate) fn handling(&self, item: Item) -> Handling {
        match self.value(item) {
            3 => Handling::Allow,
            2 => Handling::PoliteBlock,
            1 => Handling::Confirm,
            _ => Handling::Block,
        }
    }
}

impl Server {
    pub(crate) fn show_policy(&self) -> Answer {
        let item = |item: Item| {
            let description = item.describe();
            PolicyItem {
                name: description.name,
                value: description.text(self.policy.value(item)),
                usual: description.text(description.usual),
                allowed: description.allowed(),
                meaning: description.meaning,
            }
        };
        Answer::Policy(Item::ALL.into_iter().map(item).collect())
    }

    /// Decides one thing anew; without a value, as it usually is.
    pub(crate) fn set_policy(
        &mut self,
        now: sip::clock::Now,
        ticket: Ticket,
        name: &str,
        value: Option<&str>,
    ) -> Result<Option<Answer>, Refusal> {
        let found = Item::ALL.into_iter().map(Item::describe).find(|item| item.name == name);
        let Some(item) = found else {
            let names: Vec<&str> = Item::ALL.into_iter().map(|item| item.describe().name).collect();
            return Err(Refusal::UnknownPolicy { name: name.to_owned(), known: names.join(", ") });
        };
        let before = self.policy.clone();
        match value {
            None => drop(self.policy.decided.remove(item.name)),
            Some(text) => {
                let value = item.parse(text).ok_or_else(|| Refusal::BadPolicy {
                    name: name.to_owned(),
                    value: text.to_owned(),
                    allowed: item.allowed(),
                })?;
                self.policy.decided.insert(item.name.to_owned(), value);
            }
        }
        let change =
            Change { key: Table::Policy.key(&[b"node"]), value: Some(encode(&self.policy)) };
        let undo = Undo::Policy(Box::new(before));
        self.commit(vec![change], Pending::Command(Box::new((ticket, undo, Answer::Done))));
        self.policy_changed(now);
        Ok(None)
    }

    /// Whatever was decided before is decided again.
    pub(crate) fn policy_changed(&mut self, now: sip::clock::Now) {
        let slots: Vec<_> = self.users.iter_after("").map(|(slot, _)| slot).collect();
        for slot in slots {
            if let Some(user) = self.users.get_mut(slot) {
                user.is_stale = true;
            }
            self.tell_watchers(now, slot);
            self.review(now, slot);
        }
    }
}
