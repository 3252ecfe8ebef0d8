//! Retransmissions, and the end of patience.

use std::time::Instant;

use super::{Driver, Operation, T2};

impl Driver {
    pub(super) fn retransmit(&mut self) {
        let (now, patience) = (Instant::now(), self.patience);
        for slot in 0..self.transactions.len() {
            let transaction = &mut self.transactions[slot];
            if transaction.is_free || now < transaction.resend {
                continue;
            }
            if now - transaction.sent > patience {
                transaction.is_free = true;
                self.free.push(slot as u32);
                continue;
            }
            transaction.interval = T2.min(transaction.interval * 2);
            transaction.resend = now + transaction.interval;
            self.statistics.retransmissions.0 += 1;
            self.statistics.datagrams += 1;
            self.network.send(transaction.link, &transaction.text);
        }
        while let Some((number, operation, began)) = self.started.front().copied() {
            let is_over = self.under_way(operation) != number;
            if !is_over && now - began <= patience {
                break;
            }
            self.started.pop_front();
            if !is_over {
                self.statistics.fail(self.complaint(operation));
                self.give_up(operation);
            }
        }
    }

    fn complaint(&self, operation: Operation) -> String {
        let is_answered = match operation {
            Operation::Register(_) => false,
            Operation::Publish(user) => self.presentities[user as usize].is_answered,
            Operation::Subscribe(index)
            | Operation::Refresh(index)
            | Operation::Unsubscribe(index) => self.dialogs[index as usize].is_answered,
        };
        format!(
            "{} {}",
            operation.name(),
            if is_answered { "without NOTIFY" } else { "unanswered" }
        )
    }
}
