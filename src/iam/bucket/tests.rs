#![expect(clippy::unwrap_used, reason = "tests")]
use super::super::policy::{Policy, PolicyKind};

const ARN: &str = "arn:aws:s3:::b";

fn policy(statements: &str) -> Policy {
    let json = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
    Policy::parse(PolicyKind::Resource, "p", json.as_bytes()).unwrap()
}

/// What is said of a document, by its first words; nothing of one that is taken.
fn said(document: &str) -> String {
    let put = Policy::parse_for_bucket("p", ARN, document);
    put.err().map(|why| why.to_string()).unwrap_or_default()
}

fn says(document: &str, words: &str) {
    let said = said(document);
    let hit = match words.is_empty() {
        true => said.is_empty(),
        false => said.contains(words),
    };
    let shown: String = document.chars().take(400).collect();
    assert!(hit, "{shown}: `{said}`, not `{words}`");
}

/// A statement with everything, and some elements of its own.
fn statement(action: &str, resource: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"123456789012"}},{action},{resource},"Condition":{condition}}}}}"#
    )
}

const BUCKET: &str = r#""Resource":"arn:aws:s3:::b""#;
const OBJECTS: &str = r#""Resource":"arn:aws:s3:::b/*""#;
const BOTH: &str = r#""Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]"#;
const STRAY_ACTION: &str = "Action does not apply to any resource(s) in statement";
const STRAY_KEY: &str =
    "Conditions do not apply to combination of actions and resources in statement";

#[test]
fn bucket_policies_stay_in_their_bucket() {
    for (resource, inside) in [
        ("arn:aws:s3:::b", true),
        ("arn:aws:s3:::b/*", true),
        ("arn:aws:s3:::b*", true),
        ("arn:aws:s3:::b/k", true),
        ("arn:aws:s3:::bb/*", false),
        ("arn:aws:s3:::*", false),
        ("*", false),
        ("arn:aws:s3:::a/*", false),
    ] {
        let json = format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"{resource}"}}"#
        );
        assert_eq!(
            policy(&json).check_bucket(ARN).is_ok(),
            inside,
            "{resource}"
        );
        let resource = format!(r#""Resource":"{resource}""#);
        let words = if inside {
            ""
        } else {
            "Policy has invalid resource"
        };
        says(&statement(r#""Action":"s3:*""#, &resource, "{}"), words);
    }
}

#[test]
fn t42_documents_are_refused_in_s3_s_words() {
    let whole = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#;
    let of = |statement: &str| format!(r#"{{"Statement":[{statement}]}}"#);
    let without = |element: &str, value: &str| {
        let cut = whole.replace(&format!(r#""{element}":{value}"#), r#""Sid":"1""#);
        assert_ne!(cut, whole);
        of(&cut)
    };
    says(&of(whole), "");
    let json = "Policies must be valid JSON and the first byte must be '{'";
    for document in ["", "[]", "null", " {}", "\u{feff}{}", "{", "{}x"] {
        says(document, json);
    }
    says(
        &format!(r#"{{"Version":"2012-10-18","Statement":[{whole}]}}"#),
        "valid version string",
    );
    says("{}", "Missing required field Statement");
    says(r#"{"Statement":[]}"#, "Statement is empty");
    says(r#"{"Statement":["x"]}"#, "Invalid policy syntax");
    says(&format!(r#"{{"Statement":[{whole}],"More":1}}"#), "`More`");
    says(
        &without("Effect", r#""Allow""#),
        "Missing required field Effect",
    );
    says(
        &without("Principal", r#""*""#),
        "Missing required field Principal",
    );
    says(
        &without("Action", r#""s3:GetObject""#),
        "Missing required field Action",
    );
    says(
        &without("Resource", r#""arn:aws:s3:::b/*""#),
        "Missing required field Resource",
    );
    says(
        &of(&whole.replace("Allow", "allow")),
        "Invalid effect: allow",
    );
    says(
        &of(&whole.replace(r#""*","#, r#"{"AWS":"nobody"},"#)),
        "Invalid principal in policy",
    );
    says(
        &of(&whole.replace(r#""*","#, r#"{"AWS":[]},"#)),
        "Invalid principal in policy",
    );
    says(
        &of(&whole.replace("s3:GetObject", "GetObject")),
        "Policy has invalid action",
    );
    says(
        &of(&whole.replace("arn:aws:s3:::b/*", "b")),
        "Policy has invalid resource",
    );
    // Where it is wrong is told as well.
    let second = whole
        .replace("{\"Effect\"", "{\"Sid\":\"Two\",\"Effect\"")
        .replace("Allow", "x");
    says(&of(&format!("{whole},{second}")), "statement 2 (`Two`)");
}

#[test]
fn t42_conditions_that_are_none() {
    let with = |condition: &str| statement(r#""Action":"s3:GetObject""#, OBJECTS, condition);
    says(
        &with(r#"{"StringSimilar":{"aws:username":"x"}}"#),
        "Invalid Condition type : StringSimilar",
    );
    for key in [
        "s3:Nope",
        "nope",
        "aws:Nope",
        "iam:PolicyARN",
        "kms:ViaService",
        "sts:ExternalId",
    ] {
        let condition = format!(r#"{{"StringEquals":{{"{key}":"x"}}}}"#);
        says(&with(&condition), "Policy has an invalid condition key");
    }
    for key in [
        "aws:username",
        "AWS:PrincipalTag/team",
        "jwt:sub",
        "accounts.google.com:aud",
        "ec2:SourceInstanceArn",
    ] {
        let condition = format!(r#"{{"StringEquals":{{"{key}":"x"}}}}"#);
        says(&with(&condition), "");
    }
}

#[test]
fn t42_actions_that_are_none() {
    for (action, words) in [
        ("s3:GetObject", ""),
        ("S3:getobject*", ""),
        ("*", ""),
        ("s3:*", ""),
        ("s3:G?tObj*", ""),
        ("s3:GetObjects", "Policy has invalid action"),
        ("s3:Nope*", "Policy has invalid action"),
        ("iam:*", "Policy has invalid action"),
        ("s3express:CreateSession", "Policy has invalid action"),
        ("s3-object-lambda:GetObject", "Policy has invalid action"),
        ("s3:ListAllMyBuckets", STRAY_ACTION),
        ("s3:CreateAccessPoint", STRAY_ACTION),
    ] {
        says(
            &statement(&format!(r#""Action":"{action}""#), BOTH, "{}"),
            words,
        );
        // One is not saved by another.
        let both = format!(r#""Action":["s3:GetObject","s3:ListBucket","{action}"]"#);
        says(&statement(&both, BOTH, "{}"), words);
    }
    says(
        &statement(r#""NotAction":"s3:Nope""#, BOTH, "{}"),
        "Policy has invalid action",
    );
    says(
        &statement(r#""NotAction":"s3:ListAllMyBuckets""#, BOTH, "{}"),
        "",
    );
}

#[test]
fn t42_actions_apply_to_resources() {
    let not_bucket = r#""NotResource":"arn:aws:s3:::b""#;
    let not_objects = r#""NotResource":"arn:aws:s3:::b/*""#;
    let neither = r#""NotResource":"arn:aws:s3:::b*""#;
    let own = r#""Resource":"arn:aws:s3:::b/${aws:username}/*""#;
    let open = r#""Resource":"arn:aws:s3:::b${aws:username}""#;
    let (object, list) = (r#""Action":"s3:GetObject""#, r#""Action":"s3:ListBucket""#);
    let (gets, not) = (r#""Action":"s3:Get*""#, r#""NotAction":"s3:GetObject*""#);
    for (action, resource, applies) in [
        (object, OBJECTS, true),
        (object, BUCKET, false),
        (object, BOTH, true),
        (object, own, true),
        (object, r#""Resource":"arn:aws:s3:::b/k""#, true),
        (object, r#""Resource":"arn:aws:s3:::b*""#, true),
        (object, r#""Resource":"arn:aws:s3:::b?*""#, true),
        (object, open, true),
        (object, not_bucket, true),
        (object, not_objects, false),
        (object, r#""NotResource":"arn:aws:s3:::b/k""#, true),
        (object, neither, false),
        (list, OBJECTS, false),
        (list, BUCKET, true),
        (list, own, false),
        (list, open, true),
        (list, r#""Resource":"arn:aws:s3:::b*""#, true),
        (list, r#""Resource":"arn:aws:s3:::b?*""#, false),
        (list, not_bucket, false),
        (list, not_objects, true),
        (list, neither, false),
        (gets, BUCKET, true),
        (gets, OBJECTS, true),
        (not, BUCKET, true),
        (not, OBJECTS, true),
        (r#""NotAction":"s3:*Object*""#, BUCKET, true),
        (r#""NotAction":"s3:*""#, BOTH, false),
        (
            r#""Action":["s3:GetObject","s3:ListBucket"]"#,
            OBJECTS,
            false,
        ),
        (r#""Action":["s3:GetObject","s3:ListBucket"]"#, BOTH, true),
    ] {
        let words = if applies { "" } else { STRAY_ACTION };
        says(&statement(action, resource, "{}"), words);
    }
}

#[test]
fn t42_grants_to_all_but_some_are_refused() {
    let of = |effect: &str, principal: &str| {
        format!(
            r#"{{"Statement":{{"Effect":"{effect}","{principal}":{{"AWS":"123456789012"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}}}"#
        )
    };
    says(
        &of("Allow", "NotPrincipal"),
        "Allow with NotPrincipal is not allowed",
    );
    says(&of("Deny", "NotPrincipal"), "");
    says(&of("Allow", "Principal"), "");
}

#[test]
fn t42_conditions_apply_to_actions() {
    let on = |key: &str| format!(r#"{{"StringEquals":{{"aws:username":"x","{key}":"1"}}}}"#);
    for (action, resource, key, applies) in [
        (r#""Action":"s3:ListBucket""#, BUCKET, "s3:prefix", true),
        (r#""Action":"s3:ListBucket""#, BUCKET, "S3:PREFIX", true),
        (r#""Action":"s3:GetObject""#, OBJECTS, "s3:prefix", false),
        (
            r#""Action":["s3:ListBucket","s3:GetObject"]"#,
            BOTH,
            "s3:prefix",
            false,
        ),
        (
            r#""Action":["s3:ListBucket","s3:GetBucketLocation"]"#,
            BUCKET,
            "s3:prefix",
            false,
        ),
        (
            r#""Action":["s3:ListBucket","s3:ListBucketVersions"]"#,
            BUCKET,
            "s3:prefix",
            true,
        ),
        (r#""Action":"s3:List*""#, BUCKET, "s3:prefix", true),
        (r#""Action":"s3:*""#, BOTH, "s3:prefix", true),
        // Of what the pattern takes in, only what is asked on objects counts.
        (r#""Action":"s3:*""#, OBJECTS, "s3:prefix", false),
        (r#""NotAction":"s3:PutObject""#, BOTH, "s3:prefix", true),
        (r#""NotAction":"s3:ListBucket*""#, BOTH, "s3:prefix", false),
        (
            r#""Action":"s3:GetObject""#,
            OBJECTS,
            "s3:ExistingObjectTag/a",
            true,
        ),
        (
            r#""Action":"s3:GetObject""#,
            OBJECTS,
            "s3:existingobjecttag/a/b",
            true,
        ),
        (
            r#""Action":"s3:PutObject""#,
            OBJECTS,
            "s3:ExistingObjectTag/a",
            false,
        ),
        (
            r#""Action":"s3:GetObjectRetention""#,
            OBJECTS,
            "s3:ExistingObjectTag/a",
            false,
        ),
        (
            r#""Action":["s3:PutObjectAcl","s3:PutObjectTagging"]"#,
            OBJECTS,
            "s3:RequestObjectTag/a",
            false,
        ),
        (
            r#""Action":["s3:PutObject","s3:PutObjectTagging"]"#,
            OBJECTS,
            "s3:RequestObjectTag/a",
            true,
        ),
        (
            r#""Action":["s3:GetObject","s3:PutObject"]"#,
            OBJECTS,
            "s3:x-amz-acl",
            false,
        ),
        (
            r#""Action":["s3:PutObject","s3:PutObjectAcl"]"#,
            OBJECTS,
            "s3:x-amz-acl",
            true,
        ),
        (r#""Action":"s3:GetObject""#, OBJECTS, "s3:VersionId", false),
        (
            r#""Action":"s3:GetObjectVersion""#,
            OBJECTS,
            "s3:VersionId",
            true,
        ),
        (
            r#""Action":"s3:DeleteBucket""#,
            BUCKET,
            "s3:signatureversion",
            true,
        ),
        (
            r#""Action":"s3:GetObject""#,
            OBJECTS,
            "s3:DataAccessPointAccount",
            true,
        ),
    ] {
        let words = if applies { "" } else { STRAY_KEY };
        says(&statement(action, resource, &on(key)), words);
    }
}

/// As many patterns and conditions as a policy has room for.
#[test]
fn t46_the_checks_are_bounded() {
    let actions: Vec<_> = (0..700)
        .map(|n| format!(r#""s3:g{}*""#, "*t".repeat(n % 2 + 1)))
        .collect();
    let keys: Vec<_> = (0..320)
        .map(|n| format!(r#""s3:ExistingObjectTag/{n}":"x""#))
        .collect();
    let document = statement(
        &format!(r#""Action":[{}]"#, actions.join(",")),
        BOTH,
        &format!(r#"{{"StringEquals":{{{}}}}}"#, keys.join(",")),
    );
    assert!(
        (16_000..20_480).contains(&document.len()),
        "{}",
        document.len()
    );
    let start = std::time::Instant::now();
    says(&document, "");
    // Generous to a loaded machine: what is not bounded takes hours.
    assert!(start.elapsed() < std::time::Duration::from_secs(60));
}
