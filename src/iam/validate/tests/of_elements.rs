//! The document as a whole, and what is none.

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
        at("REDUNDANT_STATEMENT", "Statement[2]", 3)
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
        let text = r#"{"Version":"2012-10-17","Id":"","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
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
fn what_is_no_policy_has_one_error() {
    let statement = |elements: &str| format!("{{\"Statement\":\n[\n{{\"Effect\":\"Allow\",\n{elements}}}]}}");
    for (json, code, path, line) in [
        ("{\n\"Version\": }".to_owned(), "JSON_SYNTAX_ERROR", "", 2),
        ("{\"Version\":\"2012-10-17\",\n\"Version\":\"2012-10-17\"}".to_owned(), "JSON_SYNTAX_ERROR", "", 2),
        ("[]".to_owned(), "INVALID_POLICY_ELEMENT", "", 1),
        ("{\n\"Version\":\"2020-01-01\",\"Statement\":[]}".to_owned(), "INVALID_VERSION", "Version", 2),
        ("\n{}".to_owned(), "MISSING_STATEMENT", "", 2),
        ("{\n\n\"Statements\":[]}".to_owned(), "INVALID_POLICY_ELEMENT", "Statements", 3),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\n\"Ressource\":\"*\""), "INVALID_POLICY_ELEMENT", "Statement[1].Ressource", 5),
        (statement("\"Action\":[\n\"s3:*\",\n\"s3\"],\"Resource\":\"*\""), "INVALID_ACTION", "Statement[1].Action[2]", 6),
        (statement("\"Action\":\"s3:*\",\n\"NotResource\":\"b\""), "INVALID_ARN_RESOURCE", "Statement[1].NotResource", 5),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\"Condition\":{\n\"StringSame\":{\"aws:username\":\"a\"}}"), "INVALID_CONDITION", "Statement[1].Condition.StringSame", 5),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\"Condition\":{\"Bool\":{\n\"aws:nonsense\":\"true\"}}"), "INVALID_CONDITION", "Statement[1].Condition.Bool.aws:nonsense", 5),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\"Condition\":{\"Bool\":{\n\"aws:SecureTransport\":[\n\"yes\"]}}"), "INVALID_CONDITION", "Statement[1].Condition.Bool.aws:SecureTransport[1]", 6),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\n\"NotPrincipal\":\"*\""), "INVALID_PRINCIPAL_FORMAT", "Statement[1].NotPrincipal", 5),
        (statement("\"Action\":\"s3:*\",\"Resource\":\"*\",\n\"Sid\":\"a b\""), "UNSUPPORTED_SID", "Statement[1].Sid", 5),
        (statement("\"Action\":\"s3:*\""), "INVALID_ARN_RESOURCE", "Statement[1]", 3),
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
