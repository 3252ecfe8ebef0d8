//! From settings to a serving node, and back down in order.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use presence::config::{Config, Limits};
use presence::server::Server;
use sd_notify::NotifyState;
use sip::flow::Transport;
use store::{How, Opened, SnapshotProgress, Store};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::admin_socket::SocketFile;
use crate::admission::Admission;
use crate::alarm::{AlarmKind, Alarms};
use crate::certificate::Tls;
use crate::clock::{self, Clock, unix_millis};
use crate::directory::{self, Directories, Kept};
use crate::flow::ConnectionIds;
use crate::hardware::{self, Machine};
use crate::listener::tcp::{Connector, Streams};
use crate::listener::udp::UdpListener;
use crate::listener::{self, tcp};
use crate::log::Log;
use crate::node::{Facts, Node};
use crate::reload::Reload;
use crate::reserve::Reserve;
use crate::sealed::Seal;
use crate::server_task::{INPUT_QUEUE, Input, Parts};
use crate::settings::Settings;
use crate::store_task::{Batch, Disk, StoreQueue, in_words};
use crate::{admin_socket, http, node_key, resolver, server_task, watch};

/// Bytes that one step of a snapshot writes.
const SNAPSHOT_STEP: usize = 256 * 1024;
/// How long stopping may take before the process ends anyway.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Everything bound, nothing served yet.
struct Sockets {
    udp: Vec<UdpListener>,
    streams: Vec<(Transport, TcpListener)>,
    http: TcpListener,
    control: (UnixListener, SocketFile),
}

/// Runs the daemon until it is told to stop.
pub(crate) fn run(settings_file: &Path) -> anyhow::Result<()> {
    let settings = Settings::read(settings_file)?;
    let log = Log::start(settings.log)?;
    let alarms = Alarms::default();
    log.report_panics(alarms.clone());
    let outcome = serve(settings_file, settings, &log, &alarms);
    log.flush();
    outcome
}

fn serve(file: &Path, settings: Settings, log: &Log, alarms: &Alarms) -> anyhow::Result<()> {
    // Twice is no fault: the first provider stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    raise_file_limit();
    let data_dir = settings.data_dir.clone();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&data_dir)
        .with_context(|| format!("{}: cannot use this data_dir", data_dir.display()))?;
    let machine = hardware::detect(&settings.dmi_dir, &data_dir)?;
    machine.raise_alarms(alarms);

    let runtime = Builder::new_multi_thread().thread_name("edge").enable_all().build()?;
    // The server's own thread and reactor: a datagram is received, served and sent without
    // another thread being woken.
    let server_runtime = Builder::new_current_thread().enable_all().build()?;
    let sockets = bind(&settings, &machine, &runtime, &server_runtime)?;
    let names: Vec<IpAddr> = settings.sip.listen.iter().map(|l| reach(l.address).ip()).collect();
    let tls = Tls::load(&settings.tls, &data_dir, &settings.domain, &names)?;

    let reserve = Reserve::of(&data_dir);
    let (mut store, opened) = open_store(&data_dir, &reserve)?;
    if was_restored(&data_dir)? {
        tracing::info!("the store comes from a backup");
    } else if let How::RestoredFromSnapshot(restored) = &opened.how {
        let what =
            format!("the store was damaged ({}) and came back from a snapshot", restored.damage);
        alarms.raise(AlarmKind::StoreRestored, what);
    }
    let clock = Clock::start();
    let mut kept = Kept::default();
    let restoring = Restoring { machine: &machine, sockets: &sockets, data_dir: &data_dir, alarms };
    let server = restoring.restore(&settings, clock, &mut store, &mut kept)?;
    let seal = Seal::new(&node_key::load(&data_dir)?, "ldap passwords");
    let (directories, asked) = Directories::new();

    let (inputs, input_queue) = mpsc::channel(INPUT_QUEUE);
    let (locate, locations) = mpsc::channel(resolver::QUEUE);
    let queue = StoreQueue::new(alarms.clone());
    let admission = Admission::new(
        settings.sip.max_connections,
        settings.sip.max_connections_per_peer,
        settings.sip.trusted.clone(),
        alarms.clone(),
    );
    let streams = Streams {
        inputs: inputs.clone(),
        admission: admission.clone(),
        ids: ConnectionIds::start(u32::from_le_bytes(node_key::random()?)),
        tls: tls.clone(),
        limits: sip::parse::Limits::default(),
    };
    let listeners = listeners(&sockets)?;
    let node = Node {
        inputs: inputs.clone(),
        alarms: alarms.clone(),
        log: log.clone(),
        store: queue.clone(),
        admission,
        directories,
        facts: Arc::new(Facts {
            limits: limits(&machine),
            listeners,
            started_unix_ms: unix_millis(),
            machine,
            kernel_to_ready: OnceLock::new(),
        }),
        settings: Arc::new(RwLock::new(Arc::new(settings))),
    };
    let parts = Parts {
        server,
        clock,
        udp: sockets.udp,
        inputs: input_queue,
        connector: Connector::new(streams.clone(), runtime.handle().clone()),
        resolver: locate,
        store: queue.clone(),
        alarms: alarms.clone(),
    };
    let store_thread = spawn_store(store, queue.clone(), inputs.clone())?;
    let (server_thread, server_ended) = spawn_server(server_runtime, parts)?;

    let mut accepting = Vec::new();
    for (transport, listener) in sockets.streams {
        accepting.push(runtime.spawn(tcp::accept(listener, transport, streams.clone())));
    }
    accepting.push(runtime.spawn(http::serve(sockets.http, tls.clone(), node.clone())));
    let (control, control_file) = sockets.control;
    accepting.push(runtime.spawn(admin_socket::serve(control, node.clone())));
    runtime.spawn(resolver::run(locations, inputs.clone()));
    runtime.spawn(directory::run(asked, kept, seal, node.clone()));
    runtime.spawn(watch::watchdog(node.clone()));
    runtime.spawn(watch::numbers(node.clone()));
    runtime.spawn(watch::disk(reserve, alarms.clone()));

    let reload = Reload { file: file.to_owned(), node: node.clone(), tls, addresses: names };
    // Whoever is told that we are ready may send the first signal at once.
    let signals = {
        let _guard = runtime.enter();
        Signals::listen().context("signals cannot be received")?
    };
    runtime.spawn(reload.run(signals.hangup));
    announce(&node)?;
    let ended = runtime.block_on(until_stopped(signals.terminate, signals.interrupt, server_ended));
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    for task in &accepting {
        task.abort();
    }
    drop(control_file);
    runtime.block_on(async {
        let _ = tokio::time::timeout(STOP_WITHIN, inputs.send(Input::Stop)).await;
    });
    let is_served_to_the_end = server_thread.join().is_ok();
    queue.close();
    let is_stored = store_thread.join().unwrap_or(false);
    runtime.shutdown_timeout(Duration::from_secs(1));
    tracing::info!("stopped");
    if ended == Ended::ServerGone || !is_served_to_the_end {
        bail!("the server ended by itself");
    }
    if !is_stored {
        bail!("the store could not take the last changes");
    }
    Ok(())
}

/// Left in the data directory by whoever restores a backup there.
const RESTORED: &str = "restored";

fn bind(
    settings: &Settings,
    machine: &Machine,
    runtime: &Runtime,
    server_runtime: &Runtime,
) -> anyhow::Result<Sockets> {
    let _guard = runtime.enter();
    let control = admin_socket::bind(&settings.control)?;
    let http = tcp::bind(settings.http_listen)
        .with_context(|| format!("http.listen: cannot listen on {}", settings.http_listen))?;
    let mut sockets = Sockets { udp: Vec::new(), streams: Vec::new(), http, control };
    if !machine.is_sufficient() {
        return Ok(sockets);
    }
    for listen in &settings.sip.listen {
        let name = listen.transport.uri_token();
        let context = || format!("sip.listen: cannot listen on {name}:{}", listen.address);
        if listen.transport == Transport::Udp {
            let _guard = server_runtime.enter();
            sockets.udp.push(UdpListener::bind(listen.address).with_context(context)?);
        } else {
            let listener = tcp::bind(listen.address).with_context(context)?;
            sockets.streams.push((listen.transport, listener));
        }
    }
    Ok(sockets)
}

fn listeners(sockets: &Sockets) -> anyhow::Result<Vec<(&'static str, SocketAddr)>> {
    let mut listeners: Vec<_> = sockets.udp.iter().map(|l| ("udp", l.local())).collect();
    for (transport, listener) in &sockets.streams {
        listeners.push((transport.uri_token(), listener.local_addr()?));
    }
    listeners.push(("https", sockets.http.local_addr()?));
    Ok(listeners)
}

fn reach(address: SocketAddr) -> SocketAddr {
    listener::reachable(address)
}

/// Opens the store, on a full disk too: the reserve is for that.
fn open_store(data_dir: &Path, reserve: &Reserve) -> anyhow::Result<(Store, Opened)> {
    let path = data_dir.join("store");
    loop {
        match Store::open(&path, store::Options::default()) {
            Err(failure) if failure.is_disk_full() => {
                if !reserve.release().context("the reserve on the disk")? {
                    return Err(failure.into());
                }
                tracing::warn!(error = %in_words(&failure), "the disk is full: using the reserve");
            }
            opened => return Ok(opened?),
        }
    }
}

/// Whether an administrator has put a backup in the store's place since the last start.
fn was_restored(data_dir: &Path) -> anyhow::Result<bool> {
    let mark = data_dir.join(RESTORED);
    match std::fs::remove_file(&mark) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", mark.display())),
    }
}

fn limits(machine: &Machine) -> Limits {
    Limits { max_users: machine.max_users, ..Limits::default() }
}

/// What a restored server needs beside the settings.
struct Restoring<'a> {
    machine: &'a Machine,
    sockets: &'a Sockets,
    data_dir: &'a Path,
    alarms: &'a Alarms,
}

impl Restoring<'_> {
    fn restore(
        &self,
        settings: &Settings,
        clock: Clock,
        store: &mut Store,
        kept: &mut Kept,
    ) -> anyhow::Result<Server> {
        let udp = self.sockets.udp.iter();
        let mut listeners: Vec<_> = udp.map(|l| (Transport::Udp, reach(l.local()))).collect();
        for (transport, listener) in &self.sockets.streams {
            listeners.push((*transport, reach(listener.local_addr()?)));
        }
        let config = Config {
            domain: settings.domain.clone(),
            listeners,
            trusted: settings.sip.trusted.clone(),
            digest: settings.sip.digest.clone(),
            limits: limits(self.machine),
            secret: node_key::load(self.data_dir)?,
            product: concat!("Lamplight/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let mut server = Server::new(config, node_key::random()?);
        let report = server
            .restore(clock.now(), |visit| {
                store.scan_all(|key, value| {
                    kept.take(key, value);
                    visit(key, value);
                })
            })
            .context("the store cannot be read")?;
        let unreadable = report.unreadable + kept.unreadable;
        if unreadable > 0 {
            let what = format!("{unreadable} stored records cannot be read");
            self.alarms.raise(AlarmKind::RecordsUnreadable, what);
        }
        tracing::info!(
            users = report.users,
            bindings = report.bindings,
            publications = report.publications,
            subscriptions = report.subscriptions,
            "restored"
        );
        Ok(server)
    }
}

fn spawn_store(
    mut store: Store,
    queue: StoreQueue,
    events: mpsc::Sender<Input>,
) -> anyhow::Result<JoinHandle<bool>> {
    let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
        store.stay_on_this_thread();
        let shared = std::cell::RefCell::new(&mut store);
        let disk = Disk {
            write: |batch: &Batch| {
                let mut store = shared.borrow_mut();
                store.apply(batch)?;
                store.flush()
            },
            settle: |is_due| shared.borrow_mut().settle(is_due),
            snapshot: || {
                let progress = shared.borrow_mut().snapshot(SNAPSHOT_STEP)?;
                Ok::<_, store::SnapshotFailure>(!matches!(progress, SnapshotProgress::More))
            },
        };
        let is_written = queue.run(disk, &events);
        match store.close() {
            Ok(()) => is_written,
            Err(error) => {
                tracing::error!(error = %in_words(&error), "the store could not be closed");
                false
            }
        }
    })?;
    Ok(thread)
}

fn spawn_server(
    runtime: Runtime,
    parts: Parts,
) -> anyhow::Result<(JoinHandle<()>, oneshot::Receiver<()>)> {
    let (ended, on_end) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
        // Dropped when the thread ends, however it ends.
        let _ended = ended;
        runtime.block_on(server_task::run(parts));
    })?;
    Ok((thread, on_end))
}

/// Says on standard output where everything listens, for people and for programs alike.
fn announce(node: &Node) -> anyhow::Result<()> {
    let mut line = "presenced ready:".to_owned();
    for (transport, address) in &node.facts.listeners {
        let name = if *transport == "https" { "http" } else { transport };
        line.push_str(&format!(" {name}:{address}"));
    }
    line.push_str(&format!(" control:{}", node.settings().control.socket.display()));
    if let Some(words) = &node.facts.machine.too_small {
        let _ = writeln!(std::io::stderr(), "presenced: SIP is not served: {words}");
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("cannot announce")?;
    tracing::info!("{line}");
    if let Some(duration) = clock::since_kernel_start() {
        let _ = node.facts.kernel_to_ready.set(duration);
        let seconds = format!("{:.1}", duration.as_secs_f64());
        tracing::info!(seconds, "ready, counted from the start of the kernel");
    }
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    BySignal,
    ServerGone,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

async fn until_stopped(
    mut terminate: Signal,
    mut interrupt: Signal,
    server_ended: oneshot::Receiver<()>,
) -> Ended {
    tokio::select! {
        _ = terminate.recv() => Ended::BySignal,
        _ = interrupt.recv() => Ended::BySignal,
        _ = server_ended => Ended::ServerGone,
    }
}

/// Connections need handles; the soft limit of a login shell is 1,024.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}
