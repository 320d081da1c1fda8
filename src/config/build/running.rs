//! How much is done at a time, and what is told of it.

use std::time::Duration;

use super::{Builder, Error, Limits, Logging, audit, file, transform};

impl Builder<'_> {
    /// Connections, how long the end takes, and threads.
    pub(super) fn running(
        &self,
        written: &file::Limits,
    ) -> Result<(Option<usize>, Duration, Duration, usize), Error> {
        let delay = |name: &str, text: &Option<String>, usual: u64| {
            let usual = Duration::from_secs(usual);
            self.delay(&format!("limits.{name}"), text.as_deref(), usual)
        };
        let threads = self.most("threads", written.threads)?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok((
            self.most("connections", written.connections)?,
            delay("drain_timeout", &written.drain_timeout, 30)?,
            delay("shutdown_delay", &written.shutdown_delay, 1)?,
            threads.unwrap_or_else(cores),
        ))
    }

    /// The key `limits.<name>`: at least one, or nothing would ever be answered.
    fn most<T: PartialEq + From<u8>>(
        &self,
        name: &str,
        written: Option<T>,
    ) -> Result<Option<T>, Error> {
        match written {
            Some(most) if most == T::from(0) => Err(self.value(
                &format!("limits.{name}"),
                "there must be room for one".to_owned(),
            )),
            most => Ok(most),
        }
    }

    pub(super) fn limits(&self, written: &file::Limits) -> Result<Limits, Error> {
        let usual = Limits::default();
        let bodies = transform::Limits {
            upload: written.upload_bytes.unwrap_or(usual.bodies.upload),
            unverified: written.unverified_bytes.unwrap_or(usual.bodies.unverified),
            answers: written.answer_bytes.unwrap_or(usual.bodies.answers),
        };
        let requests = self.most("requests", written.requests)?;
        let requests = requests.unwrap_or(usual.requests);
        let per_caller = self.most("requests_per_caller", written.requests_per_caller)?;
        let header_bytes = written.header_bytes.unwrap_or(usual.header_bytes);
        if !(1024..=65_536).contains(&header_bytes) {
            return Err(self.value(
                "limits.header_bytes",
                format!("`{header_bytes}` is not between 1024 and 65536"),
            ));
        }
        let one = |name: &str, text: &Option<String>, usual| {
            self.duration(&format!("limits.{name}"), text.as_deref(), usual)
        };
        Ok(Limits {
            header_bytes,
            header_timeout: one(
                "header_timeout",
                &written.header_timeout,
                usual.header_timeout,
            )?,
            body_timeout: one("body_timeout", &written.body_timeout, usual.body_timeout)?,
            idle_timeout: one("idle_timeout", &written.idle_timeout, usual.idle_timeout)?,
            requests,
            // Half, so that there is always room for another.
            requests_per_caller: per_caller.unwrap_or(requests.div_ceil(2)),
            streams: self
                .most("streams", written.streams)?
                .unwrap_or(usual.streams),
            bodies,
        })
    }

    pub(super) fn logging(&self, written: &file::Logging) -> Result<Logging, Error> {
        let json = match written.format.as_deref() {
            None | Some("human") => false,
            Some("json") => true,
            Some(other) => {
                return Err(self.value(
                    "logging.format",
                    format!("`{other}` is neither `human` nor `json`"),
                ));
            }
        };
        let level = written.level.clone().unwrap_or_else(|| "info".to_owned());
        // A word that is no level would be a module's name, of which everything is logged.
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let bare = level.split(',').find(|part| {
            let part = part.trim();
            !part.contains(['=', '[']) && !LEVELS.iter().any(|l| part.eq_ignore_ascii_case(l))
        });
        if let Some(part) = bare {
            let what = format!(
                "`{part}` is none of `{}`; of one module it is written `portcullis::proxy=debug`",
                LEVELS.join("`, `")
            );
            return Err(self.value("logging.level", what));
        }
        if let Err(why) = tracing_subscriber::EnvFilter::try_new(&level) {
            return Err(self.value("logging.level", why.to_string()));
        }
        Ok(Logging { json, level })
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

    pub(super) fn audit(
        &self,
        written: Option<&file::AuditOutput>,
    ) -> Result<audit::Output, Error> {
        let wrong = || {
            self.value(
                "audit.output",
                "give `\"stdout\"`, `\"off\"` or `{ file = \"…\" }`".to_owned(),
            )
        };
        match written {
            None => Ok(audit::Output::Off),
            Some(file::AuditOutput::Named(name)) => match name.as_str() {
                "stdout" => Ok(audit::Output::Stdout),
                "off" => Ok(audit::Output::Off),
                _ => Err(wrong()),
            },
            Some(file::AuditOutput::Table(table)) => match table.get("file") {
                Some(path) if table.len() == 1 => Ok(audit::Output::File(self.base.join(path))),
                _ => Err(wrong()),
            },
        }
    }
}
