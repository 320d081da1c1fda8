//! Signed requests through authentication to a decision: what conditions see, what headers need, what is
//! learned first, what is told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod conditions;
mod headers;
mod learned;
mod narrowed;
mod questions;
mod rights;
mod told;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use time::OffsetDateTime;

use super::*;
use crate::authn::Authenticator;
use crate::crypto::{Secret, sha256};
use crate::iam::{Policy, PolicyKind};
use crate::identity::{AccessKey, Directory, Owner, User};
use crate::s3::{Addressing, ErrorCode, Head, Peer};
use crate::sigv4::{Credentials, OutgoingPayload, OutgoingRequest, sign};

const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";
const SECRET: &str = "a-secret-of-tests-only-0123456789";

/// Who asks, under which policies, and what stands in the bucket's.
struct Stage {
    user: User,
    limit: Option<Arc<Policy>>,
    policies: BucketPolicies,
    authorizer: Authorizer,
    now: OffsetDateTime,
    _state: tempfile::TempDir,
}

fn policy(kind: PolicyKind, id: &str, statements: &str) -> Arc<Policy> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    Arc::new(Policy::parse(kind, id, text.as_bytes()).unwrap_or_else(|why| panic!("{why}: {text}")))
}

fn allow(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"arn:aws:s3:::{resource}"}}"#)
}

impl Stage {
    /// Alice with these statements.
    fn new(statements: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        Self {
            user: User {
                name: "alice".into(),
                arn: format!("arn:aws:iam::{ACCOUNT}:user/alice").into(),
                groups: Vec::new(),
                policies: vec![policy(PolicyKind::Identity, "own", statements)],
                group_policies: Vec::new(),
                boundary: None,
                tags: vec![("team".into(), "blue".into())],
            },
            limit: None,
            policies: BucketPolicies::open(state.path()).unwrap(),
            authorizer: Authorizer::new(ACCOUNT.into(), REGION.into()),
            now: OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap(),
            _state: state,
        }
    }

    /// A request that alice signed two seconds ago.
    fn signed(&self, method: &Method, target: &str, headers: &[(&str, &str)]) -> (Request, Caller) {
        let user = &self.user;
        let user = Arc::new(User {
            name: user.name.clone(),
            arn: user.arn.clone(),
            groups: Vec::new(),
            policies: user.policies.clone(),
            group_policies: user.group_policies.clone(),
            boundary: user.boundary.clone(),
            tags: user.tags.clone(),
        });
        self.signed_by(Owner::User(user), method, target, headers)
    }

    fn signed_by(
        &self,
        owner: Owner,
        method: &Method,
        target: &str,
        headers: &[(&str, &str)],
    ) -> (Request, Caller) {
        let directory = Directory::new([AccessKey {
            id: "AKIAALICEALICEALICE0".into(),
            secret: Secret::new(SECRET.to_owned()),
            owner,
            enabled: true,
            policy: self.limit.clone(),
        }]);
        let mut map = HeaderMap::new();
        map.insert("host", HeaderValue::from_static("localhost"));
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let bare = head(method, target, HeaderMap::new());
        let query: Vec<(String, String)> = bare
            .query
            .pairs()
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        let request = OutgoingRequest {
            method,
            path: &bare.path,
            query: &query,
            headers: &map,
            payload: OutgoingPayload::Sha256(sha256(b"")),
        };
        let credentials = Credentials {
            access_key_id: "AKIAALICEALICEALICE0".to_owned(),
            secret: Secret::new(SECRET.to_owned()),
            session_token: None,
        };
        let at = self.now - std::time::Duration::from_secs(2);
        for (name, value) in sign(&request, &credentials, REGION, "s3", at).headers {
            map.insert(name, value);
        }
        let request = Request::parse(head(method, target, map), &Addressing::default()).unwrap();
        let authenticator = Authenticator::new(REGION.into());
        let caller = authenticator
            .authenticate(&request, &directory, self.now)
            .unwrap();
        (request, caller)
    }

    fn decide(
        &self,
        method: &Method,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Permit, Unpermitted> {
        let (request, caller) = self.signed(method, target, headers);
        self.authorizer
            .authorize(request, caller, &self.policies, self.now)
    }

    fn permit(&self, method: &Method, target: &str, headers: &[(&str, &str)]) -> Permit {
        self.decide(method, target, headers)
            .unwrap_or_else(|why| panic!("{target}: {why:?}"))
    }

    fn denied(&self, method: &Method, target: &str, headers: &[(&str, &str)]) -> Box<Denied> {
        match self.decide(method, target, headers) {
            Err(Unpermitted::Denied(denied)) => denied,
            other => panic!("{method} {target} {headers:?}: {other:?}"),
        }
    }

    fn undecided(&self, method: &Method, target: &str, headers: &[(&str, &str)]) -> Box<Undecided> {
        match self.decide(method, target, headers) {
            Err(Unpermitted::Undecided(undecided)) => undecided,
            other => panic!("{method} {target}: {other:?}"),
        }
    }

    fn resume(&self, undecided: Box<Undecided>) -> Result<Permit, Unpermitted> {
        self.authorizer.resume(*undecided, &self.policies, self.now)
    }
}

fn head(method: &Method, target: &str, headers: HeaderMap) -> Head {
    let peer = Peer {
        address: [192, 0, 2, 7].into(),
        secure: true,
        tls_version: Some("1.3"),
    };
    Head::new(
        method.clone(),
        target,
        "localhost".to_owned(),
        headers,
        peer,
    )
    .unwrap()
}

const GET: Method = Method::GET;
const PUT: Method = Method::PUT;
const POST: Method = Method::POST;
const DELETE: Method = Method::DELETE;
const COPY: (&str, &str) = ("x-amz-copy-source", "/bucket/from");
