//! What is logged.

use super::{Builder, Logging, file};
use crate::config::words::nearest_of;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Rooms of this program, as their lines are called behind `portcullis::`.
const ROOMS: [&str; 20] = [
    "admin",
    "audit",
    "authn",
    "authz",
    "backend",
    "cli",
    "config",
    "crypto",
    "fair",
    "files",
    "handler",
    "iam",
    "identity",
    "listener",
    "metrics",
    "proxy",
    "s3",
    "server",
    "sigv4",
    "transform",
];

/// Libraries whose lines can be of use to who operates it.
const LIBRARIES: [&str; 8] = [
    "aws_config",
    "aws_runtime",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "hyper",
    "hyper_util",
    "rustls",
    "tokio",
];

impl Builder<'_> {
    pub(super) fn logging(&mut self, written: &file::Logging) -> Logging {
        let json = match written.format.as_deref() {
            None | Some("human") => false,
            Some("json") => true,
            Some(other) => {
                let what = format!("`{other}` is neither `human` nor `json`");
                self.tell("logging.format", what);
                false
            }
        };
        let level = written.level.clone().unwrap_or_else(|| "info".to_owned());
        let parts: Vec<_> = level.split(',').map(str::trim).collect();
        for part in &parts {
            if let Err(what) = directive(part) {
                self.tell("logging.level", what);
            }
        }
        // The reader of directives takes no space for nothing.
        Logging {
            json,
            level: parts.join(","),
        }
    }
}

/// Whether it is a level, or of one module. Any other word would be a module's name that nothing has, and
/// silently do nothing.
fn directive(part: &str) -> Result<(), String> {
    let is_level = |level: &str| LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known));
    let levels = || format!("none of `{}`", LEVELS.join("`, `"));
    let Some((module, level)) = part.split_once('=') else {
        return match is_level(part) {
            true => Ok(()),
            false => Err(format!(
                "`{part}` is {}; of one module it is written `portcullis::proxy=debug`",
                levels()
            )),
        };
    };
    if !is_level(level) {
        return Err(format!("`{level}` in `{part}` is {}", levels()));
    }
    let ours = module.strip_prefix("portcullis::");
    let room = ours.map(|rest| rest.split("::").next().unwrap_or_default());
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
    let known = match room {
        Some(room) => ROOMS.contains(&room) && module.bytes().all(word),
        None => module == "portcullis" || LIBRARIES.contains(&module),
    };
    if known {
        return Ok(());
    }
    if is_level(module)
        || LEVELS
            .iter()
            .any(|level| strsim::damerau_levenshtein(module, level) < 3)
    {
        return Err(format!(
            "`{module}` in `{part}` is no module; a level alone is written `{level}`, and of one module \
             `portcullis::proxy=debug`"
        ));
    }
    let ours = ROOMS.map(|room| format!("portcullis::{room}"));
    let names = ours.iter().map(String::as_str);
    let all = names.chain(["portcullis"]).chain(LIBRARIES);
    let nearest = nearest_of(module, all).unwrap_or("portcullis");
    Err(format!(
        "`{module}` in `{part}` is no module of this program; did you mean `{nearest}`?"
    ))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_directive_names_what_there_is() {
        for right in [
            "info",
            "WARN",
            "off",
            "portcullis=debug",
            "portcullis::proxy=trace",
            "portcullis::backend::disk=debug",
            "rustls=debug",
        ] {
            assert_eq!(directive(right), Ok(()), "{right}");
            assert!(
                tracing_subscriber::EnvFilter::try_new(right).is_ok(),
                "{right}"
            );
        }
        for (wrong, word) in [
            ("inof", "`info`"),
            ("", "`info`"),
            ("3", "`info`"),
            ("debgu=info", "`debgu`"),
            (
                "portcullsi::proxy=debug",
                "did you mean `portcullis::proxy`",
            ),
            (
                "portcullis::prxoy=debug",
                "did you mean `portcullis::proxy`",
            ),
            ("portcullis::proxy=loud", "`loud`"),
            ("portcullis::proxy[span]=debug", "no module"),
            ("=debug", "no module"),
            ("info=", "`info`"),
            ("/etc=debug", "no module"),
        ] {
            let said = directive(wrong).unwrap_err();
            assert!(
                said.contains(word) && !said.contains("filter"),
                "{wrong}: {said}"
            );
        }
    }

    #[test]
    fn every_room_can_be_named() {
        let lib =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
        let is_module = |room: &&str| {
            lib.lines().any(|l| {
                l.trim_start_matches("pub ")
                    .trim_start_matches("(crate) ")
                    .contains(&format!("mod {room};"))
            })
        };
        for room in ROOMS {
            assert!(is_module(&room), "{room}");
        }
        let modules = lib
            .lines()
            .filter_map(|line| line.split("mod ").nth(1)?.strip_suffix(';'));
        for module in modules.filter(|module| *module != "tidy") {
            assert!(ROOMS.contains(&module), "{module}");
        }
    }
}
