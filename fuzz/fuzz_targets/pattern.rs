//! Wildcard patterns against regular expressions (T34, T38, T46).
//!
//! Three texts, parted by line ends: a pattern, a key, and the value of a variable. What the engine
//! matches is what a regular expression of the same meaning matches, as a resource and as a condition's
//! value, in time.

#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use portcullis::iam::{
    Context, Decision, Key, Policies, Policy, PolicyKind, Principal, Request, Values, evaluate,
};

/// What stands for the variable in the pattern; no JSON is needed for it.
const VARIABLE: &str = "${aws:username}";

struct Named<'a> {
    key: &'a str,
    name: &'a str,
}

impl Context for Named<'_> {
    fn values(&self, key: &Key) -> Values<'_> {
        match key.as_written() {
            "aws:username" => Values::text(self.name),
            "s3:prefix" => Values::text(self.key),
            _ => Values::Absent,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let (Some(pattern), Some(key), Some(name)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    // Other variables, escapes and defaults are for the parser's target.
    if pattern.replace(VARIABLE, "").contains('$') || key.len() > 1024 || pattern.is_empty() {
        return;
    }
    let expected = expression(pattern, name).is_match(key);
    let resource = format!("arn:aws:s3:::{pattern}");
    let statement = |condition: serde_json::Value, resource: &str| {
        serde_json::json!({ "Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "s3:GetObject", "Resource": resource, "Condition": condition } })
    };
    let as_resource = statement(serde_json::json!({}), &resource);
    let as_value = statement(
        serde_json::json!({ "StringLike": { "s3:prefix": pattern } }),
        "*",
    );
    for document in [as_resource, as_value] {
        let policy = Policy::parse(PolicyKind::Identity, "p", document.to_string().as_bytes());
        let policy = match policy {
            Ok(policy) => Arc::new(policy),
            Err(why) if why.to_string().contains("longer") => return,
            Err(why) => panic!("{why}: {document}"),
        };
        let principal = Principal::Session {
            account: "123456789012".into(),
            role: "arn:aws:iam::123456789012:role/r".into(),
            arn: "arn:aws:sts::123456789012:assumed-role/r/s".into(),
        };
        let policies = Policies {
            identity: &[policy],
            ..Policies::default()
        };
        let request = Request {
            principal: &principal,
            action: "s3:GetObject",
            resource: &format!("arn:aws:s3:::{key}"),
            context: &Named { key, name },
        };
        let started = Instant::now();
        let allowed = matches!(evaluate(&policies, &request), Decision::Allow(_));
        // A hundred times what it may be, for a machine that has other things to do.
        assert!(
            started.elapsed() < Duration::from_millis(100),
            "{pattern:?}"
        );
        assert_eq!(allowed, expected, "{document} on {key:?} as {name:?}");
    }
});

/// The pattern as a regular expression.
fn expression(pattern: &str, name: &str) -> regex::Regex {
    let mut expression = String::from("(?s)^");
    for (at, part) in pattern.split(VARIABLE).enumerate() {
        if at > 0 {
            expression.push_str(&regex::escape(name));
        }
        for c in part.chars() {
            match c {
                '*' => expression.push_str(".*"),
                '?' => expression.push('.'),
                other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
    }
    expression.push('$');
    let built = regex::RegexBuilder::new(&expression)
        .size_limit(1 << 26)
        .build();
    built.expect("an expression")
}
