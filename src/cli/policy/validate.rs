//! `portcullis policy validate`: what in policies is wrong, or is hardly meant so.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::case::Rules;
use super::held::UnknownActions;
use crate::iam::{Finding, PolicyKind, Severity, validate_at, validate_for_bucket};
use crate::s3::BucketName;
use crate::server;

/// Its flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Validate {
    /// The documents; `-` is standard input, and of a directory every `*.json` in it and below
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check them as PutBucketPolicy of this bucket does
    #[arg(long, value_name = "NAME", conflicts_with = "kind")]
    bucket: Option<String>,
    /// What an action that there is not is: an error, or with `warn` a warning [default: as the configuration
    /// has it, else refuse]
    #[arg(long)]
    unknown_actions: Option<UnknownActions>,
    /// The gateway's configuration: its `authorization` holds
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    config: Option<PathBuf>,
    /// What they are attached to [default: resource where a statement has a principal, else identity]
    #[arg(long)]
    kind: Option<Kind>,
    /// How findings are written: a line each and its fix, or a JSON object a line
    #[arg(long, default_value = "text")]
    format: Format,
    /// Fail on warnings and security warnings too
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// A user, a group, a role, a boundary or a service account
    Identity,
    /// A bucket
    Resource,
    /// A session
    Session,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Writes what is found; a failure says how much of it counts.
pub(super) fn run(flags: &Validate) -> Result<(), String> {
    let now = OffsetDateTime::now_utc();
    let mut found: Vec<Severity> = Vec::new();
    let mut unread: Vec<String> = Vec::new();
    let rules = Rules::of(flags.config.as_deref(), None, flags.unknown_actions)?;
    let bucket = flags.bucket.as_deref().map(arn_of).transpose()?;
    let mut files = Vec::new();
    for file in &flags.files {
        if let Err(why) = documents(file, true, &mut files) {
            unread.push(format!("`{}`: {why}", file.display()));
        }
    }
    if files.is_empty() && unread.is_empty() {
        return Err("no document (*.json) is there".to_owned());
    }
    for file in &files {
        let document = match read(file) {
            Ok(document) => document,
            Err(why) => {
                unread.push(format!("`{}`: {why}", file.display()));
                continue;
            }
        };
        let kind = match (&bucket, flags.kind) {
            (Some(_), _) => PolicyKind::Resource,
            (None, Some(kind)) => kind.into(),
            (None, None) => guess(&document),
        };
        let mut findings = validate_at(now, &rules.limits, kind, &document);
        if let Some(arn) = &bucket {
            findings = validate_for_bucket(arn, &document, findings);
        }
        for finding in &mut findings {
            let unknown = finding.is_of_unknown_action();
            if unknown && bucket.is_none() && rules.unknown == UnknownActions::Warn {
                finding.severity = Severity::Warning;
            }
            server::write_out(&match flags.format {
                Format::Text => as_text(file, finding),
                Format::Json => as_json(file, finding),
            });
        }
        found.extend(findings.iter().map(|finding| finding.severity));
    }
    if flags.format == Format::Text {
        server::write_out(&format!("{}\n", counts(&found)));
    }
    outcome(&found, &unread, flags.strict)
}

fn arn_of(bucket: &str) -> Result<String, String> {
    match BucketName::parse(bucket) {
        Ok(bucket) => Ok(format!("arn:aws:s3:::{bucket}")),
        Err(_) => Err(format!("`{bucket}` is not the name of a bucket")),
    }
}

/// The documents that a path names. The tables that stand beside policies are none: `*.json` names them too.
fn documents(path: &Path, named: bool, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |why: std::io::Error| why.to_string();
    let name = path.to_string_lossy();
    let is_folder = path != Path::new("-") && std::fs::metadata(path).map_err(failed)?.is_dir();
    if !is_folder {
        let is_one = named || name.ends_with(".json");
        if is_one && !name.ends_with(".test.json") {
            found.push(path.to_owned());
        }
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let paths: Result<Vec<_>, _> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut paths = paths.map_err(failed)?;
    paths.sort();
    for inner in paths {
        // A link to a folder may lead back here.
        let is_link = std::fs::symlink_metadata(&inner)
            .map_err(failed)?
            .is_symlink();
        if !(is_link && inner.is_dir()) {
            documents(&inner, false, found)?;
        }
    }
    Ok(())
}

fn outcome(found: &[Severity], unread: &[String], strict: bool) -> Result<(), String> {
    if !unread.is_empty() {
        return Err(unread.join("\n"));
    }
    let counts = |severity: &&Severity| match severity {
        Severity::Error => true,
        Severity::SecurityWarning | Severity::Warning => strict,
        Severity::Suggestion => false,
    };
    match found.iter().filter(counts).count() {
        0 => Ok(()),
        1 => Err("there is a finding that must be corrected".to_owned()),
        some => Err(format!("there are {some} findings that must be corrected")),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    if file == Path::new("-") {
        let mut document = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut document);
        return read.map(|_| document).map_err(|why| why.to_string());
    }
    std::fs::read(file).map_err(|why| why.to_string())
}

/// Only a resource's statements have principals.
fn guess(document: &[u8]) -> PolicyKind {
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    let names = |statement: &Value| {
        let mut keys = ["Principal", "NotPrincipal"].iter();
        keys.any(|key| statement.get(key).is_some())
    };
    let statements = document.get("Statement");
    let has = match statements {
        Some(Value::Array(list)) => list.iter().any(names),
        Some(one) => names(one),
        None => false,
    };
    match has {
        true => PolicyKind::Resource,
        false => PolicyKind::Identity,
    }
}

fn as_text(file: &Path, finding: &Finding) -> String {
    let file = file.display();
    let line = finding.line.map(|line| format!(":{line}"));
    let path = match finding.path.as_str() {
        "" => String::new(),
        path => format!("{path}: "),
    };
    format!(
        "{file}{}: {} {}: {path}{}\n    fix: {}\n",
        line.unwrap_or_default(),
        finding.severity.as_str(),
        finding.code,
        finding.message,
        finding.fix
    )
}

fn as_json(file: &Path, finding: &Finding) -> String {
    let object = json!({
        "file": file.display().to_string(),
        "line": finding.line,
        "severity": finding.severity.as_str(),
        "code": finding.code,
        "path": finding.path,
        "message": finding.message,
        "fix": finding.fix,
    });
    format!("{object}\n")
}

/// How many there are of each severity.
fn counts(found: &[Severity]) -> String {
    let of = |severity: Severity| {
        let count = found.iter().filter(|one| **one == severity).count();
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {}{plural}", severity.as_str())
    };
    [
        Severity::Error,
        Severity::SecurityWarning,
        Severity::Warning,
        Severity::Suggestion,
    ]
    .map(of)
    .join(", ")
}

impl From<Kind> for PolicyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Identity => Self::Identity,
            Kind::Resource => Self::Resource,
            Kind::Session => Self::Session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_principals() {
        for (document, expected) in [
            (
                r#"{"Statement":[{"Effect":"Allow"}]}"#,
                PolicyKind::Identity,
            ),
            (
                r#"{"Statement":[{},{"Principal":"*"}]}"#,
                PolicyKind::Resource,
            ),
            (
                r#"{"Statement":{"NotPrincipal":"*"}}"#,
                PolicyKind::Resource,
            ),
            (r#"{"Principal":"*"}"#, PolicyKind::Identity),
            ("{", PolicyKind::Identity),
        ] {
            assert_eq!(guess(document.as_bytes()), expected, "{document}");
        }
    }

    #[test]
    fn what_fails() {
        use Severity::{Error, SecurityWarning, Suggestion, Warning};
        for (found, plain, strict) in [
            (&[][..], true, true),
            (&[Suggestion][..], true, true),
            (&[Warning][..], true, false),
            (&[Suggestion, SecurityWarning][..], true, false),
            (&[Suggestion, Error][..], false, false),
        ] {
            assert_eq!(outcome(found, &[], false).is_ok(), plain, "{found:?}");
            assert_eq!(outcome(found, &[], true).is_ok(), strict, "{found:?}");
        }
        assert!(outcome(&[], &["`a`: no such file".to_owned()], false).is_err());
    }

    #[test]
    fn findings_are_written_with_their_place() {
        let mut finding = Finding {
            severity: Severity::SecurityWarning,
            code: "PUBLIC_GRANT",
            path: "Statement[1].Principal".to_owned(),
            line: Some(6),
            message: "it is public".to_owned(),
            fix: "do not".to_owned(),
        };
        let file = Path::new("a.json");
        assert_eq!(
            as_text(file, &finding),
            "a.json:6: security-warning PUBLIC_GRANT: Statement[1].Principal: it is public\n    fix: do not\n"
        );
        assert_eq!(
            as_json(file, &finding),
            "{\"code\":\"PUBLIC_GRANT\",\"file\":\"a.json\",\"fix\":\"do not\",\"line\":6,\"message\":\"it is public\",\"path\":\"Statement[1].Principal\",\"severity\":\"security-warning\"}\n"
        );
        finding.path.clear();
        finding.line = None;
        let text = as_text(file, &finding);
        assert!(
            text.starts_with("a.json: security-warning PUBLIC_GRANT: it is public"),
            "{text}"
        );
        assert_eq!(
            counts(&[Severity::Warning, Severity::Warning, Severity::Error]),
            "1 error, 0 security-warnings, 2 warnings, 0 suggestions"
        );
    }
}
