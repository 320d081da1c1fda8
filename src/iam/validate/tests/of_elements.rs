//! The document as a whole, and what is none.

use super::super::super::policy::Policy;
use super::*;

fn codes(kind: PolicyKind, json: &str) -> Vec<(&'static str, String, Option<usize>)> {
    let findings = of(kind, json).into_iter();
    findings.map(|f| (f.code, f.path, f.line)).collect()
}

#[test]
fn versions_and_repetition() {
    let allow = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}"#;
    let named = r#"{"Sid":"","Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::bucket/*"]}"#;
    let document = |head: &str, list: &str| format!("{{{head}\n\"Statement\":[{list}]}}");
    let at = |code, path: &str, line| vec![(code, path.to_owned(), Some(line))];
    assert_eq!(
        codes(IDENTITY, &document("", allow)),
        at("MISSING_VERSION", "", 1)
    );
    for version in ["2008-10-17", "2012-10-17"] {
        let head = format!("\"Version\":\"{version}\",");
        assert_eq!(codes(IDENTITY, &document(&head, allow)), []);
    }
    let head = "\"Version\":\"2012-10-17\",";
    let twice = document(head, &format!("{allow},\n{named}"));
    assert_eq!(
        codes(IDENTITY, &twice),
        [
            at("REDUNDANT_STATEMENT", "Statement[2]", 3),
            at("EMPTY_SID_VALUE", "Statement[2].Sid", 3)
        ]
        .concat()
    );
}

#[test]
fn variables_need_their_version() {
    let at = |version: &str| {
        format!(
            "{{\"Version\":\"{version}\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\n\"Resource\":[\"arn:aws:s3:::bucket/${{aws:username}}\",\"arn:aws:s3:::bucket/a\"],\n\"Condition\":{{\"StringEquals\":{{\"aws:UserAgent\":\"${{aws:userid}}\"}}}}}}]}}"
        )
    };
    assert_eq!(codes(IDENTITY, &at("2012-10-17")), []);
    let code = "VARIABLE_UNSUPPORTED_IN_VERSION";
    let expected = [
        (code, "Statement[1].Resource[1]".to_owned(), Some(2)),
        (
            code,
            "Statement[1].Condition.StringEquals.aws:UserAgent".to_owned(),
            Some(3),
        ),
    ];
    assert_eq!(codes(IDENTITY, &at("2008-10-17")), expected);
}

#[test]
fn long_documents() {
    let of_length = |length: usize| {
        let text = r#"{"Version":"2012-10-17","Id":"","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
        let id = format!(
            r#""Id":"{}""#,
            "i".repeat(length.saturating_sub(text.len()))
        );
        text.replace(r#""Id":"""#, &id)
    };
    for (length, expected) in [
        (1843, None),
        (1844, Some("POLICY_SIZE_NEAR_LIMIT")),
        (2048, Some("POLICY_SIZE_NEAR_LIMIT")),
        (2049, Some("POLICY_SIZE_EXCEEDED")),
    ] {
        let found = codes(PolicyKind::Session, &of_length(length));
        assert_eq!(found.first().map(|(code, ..)| *code), expected, "{length}");
    }
}

#[test]
#[rustfmt::skip]
fn what_is_no_policy() {
    let statement = |elements: &str| format!("{{\"Statement\":\n[\n{{\"Effect\":\"Allow\",\n{elements}}}]}}");
    for (json, code, path, line) in [
        ("{\n\"Version\": }".to_owned(), "JSON_SYNTAX_ERROR", "", 2),
        ("{\"Version\":\"2012-10-17\",\n\"Version\":\"2012-10-17\"}".to_owned(), "JSON_SYNTAX_ERROR", "", 2),
        ("[]".to_owned(), "DATA_TYPE_MISMATCH", "", 1),
        ("{\n\"Version\":\"2020-01-01\",\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}".to_owned(), "INVALID_VERSION", "Version", 2),
        ("\n{}".to_owned(), "MISSING_STATEMENT", "", 2),
        ("{\n\n\"Statements\":[]}".to_owned(), "INVALID_POLICY_ELEMENT", "Statements", 3),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\n\"Ressource\":\"*\""), "INVALID_POLICY_ELEMENT", "Statement[1].Ressource", 5),
        (statement("\"Action\":[\n\"s3:*\",\n\"s3\"],\"Resource\":\"*\""), "INVALID_ACTION", "Statement[1].Action[2]", 6),
        (statement("\"Action\":\"s3:*\",\n\"NotResource\":\"b\""), "INVALID_ARN_PREFIX", "Statement[1].NotResource", 5),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\"Condition\":{\n\"StringSame\":{\"aws:username\":\"a\"}}"), "INVALID_CONDITION_OPERATOR", "Statement[1].Condition.StringSame", 5),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\"Condition\":{\"Bool\":{\n\"aws:nonsense\":\"true\"}}"), "INVALID_GLOBAL_CONDITION_KEY", "Statement[1].Condition.Bool.aws:nonsense", 5),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\"Condition\":{\"Bool\":{\n\"aws:SecureTransport\":[\n\"yes\"]}}"), "TYPE_MISMATCH_BOOLEAN", "Statement[1].Condition.Bool.aws:SecureTransport[1]", 6),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\n\"NotPrincipal\":\"*\""), "UNSUPPORTED_PRINCIPAL", "Statement[1].NotPrincipal", 5),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\n\"Sid\":\"a b\""), "UNSUPPORTED_SID", "Statement[1].Sid", 5),
        (statement("\"Action\":\"s3:*\""), "MISSING_RESOURCE", "Statement[1]", 3),
    ] {
        assert_eq!(codes(IDENTITY, &json), [(code, path.to_owned(), Some(line))], "{json}");
        let error = Policy::parse(IDENTITY, "", json.as_bytes()).unwrap_err();
        let findings = of(IDENTITY, &json);
        let finding = findings.first().unwrap();
        assert_eq!((finding.severity, &finding.message), (Severity::Error, &error.to_string()));
    }
    let findings = validate(&PolicyLimits::default(), IDENTITY, b"\xff");
    assert_eq!(findings.len(), 1);
}

/// Each with its name, and the rest of the document looked at too.
#[test]
#[rustfmt::skip]
fn every_error_is_told() {
    let json = r#"{"ID":"x","version":"2012-10-17",
"Statement":[
{"Sid":"a","Effect":"allow","Action":["s3:GetObject","s3","s3:*x:y"],"Resource":["arn:aws:s3:::b*","bucket"]},
{"Sid":"a","Action":[],"Resource":"arn:aws-cn:s3:::bucket/*","Condition":{"StringSame":{"aws:username":"a"},
"Bool":{"aws:nonsense":"true","s3:nonsense":"x","nonsense":"x","aws:SecureTransport":["yes","true"]},"StringEquals":{},
"NumericLessThan":{"s3:max-keys":"many"},"DateLessThan":{"aws:CurrentTime":"soon"},"IpAddress":{"aws:SourceIp":"here"},"ArnLike":{"aws:PrincipalArn":"x"},
"NumericEquals":{"s3:max-keys":"${aws:username}"},"ForAllValues:Null":{"aws:username":"true"},"NullIfExists":{"aws:username":"true"},
"StringLike":{"aws:UserAgent":[],"aws:Referer":"${aws:username","aws:userid":"${}","aws:username":"${aws:userid, x}"},"StringNotLike":{"aws:PrincipalTag/":"x"}}},
{"Effect":"Deny","Action":"s3:*","NotAction":"s3:Get*","NotResource":[],"Principal":"*"},
{"Effect":"Allow","Action":"s*:GetObject","Resource":"*"},
{"Effect":"Allow","Action":"s3:GetObjekt","Resource":"*"}]}"#;
    let expected = [
        "INVALID_POLICY_ELEMENT ID", "INVALID_POLICY_ELEMENT version",
        "INVALID_EFFECT Statement[1].Effect", "INVALID_ACTION Statement[1].Action[2]", "INVALID_ACTION Statement[1].Action[3]",
        "INVALID_ARN_PREFIX Statement[1].Resource[2]",
        "UNIQUE_SIDS_REQUIRED Statement[2].Sid", "MISSING_EFFECT Statement[2]", "EMPTY_ARRAY_ACTION Statement[2].Action", "INVALID_PARTITION Statement[2].Resource",
        "INVALID_CONDITION_OPERATOR Statement[2].Condition.StringSame",
        "INVALID_GLOBAL_CONDITION_KEY Statement[2].Condition.Bool.aws:nonsense", "INVALID_SERVICE_CONDITION_KEY Statement[2].Condition.Bool.s3:nonsense",
        "INVALID_CONDITION_KEY_FORMAT Statement[2].Condition.Bool.nonsense", "TYPE_MISMATCH_BOOLEAN Statement[2].Condition.Bool.aws:SecureTransport[1]",
        "EMPTY_OBJECT_CONDITION Statement[2].Condition.StringEquals",
        "TYPE_MISMATCH_NUMBER Statement[2].Condition.NumericLessThan.s3:max-keys", "TYPE_MISMATCH_DATE Statement[2].Condition.DateLessThan.aws:CurrentTime",
        "TYPE_MISMATCH_IP_RANGE Statement[2].Condition.IpAddress.aws:SourceIp", "TYPE_MISMATCH_ARN Statement[2].Condition.ArnLike.aws:PrincipalArn",
        "INVALID_OPERATOR_FOR_VARIABLE Statement[2].Condition.NumericEquals.s3:max-keys",
        "NULL_WITH_QUALIFIER Statement[2].Condition.ForAllValues:Null", "NULL_WITH_IF_EXISTS Statement[2].Condition.NullIfExists",
        "EMPTY_ARRAY_CONDITION Statement[2].Condition.StringLike.aws:UserAgent", "MISSING_BRACE_IN_VARIABLE Statement[2].Condition.StringLike.aws:Referer",
        "EMPTY_VARIABLE Statement[2].Condition.StringLike.aws:userid", "MISSING_QUOTE_IN_VARIABLE Statement[2].Condition.StringLike.aws:username",
        "MISSING_TAG_KEY_IN_CONDITION Statement[2].Condition.StringNotLike.aws:PrincipalTag/",
        "UNSUPPORTED_PRINCIPAL Statement[3].Principal", "UNSUPPORTED_ELEMENT_COMBINATION Statement[3].Action", "EMPTY_ARRAY_RESOURCE Statement[3].NotResource",
        "WILDCARD_IN_SERVICE_NAME Statement[4].Action", "INVALID_ACTION Statement[5].Action",
    ];
    let json = json.replace("\"version\"", "\"Version\":\"2012-10-17\",\"version\"");
    let findings = of(IDENTITY, &json);
    let mut told: Vec<_> = findings.iter().map(|f| format!("{} {}", f.code, f.path)).collect();
    let mut expected: Vec<_> = expected.iter().map(|text| (*text).to_owned()).collect();
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    assert!(findings.iter().all(|f| f.severity == Severity::Error && f.line.is_some()));
    let fix = |path: &str| findings.iter().find(|f| f.path == path).unwrap().fix.clone();
    assert!(fix("ID").contains("MinIO") && fix("version").contains("`Version`"), "{}", fix("version"));
    // A document that has nothing to tell has no finding.
    assert_eq!(codes(IDENTITY, r#"{"Id":"x","Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}"#), []);
}

#[test]
fn statements_that_another_takes_in() {
    let document = |list: &[&str]| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
            list.join(",")
        )
    };
    let get = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/a/*"}"#;
    let all = r#"{"Effect":"Allow","Action":["s3:Get*","s3:PutObject"],"Resource":"arn:aws:s3:::bucket/*"}"#;
    let turned = r#"{"Effect":"Allow","Action":["s3:PutObject","s3:Get*"],"Resource":"arn:aws:s3:::bucket/*"}"#;
    let limited = r#"{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::bucket/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}"#;
    let denied = all.replace("Allow", "Deny");
    let denied = denied.as_str();
    for (list, expected) in [
        (&[get, all][..], &["Statement[1]"][..]),
        (&[all, get], &["Statement[2]"]),
        (&[all, turned], &["Statement[2]"]),
        (&[get, limited], &[]),
        (&[limited, all], &["Statement[1]"]),
        (&[get, denied], &[]),
    ] {
        let found = codes(IDENTITY, &document(list));
        let found = found
            .iter()
            .filter(|(code, ..)| *code == "REDUNDANT_STATEMENT");
        let paths: Vec<_> = found.map(|(_, path, _)| path.as_str()).collect();
        assert_eq!(paths, expected, "{list:?}");
    }
}
