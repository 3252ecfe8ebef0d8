//! What every way of asking about this node shares: the server's inputs, the alarms, the log and
//! the facts of its start.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use presence::command::{Answer, Command, Totals};
use presence::config::AddressBlock;
use sip::digest::Algorithm;
use tokio::sync::{mpsc, oneshot};

use crate::admission::Admission;
use crate::alarm::Alarms;
use crate::directory::Directories;
use crate::hardware::Machine;
use crate::log::Log;
use crate::metrics::Reading;
use crate::server_task::{Input, Observation};
use crate::settings::Settings;
use crate::store_task::StoreQueue;

/// How long the server may take to answer a question before it counts as stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A handle on the running node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The server's inputs.
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Alarms.
    pub(crate) alarms: Alarms,
    /// The log.
    pub(crate) log: Log,
    /// The store's queue.
    pub(crate) store: StoreQueue,
    /// The connections.
    pub(crate) admission: Admission,
    /// The directories.
    pub(crate) directories: Directories,
    /// What was fixed at the start.
    pub(crate) facts: Arc<Facts>,
    /// The settings in force.
    pub(crate) settings: Arc<RwLock<Arc<Settings>>>,
}

/// What was fixed at the start.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The listeners, as bound: transport and address.
    pub(crate) listeners: Vec<(&'static str, std::net::SocketAddr)>,
    /// The machine.
    pub(crate) machine: Machine,
    /// The limits that the server keeps.
    pub(crate) limits: presence::config::Limits,
    /// When the daemon started.
    pub(crate) started_unix_ms: u64,
    /// How long after the kernel began to run the node was ready, once it is.
    pub(crate) kernel_to_ready: OnceLock<Duration>,
}

/// The server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// It has too much to do, or is stuck.
    #[error("the node is too busy to answer")]
    Busy,
}

impl Node {
    /// The settings in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other settings in force.
    pub(crate) fn set_settings(&self, settings: Settings) {
        let mut current = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(settings);
    }

    /// Asks the server and waits for its answer; hard state is on disk by then.
    pub(crate) async fn command(&self, command: Command) -> Result<Answer, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.put(Input::Command { command, answer }, answered).await
    }

    /// The server task's counts.
    pub(crate) async fn observe(&self) -> Result<Observation, Unanswered> {
        let (observer, observed) = oneshot::channel();
        self.put(Input::Observe(observer), observed).await
    }

    /// Changes who is exempt from digest and what the others are offered.
    pub(crate) async fn set_access(
        &self,
        trusted: Vec<AddressBlock>,
        digest: Vec<Algorithm>,
    ) -> Result<(), Unanswered> {
        let (done, is_done) = oneshot::channel();
        self.put(Input::Access { trusted, digest, done }, is_done).await
    }

    /// The totals.
    pub(crate) async fn totals(&self) -> Result<Totals, Unanswered> {
        match self.command(Command::ShowTotals).await? {
            Answer::Totals(totals) => Ok(totals),
            other => {
                tracing::warn!(?other, "the totals were asked for");
                Ok(Totals::default())
            }
        }
    }

    /// Everything that metrics show.
    pub(crate) async fn reading(&self) -> Result<Reading, Unanswered> {
        let observation = self.observe().await?;
        Ok(Reading {
            observation,
            totals: self.totals().await?,
            store: self.store.counters(),
            connections: self.admission.open(),
            max_connections: self.admission.max_total(),
            connections_refused: self.admission.refused(),
            alarms: self.alarms.standing().iter().map(|kind| kind.name()).collect(),
            log_lines_dropped: self.log.dropped(),
            kernel_to_ready: self.facts.kernel_to_ready.get().copied(),
        })
    }

    async fn put<T>(&self, input: Input, answer: oneshot::Receiver<T>) -> Result<T, Unanswered> {
        let ask = async {
            self.inputs.send(input).await.map_err(|_| Unanswered::Stopping)?;
            answer.await.map_err(|_| Unanswered::Busy)
        };
        tokio::time::timeout(ANSWER_WITHIN, ask).await.unwrap_or(Err(Unanswered::Busy))
    }
}
