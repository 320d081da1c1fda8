//! `portcullis policy test`: the tables that stand beside policies.
//!
//! `NAME.test.json` says how `NAME.json` is attached, what else is in play, and what is to be decided of
//! each of its cases; `policies/README.md` has its form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::case::{Case, Documents, Facts, Rules, Texts};
use super::decide::{name, why};
use super::held::{self, UnknownActions};
use super::said;
use crate::authz::Authorizer;
use crate::config::file::PublicAccessBlock as Written;
use crate::iam::{Decision, Key, Policy, PolicyKind};
use crate::s3::PublicAccessBlock;

/// Its flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Test {
    /// Where tables (*.test.json) are looked for, in folders below too
    #[arg(required = true)]
    paths: Vec<PathBuf>,
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    kind: Attached,
    #[serde(default, rename = "about")]
    _about: Option<String>,
    #[serde(default)]
    with: BTreeMap<Attached, Sources>,
    principal: Option<String>,
    role: Option<String>,
    /// What of public access is blocked, by server and bucket together: as in the configuration.
    #[serde(default)]
    public_access_block: Written,
    #[serde(default)]
    context: BTreeMap<String, Option<Texts>>,
    cases: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    principal: Option<String>,
    role: Option<String>,
    action: String,
    target: String,
    #[serde(default)]
    public_access_block: Written,
    #[serde(default)]
    context: BTreeMap<String, Option<Texts>>,
    expect: String,
}

/// How a document is attached.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum Attached {
    #[default]
    Identity,
    Groups,
    Boundary,
    Session,
    ServiceAccount,
    Resource,
}

/// Documents: the names of files beside the table, or the documents themselves.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sources {
    Many(Vec<Source>),
    One(Source),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Source {
    File(String),
    Document(serde_json::Map<String, serde_json::Value>),
}

/// Runs every table.
pub(super) fn run(test: &Test) -> Result<(), String> {
    let rules = Rules::of(
        test.config.as_deref(),
        test.account.as_deref(),
        test.unknown_actions,
    )?;
    let mut tables = Vec::new();
    for path in &test.paths {
        find(path, &mut tables)?;
    }
    if tables.is_empty() {
        return Err("no table (*.test.json) is there".to_owned());
    }
    tables.sort();
    let (mut passed, mut failed) = (0_usize, 0_usize);
    let mut out = String::new();
    for path in &tables {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let (outcomes, notes) = run_table(&rules, path).map_err(wrong)?;
        for note in notes {
            out.push_str(&format!("{}: note: {note}\n", path.display()));
        }
        for (row, outcome) in outcomes {
            match outcome {
                Ok(()) => passed = passed.saturating_add(1),
                Err(why) => {
                    failed = failed.saturating_add(1);
                    out.push_str(&format!("{}: `{row}`: {why}\n", path.display()));
                }
            }
        }
    }
    let tables = tables.len();
    out.push_str(&format!(
        "{tables} tables: {passed} passed, {failed} failed\n"
    ));
    crate::server::write_out(&out);
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} cases are not decided as expected")),
    }
}

const ENDING: &str = ".test.json";

fn find(path: &Path, tables: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        tables.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A link to a folder may lead back here.
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        let path = entry.path();
        let is_table = path.to_str().is_some_and(|name| name.ends_with(ENDING));
        let is_file = || std::fs::metadata(&path).map(|metadata| metadata.is_file());
        if is_folder || (is_table && is_file().map_err(failed)?) {
            find(&path, tables)?;
        }
    }
    Ok(())
}

type Outcomes = Vec<(String, Result<(), String>)>;

/// What becomes of each case, and what should be known of them.
fn run_table(rules: &Rules, path: &Path) -> Result<(Outcomes, Vec<String>), String> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let table: Table = serde_json::from_str(&read(path)?).map_err(|why| held::told(&why))?;
    exists(&table)?;
    let beside = path.to_str().and_then(|name| name.strip_suffix(ENDING));
    let beside = beside.ok_or_else(|| format!("a table's name ends in `{ENDING}`"))?;
    let policy = PathBuf::from(format!("{beside}.json"));
    let documents = documents(rules, &table, path, &read(&policy)?);
    let rows = table.cases.iter();
    let outcomes = rows.map(|row| (row.name.clone(), run_row(rules, &table, row, &documents)));
    Ok((outcomes.collect(), left_out(&table)))
}

/// Keys that a case gives and that no request has. Those of all cases are for the actions that have them.
fn left_out(table: &Table) -> Vec<String> {
    let of_row = |row: &Row| {
        let keys = row.context.keys();
        let never =
            |name: &&String| Key::parse(name).is_ok_and(|key| !held::has(&row.action, &key));
        let note = |name: &String| {
            let case = &row.name;
            format!("`{case}`: `{name}` is left out: no request here has it for this action")
        };
        keys.filter(never).map(note).collect::<Vec<_>>()
    };
    table.cases.iter().flat_map(of_row).collect()
}

/// What a case may expect.
const DECISIONS: [&str; 4] = ["allow", "explicit_deny", "implicit_deny", "invalid"];

/// Looks whether everything that a table names exists: a case of what does not proves nothing, whatever is
/// decided of it.
fn exists(table: &Table) -> Result<(), String> {
    if table.cases.is_empty() {
        return Err("it has no `cases`".to_owned());
    }
    let empty = BTreeMap::new();
    said(&table.context, &empty)?;
    for row in &table.cases {
        let wrong = |why: String| format!("`{}`: {why}", row.name);
        if !DECISIONS.contains(&row.expect.as_str()) {
            let all = DECISIONS.join("`, `");
            return Err(wrong(format!("`{}` is none of `{all}`", row.expect)));
        }
        held::row(&row.action, &row.target).map_err(wrong)?;
        let keys = said(&table.context, &row.context).map_err(wrong)?;
        said::agrees(&keys).map_err(wrong)?;
    }
    Ok(())
}

/// What a case says: of each key what itself says, else what the table does; `null` is nothing.
fn said(
    table: &BTreeMap<String, Option<Texts>>,
    row: &BTreeMap<String, Option<Texts>>,
) -> Result<said::Keys, String> {
    let mut keys = said::Keys::new();
    for (name, texts) in table.iter().chain(row) {
        let key = Key::parse(name)?;
        let texts = texts.as_ref().map(|Texts(texts)| texts.as_slice());
        let values = held::values(&key, texts.unwrap_or_default())?;
        keys.retain(|(known, _)| *known != key || known.tag() != key.tag());
        if !values.is_empty() {
            keys.push((key, values));
        }
    }
    Ok(keys)
}

/// Compiles everything in play; an error is what cases may expect as `invalid`.
fn documents(rules: &Rules, table: &Table, path: &Path, policy: &str) -> Result<Documents, String> {
    let mut documents = Documents::default();
    attach(rules, &mut documents, table.kind, policy)?;
    for (attached, sources) in &table.with {
        let sources = match sources {
            Sources::Many(sources) => sources.as_slice(),
            Sources::One(source) => std::slice::from_ref(source),
        };
        if *attached == Attached::Session {
            documents.session.get_or_insert_default();
        }
        for source in sources {
            let text = match source {
                Source::Document(map) => serde_json::to_string(map).map_err(|e| e.to_string())?,
                Source::File(name) => {
                    let file = path.with_file_name(name);
                    std::fs::read_to_string(&file)
                        .map_err(|error| format!("{}: {error}", file.display()))?
                }
            };
            attach(rules, &mut documents, *attached, &text)?;
        }
    }
    Ok(documents)
}

fn attach(
    rules: &Rules,
    documents: &mut Documents,
    attached: Attached,
    text: &str,
) -> Result<(), String> {
    let identity = |id: &str| rules.compile_held(PolicyKind::Identity, id, text);
    let only = |place: &mut Option<Arc<Policy>>, policy| match place.replace(policy) {
        None => Ok(()),
        Some(policy) => Err(format!("there are two of {}", policy.id())),
    };
    match attached {
        Attached::Identity => documents.identity.push(identity("identity")?),
        Attached::Groups => documents.groups.push(identity("groups")?),
        Attached::Boundary => only(&mut documents.boundary, identity("boundary")?)?,
        Attached::ServiceAccount => {
            only(&mut documents.service_account, identity("service_account")?)?;
        }
        Attached::Session => {
            let policy = rules.compile_held(PolicyKind::Session, "session", text)?;
            documents.session.get_or_insert_default().push(policy);
        }
        Attached::Resource => {
            let policy = rules.compile_bucket("resource", text)?;
            only(&mut documents.resource, policy)?;
        }
    }
    Ok(())
}

fn run_row(
    rules: &Rules,
    table: &Table,
    row: &Row,
    documents: &Result<Documents, String>,
) -> Result<(), String> {
    let (decision, why) = decide(rules, table, row, documents);
    match decision == row.expect {
        true => Ok(()),
        false => Err(format!(
            "expected {}, decided {decision}: {why}",
            row.expect
        )),
    }
}

/// What of public access is blocked in a case: as it says, else the table, else the server.
fn blocked(rules: &Rules, table: &Table, row: &Row) -> PublicAccessBlock {
    let (row, table) = (&row.public_access_block, &table.public_access_block);
    let of = |row: Option<bool>, table: Option<bool>, server: bool| row.or(table).unwrap_or(server);
    let server = rules.block;
    PublicAccessBlock {
        block_public_acls: of(
            row.block_public_acls,
            table.block_public_acls,
            server.block_public_acls,
        ),
        ignore_public_acls: of(
            row.ignore_public_acls,
            table.ignore_public_acls,
            server.ignore_public_acls,
        ),
        block_public_policy: of(
            row.block_public_policy,
            table.block_public_policy,
            server.block_public_policy,
        ),
        restrict_public_buckets: of(
            row.restrict_public_buckets,
            table.restrict_public_buckets,
            server.restrict_public_buckets,
        ),
    }
}

fn decide(
    rules: &Rules,
    table: &Table,
    row: &Row,
    documents: &Result<Documents, String>,
) -> (&'static str, String) {
    let who = row.principal.as_ref().or(table.principal.as_ref());
    let role = row.role.as_ref().or(table.role.as_ref());
    let asked = || {
        let who = who.ok_or_else(|| "the case has no principal".to_owned())?;
        // A table's role is its sessions'; other principals have none.
        let role = role.filter(|_| who.contains(":assumed-role/"));
        let principal = rules.principal(who, role.map(String::as_str))?;
        let documents = documents.as_ref().map_err(String::clone)?;
        let mut context = Facts::default();
        for (key, values) in table.context.iter().chain(&row.context) {
            let values = values.as_ref().map(|Texts(values)| values.clone());
            if held::has(&row.action, &Key::parse(key)?) {
                context.set(key, values.unwrap_or_default());
            }
        }
        let case = Case {
            principal,
            action: row.action.clone(),
            target: row.target.clone(),
            context,
            documents: documents.clone(),
        };
        let region = "us-east-1".into();
        let authorizer = Authorizer::new(rules.account.clone(), region);
        let block = blocked(rules, table, row);
        let decided = authorizer.decide_by(case.policies(), &case.request(), block);
        Ok::<_, String>((decided.decision, decided.blocked))
    };
    match asked() {
        Ok((Decision::Allow(_), true)) => {
            let why = "public access is blocked: the bucket's policy is public, and `public_access_block` has `restrict_public_buckets`";
            ("implicit_deny", why.to_owned())
        }
        Ok((decision, _)) => (name(&decision), why(&decision)),
        Err(why) => ("invalid", why),
    }
}
