//! What would be decided of a request that nobody has sent. Who asks, the gateway, the keys that an action
//! has, root's exception and public access are those of requests that came; what else a request says is
//! given.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use time::OffsetDateTime;

use super::requirement::manages_policy;
use super::sketch::is_of_version;
use super::{Authorizer, surroundings};
use crate::authn::{Identity, Mechanism, Version};
use crate::iam::{self, Context, Decision, Explanation, Key, Name, Principal, Supplied, Values};
use crate::s3::PublicAccessBlock;

/// A request that nobody has sent.
#[derive(Debug)]
pub struct Supposed<'a> {
    /// Who asks; `None` for a role's session, whose keys are given.
    pub identity: Option<&'a Identity>,
    /// The same, as policies know it.
    pub principal: Principal,
    /// Every policy in play.
    pub policies: iam::Policies<'a>,
    /// What of public access to the bucket is blocked, by itself and by the server.
    pub block: PublicAccessBlock,
    /// The action, as AWS writes it.
    pub action: &'a str,
    /// The ARN.
    pub resource: &'a str,
    /// What the request says.
    pub given: Vec<(Key, Vec<String>)>,
    /// When it comes.
    pub now: OffsetDateTime,
}

/// What would be decided.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// The decision, by every statement in play.
    pub explanation: Explanation<'a>,
    /// Whether what is allowed does not reach who asks, because public access is blocked.
    pub blocked: bool,
    /// Whether the bucket's policy has no say, so that root can mend it.
    pub mends: bool,
    /// Keys that policies asked for, that every such request has, and that are not given: without them
    /// nothing is decided.
    pub unsaid: Vec<String>,
    /// Keys that policies asked for and that the request, as it is given, does not have.
    pub absent: Vec<String>,
    /// Keys that are given and that a request for the action does not have.
    pub ignored: Vec<String>,
    /// Keys that are given and that say something else of who asks than is known: what is known.
    pub contradicted: Vec<(String, Option<String>)>,
    /// What the request has, in the order of names.
    pub context: Vec<(String, Vec<String>)>,
}

/// What policies and public access decide.
#[derive(Debug)]
pub struct Decided<'a> {
    /// By the policies that have a say.
    pub decision: Decision,
    /// Those.
    pub policies: iam::Policies<'a>,
    /// Whether the bucket's policy has none, so that root can mend it.
    pub mends: bool,
    /// Whether what is allowed does not reach who asks, because public access is blocked.
    pub blocked: bool,
}

impl Authorizer {
    /// Decides by `policies` as the gateway does, where `block` of public access is blocked by the server and
    /// the bucket together.
    pub fn decide_by<'a>(
        &self,
        mut policies: iam::Policies<'a>,
        request: &iam::Request<'_>,
        block: PublicAccessBlock,
    ) -> Decided<'a> {
        let root = matches!(request.principal, Principal::Root { .. });
        let mends = root && manages_policy(request.action);
        policies.resource = policies.resource.filter(|_| !mends);
        let decision = iam::evaluate(&policies, request);
        let public = policies.resource.is_some_and(iam::Policy::is_public);
        let blocked = matches!(decision, Decision::Allow(_))
            && self.is_outside(request.principal)
            && public
            && block.restrict_public_buckets;
        Decided {
            decision,
            policies,
            mends,
            blocked,
        }
    }

    /// Decides `supposed` as [`Self::authorize`] would, and has it told.
    pub fn suppose<T>(&self, supposed: &Supposed<'_>, tell: impl FnOnce(&Verdict<'_>) -> T) -> T {
        let context = SupposedContext {
            supposed,
            supplied: Supplied::by(supposed.action),
            account: &self.account,
            region: &self.region,
            asked: RefCell::default(),
        };
        let request = iam::Request {
            principal: &supposed.principal,
            action: supposed.action,
            resource: supposed.resource,
            context: &context,
        };
        let Decided {
            policies,
            mends,
            blocked,
            ..
        } = self.decide_by(supposed.policies, &request, supposed.block);
        let asked = context.asked.take();
        let (unsaid, absent): (Vec<_>, Vec<_>) = asked.into_iter().partition(|key| {
            let key = Key::parse(key);
            key.is_ok_and(|key| context.is_always_there(key.name()))
        });
        let ignored = supposed.given.iter();
        let ignored = ignored.filter(|(key, _)| !context.supplied.has(key.name()));
        tell(&Verdict {
            explanation: iam::explain(&policies, &request),
            blocked,
            mends,
            unsaid,
            absent,
            ignored: ignored
                .map(|(key, _)| key.as_written().to_owned())
                .collect(),
            contradicted: context.contradicted(),
            context: context.all(),
        })
    }
}

/// The view of a request that is only supposed.
struct SupposedContext<'a> {
    supposed: &'a Supposed<'a>,
    supplied: Supplied,
    account: &'a Arc<str>,
    region: &'a str,
    /// Keys that were asked for in vain and that a request for the action may have.
    asked: RefCell<BTreeSet<String>>,
}

/// What follows from who asks and from the gateway.
const TOLD: [&str; 17] = [
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalType",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:SecureTransport",
    "aws:userid",
    "aws:username",
    "aws:ViaAWSService",
    "s3:authType",
    "s3:signatureAge",
    "s3:signatureversion",
    "s3:TlsVersion",
    "s3:x-amz-content-sha256",
];

impl SupposedContext<'_> {
    /// Names of keys are the same in any case, those of tags are not: the one that is written so comes first.
    fn given(&self, key: &Key) -> Option<&[String]> {
        let given = self.supposed.given.iter();
        let mut same = given.filter(|(known, _)| known == key);
        let first = same.clone().next();
        let exact = same.find(|(known, _)| known.tag() == key.tag());
        exact.or(first).map(|(_, values)| values.as_slice())
    }

    fn is_signed(&self) -> bool {
        !matches!(self.supposed.principal, Principal::Anonymous)
    }

    /// What the request says of it.
    fn said(&self, name: Name) -> Option<&str> {
        let mut given = self.supposed.given.iter();
        let (_, values) = given.find(|(key, _)| key.name() == name)?;
        values.first().map(String::as_str)
    }

    /// Whether its signature is of Version 2, which signs no body.
    fn is_version_two(&self) -> bool {
        self.said(Name::SignatureVersion) == Some(Version::Two.signature_version())
    }

    fn is_link(&self) -> bool {
        self.said(Name::AuthType) == Some(Mechanism::Presigned.auth_type())
    }

    /// How old its signature is. A link of Version 2 does not say, and is taken to be of 1970.
    fn age(&self) -> Values<'_> {
        let age = self.supposed.now - OffsetDateTime::UNIX_EPOCH;
        match self.is_version_two() && self.is_link() {
            true => Values::owned(age.whole_milliseconds().max(0).to_string()),
            false => Values::text("0"),
        }
    }

    /// What is given of who asks and is not so.
    fn contradicted(&self) -> Vec<(String, Option<String>)> {
        let Some(identity) = self.supposed.identity else {
            return Vec::new();
        };
        let contradicts = |(key, values): &(Key, Vec<String>)| {
            let of_signature = match key.name() {
                Name::AuthType | Name::SignatureAge | Name::SignatureVersion => true,
                Name::PrincipalAccount
                | Name::PrincipalArn
                | Name::PrincipalIsAwsService
                | Name::PrincipalTag
                | Name::PrincipalType
                | Name::UserId
                | Name::UserName => false,
                _ => return None,
            };
            if of_signature {
                let name = key.as_written().to_owned();
                return (!self.is_signed()).then_some((name, None));
            }
            let known = surroundings::of_caller(identity, self.account, key).single();
            let known = known.map(|value| value.as_text().into_owned());
            let same = known.as_ref() == values.first();
            // Tags may be those that a user is to get.
            let open = key.name() == Name::PrincipalTag && matches!(identity, Identity::User(_));
            let well = same || open && known.is_none();
            (!well).then(|| (key.as_written().to_owned(), known))
        };
        self.supposed.given.iter().filter_map(contradicts).collect()
    }

    /// Whether every request has the key, in a way that only whoever asks can tell.
    fn is_always_there(&self, name: Name) -> bool {
        match name {
            Name::SourceIp | Name::ObjectCreationOperation => true,
            Name::ContentSha256 => self.is_signed(),
            Name::VersionId => is_of_version(self.supposed.action),
            _ => false,
        }
    }

    /// How requests come, unless it is said: over TLS, signed in a header, just now. What is said implies
    /// other things, as it does of a request.
    fn usual(&self, name: Name) -> Values<'_> {
        match name {
            Name::SecureTransport => Values::flag(true),
            Name::TlsVersion if self.said(Name::SecureTransport) == Some("false") => Values::Absent,
            Name::TlsVersion => Values::text("1.3"),
            Name::ContentSha256
                if self.is_signed() && (self.is_link() || self.is_version_two()) =>
            {
                Values::text("UNSIGNED-PAYLOAD")
            }
            Name::AuthType if self.is_signed() => Values::text("REST-HEADER"),
            Name::SignatureAge if self.is_signed() => self.age(),
            Name::SignatureVersion if self.is_signed() => Values::text("AWS4-HMAC-SHA256"),
            _ => Values::Absent,
        }
    }

    /// Everything that it has.
    fn all(&self) -> Vec<(String, Vec<String>)> {
        let tags = match self.supposed.identity {
            Some(Identity::User(user)) => user.tags.as_slice(),
            _ => &[],
        };
        let tags = tags
            .iter()
            .map(|(name, _)| format!("aws:PrincipalTag/{name}"));
        let given = self.supposed.given.iter();
        let given = given.map(|(key, _)| key.as_written().to_owned());
        let mut names: Vec<String> = TOLD.iter().map(|name| (*name).to_owned()).collect();
        for name in given.chain(tags) {
            let same = |known: &String| match name.split_once('/') {
                Some(_) => *known == name,
                None => known.eq_ignore_ascii_case(&name),
            };
            if !names.iter().any(same) {
                names.push(name);
            }
        }
        names.sort_by_key(|name| name.to_ascii_lowercase());
        let with_values = |name: String| {
            let mut texts = Vec::new();
            self.values(&Key::parse(&name).ok()?).any(|value| {
                texts.push(value.as_text().into_owned());
                false
            });
            (!texts.is_empty()).then_some((name, texts))
        };
        names.into_iter().filter_map(with_values).collect()
    }
}

impl Context for SupposedContext<'_> {
    fn values(&self, key: &Key) -> Values<'_> {
        if !self.supplied.has(key.name()) {
            return Values::Absent;
        }
        if let Some(values) = self.given(key) {
            return Values::Texts(values);
        }
        let Supposed { identity, now, .. } = self.supposed;
        let of_caller = identity.map_or(Values::Absent, |identity| {
            surroundings::of_caller(identity, self.account, key)
        });
        let of_gateway = || surroundings::of_gateway(self.account, self.region, *now, key.name());
        let found = [of_caller, of_gateway(), self.usual(key.name())];
        let found = found.into_iter().find(|values| !values.is_absent());
        found.unwrap_or_else(|| {
            self.asked.borrow_mut().insert(key.as_written().to_owned());
            Values::Absent
        })
    }
}
