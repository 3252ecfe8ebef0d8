//! The directories of this node: one task holds them, reads them and brings the users up to date;
//! everybody else holds this handle.

mod apply;
mod holding;
mod people;
mod records;
mod task;
mod views;

use admin_api::directory::{
    Directory as View, DirectoryChange, Group, People as Page, PeopleQuery, Person, ServerTrial,
    SyncReport,
};
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::user_id::UserId;
use directory::failure::{Failure, FailureKind};
use directory::settings::Password;
use tokio::sync::{mpsc, oneshot};

use crate::node::Node;

pub(crate) use self::people::People;
pub(crate) use self::records::Kept;
pub(crate) use self::task::run;

/// Questions that may wait.
const QUEUE: usize = 256;

/// How a synchronisation is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    /// Everything, not only what has changed.
    pub(crate) is_full: bool,
    /// Even when most people have vanished.
    pub(crate) is_forced: bool,
    /// Only say what would be done.
    pub(crate) is_preview: bool,
}

type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A question to the task.
#[derive(Debug)]
pub(crate) enum Ask {
    Show(Reply<Vec<View>>),
    Set {
        name: String,
        change: Box<DirectoryChange>,
        reply: Reply<Vec<View>>,
    },
    Unset {
        name: String,
        reply: Reply<Vec<View>>,
    },
    Test {
        name: String,
        reply: Reply<Vec<ServerTrial>>,
    },
    Sync {
        name: String,
        wish: Wish,
        reply: Reply<Box<SyncReport>>,
    },
    Groups(Reply<Vec<Group>>),
    /// Local users may have changed.
    Refresh(oneshot::Sender<()>),
    SignIn {
        id: String,
        password: Password,
        reply: oneshot::Sender<SignIn>,
    },
    Photo {
        id: String,
        reply: oneshot::Sender<Result<Option<Vec<u8>>, Failure>>,
    },
}

/// What a directory says of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignIn {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// The user is of no directory.
    NotMine,
    /// No directory can be asked.
    Unknown(Failure),
}

/// The handle.
#[derive(Debug, Clone)]
pub(crate) struct Directories {
    asks: mpsc::Sender<Ask>,
    people: People,
}

/// The task's end.
#[derive(Debug)]
pub(crate) struct Asked {
    asks: mpsc::Receiver<Ask>,
    people: People,
}

impl Directories {
    /// The handle, and the task's end of it.
    pub(crate) fn new() -> (Self, Asked) {
        let (asks, asked) = mpsc::channel(QUEUE);
        let people = People::default();
        (Self { asks, people: people.clone() }, Asked { asks: asked, people })
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    pub(crate) async fn show(&self) -> Result<Vec<View>, Refusal> {
        self.ask(Ask::Show).await
    }

    pub(crate) async fn set(
        &self,
        name: String,
        change: Box<DirectoryChange>,
    ) -> Result<Vec<View>, Refusal> {
        self.ask(|reply| Ask::Set { name, change, reply }).await
    }

    pub(crate) async fn unset(&self, name: String) -> Result<Vec<View>, Refusal> {
        self.ask(|reply| Ask::Unset { name, reply }).await
    }

    pub(crate) async fn test(&self, name: String) -> Result<Vec<ServerTrial>, Refusal> {
        self.ask(|reply| Ask::Test { name, reply }).await
    }

    pub(crate) async fn sync(&self, name: String, wish: Wish) -> Result<Box<SyncReport>, Refusal> {
        self.ask(|reply| Ask::Sync { name, wish, reply }).await
    }

    pub(crate) async fn groups(&self) -> Result<Vec<Group>, Refusal> {
        self.ask(Ask::Groups).await
    }

    /// Who is found, with how they are reached.
    pub(crate) async fn find(&self, node: &Node, query: &PeopleQuery) -> Result<Page, Refusal> {
        self.refresh().await;
        self.people.find(node, query).await
    }

    /// One person.
    pub(crate) async fn person(&self, node: &Node, id: &UserId) -> Result<Person, Refusal> {
        self.refresh().await;
        self.people.person(node, id).await
    }

    async fn refresh(&self) {
        if !self.people.is_stale() {
            return;
        }
        let (done, is_done) = oneshot::channel();
        if self.asks.send(Ask::Refresh(done)).await.is_ok() {
            // A task that is busy for long leaves what was there before.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), is_done).await;
        }
    }

    /// What a directory says of a password.
    pub(crate) async fn sign_in(&self, id: String, password: Password) -> SignIn {
        let (reply, answer) = oneshot::channel();
        if self.asks.send(Ask::SignIn { id, password, reply }).await.is_err() {
            return SignIn::Unknown(gone());
        }
        answer.await.unwrap_or_else(|_| SignIn::Unknown(gone()))
    }

    /// The picture of a person.
    pub(crate) async fn photo(&self, id: String) -> Result<Option<Vec<u8>>, Failure> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Photo { id, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The directory that a user comes from.
    pub(crate) fn of(&self, id: &str) -> Option<String> {
        self.people.directory_of(id)
    }
}

fn gone() -> Failure {
    Failure::new(FailureKind::Unreachable, "the directory service", "it does not answer")
}

fn stopping() -> Refusal {
    Refusal::new(
        RefusalCode::Stopping,
        "the directory service does not answer",
        "presenced",
        "wait until the node has started again",
    )
}

/// A failure as administrators get it.
pub(crate) fn refusal(failure: &Failure) -> Refusal {
    let code = match failure.kind {
        FailureKind::Settings => RefusalCode::NotSetUp,
        _ => RefusalCode::DirectoryFailed,
    };
    Refusal::new(code, failure.what.clone(), failure.place.clone(), failure.next())
}
