//! The only place where all rooms meet: a [`Config`] becomes listeners and a state, a reload swaps
//! the state, a signal drains.

mod bootstrap;
mod cores;
mod health;
mod log;
mod pulse;
mod readiness;
mod reload;
mod script;
mod turned_away;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pingora_runtime::RuntimeBuilder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin::Admin;
use crate::audit::{self, Audit};
use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::backend::disk::Disk;
use crate::backend::router::{Backends, Store};
use crate::backend::upstream::Finding;
use crate::config::{self, Config, Overrides};
use crate::identity::BucketPolicies;
use crate::listener::{
    Certificates, Reserve, Room, Stop, Tls, accept, accept_reserved, bind, client_verifier,
    descriptors, raise_descriptors,
};
use crate::metrics::Metrics;
use crate::proxy::{Gateway, Limits, State};
use crate::s3::{Addressing, BucketName};
use bootstrap::Bootstrap;
use health::Health;
use log::Log;
use pulse::Pulse;
use readiness::{Phase, Readiness};
use reload::Watcher;
use turned_away::TurnedAway;

/// How often changed files are looked for, and backends that have not been asked for a while.
const POLL: Duration = Duration::from_millis(500);

/// The most connections of a data listener where nothing else is configured: they take 250 MB idle.
const MOST_CONNECTIONS: usize = 16_384;

/// How long requests that are cut off may take to be told of.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The most connections of the admin listener.
const ADMIN_CONNECTIONS: usize = 256;

/// Why the gateway does not start, or does not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A backend.
    #[error("a backend cannot be used: {0}")]
    Backend(String),
    /// The generated files.
    #[error("{0}")]
    Bootstrap(String),
    /// The directory of another process.
    #[error(
        "`{}` is in use by another portcullis: stop that one, or give this one a directory of its own \
         with `--data`", .0.display()
    )]
    InUse(PathBuf),
    /// A listener.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// It ends, and what was done is not told.
    #[error(transparent)]
    Unwritten(#[from] audit::Unwritten),
    /// Anything else of the system's.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// What outlives a reload.
#[derive(Debug)]
struct Running {
    config_path: Option<PathBuf>,
    overrides: Overrides,
    bootstrap: Bootstrap,
    disk: Arc<Disk>,
    policies: Arc<BucketPolicies>,
    state: Arc<ArcSwap<State>>,
    certificates: Option<Arc<Certificates>>,
    audit: Arc<Audit>,
    // The port of the plain listener beside that for TLS.
    http_port: Option<u16>,
}

/// The backends, without the disk: checking must not create or lock anything, so any local store will do.
fn backends(config: &Config) -> Result<Backends, Error> {
    let stores = config.stores().into_iter().chain([(
        config::DISK.to_owned(),
        Store::Local(Arc::new(crate::backend::Nowhere)),
    )]);
    Backends::new(stores.collect(), config.routes.clone(), Some(config::DISK))
        .map_err(|error| Error::Backend(error.to_string()))
}

/// Asks the upstream of `bucket` what it makes of keys, checksums and conditions.
///
/// # Errors
/// [`Error`] when the bucket is at no upstream, or the upstream cannot be asked.
pub fn probe(config: &Config, bucket: &str) -> Result<Vec<Finding>, Error> {
    install_crypto();
    let backends = backends(config)?;
    let name = BucketName::parse(bucket).map_err(|why| Error::Backend(why.to_string()))?;
    let upstream = backends.upstream_of(&name);
    let upstream = upstream
        .ok_or_else(|| Error::Backend(format!("no route leads `{bucket}` to an upstream")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let found = runtime.block_on(upstream.probe(&name));
    found.map_err(|error| {
        let why = error.reason().unwrap_or_else(|| error.message());
        Error::Backend(format!("`{}` cannot be asked: {why}", upstream.name()))
    })
}

fn install_crypto() {
    // Before anything else asks for TLS: Pingora would install another provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Serves until a signal ends it.
///
/// # Errors
/// [`Error`] says why it does not start.
pub fn run(config_path: Option<&Path>, overrides: Overrides) -> Result<(), Error> {
    install_crypto();
    // Before the first secret is read.
    let cores = cores::disable();
    let config = Config::load(config_path, &overrides)?;
    let log = Log::start(&config.logging)?;
    if let Err(error) = cores {
        tracing::warn!(%error, "core dumps cannot be turned off: they would hold secrets");
    }
    config.warn();
    let outcome = start(config_path, overrides, &config);
    log.flush();
    outcome
}

fn start(config_path: Option<&Path>, overrides: Overrides, config: &Config) -> Result<(), Error> {
    let (before, descriptors) = raise_descriptors();
    tracing::info!(
        before,
        descriptors,
        "the limit of file descriptors is raised"
    );
    let reserve = Reserve::new();
    let signals = Signals::new()?;
    // Before anything is created, so that an address that is taken leaves nothing behind.
    let listeners = Listeners::bind(config)?;
    let bootstrap = Bootstrap::prepare(config, listeners.main.local_addr()?)?;
    let metrics = Arc::new(Metrics::new().map_err(|error| Error::Bootstrap(error.to_string()))?);
    let audit = Arc::new(Audit::open(&config.audit, metrics.audit())?);
    let disk = Disk::open(&config.disk)
        .map_err(|error| Error::Backend(format!("`{}`: {error}", config.disk.path.display())))?;
    let disk = Arc::new(disk);
    let policies = Arc::new(BucketPolicies::open(&config.data.join("state"))?);
    let http_port = listeners.http_port()?;
    let state = Arc::new(ArcSwap::from_pointee(state(
        config, &bootstrap, &disk, &policies, http_port,
    )?));
    let certificates = bootstrap.certificates(config)?;
    let running = Arc::new(Running {
        config_path: config_path.map(Path::to_owned),
        overrides,
        bootstrap,
        disk,
        policies,
        state: state.clone(),
        certificates: certificates.clone(),
        audit: audit.clone(),
        http_port,
    });
    serve(
        config,
        &running,
        listeners,
        signals,
        reserve,
        certificates,
        &metrics,
    )
}

/// One state out of a configuration and what outlives it.
fn state(
    config: &Config,
    bootstrap: &Bootstrap,
    disk: &Arc<Disk>,
    policies: &Arc<BucketPolicies>,
    http_port: Option<u16>,
) -> Result<State, Error> {
    let mut stores = config.stores();
    stores.push((config::DISK.to_owned(), Store::Local(disk.clone())));
    let backends = Backends::new(stores, config.routes.clone(), Some(config::DISK));
    let authenticator =
        |takes: bool| Authenticator::new(config.region.clone()).with_version_two(takes);
    let beside = http_port.filter(|_| config.http_signature_v2 != config.signature_v2);
    Ok(State {
        addressing: Addressing::new(config.domains.iter().cloned()),
        authenticator: authenticator(config.signature_v2),
        beside: beside.map(|port| (port, authenticator(config.http_signature_v2))),
        authorizer: Authorizer::new(config.account.clone(), config.region.clone())
            .explaining(config.explain_denials)
            .blocking(config.public_access_block),
        directory: Arc::new(config.directory(bootstrap.root())),
        policies: policies.clone(),
        backends: Arc::new(backends.map_err(|error| Error::Backend(error.to_string()))?),
        trusted_proxies: config.trusted_proxies.clone(),
        forwarded_proto: config.forwarded_proto,
        account: config.account.clone(),
        region: config.region.clone(),
        limits: limits(config),
    })
}

/// What has the process reload, waited for from before anybody can know that it is there: a signal that nobody
/// waits for ends it, as others may that come while it starts.
struct Signals {
    runtime: Arc<tokio::runtime::Runtime>,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build()?;
        let within = runtime.enter();
        let hangup = signal(SignalKind::hangup())?;
        drop(within);
        Ok(Self {
            runtime: Arc::new(runtime),
            hangup,
        })
    }
}

/// The addresses that are listened on.
struct Listeners {
    main: TcpListener,
    http: Option<TcpListener>,
    admin: TcpListener,
}

impl Listeners {
    fn bind(config: &Config) -> Result<Self, Error> {
        let bind = |address| bind(address).map_err(|error| Error::Listen { address, error });
        Ok(Self {
            main: bind(config.listen)?,
            http: config.http_listen.map(bind).transpose()?,
            admin: bind(config.admin_listen)?,
        })
    }

    fn http_port(&self) -> std::io::Result<Option<u16>> {
        let address = self.http.as_ref().map(TcpListener::local_addr);
        Ok(address.transpose()?.map(|address| address.port()))
    }
}

fn serve(
    config: &Config,
    running: &Arc<Running>,
    listeners: Listeners,
    mut signals: Signals,
    reserve: Reserve,
    certificates: Option<Arc<Certificates>>,
    metrics: &Arc<Metrics>,
) -> Result<(), Error> {
    let (closing, connections) = watch::channel(false);
    let (shutdown, accepting) = watch::channel(false);
    let stop = Stop {
        connections,
        accepting,
    };
    let tls = certificates.map(|certificates| tls(config, certificates));
    let tls = tls.transpose()?.map(Arc::new);
    let gateway = Arc::new(Gateway::new(
        running.state.clone(),
        metrics.clone(),
        running.audit.clone(),
    ));
    let cutting = gateway.clone();
    let most = most_connections(config);
    let room = |name| Room::new(most, metrics.connections(name));
    let main = room("main");
    let http = listeners.http.map(|http| (http, room("http")));
    let rooms = http.iter().map(|(_, room)| room).chain([&main]);
    let readiness = Arc::new(Readiness::new(
        Pulse::new(config.threads),
        running.audit.clone(),
        rooms.cloned().collect(),
    ));
    let admin = Arc::new(Admin::new(
        readiness.clone(),
        metrics.clone(),
        config.admin_hosts.clone(),
    ));

    // Threads that don't steal each other's work: a fifth less CPU for small requests.
    let workers = RuntimeBuilder::new(config.threads, "gateway")
        .work_steal(false)
        .build();
    readiness.pulse.start(&workers);
    let aside = RuntimeBuilder::new(1, "aside").work_steal(false).build();
    let handle = workers.get_handle();
    if let Some((http, room)) = http {
        handle.spawn(accept(http, None, gateway.clone(), room, stop.clone()));
    }
    handle.spawn(accept(listeners.main, tls, gateway, main, stop.clone()));
    // Health is told to the end.
    let (_open, never) = watch::channel(false);
    let admin_stop = Stop {
        connections: never,
        ..stop
    };
    let room = Room::new(ADMIN_CONNECTIONS, metrics.connections("admin"));
    let admin = accept_reserved(listeners.admin, admin, room, reserve, admin_stop);
    aside.get_handle().spawn(admin);

    let watcher = Watcher::start(running, config)?;
    let runtime = signals.runtime.clone();
    runtime.block_on(async {
        readiness.set(Phase::Serving);
        running.bootstrap.tell_names(config);
        running.bootstrap.announce(config);
        let health = &readiness.health;
        supervise(
            running,
            &mut signals,
            &watcher,
            health,
            metrics,
            &workers,
            &cutting,
        )
        .await
    })?;

    // Readiness goes red and connections close as they fall idle, so that balancers and clients go
    // elsewhere; then the listeners close; then what is under way may end.
    tracing::info!("draining");
    readiness.set(Phase::Draining);
    let _ = closing.send(true);
    std::thread::sleep(config.shutdown_delay);
    let _ = shutdown.send(true);
    let begun = Instant::now();
    drain(metrics, &cutting, config.drain_timeout);
    tell_faults(running, metrics);
    let left = config.drain_timeout.saturating_sub(begun.elapsed());
    Ok(running.audit.flush(left)?)
}

/// How many connections each data listener may have. By default they get half of the descriptors that
/// the process may open, and never more than three quarters: the others are for files and upstreams.
fn most_connections(config: &Config) -> usize {
    let (taken, most) = connections(config);
    if let Some(wanted) = config.connections.filter(|wanted| *wanted > most) {
        tracing::warn!(
            wanted,
            most,
            "the limit of open files has no room for `limits.connections`"
        );
    }
    taken
}

/// The same, and how many there could be.
fn connections(config: &Config) -> (usize, usize) {
    let descriptors = usize::try_from(descriptors()).unwrap_or(usize::MAX);
    let listeners = 1 + usize::from(config.http_listen.is_some());
    let each = descriptors / listeners;
    let most = (each / 4).saturating_mul(3).max(16);
    let taken = match config.connections {
        Some(wanted) => wanted.min(most),
        None => (each / 2).clamp(16, MOST_CONNECTIONS),
    };
    (taken, most)
}

/// The configured limits, with as many requests as there are descriptors for: each has its connection,
/// and a file or another connection beside it.
fn limits(config: &Config) -> Limits {
    let mut limits = config.limits.clone();
    let descriptors = usize::try_from(descriptors()).unwrap_or(usize::MAX);
    let most = (descriptors / 8).saturating_mul(3).max(16);
    if limits.requests > most {
        tracing::info!(
            wanted = limits.requests,
            most,
            "the limit of open files has no room for `limits.requests`"
        );
    }
    limits.requests = limits.requests.min(most);
    limits.requests_per_caller = limits.requests_per_caller.min(most.div_ceil(2));
    // Who waits for a backend holds a connection as well.
    limits.requests_at_backends = limits.requests.min(connections(config).0);
    limits
}

fn tls(config: &Config, certificates: Arc<Certificates>) -> Result<Tls, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::Bootstrap(error.to_string());
    let may_be_without = config.tls.client_may_be_without;
    let clients = config.tls.client_ca.as_deref();
    let clients = clients.map(|ca| client_verifier(ca, may_be_without));
    let clients = clients.transpose().map_err(|error| wrong(&error))?;
    Tls::new(certificates, clients, config.tls.only_1_3).map_err(|error| wrong(&error))
}

/// Watches signals, files and backends until a signal ends the process. Nothing here waits for a disk
/// or a backend.
async fn supervise(
    running: &Running,
    signals: &mut Signals,
    watcher: &Watcher,
    health: &Arc<Health>,
    metrics: &Metrics,
    workers: &pingora_runtime::Runtime,
    gateway: &Gateway,
) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut poll = tokio::time::interval(POLL);
    let mut turned_away = TurnedAway::new(metrics);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = signals.hangup.recv() => {
                running.audit.reopen();
                watcher.reload();
            }
            _ = poll.tick() => {
                watcher.look();
                health.ask(&running.state.load().backends, workers, metrics);
                tell_faults(running, metrics);
                gateway.tell_left_out();
                turned_away.tell(&running.audit);
            }
        }
    }
}

/// What is wrong with the disk, for whoever watches: nobody may have asked for what was found.
fn tell_faults(running: &Running, metrics: &Metrics) {
    let faults = running.disk.faults();
    metrics.disk(&faults, &running.disk.scrub());
    for finding in faults.take() {
        let bucket = finding.path.strip_prefix("buckets/");
        let bucket = bucket.and_then(|rest| rest.split('/').next());
        let reason = format!("`{}`: {}", finding.path, finding.what);
        running.audit.incident(finding.kind, bucket, None, &reason);
    }
}

fn drain(metrics: &Metrics, gateway: &Gateway, most: Duration) {
    let deadline = Instant::now() + most;
    while metrics.flying() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    // The last answers' last bytes may still be on their way through HTTP/2.
    std::thread::sleep(Duration::from_millis(20));
    if metrics.flying() > 0 {
        tracing::warn!(
            requests = metrics.flying(),
            "requests are cut off: the drain timeout is over"
        );
        gateway.cut_off();
        // Until each has been told of.
        let deadline = Instant::now() + LAST_WORDS;
        while metrics.flying() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Writes to standard output; a reader that left is no error.
pub(crate) fn write_out(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
