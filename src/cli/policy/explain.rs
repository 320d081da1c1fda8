//! `portcullis policy explain`: whether the gateway would allow a request, and why, by every statement in
//! play. The decision is `authz`'s own.

mod come;
mod play;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;

use time::OffsetDateTime;

use super::case::Rules;
use super::held::UnknownActions;
use super::said::{self, Keys};
use crate::authz::{Authorizer, Implied, Supposed, Verdict, check_asked, implied, implied_by_tags};
use crate::config::{Config, Overrides};
use crate::iam::{Key, Name, PolicyLimits, check_resource, known_action};
use crate::s3::PublicAccessBlock;
use crate::server::write_out;

/// Its flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Explain {
    /// Who asks: the ARN of a user or of a role's session, `anonymous` or `root`
    #[arg(long, value_name = "ARN", required_unless_present = "access_key")]
    principal: Option<String>,
    /// Who asks, by an access key of the configuration: its user, within the key's own policy
    #[arg(
        long,
        value_name = "ID",
        conflicts_with = "principal",
        requires = "config"
    )]
    access_key: Option<String>,
    /// The ARN of a session's role
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// What is asked, as in s3:GetObject
    #[arg(long)]
    action: String,
    /// On what, as in arn:aws:s3:::bucket/key
    #[arg(long, value_name = "ARN")]
    resource: String,
    /// What the request says, by condition key; again for further keys and values. `s3:TlsVersion=` is
    /// nothing, as behind a balancer that ends TLS
    #[arg(long, value_name = "KEY=VALUE")]
    context: Vec<String>,
    /// The gateway's configuration: its users' policies and its bucket policies are in play
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    config: Option<PathBuf>,
    /// The gateway's data directory, instead of the configuration's: its bucket policies are in play
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
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
    /// The bucket's policy, instead of the one that it has
    #[arg(long, value_name = "FILE")]
    bucket_policy: Option<PathBuf>,
    /// As if neither the server nor the bucket blocked public access
    #[arg(long)]
    allow_public_access: bool,
    /// Statements of other actions and resources too
    #[arg(long)]
    all: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Explains one request. The exit code is 0 where it is allowed, 1 where it is denied, and 2 where it is no
/// request that could come.
pub(super) fn run(arguments: &Explain) -> Result<ExitCode, String> {
    explained(arguments).inspect_err(|why| {
        if arguments.json {
            write_out(&told::invalid(why));
        }
    })
}

fn explained(arguments: &Explain) -> Result<ExitCode, String> {
    let config = match &arguments.config {
        None => None,
        Some(path) => {
            // Who wonders about a policy need not have everybody's keys.
            let overrides = Overrides {
                without_secrets: true,
                unopened: true,
                ..Overrides::default()
            };
            Some(Config::load(Some(path), &overrides).map_err(|e| e.to_string())?)
        }
    };
    let account = config.as_ref().map(|config| config.account.clone());
    let region = config.as_ref().map(|config| config.region.clone());
    let rules = Rules {
        account: account.unwrap_or_else(|| "123456789012".into()),
        limits: config
            .as_ref()
            .map_or_else(PolicyLimits::default, |config| config.policy_limits),
        unknown: UnknownActions::Refuse,
        block: play::blocked_by_server(config.as_ref()),
    };
    let action = known_action(&arguments.action)?;
    check_asked(action)?;
    check_resource(action, &arguments.resource)?;
    // Requests for no one resource are asked on every one.
    let resource = match arguments.resource.as_str() {
        "*" if action.starts_with("s3:") => "arn:aws:s3:::*",
        resource => resource,
    };
    let region = region.as_deref().unwrap_or("us-east-1");
    let authorizer = Authorizer::new(rules.account.clone(), region.into());
    let authorizer = authorizer.blocking(play::blocked_by_server(config.as_ref()));
    let mut play = play::in_play(&rules, config.as_ref(), arguments, resource, &authorizer)?;
    if arguments.allow_public_access {
        play.block = PublicAccessBlock::NONE;
    }
    let (now, said) = given(&arguments.context)?;
    said::is_of_gateway(&said, &rules.account, region)?;
    let mut given: Keys = said.into_iter().chain(play.of_session()).collect();
    let now = now.unwrap_or_else(OffsetDateTime::now_utc);
    let request = come::request(config.as_ref(), &play, action, resource, &given)?;
    come::as_conditions_have_it(request.as_ref(), &mut given);
    let call = request.as_ref().map(|request| &request.call);
    let needed = implied(call, action, resource, &given, &rules.account, region);
    let mut also = Vec::new();
    for implied in needed {
        also.push(needs(&authorizer, &play, &implied, &given, now)?);
    }
    let mut tagged = Vec::new();
    for implied in implied_by_tags(call, &rules.account, region) {
        tagged.push(needs(&authorizer, &play, &implied, &given, now)?);
    }
    let is_tagged = given
        .iter()
        .any(|(key, _)| key.name() == Name::ExistingObjectTag);
    // What its source has is the request's, too: then it is a right as the others are.
    if is_tagged {
        also.append(&mut tagged);
    }
    let said_so = given.clone();
    let supposed = Supposed {
        identity: play.identity.as_ref(),
        principal: play.principal.clone(),
        policies: play.documents.policies(),
        block: play.block,
        action,
        resource,
        given,
        now,
    };
    authorizer.suppose(&supposed, |verdict| {
        all_is_said(verdict)?;
        let told = told::Told::new(verdict, &play, also, tagged);
        if let (true, Some(request)) = (told.is_allowed(), &request) {
            come::is_carried_out(config.as_ref(), request, &said_so, region)?;
        }
        write_out(&match arguments.json {
            true => told.as_json(),
            false => told.as_text(arguments.all),
        });
        Ok(match told.is_allowed() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    })
}

/// Decides a right that the request needs besides.
fn needs(
    authorizer: &Authorizer,
    play: &play::Play,
    implied: &Implied,
    given: &Keys,
    now: OffsetDateTime,
) -> Result<told::Also, String> {
    let play = play.elsewhere(&implied.resource, authorizer)?;
    let mut given = given.clone();
    if !implied.action.starts_with("s3:GetObject") {
        // What is written has no tags yet.
        given.retain(|(key, _)| key.name() != Name::ExistingObjectTag);
    }
    if let Some(version_id) = &implied.version_id {
        given.push((Key::parse("s3:VersionId")?, vec![version_id.clone()]));
    }
    let supposed = Supposed {
        identity: play.identity.as_ref(),
        principal: play.principal.clone(),
        policies: play.documents.policies(),
        block: play.block,
        action: implied.action,
        resource: &implied.resource,
        given,
        now,
    };
    authorizer.suppose(&supposed, |verdict| {
        all_is_said(verdict)?;
        Ok(told::Also::new(implied, verdict, &play))
    })
}

/// Without what every such request has nothing is decided.
fn all_is_said(verdict: &Verdict<'_>) -> Result<(), String> {
    match verdict.unsaid.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "policies ask for `{}`, which every such request has: give it with --context KEY=VALUE",
            verdict.unsaid.join("`, `")
        )),
    }
}

/// What the request says, as it would say it, and when it comes, where that is given.
fn given(pairs: &[String]) -> Result<(Option<OffsetDateTime>, Keys), String> {
    let mut keys: Keys = Vec::new();
    let mut now = None;
    for pair in pairs {
        let (name, value) = pair
            .split_once('=')
            .filter(|(key, _)| key.contains(':'))
            .ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
        let key = Key::parse(name)?;
        let values = said::value(&key, value)?;
        if key.name() == Name::CurrentTime {
            now = crate::s3::time::parse_iso8601(value);
            continue;
        }
        // Tags of two cases are two tags.
        let same = |known: &Key| *known == key && known.tag() == key.tag();
        match keys.iter_mut().find(|(known, _)| same(known)) {
            None => keys.push((key, values)),
            Some((_, known)) if key.name() == Name::RequestObjectTagKeys => known.extend(values),
            Some(_) => return Err(format!("`{name}` has one value in a request")),
        }
    }
    said::agrees(&keys)?;
    // They follow from the tags.
    let tags: Vec<_> = keys
        .iter()
        .filter(|(key, _)| key.name() == Name::RequestObjectTag)
        .filter_map(|(key, _)| key.tag().map(str::to_owned))
        .collect();
    let is_said = keys
        .iter()
        .any(|(key, _)| key.name() == Name::RequestObjectTagKeys);
    if !tags.is_empty() && !is_said {
        keys.push((Key::parse("s3:RequestObjectTagKeys")?, tags));
    }
    Ok((now, keys))
}
