//! Reload: a changed file or SIGHUP builds a new state; a bad one keeps the last good one and says
//! why. Files are looked at on a thread of its own: a disk that hangs holds up no signal.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::{Running, state};
use crate::config::{Config, RootKey};
use crate::crypto::sha256;
use crate::files::Stamp;

/// The thread that looks at files.
#[derive(Debug)]
pub(super) struct Watcher {
    look: SyncSender<()>,
    reload: Arc<AtomicBool>,
}

impl Watcher {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(running: &Arc<Running>, config: &Config) -> std::io::Result<Self> {
        let mut reload = Reload::new(config);
        let (look, looks) = sync_channel(1);
        let asked = Arc::new(AtomicBool::new(false));
        let (running, now) = (running.clone(), asked.clone());
        std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || {
                while looks.recv().is_ok() {
                    match now.swap(false, Ordering::AcqRel) {
                        true => reload.now(&running),
                        false => reload.if_changed(&running),
                    }
                }
            })?;
        Ok(Self {
            look,
            reload: asked,
        })
    }

    /// Has changed files looked for, unless that is under way.
    pub(super) fn look(&self) {
        let _ = self.look.try_send(());
    }

    /// Has everything read again; when files are being looked at, after that.
    pub(super) fn reload(&self) {
        self.reload.store(true, Ordering::Release);
        self.look();
    }
}

/// What is watched, and how it was when it was last read.
#[derive(Debug)]
struct Reload {
    watched: HashMap<PathBuf, Stamp>,
    /// What the process runs with, whatever has been written since.
    fixed: Vec<(&'static str, String)>,
}

/// What is read at the start only: each key, or section, and what it said. Of root's secret no more than
/// what tells it from another.
fn fixed(config: &Config) -> Vec<(&'static str, String)> {
    let root = config.root.as_ref();
    let root = root.map(|root: &RootKey| (&root.id, sha256(root.secret.expose().as_bytes())));
    let (tls, limits) = (&config.tls, &config.limits);
    // What is in it as well: what cannot be read now is not what was.
    let clients = tls.client_ca.as_ref();
    let clients = clients.map(|ca| {
        (
            ca,
            std::fs::read(ca)
                .map(|ca| sha256(&ca))
                .map_err(|e| e.kind()),
        )
    });
    let told: [(_, &dyn Debug); 17] = [
        ("data", &config.data),
        ("listener.address", &config.listen),
        ("listener.http_address", &config.http_listen),
        ("listener.tls.minimum_version", &tls.only_1_3),
        ("listener.tls.client_ca", &clients),
        (
            "listener.tls.client_certificates",
            &tls.client_may_be_without,
        ),
        ("admin.address", &config.admin_listen),
        ("admin.hosts", &config.admin_hosts),
        ("root", &root),
        ("disk", &config.disk),
        ("limits.threads", &config.threads),
        ("limits.connections", &config.connections),
        ("limits.idle_timeout", &limits.idle_timeout),
        ("limits.drain_timeout", &config.drain_timeout),
        ("limits.shutdown_delay", &config.shutdown_delay),
        ("logging", &config.logging),
        ("audit", &config.audit),
    ];
    told.map(|(key, value)| (key, format!("{value:?}"))).into()
}

impl Reload {
    fn new(config: &Config) -> Self {
        let mut reload = Self {
            watched: HashMap::new(),
            fixed: fixed(config),
        };
        reload.watch(config);
        reload
    }

    fn watch(&mut self, config: &Config) {
        let certificate = config.tls.files.iter().flat_map(|(a, b)| [a, b]);
        let paths = config.watched.iter().chain(certificate);
        self.watched = paths.map(|path| (path.clone(), Stamp::of(path))).collect();
    }

    /// Reloads when a watched file has changed; bucket policies of other gateways are looked for in
    /// any case.
    fn if_changed(&mut self, running: &Running) {
        if let Err(error) = running.policies.refresh() {
            tracing::error!(%error, "bucket policies cannot be read again");
        }
        if self
            .watched
            .iter()
            .any(|(path, known)| Stamp::of(path) != *known)
        {
            self.now(running);
        }
    }

    /// Reloads.
    fn now(&mut self, running: &Running) {
        match self.attempt(running) {
            Ok(()) => tracing::info!("the configuration is reloaded"),
            Err(why) => {
                tracing::error!(%why, "the configuration is not reloaded; the last good one stays");
                // What was looked at is not looked at again until it changes once more.
                for (path, known) in &mut self.watched {
                    *known = Stamp::of(path);
                }
            }
        }
    }

    fn attempt(&mut self, running: &Running) -> Result<(), String> {
        let paths = self.watched.keys();
        let before: Vec<_> = paths.map(|path| (path.clone(), Stamp::of(path))).collect();
        let config = Config::load(running.config_path.as_deref(), &running.overrides);
        let config = config.map_err(|error| error.to_string())?;
        let next = state(
            &config,
            &running.bootstrap,
            &running.disk,
            &running.policies,
            running.http_port,
        );
        let next = next.map_err(|error| error.to_string())?;
        let renewed = running.bootstrap.renew(&config);
        renewed.map_err(|error| error.to_string())?;
        if let (Some(certificates), Some((certificate, key))) =
            (&running.certificates, running.bootstrap.files(&config))
        {
            certificates
                .reload(&certificate, &key)
                .map_err(|error| error.to_string())?;
        }
        running.state.store(Arc::new(next));
        running.bootstrap.write_script(&config);
        config.warn();
        let waiting: Vec<_> = fixed(&config)
            .into_iter()
            .filter(|now| !self.fixed.contains(now))
            .map(|(key, _)| key)
            .collect();
        if !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!(keys, "these change at the next start only");
        }
        self.watch(&config);
        // A file that changed while it was read is read again.
        for (path, at) in before {
            if let Some(known) = self.watched.get_mut(&path) {
                *known = at;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the example says of a restart is what needs one.
    #[test]
    #[expect(clippy::unwrap_used, reason = "tests")]
    fn the_example_names_what_waits_for_a_start() {
        let config = Config::load(None, &crate::config::Overrides::default()).unwrap();
        let example = include_str!("../../examples/full.toml");
        let head: String = (example.lines())
            .take_while(|line| line.starts_with('#'))
            .map(|line| line.trim_start_matches('#'))
            .collect();
        let names: Vec<_> = fixed(&config).into_iter().map(|(key, _)| key).collect();
        let names = names.join(", ");
        let said = format!("read at the start only: {names}.");
        assert!(head.contains(&said), "{said} is not in {head}");
    }
}
