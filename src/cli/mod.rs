//! The command line.

mod fsck;
mod policy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::backend::upstream::Judgement;
use crate::config::{ADDRESS, Config, Overrides, RootKey};
use crate::crypto::Secret;
use crate::server;

/// A sidecar authorization proxy for object storage: AWS identity, access and signatures in front of
/// a directory or any S3 store.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the gateway
    ///
    /// Without a configuration: TLS on 127.0.0.1:9000 with a generated certificate authority, the
    /// disk backend, state and generated root credentials under ./portcullis-data. What clients
    /// need is written to env.sh there.
    Serve(Box<Serve>),
    /// Read a configuration, say what is wrong with it, and serve nothing
    ///
    /// Secrets are read with --resolve only. With --probe the upstream of a bucket is asked what it makes of keys with empty segments, dots, other
    /// case and other forms of Unicode, of checksums and of conditional writes. The exit code is 1 where
    /// the configuration promises what the store does not keep.
    CheckConfig {
        /// The TOML file
        file: PathBuf,
        /// Read the secrets too: their files and environment variables must be there
        #[arg(long)]
        resolve: bool,
        /// Write and remove objects in this bucket of an upstream, under a random prefix; reads the secrets
        #[arg(long, value_name = "BUCKET")]
        probe: Option<String>,
        /// As of `serve`: plain HTTP may be on any address
        #[arg(long)]
        insecure_http_anywhere: bool,
    },
    /// Check the disk backend's files, while no gateway serves them
    ///
    /// Everything is read. The exit code is 0 when all is sound, 1 when problems are left, and 2 when not
    /// everything could be read. Nothing is changed without --repair, and nothing with anybody's bytes in
    /// it is removed with it.
    Fsck(fsck::Fsck),
    /// Work with policies, without a gateway
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// The TOML file; examples/full.toml of the source documents every key
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    config: Option<PathBuf>,
    /// Where generated files, state and the disk backend live [default: portcullis-data, beside the
    /// configuration or in the working directory where there is none]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where S3 clients are listened for [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Where health and metrics are listened for [default: 127.0.0.1:9001]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    admin_listen: Option<SocketAddr>,
    /// Serve plain HTTP instead of TLS; refused off loopback without --insecure-http-anywhere
    #[arg(long)]
    insecure_http: bool,
    /// Let plain HTTP, of --insecure-http or of `listener.http_address`, be on any address: everything is
    /// readable on the wire
    #[arg(long)]
    insecure_http_anywhere: bool,
}

/// Root's access key id and secret key, instead of generated ones. Of the environment alone: everybody on a
/// machine can read a command line.
const ROOT_ACCESS_KEY: &str = "PORTCULLIS_ROOT_ACCESS_KEY";
const ROOT_SECRET_KEY: &str = "PORTCULLIS_ROOT_SECRET_KEY";

/// Runs the command line; the exit code is 0, or 1 with the reason on standard error.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(serve) => match overrides(&serve) {
            Ok(overrides) => {
                server::run(serve.config.as_deref(), overrides).map_err(|error| error.to_string())
            }
            Err(error) => Err(error),
        },
        Command::CheckConfig {
            file,
            resolve,
            probe,
            insecure_http_anywhere,
        } => check_config(&file, resolve, probe.as_deref(), insecure_http_anywhere),
        Command::Fsck(fsck) => return fsck::run(&fsck),
        Command::Policy(policy) => return policy::run(&policy),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "portcullis",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "portcullis: {error}");
}

fn check_config(
    file: &Path,
    resolve: bool,
    bucket: Option<&str>,
    insecure_anywhere: bool,
) -> Result<(), String> {
    // Where a configuration is written is seldom where its secrets are.
    let without_secrets = !resolve && bucket.is_none();
    let overrides = Overrides {
        without_secrets,
        insecure_anywhere,
        advised: true,
        ..Overrides::default()
    };
    let config = Config::load(Some(file), &overrides).map_err(|e| e.to_string())?;
    let wrong = |error: server::Error| format!("`{}`: {error}", file.display());
    for what in &config.warnings {
        server::write_out(&format!("warning: `{}`: {what}\n", file.display()));
    }
    let Some(bucket) = bucket else {
        let but = match without_secrets {
            true => "; its secrets were not read, which --resolve does",
            false => "",
        };
        server::write_out(&format!("`{}` is valid{but}\n", file.display()));
        return Ok(());
    };
    let findings = server::probe(&config, bucket).map_err(wrong)?;
    for finding in &findings {
        let mark = match finding.judgement {
            Judgement::Fine => "ok   ",
            Judgement::Note => "note ",
            Judgement::Wrong => "WRONG",
        };
        server::write_out(&format!("{mark} {}: {}\n", finding.about, finding.found));
    }
    let bad = findings
        .iter()
        .filter(|one| one.judgement == Judgement::Wrong);
    match bad.count() {
        0 => Ok(()),
        count => Err(format!(
            "`{}`: the store of `{bucket}` does not keep what the configuration promises ({count})",
            file.display()
        )),
    }
}

fn overrides(serve: &Serve) -> Result<Overrides, String> {
    let root = match (variable(ROOT_ACCESS_KEY)?, variable(ROOT_SECRET_KEY)?) {
        (Some(id), Some(secret)) => Some(RootKey {
            id,
            secret: Secret::new(secret),
        }),
        (None, None) => None,
        _ => {
            return Err(format!(
                "{ROOT_ACCESS_KEY} and {ROOT_SECRET_KEY} go together"
            ));
        }
    };
    Ok(Overrides {
        data: serve.data.clone(),
        listen: serve.listen,
        admin_listen: serve.admin_listen,
        insecure_http: serve.insecure_http,
        insecure_anywhere: serve.insecure_http_anywhere,
        root,
        without_secrets: false,
        unopened: false,
        advised: false,
    })
}

/// An address of the command line.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| ADDRESS.to_owned())
}

/// A variable of the environment. The error says nothing of its value.
fn variable(name: &str) -> Result<Option<String>, String> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{name} is not text")),
    }
}
