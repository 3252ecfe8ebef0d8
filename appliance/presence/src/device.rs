//! Devices with digest credentials of their own, made for users who sign in elsewhere; and the new
//! id that a user gets when it is called otherwise there.

use sip::clock::Now;
use sip::digest::Ha1;

use crate::administration::{Undo, account_change};
use crate::command::{Answer, Refusal};
use crate::output::Ticket;
use crate::record::{Change, DeviceRecord, Table, UserRecord, encode};
use crate::server::{Pending, Server};
use crate::user::{UserSlot, Users};

/// Devices that one user may have: each is tried at every sign-in.
const DEVICES: usize = 10;
/// The longest name of a device.
const NAME_LIMIT: usize = 32;

/// A device's record, put or removed.
pub(crate) fn device_change(id: &str, device: &str, record: Option<&DeviceRecord>) -> Change {
    Change {
        key: Table::Device.key(&[id.as_bytes(), device.as_bytes()]),
        value: record.map(encode),
    }
}

impl Server {
    pub(crate) fn set_device(
        &mut self,
        now: Now,
        ticket: Ticket,
        id: &str,
        device: &str,
        ha1: Ha1,
    ) -> Result<Option<Answer>, Refusal> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if device.is_empty() || device.len() > NAME_LIMIT || !device.chars().all(allowed) {
            return Err(Refusal::BadDevice(device.to_owned()));
        }
        let (slot, user) = self.known(id)?;
        if user.devices.len() >= DEVICES && !user.devices.contains_key(device) {
            return Err(Refusal::TooManyDevices { id: id.to_owned(), limit: DEVICES });
        }
        let record = DeviceRecord {
            created_millis: now.wall.as_millis(),
            ha1_md5: ha1.md5,
            ha1_sha256: ha1.sha256,
        };
        let change = device_change(id, device, Some(&record));
        let before = user.devices.get(device).cloned();
        self.put_device(slot, device.to_owned(), Some(record));
        let undo = Undo::Device(slot, device.to_owned(), before);
        self.commit(vec![change], Pending::Command(Box::new((ticket, undo, Answer::Done))));
        Ok(None)
    }

    pub(crate) fn delete_device(
        &mut self,
        ticket: Ticket,
        id: &str,
        device: &str,
    ) -> Result<Option<Answer>, Refusal> {
        let (slot, user) = self.known(id)?;
        let Some(before) = user.devices.get(device).cloned() else {
            return Err(Refusal::UnknownDevice { id: id.to_owned(), device: device.to_owned() });
        };
        self.put_device(slot, device.to_owned(), None);
        let undo = Undo::Device(slot, device.to_owned(), Some(before));
        let change = device_change(id, device, None);
        self.commit(vec![change], Pending::Command(Box::new((ticket, undo, Answer::Done))));
        Ok(None)
    }

    pub(crate) fn put_device(
        &mut self,
        slot: UserSlot,
        device: String,
        record: Option<DeviceRecord>,
    ) {
        let Some(user) = self.users.get_mut(slot) else { return };
        match record {
            Some(record) => drop(user.devices.insert(device, record)),
            None => drop(user.devices.remove(&device)),
        }
    }

    /// The hash of a password, for who may sign in.
    pub(crate) fn password_hash(&self, id: &str) -> Option<String> {
        let (_, user) = self.known(id).ok()?;
        let credentials = user.account.credentials.as_ref().filter(|_| user.is_served)?;
        Some(credentials.password_hash.clone())
    }

    /// The account stays under the new id, with its place in the order; what carries the id in
    /// itself does not: digest credentials, bindings, publications, subscriptions.
    pub(crate) fn rename_user(
        &mut self,
        now: Now,
        ticket: Ticket,
        from: &str,
        to: &str,
    ) -> Result<Option<Answer>, Refusal> {
        Users::check_id(to)?;
        if self.users.find(to).is_some() {
            return Err(Refusal::UserExists(to.to_owned()));
        }
        let (old, user) = self.known(from)?;
        let account = UserRecord {
            credentials: None,
            changed_millis: now.wall.as_millis(),
            ..user.account.clone()
        };
        let mut changes = vec![account_change(to, &account)];
        let new = self.users.insert(to, account);
        let new = new.ok_or_else(|| Refusal::BadUserId(to.to_owned()))?;
        changes.extend(self.leave(old, from));
        changes.extend(self.move_documents(now, old, new));
        changes.extend(self.move_mailbox(now, old, new));
        self.user_appeared(now, new);
        let undo = Undo::Rename { old, new };
        self.commit(changes, Pending::Command(Box::new((ticket, undo, Answer::Done))));
        Ok(None)
    }
}
