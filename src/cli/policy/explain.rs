//! `portcullis policy explain`: why a request is allowed or denied, by every statement in play.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::case::{Case, Documents, Facts, Rules};
use super::decide::{name, why};
use crate::config::{Config, Overrides};
use crate::iam::{
    Considered, Decision, Effect, Explanation, Failure, PolicyKind, PolicyLimits, Principal,
    explain,
};
use crate::identity::BucketPolicies;
use crate::s3::BucketName;

/// Its flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Explain {
    /// Who asks: the ARN of a user or of a role's session, `anonymous` or `root`
    #[arg(long, value_name = "ARN")]
    principal: String,
    /// The ARN of a session's role
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// What is asked, as in s3:GetObject
    #[arg(long)]
    action: String,
    /// On what, as in arn:aws:s3:::bucket/key
    #[arg(long, value_name = "ARN")]
    resource: String,
    /// What the request says, by condition key; again for further keys and values
    #[arg(long, value_name = "KEY=VALUE")]
    context: Vec<String>,
    /// The gateway's configuration: its users' policies and its bucket policies are in play
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    config: Option<PathBuf>,
    /// A policy of the user or the role
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// A policy of a group of the user's
    #[arg(long, value_name = "FILE")]
    group: Vec<PathBuf>,
    /// The permission boundary
    #[arg(long, value_name = "FILE")]
    boundary: Option<PathBuf>,
    /// A policy of the session
    #[arg(long, value_name = "FILE")]
    session: Vec<PathBuf>,
    /// The service account's policy
    #[arg(long, value_name = "FILE")]
    service_account: Option<PathBuf>,
    /// The bucket's policy
    #[arg(long, value_name = "FILE")]
    bucket_policy: Option<PathBuf>,
    /// Statements of other actions and resources too
    #[arg(long)]
    all: bool,
}

/// How many near misses are shown.
const CLOSEST: usize = 5;

/// Explains one request.
pub(super) fn run(arguments: &Explain) -> Result<(), String> {
    let config = match &arguments.config {
        None => None,
        Some(path) => {
            // Who wonders about a policy need not have everybody's keys.
            let overrides = Overrides {
                without_secrets: true,
                ..Overrides::default()
            };
            Some(Config::load(Some(path), &overrides).map_err(|e| e.to_string())?)
        }
    };
    let account = config.as_ref().map(|config| config.account.clone());
    let rules = Rules {
        account: account.unwrap_or_else(|| "123456789012".into()),
        limits: PolicyLimits::default(),
    };
    let principal = rules.principal(&arguments.principal, arguments.role.as_deref())?;
    let mut context = Facts::default();
    fill_in(&mut context, &principal);
    let mut documents = Documents::default();
    let mut blocked = false;
    if let Some(config) = &config {
        blocked = of_config(
            &rules,
            config,
            arguments,
            &principal,
            &mut documents,
            &mut context,
        )?;
    }
    of_files(&rules, arguments, &mut documents)?;
    given(&mut context, &arguments.context)?;
    let case = Case {
        principal,
        action: arguments.action.clone(),
        target: arguments.resource.clone(),
        context,
        documents,
    };
    let (policies, request) = (case.policies(), case.request());
    let explanation = explain(&policies, &request);
    let mut out = told(&case, &explanation, arguments.all);
    if blocked {
        out.push_str("\nThe bucket's policy is public, and public access is blocked: what it grants reaches nobody who did not sign.\n");
    }
    crate::server::write_out(&out);
    Ok(())
}

/// What follows from who asks, and from the clock.
fn fill_in(context: &mut Facts, principal: &Principal) {
    let mut set = |key: &str, value: String| context.set(key, vec![value]);
    let now = time::OffsetDateTime::now_utc();
    set("aws:CurrentTime", crate::s3::time::iso8601(now));
    set("aws:EpochTime", now.unix_timestamp().to_string());
    let (kind, arn) = match principal {
        Principal::Anonymous => ("Anonymous", None),
        Principal::Root { account } => ("Account", Some(format!("arn:aws:iam::{account}:root"))),
        Principal::User { arn, .. } => ("User", Some(arn.to_string())),
        Principal::Session { role, .. } => ("AssumedRole", Some(role.to_string())),
    };
    set("aws:PrincipalType", kind.to_owned());
    if let Some(arn) = arn {
        set("aws:PrincipalArn", arn);
    }
    if let Some(account) = principal.account() {
        set("aws:PrincipalAccount", account.to_string());
    }
    if let Principal::User { arn, .. } = principal {
        let name = arn.rsplit('/').next().unwrap_or_default();
        set("aws:username", name.to_owned());
        set("aws:userid", name.to_owned());
    }
}

/// The policies of a user of the configuration, and of the bucket; whether public access, which this
/// would be, is blocked.
fn of_config(
    rules: &Rules,
    config: &Config,
    arguments: &Explain,
    principal: &Principal,
    documents: &mut Documents,
    context: &mut Facts,
) -> Result<bool, String> {
    if let Principal::User { arn, .. } = principal {
        let name = arn.rsplit('/').next().unwrap_or_default();
        let user = config.users.user(name).filter(|user| user.arn == *arn);
        let user = user.ok_or_else(|| format!("the configuration has no user `{arn}`"))?;
        documents.identity.clone_from(&user.policies);
        documents.groups.clone_from(&user.group_policies);
        documents.boundary.clone_from(&user.boundary);
        for (tag, value) in &user.tags {
            context.set(&format!("aws:PrincipalTag/{tag}"), vec![value.to_string()]);
        }
    }
    let place = arguments.resource.strip_prefix("arn:aws:s3:::");
    let bucket = place
        .and_then(|place| place.split('/').next())
        .unwrap_or_default();
    let state = config.data.join("state");
    let Ok(bucket) = BucketName::parse(bucket) else {
        return Ok(false);
    };
    // Asking must not create a state that is not there.
    let failed = |error: std::io::Error| error.to_string();
    let policies = BucketPolicies::existing(&state).map_err(failed)?;
    let policy = policies.policy(&bucket);
    let policy = policy.map_err(|_| format!("the policy of bucket `{bucket}` cannot be read"))?;
    let Some(policy) = policy else {
        return Ok(false);
    };
    let id = format!("bucket:{bucket}");
    documents.resource = Some(rules.compile(PolicyKind::Resource, &id, policy.document())?);
    let block = config
        .public_access_block
        .or(policies.public_access_block(&bucket));
    let outside = matches!(principal, Principal::Anonymous);
    Ok(outside && policy.is_public() && block.restrict_public_buckets)
}

fn of_files(rules: &Rules, arguments: &Explain, documents: &mut Documents) -> Result<(), String> {
    let compile = |kind, path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        rules.compile(kind, &shown(path), &text)
    };
    let one = |kind, path: &Option<PathBuf>| path.as_ref().map(|p| compile(kind, p)).transpose();
    for path in &arguments.identity {
        documents
            .identity
            .push(compile(PolicyKind::Identity, path)?);
    }
    for path in &arguments.group {
        documents.groups.push(compile(PolicyKind::Identity, path)?);
    }
    for path in &arguments.session {
        let policy = compile(PolicyKind::Session, path)?;
        documents.session.get_or_insert_default().push(policy);
    }
    let keep = |place: &mut Option<Arc<_>>, policy| {
        if let Some(policy) = policy {
            *place = Some(policy);
        }
    };
    keep(
        &mut documents.boundary,
        one(PolicyKind::Identity, &arguments.boundary)?,
    );
    keep(
        &mut documents.service_account,
        one(PolicyKind::Identity, &arguments.service_account)?,
    );
    keep(
        &mut documents.resource,
        one(PolicyKind::Resource, &arguments.bucket_policy)?,
    );
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// What is given outweighs what is filled in; a key that is given again has one value more.
fn given(context: &mut Facts, pairs: &[String]) -> Result<(), String> {
    let mut keys: Vec<(&str, Vec<String>)> = Vec::new();
    for pair in pairs {
        let (key, value) = pair
            .split_once('=')
            .filter(|(key, _)| key.contains(':'))
            .ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
        match keys
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(key))
        {
            Some((_, values)) => values.push(value.to_owned()),
            None => keys.push((key, vec![value.to_owned()])),
        }
    }
    for (key, values) in keys {
        context.set(key, values);
    }
    Ok(())
}

fn told(case: &Case, explanation: &Explanation<'_>, all: bool) -> String {
    let mut out = String::new();
    let decision = &explanation.decision;
    let _ = writeln!(out, "{}: {}", name(decision), why(decision));
    let _ = writeln!(out, "\ncontext:");
    for (key, values) in case.context.iter() {
        let _ = writeln!(out, "  {key} = {}", values.join(", "));
    }
    let mut section = |title: &str, statements: &[&Considered<'_>]| {
        if !statements.is_empty() {
            let _ = writeln!(out, "\n{title}:");
        }
        for considered in statements {
            line(&mut out, considered);
        }
    };
    let applying: Vec<_> = explanation.applying().collect();
    section("applies", &applying);
    let closest = explanation.closest(CLOSEST);
    section("came closest", &closest);
    // Every condition that was asked and not met may be what somebody wonders about.
    let others = explanation.statements.iter().filter(|considered| {
        let of_another = |f: &Failure<'_>| matches!(f, Failure::Action | Failure::Resource);
        let elsewhere = considered.failures.iter().any(of_another);
        let told = closest
            .iter()
            .any(|c| c.by == considered.by && c.place == considered.place);
        !considered.failures.is_empty() && !told && (all || !elsewhere)
    });
    section("does not apply", &others.collect::<Vec<_>>());
    if matches!(decision, Decision::ImplicitDeny(_)) && explanation.statements.is_empty() {
        out.push_str("\nno policy is in play\n");
    }
    out
}

fn line(out: &mut String, considered: &Considered<'_>) {
    let effect = match considered.effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    };
    let _ = writeln!(out, "  {effect}, {}: {}", considered.place, considered.by);
    for failure in &considered.failures {
        let _ = writeln!(out, "    {failure}");
    }
}
