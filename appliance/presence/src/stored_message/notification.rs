//! What becomes of a stored message, told to its sender where that asked for it (RFC 5438).

use sip::clock::{Now, WallTime};

use super::StoredMessage;
use crate::authentication::aor_of;
use crate::document::fragment::push_text;
use crate::document::timestamp;
use crate::record::{MessageRecord, encode};
use crate::server::Server;
use crate::user::UserSlot;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It waits for its recipient.
    Stored,
    /// It will not be delivered.
    Failed,
}

/// What a CPIM message says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Wrapped<'a> {
    from: &'a str,
    to: &'a str,
    date: &'a str,
    id: &'a str,
    wishes: Vec<&'a str>,
}

/// Reads the headers of a `message/cpim` body (RFC 3862 §2); none where it asks for nothing.
fn wrapped(body: &str) -> Option<Wrapped<'_>> {
    let (head, _) = body.split_once("\r\n\r\n").or_else(|| body.split_once("\n\n"))?;
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    // The namespace may have any prefix (RFC 3862 §3.4).
    let prefix = head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        let (prefix, uri) = value.trim().split_once('<')?;
        let is_imdn = uri.trim_end_matches('>').eq_ignore_ascii_case("urn:ietf:params:imdn");
        (found.trim().eq_ignore_ascii_case("NS") && is_imdn).then(|| prefix.trim())
    })?;
    let wishes = header(&format!("{prefix}.Disposition-Notification"))?;
    Some(Wrapped {
        from: header("From")?,
        to: header("To")?,
        date: header("DateTime").unwrap_or_default(),
        id: header(&format!("{prefix}.Message-ID"))?,
        wishes: wishes.split(',').map(str::trim).collect(),
    })
}

impl Server {
    /// Tells the sender of a message what became of it, where it wants to know and is one of ours.
    pub(super) fn notify_sender(
        &mut self,
        now: Now,
        slot: UserSlot,
        record: &MessageRecord,
        outcome: Outcome,
    ) {
        let media =
            record.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"));
        let is_cpim = media.is_some_and(|(_, value)| {
            value.split(';').next().is_some_and(|v| v.trim().eq_ignore_ascii_case("message/cpim"))
        });
        let Some(message) = std::str::from_utf8(&record.body).ok().filter(|_| is_cpim) else {
            return;
        };
        let Some(message) = wrapped(message) else { return };
        let wish = match outcome {
            Outcome::Stored => "processing",
            Outcome::Failed => "negative-delivery",
        };
        if !message.wishes.iter().any(|one| one.eq_ignore_ascii_case(wish)) {
            return;
        }
        let sender = aor_of(Some(&record.from)).and_then(|named| self.served_user(&named));
        let (Some(sender), Some(user)) = (sender, self.users.get(slot)) else { return };
        let recipient = user.aor.as_str().to_owned();
        let id = self.entropy.token();
        let body = report(&message, outcome, &recipient, &id, now.wall);
        let lasts = std::time::Duration::from_secs(24 * 3600);
        let notification = MessageRecord {
            from: format!("<{recipient}>"),
            headers: vec![
                ("Date".to_owned(), super::date(now.wall)),
                ("Content-Type".to_owned(), "message/cpim".to_owned()),
            ],
            body: body.into_bytes(),
            stored_millis: now.wall.as_millis(),
            expires_millis: (now.wall + lasts).as_millis(),
        };
        let Some(user) = self.users.get_mut(sender) else { return };
        user.mailbox.next += 1;
        let number = user.mailbox.next;
        let key = super::message_key(&user.id, number);
        self.save(key, Some(encode(&notification)));
        self.put_message(now, sender, StoredMessage { number, record: notification });
        self.deliver_messages(now, sender);
    }
}

fn report(
    message: &Wrapped<'_>,
    outcome: Outcome,
    recipient: &str,
    id: &str,
    now: WallTime,
) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">",
    );
    for (name, value) in
        [("message-id", message.id), ("datetime", message.date), ("recipient-uri", recipient)]
    {
        xml.push('<');
        xml.push_str(name);
        xml.push('>');
        push_text(&mut xml, value);
        xml.push_str("</");
        xml.push_str(name);
        xml.push('>');
    }
    xml.push_str(match outcome {
        Outcome::Stored => {
            "<processing-notification><status><stored/></status></processing-notification>"
        }
        Outcome::Failed => {
            "<delivery-notification><status><failed/></status></delivery-notification>"
        }
    });
    xml.push_str("</imdn>");
    format!(
        "From: {}\r\nTo: {}\r\nDateTime: {}\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: {id}\r\n\r\nContent-Type: message/imdn+xml\r\n\
         Content-Disposition: notification\r\nContent-Length: {}\r\n\r\n{xml}",
        message.to,
        message.from,
        timestamp::text(now),
        xml.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_from_the_wrapping() {
        // After the example of RFC 5438 §6.2.
        let message = "From: Alice <im:alice@example.com>\r\nTo: Bob <im:bob@example.com>\r\n\
            NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 34jk324j\r\n\
            DateTime: 2006-04-04T12:16:49-05:00\r\n\
            imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\
            Content-type: text/plain\r\nContent-length: 12\r\n\r\nHello World";
        let read = wrapped(message).unwrap();
        assert_eq!((read.id, read.wishes.len()), ("34jk324j", 2));
        assert_eq!(wrapped("From: a\r\n\r\nhello"), None);
    }
}
