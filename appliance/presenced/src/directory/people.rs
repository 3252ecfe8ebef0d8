//! Everybody who can be found: people of the directories, and local users.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use admin_api::answer::presence::Basic;
use admin_api::directory::{MOST_PEOPLE, People as Page, PeopleQuery, Person as View};
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::user_id::UserId;
use directory::attribute::Field;
use directory::index::{Index, Query};
use directory::person::Person;
use presence::command::{Answer, Command, UserView};
use presence::compositor::Availability;

use crate::administration;
use crate::node::Node;

/// Local users are looked at again after so long.
const FRESH_FOR: Duration = Duration::from_secs(10);

/// The people; handles share one list, which the directories' task writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct People(Arc<RwLock<List>>);

#[derive(Debug, Default)]
struct List {
    index: Index,
    cards: BTreeMap<String, Card>,
    refreshed: Option<Instant>,
}

#[derive(Debug)]
struct Card {
    person: Person,
    /// The directory; none for a local user.
    directory: Option<String>,
    is_user: bool,
}

impl People {
    fn read(&self) -> RwLockReadGuard<'_, List> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, List> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether local users should be looked at again.
    pub(super) fn is_stale(&self) -> bool {
        self.read().refreshed.is_none_or(|at| at.elapsed() > FRESH_FOR)
    }

    /// Takes somebody of a directory up, or anew; a user comes before who is none.
    pub(super) fn put(&self, directory: &str, person: &Person, is_user: bool) {
        let mut list = self.write();
        let holder = list.cards.get(&person.id);
        let is_held = holder.is_some_and(|card| card.is_user && card.person.key != person.key);
        if is_held && !is_user {
            return;
        }
        list.index.put(person);
        let directory = Some(directory.to_owned());
        list.cards.insert(person.id.clone(), Card { person: person.clone(), directory, is_user });
    }

    /// Forgets somebody of a directory.
    pub(super) fn remove(&self, directory: &str, id: &str) {
        let mut list = self.write();
        if list.cards.get(id).is_some_and(|card| card.directory.as_deref() == Some(directory)) {
            list.cards.remove(id);
            list.index.remove(id);
        }
    }

    /// Brings local users up to date.
    pub(super) fn set_local(&self, users: &[UserView]) {
        let mut list = self.write();
        let there: std::collections::BTreeSet<&str> =
            users.iter().map(|user| user.id.as_str()).collect();
        let gone: Vec<String> = list
            .cards
            .iter()
            .filter(|(id, card)| card.directory.is_none() && !there.contains(id.as_str()))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            list.cards.remove(&id);
            list.index.remove(&id);
        }
        for user in users {
            if list.cards.get(&user.id).is_some_and(|card| card.directory.is_some()) {
                continue;
            }
            let person = local(user);
            if list.cards.get(&user.id).is_none_or(|card| card.person != person) {
                list.index.put(&person);
                let card = Card { person, directory: None, is_user: true };
                list.cards.insert(user.id.clone(), card);
            }
        }
        list.refreshed = Some(Instant::now());
    }

    pub(super) fn directory_of(&self, id: &str) -> Option<String> {
        self.read().cards.get(id).filter(|card| card.is_user)?.directory.clone()
    }

    /// Who is found, with how they are reached.
    pub(super) async fn find(&self, node: &Node, query: &PeopleQuery) -> Result<Page, Refusal> {
        let field = query
            .field
            .as_ref()
            .map(|field| field.parse::<Field>())
            .transpose()
            .map_err(|unknown| no_field(&unknown.0))?;
        let wanted = Query::new(&query.text, field);
        let limit = query.limit.clamp(1, MOST_PEOPLE) as usize;
        let (total, mut people) = {
            let list = self.read();
            let ids = list.index.find(&wanted);
            let page = ids.iter().skip(query.offset as usize).take(limit);
            let people: Vec<_> =
                page.filter_map(|id| list.cards.get(*id)).map(Card::view).collect();
            (u64::try_from(ids.len()).unwrap_or(u64::MAX), people)
        };
        with_presence(node, &mut people).await?;
        Ok(Page { total, people })
    }

    /// One person.
    pub(super) async fn person(&self, node: &Node, id: &UserId) -> Result<View, Refusal> {
        let card = self.read().cards.get(id.as_str()).map(Card::view);
        let Some(view) = card else {
            return Err(Refusal::new(
                RefusalCode::UnknownUser,
                format!("there is nobody with the id {id}"),
                "id",
                "\"directory search\" finds people",
            ));
        };
        let mut people = [view];
        with_presence(node, &mut people).await?;
        let [view] = people;
        Ok(view)
    }
}

fn no_field(name: &str) -> Refusal {
    let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
    Refusal::new(
        RefusalCode::InvalidValue,
        format!("there is no field {name:?}"),
        "field",
        format!("choose one of {}", names.join(", ")),
    )
}

async fn with_presence(node: &Node, people: &mut [View]) -> Result<(), Refusal> {
    let ids = people.iter().map(|person| person.id.as_str().to_owned()).collect();
    let answer = node.command(Command::ShowSummaries(ids)).await;
    if let Answer::Summaries(summaries) = answer.map_err(administration::unanswered)? {
        for (person, summary) in people.iter_mut().zip(summaries) {
            person.basic = summary.map(|summary| match summary.availability {
                Availability::Open => Basic::Open,
                Availability::Closed => Basic::Closed,
            });
        }
    }
    Ok(())
}

fn local(user: &UserView) -> Person {
    let fields = [
        (Field::DisplayName, &user.display_name),
        (Field::GivenName, &user.given_name),
        (Field::Surname, &user.surname),
        (Field::Mail, &user.mail),
        (Field::Telephone, &user.telephone),
    ];
    let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
    Person {
        key: [0; 16],
        dn: String::new(),
        id: user.id.clone(),
        fields: fields.map(|(field, value)| (field, vec![value.clone()])).collect(),
    }
}

impl Card {
    fn view(&self) -> View {
        let fields = self.person.fields.iter();
        View {
            id: self.person.id.as_str().into(),
            display_name: self.person.display_name().to_owned(),
            directory: self.directory.clone(),
            is_user: self.is_user,
            basic: None,
            fields: fields.map(|(field, values)| (field.to_string(), values.clone())).collect(),
        }
    }
}
