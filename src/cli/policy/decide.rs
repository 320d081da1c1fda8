//! `portcullis policy decide`: one case a line in, one decision a line out, as fast as they come.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::case::{Case, Rules};
use super::held::{self, UnknownActions};
use crate::iam::{By, Decision};

/// Its flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Decide {
    /// The account that `root` is the root of [default: the configuration's, else 123456789012]
    #[arg(long, value_name = "ID", value_parser = held::account)]
    account: Option<String>,
    /// What an action that there is not is: a document with one is refused, or with `warn` taken [default: as
    /// the configuration has it, else refuse]
    #[arg(long)]
    unknown_actions: Option<UnknownActions>,
    /// The gateway's configuration: its account, `authorization` and `public_access_block` hold
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    config: Option<PathBuf>,
}

/// How much of the input is read at a time.
const CHUNK: usize = 256 * 1024;

#[derive(Serialize)]
struct Answer<'a> {
    decision: &'static str,
    by: Vec<Statement<'a>>,
    why: String,
}

#[derive(Serialize)]
struct Statement<'a> {
    policy: &'a str,
    statement: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
}

/// Answers until the input ends.
pub(super) fn run(decide: &Decide) -> Result<ExitCode, String> {
    let rules = Rules::of(
        decide.config.as_deref(),
        decide.account.as_deref(),
        decide.unknown_actions,
    )?;
    let failed = |error: std::io::Error| error.to_string();
    let mut input = BufReader::with_capacity(CHUNK, std::io::stdin().lock());
    let mut output = BufWriter::with_capacity(CHUNK, std::io::stdout().lock());
    let mut line = Vec::new();
    let mut invalid = 0_usize;
    loop {
        line.clear();
        let ended = input.read_until(b'\n', &mut line).map_err(failed)? == 0;
        let waits = memchr::memchr(b'\n', input.buffer()).is_none();
        let mut told = match line.trim_ascii() {
            [] => Ok(()),
            line => answer(&rules, line, &mut output).map(|valid| {
                invalid = invalid.saturating_add(usize::from(!valid));
            }),
        };
        // Who waits for an answer before the next question gets it.
        if told.is_ok() && waits {
            told = output.flush();
        }
        match told {
            // Whoever read has gone.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                return Ok(ExitCode::SUCCESS);
            }
            told => told.map_err(failed)?,
        }
        if ended {
            break;
        }
    }
    match invalid {
        0 => Ok(ExitCode::SUCCESS),
        1 => Err("a case is invalid".to_owned()),
        some => Err(format!("{some} cases are invalid")),
    }
}

/// Answers one case; whether it could be decided.
fn answer(rules: &Rules, line: &[u8], output: &mut impl Write) -> std::io::Result<bool> {
    let case = Case::read(rules, line);
    let decision = case.as_ref().map(Case::decide);
    let answer = match &decision {
        Ok(decision) => Answer {
            decision: name(decision),
            by: by(decision).map(statement).into_iter().collect(),
            why: why(decision),
        },
        Err(why) => Answer {
            decision: "invalid",
            by: Vec::new(),
            why: (*why).clone(),
        },
    };
    serde_json::to_writer(&mut *output, &answer)?;
    output.write_all(b"\n")?;
    Ok(decision.is_ok())
}

/// A decision's name.
pub(super) fn name(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow(_) => "allow",
        Decision::ExplicitDeny(_) => "explicit_deny",
        Decision::ImplicitDeny(_) => "implicit_deny",
    }
}

/// The statement that decided.
pub(super) fn by(decision: &Decision) -> Option<&By> {
    match decision {
        Decision::Allow(by) => by.as_ref(),
        Decision::ExplicitDeny(by) => Some(by),
        Decision::ImplicitDeny(_) => None,
    }
}

fn statement(by: &By) -> Statement<'_> {
    Statement {
        policy: &by.policy,
        statement: by.statement,
        sid: by.sid.as_deref(),
    }
}

/// The reason in a sentence.
pub(super) fn why(decision: &Decision) -> String {
    match decision {
        Decision::Allow(Some(by)) => format!("allowed by {by}"),
        Decision::Allow(None) => "root may whatever nothing denies".to_owned(),
        Decision::ExplicitDeny(by) => format!("denied by {by}"),
        Decision::ImplicitDeny(missing) => missing.to_string(),
    }
}
