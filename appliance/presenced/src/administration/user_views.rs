//! Users, presence, registrations and subscriptions as an administrator sees them.

use admin_api::answer::presence::{
    Basic, DevicePresence, Presence, Publication, Registration, Subscription, SubscriptionState,
};
use admin_api::answer::user::{UserDetail, UserSummary};
use admin_api::page::{Page as Listed, PageRequest};
use admin_api::refusal::Refusal;
use admin_api::user_id::UserId;
use presence::command::{
    Answer, BindingView, Command, Page, PresenceView, PublicationView, SubscriptionView, UserView,
};
use presence::compositor::Availability;
use presence::document::guard::Limits;
use presence::document::pidf::{self, PublishedDocument};

use super::{ask, unanswered, unexpected};
use crate::node::Node;

/// Entries that one question to the server brings.
const A_PAGE: usize = 1_000;

fn page_of(request: &PageRequest) -> Page {
    Page { after: request.after.clone().unwrap_or_default(), limit: request.effective_limit() }
}

/// Users in order of id.
pub(super) async fn users(
    node: &Node,
    request: &PageRequest,
    prefix: Option<&str>,
) -> Result<Listed<UserSummary>, Refusal> {
    let prefix = prefix.unwrap_or_default();
    if prefix.is_empty() {
        let total = u64::from(node.totals().await.map_err(unanswered)?.users);
        let (users, has_more) = list_users(node, page_of(request)).await?;
        let next = users.last().filter(|_| has_more).map(|user| user.id.clone());
        let items = summaries(node, users).await?;
        return Ok(Listed { total, items, next });
    }
    // Letter case is ignored, so matches stand anywhere in the order.
    let mut matching = Vec::new();
    let mut page = Page { after: String::new(), limit: A_PAGE };
    loop {
        let (users, has_more) = list_users(node, page.clone()).await?;
        if let Some(last) = users.last() {
            page.after.clone_from(&last.id);
        }
        let is_match = |user: &UserView| {
            user.id.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        matching.extend(users.into_iter().filter(is_match));
        if !has_more {
            break;
        }
    }
    let total = number(matching.len());
    let after = request.after.as_deref().unwrap_or_default();
    let mut items: Vec<_> = matching.into_iter().filter(|user| user.id.as_str() > after).collect();
    let has_more = items.len() > request.effective_limit();
    items.truncate(request.effective_limit());
    let next = items.last().filter(|_| has_more).map(|user| user.id.clone());
    Ok(Listed { total, items: summaries(node, items).await?, next })
}

async fn list_users(node: &Node, page: Page) -> Result<(Vec<UserView>, bool), Refusal> {
    match ask(node, Command::ListUsers(page)).await? {
        Answer::Users(users, has_more) => Ok((users, has_more)),
        other => Err(unexpected(&other)),
    }
}

async fn summaries(node: &Node, users: Vec<UserView>) -> Result<Vec<UserSummary>, Refusal> {
    let mut summaries = Vec::with_capacity(users.len());
    for user in users {
        // Only who does something has a presence worth composing.
        let basic = if user.bindings == 0 && user.publications == 0 {
            None
        } else {
            let view = show_presence(node, &user.id).await?;
            Some(basic_of(&view))
        };
        summaries.push(summary(user, basic));
    }
    Ok(summaries)
}

fn summary(user: UserView, basic: Option<Basic>) -> UserSummary {
    UserSummary {
        id: user.id.into(),
        display_name: filled(user.display_name),
        is_enabled: user.enabled,
        has_password: user.has_password,
        is_served: user.is_served,
        registrations: user.bindings.try_into().unwrap_or(u32::MAX),
        basic,
    }
}

/// One user.
pub(super) async fn user(node: &Node, id: &UserId) -> Result<UserDetail, Refusal> {
    let user = match ask(node, Command::ShowUser(id.as_str().to_owned())).await? {
        Answer::User(user) => user,
        other => return Err(unexpected(&other)),
    };
    let view = show_presence(node, &user.id).await?;
    let has_presence = user.bindings > 0 || user.publications > 0;
    let basic = has_presence.then(|| basic_of(&view));
    let bindings = if user.bindings == 0 { Vec::new() } else { bindings_of(node, &user).await? };
    Ok(UserDetail {
        aor: user.aor.as_str().to_owned(),
        given_name: filled(user.given_name.clone()),
        surname: filled(user.surname.clone()),
        mail: filled(user.mail.clone()),
        telephone: filled(user.telephone.clone()),
        created_unix_ms: user.created.as_millis(),
        changed_unix_ms: user.changed.as_millis(),
        watchers: number(user.watchers),
        watching: number(user.watching),
        directory: node.directories.of(&user.id),
        devices: user.devices.iter().map(|(name, at)| (name.clone(), at.as_millis())).collect(),
        bindings,
        publications: view.publications.into_iter().map(publication).collect(),
        summary: summary(user, basic),
    })
}

async fn bindings_of(node: &Node, user: &UserView) -> Result<Vec<Registration>, Refusal> {
    // Pages begin after an id: begin after the part of this one that sorts before it.
    let mut chars = user.id.chars();
    chars.next_back();
    let mut after = chars.as_str().to_owned();
    let mut found = Vec::new();
    loop {
        let (views, has_more) =
            list_registrations(node, Page { after: after.clone(), limit: A_PAGE }).await?;
        found.extend(views.iter().filter(|view| view.aor == user.aor).map(registration));
        match views.last() {
            Some(last) if has_more && found.is_empty() => after = last.aor.user().to_owned(),
            _ => return Ok(found),
        }
    }
}

/// What watchers are told about a user.
pub(super) async fn presence(node: &Node, id: UserId) -> Result<Presence, Refusal> {
    let view = show_presence(node, id.as_str()).await?;
    let document = read(&view);
    let persons = document.iter().flat_map(|document| document.persons());
    let notes = document.iter().flat_map(|document| document.notes());
    Ok(Presence {
        id,
        aor: view.aor.as_str().to_owned(),
        basic: basic_of(&view),
        state: view.summary.state.token().to_owned(),
        decided_by: view.decided_by.clone(),
        activities: view.summary.activities.iter().map(ToString::to_string).collect(),
        notes: persons
            .flat_map(|person| person.notes())
            .chain(notes)
            .map(|note| note.text().to_owned())
            .collect(),
        devices: document.iter().flat_map(|d| d.tuples()).map(device).collect(),
        document_xml: String::from_utf8_lossy(&view.document).into_owned(),
        publications: view.publications.into_iter().map(publication).collect(),
    })
}

async fn show_presence(node: &Node, id: &str) -> Result<PresenceView, Refusal> {
    match ask(node, Command::ShowPresence(id.to_owned())).await? {
        Answer::Presence(view) => Ok(view),
        other => Err(unexpected(&other)),
    }
}

fn read(view: &PresenceView) -> Option<PublishedDocument> {
    // Composed of several documents, each within the limits of one.
    let limits = Limits { bytes: usize::MAX, nodes: u32::MAX, ..Limits::default() };
    PublishedDocument::parse(&view.document, &limits).ok()
}

const fn basic_of(view: &PresenceView) -> Basic {
    match view.summary.availability {
        Availability::Open => Basic::Open,
        Availability::Closed => Basic::Closed,
    }
}

fn device(tuple: &pidf::Tuple) -> DevicePresence {
    let capabilities = tuple.capabilities();
    let means = [
        ("audio", capabilities.audio),
        ("video", capabilities.video),
        ("text", capabilities.text),
        ("message", capabilities.message),
    ];
    DevicePresence {
        tuple: tuple.id().to_owned(),
        device: tuple.device_id().map(ToOwned::to_owned),
        basic: match tuple.basic() {
            Some(pidf::Basic::Open) => Basic::Open,
            Some(pidf::Basic::Closed) | None => Basic::Closed,
        },
        contact: tuple.contact().map(|contact| contact.uri.to_string()),
        means: means
            .into_iter()
            .filter(|(_, has)| *has == Some(true))
            .map(|(name, _)| name.to_owned())
            .collect(),
        note: tuple.note().map(ToOwned::to_owned),
    }
}

fn publication(view: PublicationView) -> Publication {
    Publication {
        package: "presence".to_owned(),
        entity_tag: view.entity_tag,
        expires_in_s: view.expires_in.as_secs(),
        size_bytes: number(view.document.len()),
        changed_unix_ms: Some(view.modified.as_millis()),
        source: filled(view.source),
    }
}

/// Who watches a user.
pub(super) async fn watchers(
    node: &Node,
    id: &UserId,
    request: &PageRequest,
) -> Result<Listed<Subscription>, Refusal> {
    let total = match ask(node, Command::ShowUser(id.as_str().to_owned())).await? {
        Answer::User(user) => number(user.watchers),
        other => return Err(unexpected(&other)),
    };
    let command = Command::ShowWatchers { id: id.as_str().to_owned(), page: page_of(request) };
    subscription_page(node, command, total).await
}

/// All subscriptions.
pub(super) async fn subscriptions(
    node: &Node,
    request: &PageRequest,
) -> Result<Listed<Subscription>, Refusal> {
    let total = number(node.totals().await.map_err(unanswered)?.subscriptions);
    subscription_page(node, Command::ListSubscriptions(page_of(request)), total).await
}

async fn subscription_page(
    node: &Node,
    command: Command,
    total: u64,
) -> Result<Listed<Subscription>, Refusal> {
    match ask(node, command).await? {
        Answer::Subscriptions(views, has_more) => {
            let next = views.last().filter(|_| has_more).map(|view| view.index.to_string());
            Ok(Listed { total, items: views.into_iter().map(subscription).collect(), next })
        }
        other => Err(unexpected(&other)),
    }
}

fn subscription(view: SubscriptionView) -> Subscription {
    Subscription {
        presentity: view.presentity,
        watcher: view.watcher,
        package: "presence".to_owned(),
        state: match view.state {
            "pending" => SubscriptionState::Pending,
            "ending" => SubscriptionState::Terminated,
            _ => SubscriptionState::Active,
        },
        expires_in_s: view.expires_in.as_secs(),
        since_unix_ms: None,
        destination: filled(view.destination),
        call_id: view.call_id,
        notify_cseq: view.notify_cseq,
        is_notify_due: view.is_notify_due,
    }
}

/// All bindings.
pub(super) async fn registrations(
    node: &Node,
    request: &PageRequest,
) -> Result<Listed<Registration>, Refusal> {
    let total = number(node.totals().await.map_err(unanswered)?.bindings);
    let (views, has_more) = list_registrations(node, page_of(request)).await?;
    let next = views.last().filter(|_| has_more).map(|view| view.aor.user().to_owned());
    Ok(Listed { total, items: views.iter().map(registration).collect(), next })
}

async fn list_registrations(node: &Node, page: Page) -> Result<(Vec<BindingView>, bool), Refusal> {
    match ask(node, Command::ListRegistrations(page)).await? {
        Answer::Registrations(views, has_more) => Ok((views, has_more)),
        other => Err(unexpected(&other)),
    }
}

fn registration(view: &BindingView) -> Registration {
    Registration {
        id: view.aor.user().into(),
        contact: view.contact.clone(),
        q_thousandths: view.q,
        expires_in_s: view.expires_in.as_secs(),
        refreshed_unix_ms: None,
        source: Some(format!("{} {}", view.transport, view.source)),
        user_agent: filled(view.user_agent.clone()),
        capabilities: capabilities(&view.parameters),
        path: view.path.clone(),
    }
}

/// The parameters that are capabilities (RFC 3840 §9), as registered.
fn capabilities(parameters: &str) -> Vec<String> {
    const OTHERS: [&str; 4] = ["q", "+sip.instance", "reg-id", "ob"];
    let mut found = Vec::new();
    let (mut start, mut is_quoted) = (0, false);
    for (at, byte) in parameters.bytes().chain([b';']).enumerate() {
        is_quoted ^= byte == b'"';
        if byte != b';' || (is_quoted && at < parameters.len()) {
            continue;
        }
        let parameter = parameters.get(start..at).unwrap_or_default().trim();
        start = at + 1;
        let name = parameter.split('=').next().unwrap_or_default().trim();
        if !name.is_empty() && !OTHERS.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            found.push(parameter.to_owned());
        }
    }
    found
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn number(amount: usize) -> u64 {
    amount.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_told_from_other_parameters() {
        let parameters = "q=0.7;audio;+sip.instance=\"<urn:uuid:1;2>\";\
                          methods=\"INVITE,MESSAGE\";description=\"a;b\";reg-id=1";
        assert_eq!(
            capabilities(parameters),
            ["audio", "methods=\"INVITE,MESSAGE\"", "description=\"a;b\""]
        );
        assert!(capabilities("").is_empty());
    }
}
