//! How much is done at a time, and what is told of it.

use std::time::Duration;

use super::{Builder, Error, Limits, audit, file, transform};

/// More threads than any machine's cores answer nothing faster, and the system may refuse them.
const MOST_THREADS: usize = 1024;

impl Builder<'_> {
    /// Connections, how long the end takes, and threads.
    pub(super) fn running(
        &mut self,
        written: &file::Limits,
    ) -> (Option<usize>, Duration, Duration, usize) {
        let mut delay = |name: &str, text: &Option<String>, usual: u64| {
            let usual = Duration::from_secs(usual);
            let read = self.delay(&format!("limits.{name}"), text.as_deref(), usual);
            self.keep(read).unwrap_or(usual)
        };
        let drain = delay("drain_timeout", &written.drain_timeout, 30);
        let shutdown = delay("shutdown_delay", &written.shutdown_delay, 1);
        let threads = self.most("threads", written.threads);
        if threads.is_some_and(|threads| threads > MOST_THREADS) {
            let what =
                format!("there are never more than {MOST_THREADS}; one a core is the default");
            self.tell("limits.threads", what);
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let connections = self.most("connections", written.connections);
        (connections, drain, shutdown, threads.unwrap_or_else(cores))
    }

    /// The key `limits.<name>`: at least one, or nothing would ever be answered.
    fn most<T: PartialEq + Copy + From<u8>>(
        &mut self,
        name: &str,
        written: Option<T>,
    ) -> Option<T> {
        if written == Some(T::from(0)) {
            let what = "there must be room for one";
            self.tell(&format!("limits.{name}"), what.to_owned());
        }
        written
    }

    pub(super) fn limits(&mut self, written: &file::Limits) -> Limits {
        let usual = Limits::default();
        let bodies = transform::Limits {
            upload: written.upload_bytes.unwrap_or(usual.bodies.upload),
            unverified: written.unverified_bytes.unwrap_or(usual.bodies.unverified),
            answers: written.answer_bytes.unwrap_or(usual.bodies.answers),
        };
        let requests = self.most("requests", written.requests);
        let requests = requests.unwrap_or(usual.requests);
        let per_caller = self.most("requests_per_caller", written.requests_per_caller);
        let header_bytes = written.header_bytes.unwrap_or(usual.header_bytes);
        if !(1024..=65_536).contains(&header_bytes) {
            let what = format!("`{header_bytes}` is not between 1024 and 65536");
            self.tell("limits.header_bytes", what);
        }
        let streams = self.most("streams", written.streams);
        let mut time = |name: &str, text: &Option<String>, usual| {
            let read = self.duration(&format!("limits.{name}"), text.as_deref(), usual);
            self.keep(read).unwrap_or(usual)
        };
        Limits {
            header_bytes,
            header_timeout: time(
                "header_timeout",
                &written.header_timeout,
                usual.header_timeout,
            ),
            body_timeout: time("body_timeout", &written.body_timeout, usual.body_timeout),
            idle_timeout: time("idle_timeout", &written.idle_timeout, usual.idle_timeout),
            requests,
            requests_at_backends: requests,
            // Half, so that there is always room for another.
            requests_per_caller: per_caller.unwrap_or(requests.div_ceil(2)),
            streams: streams.unwrap_or(usual.streams),
            bodies,
        }
    }

    pub(super) fn when_full(&self, written: Option<&str>) -> Result<audit::WhenFull, Error> {
        match written {
            None | Some("drop") => Ok(audit::WhenFull::Drop),
            Some("block") => Ok(audit::WhenFull::Block),
            Some(other) => Err(self.value(
                "audit.when_full",
                format!("`{other}` is neither `drop` nor `block`"),
            )),
        }
    }
}
