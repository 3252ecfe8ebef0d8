//! What users say of themselves by hand: it wins over what their devices say until it is taken
//! back or its time is over, and it survives signing off.

use sip::aor::Aor;
use sip::clock::{Now, WallTime};

use crate::administration::Undo;
use crate::authorization::Standing;
use crate::command::{Answer, Refusal, Seen, StatusDraft};
use crate::compositor::State;
use crate::document::fragment::{push_attribute, push_text};
use crate::document::pidf::PublishedDocument;
use crate::output::Ticket;
use crate::publication::Publication;
use crate::record::{Change, encode};
use crate::server::{Pending, Server};
use crate::user::{User, UserSlot};

/// What stays until it is taken back ends then, if nobody does.
const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(10 * 366 * 24 * 3600);
/// The longest note.
const NOTE_LIMIT: usize = 256;
/// The number of the publication that stands for it: [`crate::compositor::MANUAL`].
const NUMBER: u32 = 0xffff_ffff;

impl Server {
    /// Sets a status, or takes it back.
    pub(crate) fn set_status(
        &mut self,
        now: Now,
        ticket: Ticket,
        id: &str,
        draft: Option<&StatusDraft>,
    ) -> Result<Option<Answer>, Refusal> {
        let (slot, user) = self.known(id)?;
        let publication = draft.map(|draft| self.manual(now, user, draft)).transpose()?;
        let key = Publication::key_of(&user.id, NUMBER);
        let value = publication.as_ref().map(|publication| encode(&publication.record()));
        let before = user.publications.iter().find(|p| p.number == NUMBER).cloned();
        self.put_status(now, slot, publication);
        let undo = Undo::Status(Box::new((slot, before)));
        let changes = vec![Change { key, value }];
        self.commit(changes, Pending::Command(Box::new((ticket, undo, Answer::Done))));
        Ok(None)
    }

    /// Puts a status in place, or none.
    pub(crate) fn put_status(
        &mut self,
        now: Now,
        slot: UserSlot,
        publication: Option<Publication>,
    ) {
        let Some(user) = self.users.get_mut(slot) else { return };
        user.publications.retain(|publication| publication.number != NUMBER);
        user.is_stale = true;
        if let Some(publication) = publication {
            let due = publication.expires;
            user.publications.push(publication);
            self.arm_user(slot, due);
        }
        self.tell_watchers(now, slot);
    }

    fn manual(&self, now: Now, user: &User, draft: &StatusDraft) -> Result<Publication, Refusal> {
        let note = draft.note.as_deref().unwrap_or_default().trim();
        if note.chars().count() > NOTE_LIMIT || note.chars().any(char::is_control) {
            let (id, field, limit) = (user.id.to_string(), "note", NOTE_LIMIT);
            return Err(Refusal::BadField { id, field, limit });
        }
        let text = document(&user.aor, draft.state, note);
        let document = PublishedDocument::parse(text.as_bytes(), &self.document_limits);
        let document = document.map_err(|_| Refusal::NotStored)?;
        let lasts = draft.lasts.unwrap_or(FOR_EVER).min(FOR_EVER);
        Ok(Publication::by_hand(NUMBER, document, now, lasts))
    }

    /// What somebody is shown of a user at present.
    pub(crate) fn seen(&mut self, now: Now, watcher: &str, id: &str) -> Result<Answer, Refusal> {
        let (slot, _) = self.known(id)?;
        let watcher: Option<Aor> = self.known(watcher).ok().map(|(_, user)| user.aor.clone());
        let (standing, document) = match self.standing(now, slot, watcher.as_ref()) {
            Standing::Rejected => ("rejected", None),
            Standing::Pending => ("pending", None),
            Standing::Active(view) => ("active", self.shown(slot, view)),
        };
        Ok(Answer::Seen(Seen { standing, document }))
    }
}

/// Whether a user has said to be shown as not there.
pub(crate) fn hidden(user: &User) -> Option<&Publication> {
    user.publications
        .iter()
        .find(|publication| publication.number == NUMBER)
        .filter(|publication| !publication.document.tuples().is_empty())
}

fn document(aor: &Aor, state: State, note: &str) -> String {
    let mut text = String::from(
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:d=\"urn:ietf:params:xml:ns:pidf:data-model\" \
         xmlns:r=\"urn:ietf:params:xml:ns:pidf:rpid\"",
    );
    push_attribute(&mut text, "entity", aor.as_str());
    text.push('>');
    if state == State::Offline {
        text.push_str("<tuple id=\"offline\"><status><basic>closed</basic></status></tuple>");
    }
    text.push_str("<d:person id=\"status\">");
    if let Some(activity) = state.activity() {
        text.push_str("<r:activities>");
        text.push_str(activity);
        text.push_str("</r:activities>");
    }
    if !note.is_empty() {
        text.push_str("<d:note>");
        push_text(&mut text, note);
        text.push_str("</d:note>");
    }
    text.push_str("</d:person></presence>");
    text
}

impl Publication {
    fn by_hand(
        number: u32,
        document: PublishedDocument,
        now: Now,
        lasts: std::time::Duration,
    ) -> Self {
        let modified: WallTime = now.wall;
        Self::made_here(number, document, modified, now.monotonic + lasts, now.wall + lasts)
    }
}
