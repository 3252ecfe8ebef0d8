//! What comes back: answers to our requests, and NOTIFYs.

use std::time::Instant;

use super::{Driver, Operation};
use crate::message::{self, Notify};
use crate::text;

/// Challenges in a row that are answered.
const MOST_CHALLENGES: u8 = 3;

impl Driver {
    pub(super) fn receive(&mut self, link: usize, bytes: &[u8]) {
        self.statistics.datagrams += 1;
        if bytes.first() == Some(&b'S') {
            if let Some(response) = message::response(bytes) {
                self.answered(response, bytes);
            } else {
                self.statistics.fail("foreign response");
            }
            return;
        }
        let mut answer = std::mem::take(&mut self.answer);
        if let Some(notify) = message::answer_notify(bytes, &mut answer) {
            self.send(link, &answer);
            self.notified(notify);
        } else {
            self.statistics.fail("foreign request");
        }
        self.answer = answer;
    }

    fn answered(&mut self, response: message::Response, bytes: &[u8]) {
        let Some(transaction) = self.transactions.get_mut(response.slot as usize) else { return };
        if transaction.is_free || transaction.serial != response.serial || response.status < 200 {
            return;
        }
        transaction.is_free = true;
        self.free.push(response.slot);
        let (operation, sent) = (transaction.operation, transaction.sent);
        let challenges = transaction.challenges;
        if response.status == 401 && self.accounts.is_some() && challenges < MOST_CHALLENGES {
            self.challenged(operation, bytes, challenges + 1);
            return;
        }
        if response.status >= 300 {
            self.statistics.fail(format!("{} {}", operation.name(), response.status));
            self.give_up(operation);
            return;
        }
        match operation {
            Operation::Register(user) => {
                self.presentities[user as usize].register = 0;
                self.complete(operation, sent.elapsed());
            }
            Operation::Publish(user) => {
                let presentity = &mut self.presentities[user as usize];
                presentity.is_answered = true;
                if let Some(tag) = text::header(bytes, "SIP-ETag:") {
                    tag.clone_into(&mut presentity.entity_tag);
                }
                self.see_published(user as usize);
            }
            Operation::Subscribe(index)
            | Operation::Refresh(index)
            | Operation::Unsubscribe(index) => {
                let dialog = &mut self.dialogs[index as usize];
                dialog.is_answered = true;
                if dialog.tag.is_empty()
                    && let Some(tag) = text::header(bytes, "To:").and_then(text::tag)
                {
                    tag.clone_into(&mut dialog.tag);
                }
                self.see_subscribed(index);
            }
        }
    }

    /// Asks again with credentials, under the next number.
    fn challenged(&mut self, operation: Operation, bytes: &[u8], challenges: u8) {
        self.statistics.challenges += 1;
        let user = match operation {
            Operation::Register(user) => {
                self.presentities[user as usize].registrations += 1;
                user
            }
            Operation::Publish(user) => {
                self.presentities[user as usize].publications += 1;
                user
            }
            Operation::Subscribe(index)
            | Operation::Refresh(index)
            | Operation::Unsubscribe(index) => {
                self.dialogs[index as usize].cseq += 1;
                self.size.ends(index).0
            }
        };
        if self.accounts.as_mut().is_some_and(|accounts| accounts.challenge(user, bytes)) {
            self.ask(operation, Instant::now(), challenges);
        } else {
            self.statistics.fail(format!("{} challenged in vain", operation.name()));
            self.give_up(operation);
        }
    }

    fn notified(&mut self, notify: Notify) {
        let Some(dialog) = self.dialogs.get_mut(notify.dialog as usize) else {
            self.statistics.fail("NOTIFY for nobody");
            return;
        };
        if notify.cseq <= dialog.notified {
            self.statistics.retransmissions.1 += 1;
            return;
        }
        self.statistics.notifies += 1;
        self.statistics.overtaken += u64::from(dialog.tag.is_empty());
        dialog.notified = notify.cseq;
        let user = (notify.dialog / self.size.watchers) as usize;
        if let Some(change) = notify.change
            && change > dialog.change
        {
            dialog.change = change;
            let presentity = &mut self.presentities[user];
            if dialog.is_on && change == presentity.change {
                presentity.unaware = presentity.unaware.saturating_sub(1);
                if let Some(published) = presentity.published {
                    self.statistics.latencies.note(published.elapsed());
                }
                self.see_published(user);
            }
        }
        let is_brief = self.is_brief(notify.dialog);
        let dialog = &mut self.dialogs[notify.dialog as usize];
        if dialog.operation != 0 && notify.is_last == dialog.is_last {
            dialog.is_notified = true;
            self.see_subscribed(notify.dialog);
        } else if notify.is_last && dialog.is_on && is_brief {
            self.expired.push((notify.dialog, Instant::now()));
            self.watch(notify.dialog, false);
        } else if notify.is_last && dialog.is_on {
            self.statistics.fail("subscription ended by the server");
            self.watch(notify.dialog, false);
        }
    }
}
