//! What conditions see of a request.

use super::*;

/// Whether alice may, where everything is allowed under this condition.
fn met(condition: &str, method: &Method, target: &str, headers: &[(&str, &str)]) -> bool {
    let statement =
        format!(r#"{{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{condition}}}"#);
    let stage = Stage::new(&statement);
    let decided = stage.decide(method, target, headers);
    match &decided {
        Ok(_) => true,
        Err(Unpermitted::Denied(_)) => false,
        Err(Unpermitted::Undecided(_)) => panic!("{condition}: {decided:?}"),
    }
}

fn equals(key: &str, value: &str) -> String {
    format!(r#"{{"StringEquals":{{"{key}":"{value}"}}}}"#)
}

/// Whether the key is absent.
fn absent(key: &str, method: &Method, target: &str, headers: &[(&str, &str)]) -> bool {
    met(
        &format!(r#"{{"Null":{{"{key}":"true"}}}}"#),
        method,
        target,
        headers,
    )
}

#[test]
fn t36_what_is_known_of_every_request() {
    for (key, value) in [
        ("aws:PrincipalAccount", ACCOUNT),
        ("aws:PrincipalArn", "arn:aws:iam::123456789012:user/alice"),
        ("aws:PrincipalType", "User"),
        ("aws:PrincipalIsAWSService", "false"),
        ("aws:PrincipalTag/team", "blue"),
        ("aws:principaltag/TEAM", "blue"),
        ("aws:RequestedRegion", REGION),
        ("aws:ResourceAccount", ACCOUNT),
        ("s3:ResourceAccount", ACCOUNT),
        ("aws:SecureTransport", "true"),
        ("aws:SourceIp", "192.0.2.7"),
        ("aws:username", "alice"),
        ("aws:userid", "alice"),
        ("aws:ViaAWSService", "false"),
        ("aws:CurrentTime", "2026-11-18T11:06:40Z"),
        ("aws:EpochTime", "1795000000"),
        ("s3:authType", "REST-HEADER"),
        ("s3:signatureversion", "AWS4-HMAC-SHA256"),
        ("s3:signatureAge", "2000"),
        ("s3:TlsVersion", "1.3"),
    ] {
        assert!(met(&equals(key, value), &GET, "/bucket/key", &[]), "{key}");
        assert!(
            !met(&equals(key, "other"), &GET, "/bucket/key", &[]),
            "{key}"
        );
    }
    for key in [
        "aws:PrincipalTag/other",
        "s3:VersionId",
        "s3:prefix",
        "aws:SourceVpce",
        "aws:Referer",
        "s3:x-amz-acl",
    ] {
        assert!(absent(key, &GET, "/bucket/key", &[]), "{key}");
    }
    for (condition, expected) in [
        (r#"{"NumericLessThan":{"s3:signatureAge":"2001"}}"#, true),
        (r#"{"NumericLessThan":{"s3:signatureAge":"2000"}}"#, false),
        (r#"{"NumericEquals":{"aws:EpochTime":"1795000000"}}"#, true),
        (
            r#"{"DateEquals":{"aws:EpochTime":"2026-11-18T11:06:40Z"}}"#,
            true,
        ),
        (
            r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-11-18T11:06:40Z"}}"#,
            false,
        ),
        (
            r#"{"DateLessThanEquals":{"aws:CurrentTime":"2026-11-18T11:06:40Z"}}"#,
            true,
        ),
        (r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#, true),
        (r#"{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#, false),
        (
            r#"{"NumericGreaterThanEquals":{"s3:TlsVersion":"1.2"}}"#,
            true,
        ),
    ] {
        assert_eq!(
            met(condition, &GET, "/bucket/key", &[]),
            expected,
            "{condition}"
        );
    }
}

#[test]
fn t36_what_is_known_of_who_asks() {
    let keys = [
        ("aws:PrincipalAccount", ACCOUNT, "anonymous"),
        ("aws:PrincipalType", "Account", "Anonymous"),
        ("aws:PrincipalArn", "arn:aws:iam::123456789012:root", ""),
        ("aws:userid", ACCOUNT, "anonymous"),
        ("aws:username", "", ""),
        ("aws:PrincipalIsAWSService", "false", ""),
        ("s3:authType", "REST-HEADER", ""),
        ("aws:PrincipalTag/team", "", ""),
    ];
    for (key, root, nobody) in keys {
        for (value, anonymous) in [(root, false), (nobody, true)] {
            let condition = match value {
                "" => format!(r#"{{"Null":{{"{key}":"false"}}}}"#),
                value => format!(r#"{{"StringNotEquals":{{"{key}":"{value}"}}}}"#),
            };
            // Everything is allowed, unless the key is not what it is said to be.
            let deny = format!(
                r#"{{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{condition}}}"#
            );
            let open = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}"#;
            let text = format!(r#"{{"Statement":[{open},{deny}]}}"#);
            let mut stage = Stage::new(&allow("s3:*", "*"));
            stage.authorizer = stage.authorizer.blocking(PublicAccessBlock::NONE);
            let bucket = crate::s3::BucketName::parse("bucket").unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                let none = PublicAccessBlock::NONE;
                stage
                    .policies
                    .hold(&bucket)
                    .await
                    .unwrap()
                    .put(text.as_bytes(), none)
                    .await
                    .unwrap();
                stage
                    .policies
                    .hold(&bucket)
                    .await
                    .unwrap()
                    .configure_public_access(None)
                    .await
                    .unwrap();
            });
            let (request, caller) = match anonymous {
                false => stage.signed_by(Owner::Root, &GET, "/bucket/key", &[]),
                true => {
                    let head = head(&GET, "/bucket/key", HeaderMap::new());
                    let request = Request::parse(head, &Addressing::default()).unwrap();
                    let authenticator = Authenticator::new(REGION.into());
                    let caller =
                        authenticator.authenticate(&request, &Directory::default(), stage.now);
                    (request, caller.unwrap())
                }
            };
            let decided = stage
                .authorizer
                .authorize(request, caller, &stage.policies, stage.now);
            assert!(decided.is_ok(), "{key} {anonymous}: {decided:?}");
        }
    }
}

#[test]
fn t36_what_headers_and_parameters_say() {
    for (key, header, value) in [
        ("aws:Referer", "referer", "http://x"),
        ("aws:UserAgent", "user-agent", "a/1"),
        ("s3:x-amz-acl", "x-amz-acl", "private"),
        ("s3:x-amz-storage-class", "x-amz-storage-class", "STANDARD"),
        (
            "s3:x-amz-website-redirect-location",
            "x-amz-website-redirect-location",
            "/x",
        ),
        ("s3:x-amz-copy-source", "x-amz-copy-source", "/bucket/from"),
        (
            "s3:x-amz-copy-source",
            "x-amz-copy-source",
            "b%75cket%2Ffrom",
        ),
        ("s3:if-none-match", "if-none-match", "*"),
        ("s3:RequestObjectTag/team", "x-amz-tagging", "team=red"),
    ] {
        let value_of = match header {
            "x-amz-copy-source" => "/bucket/from",
            _ => value.rsplit('=').next().unwrap(),
        };
        assert!(absent(key, &PUT, "/bucket/key", &[]), "{key}");
        let statement = format!(
            r#"{},{{"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{}}}"#,
            allow(
                "s3:GetObject\",\"s3:PutObjectAcl\",\"s3:PutObjectTagging",
                "*"
            )
            .replace(r#""Action":"#, r#""Action":["#)
            .replace(r#","Resource""#, r#"],"Resource""#),
            equals(key, value_of)
        );
        let stage = Stage::new(&statement);
        stage.permit(&PUT, "/bucket/key", &[(header, value)]);
        stage.denied(&PUT, "/bucket/key", &[]);
    }
    for (target, prefix, delimiter, most) in [
        (
            "/bucket?list-type=2&prefix=a%2F&delimiter=%2F&max-keys=5",
            Some("a/"),
            Some("/"),
            Some("5"),
        ),
        ("/bucket?prefix=", Some(""), None, None),
        ("/bucket", None, None, None),
        // The reference gives a list of uploads none of them.
        ("/bucket?uploads&prefix=p&delimiter=%2F", None, None, None),
    ] {
        for (key, value) in [
            ("s3:prefix", prefix),
            ("s3:delimiter", delimiter),
            ("s3:max-keys", most),
        ] {
            match value {
                Some(value) => assert!(
                    met(&equals(key, value), &GET, target, &[]),
                    "{key} {target}"
                ),
                None => assert!(
                    met(
                        &format!(
                            r#"{{"StringNotEquals":{{"{key}":"x"}},"Null":{{"{key}":"true"}}}}"#
                        ),
                        &GET,
                        target,
                        &[]
                    ),
                    "{key} {target}"
                ),
            }
        }
    }
    assert!(met(
        &equals("s3:VersionId", "v1"),
        &GET,
        "/bucket/key?versionId=v1",
        &[]
    ));
    assert!(absent("s3:prefix", &GET, "/bucket/key", &[]));
}

#[test]
fn t40_a_copys_source_is_not_what_is_written() {
    // Read under its own conditions; what headers say is said of the copy.
    for (key, header) in [
        ("s3:x-amz-acl", ("x-amz-acl", "private")),
        (
            "s3:x-amz-metadata-directive",
            ("x-amz-metadata-directive", "COPY"),
        ),
        ("s3:if-none-match", ("if-none-match", "*")),
        ("s3:x-amz-copy-source", COPY),
        ("s3:ObjectCreationOperation", COPY),
        ("s3:RequestObjectTagKeys", ("x-amz-tagging", "a=b")),
    ] {
        let of_source = format!(
            r#"{{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{{"Null":{{"{key}":"true"}}}}}}"#
        );
        let of_copy = format!(
            r#"{{"Effect":"Allow","Action":["s3:PutObject","s3:PutObjectAcl","s3:PutObjectTagging"],"Resource":"*","Condition":{{"Null":{{"{key}":"false"}}}}}}"#
        );
        let stage = Stage::new(&format!("{of_source},{of_copy}"));
        let headers = match header == COPY {
            true => vec![COPY],
            false => vec![COPY, header, ("x-amz-tagging-directive", "REPLACE")],
        };
        stage.permit(&PUT, "/bucket/to", &headers);
    }
}

/// A request that says all that headers and parameters can say has no key that AWS's reference does not
/// give its action: asked of every right that it needs.
#[test]
fn t36_keys_are_those_of_the_reference() {
    const KEYS: [&str; 26] = [
        "s3:delimiter",
        "s3:ExistingObjectTag/a",
        "s3:if-match",
        "s3:if-none-match",
        "s3:LocationConstraint",
        "s3:max-keys",
        "s3:ObjectCreationOperation",
        "s3:object-lock-legal-hold",
        "s3:object-lock-mode",
        "s3:object-lock-remaining-retention-days",
        "s3:object-lock-retain-until-date",
        "s3:prefix",
        "s3:RequestObjectTag/a",
        "s3:RequestObjectTagKeys",
        "s3:VersionId",
        "s3:x-amz-acl",
        "s3:x-amz-copy-source",
        "s3:x-amz-grant-read",
        "s3:x-amz-grant-write-acp",
        "s3:x-amz-metadata-directive",
        "s3:x-amz-object-ownership",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:x-amz-server-side-encryption-customer-algorithm",
        "s3:x-amz-storage-class",
        "s3:x-amz-website-redirect-location",
    ];
    const COMMON: [&str; 3] = ["s3:authType", "s3:TlsVersion", "s3:x-amz-content-sha256"];
    const HEADERS: [(&str, &str); 15] = [
        ("x-amz-acl", "private"),
        ("x-amz-grant-read", "id=x"),
        ("x-amz-grant-write-acp", "id=x"),
        ("x-amz-object-ownership", "BucketOwnerEnforced"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        (
            "x-amz-object-lock-retain-until-date",
            "2030-01-01T00:00:00Z",
        ),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "k"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-tagging", "a=b"),
        ("if-none-match", "*"),
    ];
    let all = "prefix=p&delimiter=%2F&max-keys=5";
    let (mut present, mut absent) = (0, 0);
    for (method, target, more) in [
        (GET, format!("/bucket?{all}"), None),
        (GET, format!("/bucket?list-type=2&{all}"), None),
        (
            GET,
            "/bucket?uploads&prefix=p&delimiter=%2F&max-uploads=5".to_owned(),
            None,
        ),
        (PUT, "/bucket".to_owned(), None),
        (DELETE, "/bucket".to_owned(), None),
        (GET, "/bucket?location".to_owned(), None),
        (GET, "/bucket?policy".to_owned(), None),
        (PUT, "/bucket?publicAccessBlock".to_owned(), None),
        (GET, "/bucket/key".to_owned(), None),
        (GET, "/bucket/key?versionId=v".to_owned(), None),
        (PUT, "/bucket/key".to_owned(), None),
        (PUT, "/bucket/key".to_owned(), Some(("if-match", "\"e\""))),
        (PUT, "/bucket/key".to_owned(), Some(COPY)),
        (
            DELETE,
            "/bucket/key".to_owned(),
            Some(("if-match", "\"e\"")),
        ),
        (DELETE, "/bucket/key?versionId=v".to_owned(), None),
        (GET, "/bucket/key?tagging".to_owned(), None),
        (DELETE, "/bucket/key?tagging&versionId=v".to_owned(), None),
        (POST, "/bucket/key?uploads".to_owned(), None),
        (POST, "/bucket/key?uploadId=u".to_owned(), None),
        (DELETE, "/bucket/key?uploadId=u".to_owned(), None),
        (GET, "/bucket/key?uploadId=u".to_owned(), None),
    ] {
        let own = more
            .into_iter()
            .filter(|(name, _)| *name != "if-none-match");
        let common = HEADERS.iter().copied().filter(|(name, _)| {
            more.is_none_or(|(own, _)| own != "if-match") || *name != "if-none-match"
        });
        let headers: Vec<_> = common.chain(own).collect();
        let open = r#"{"Effect":"Allow","Action":["s3:*","kms:*"],"Resource":"*"}"#;
        let ask = |stage: &Stage| {
            let parsed: Vec<_> = more.into_iter().filter(|one| *one == COPY).collect();
            let (request, caller) = stage.signed(&method, &target, &parsed);
            let mut map = request.head.headers().clone();
            for (name, value) in &headers {
                map.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
            let request = Request {
                head: head(&method, &target, map),
                ..request
            };
            (request, caller)
        };
        let (request, _) = ask(&Stage::new(open));
        let needed = super::super::requirement::requirements(&request.call, &request.head);
        let actions: Vec<_> = needed.iter().map(|one| one.action).collect();
        for action in actions {
            for key in KEYS.iter().chain(&COMMON) {
                let deny = format!(
                    r#"{open},{{"Effect":"Deny","Action":"{action}","Resource":"*","Condition":{{"Null":{{"{key}":"false"}}}}}}"#
                );
                // What it must look up first, it would have.
                let stage = Stage::new(&deny);
                let (request, caller) = ask(&stage);
                let decided =
                    (stage.authorizer).authorize(request, caller, &stage.policies, stage.now);
                let has = decided.is_err();
                let family = match key.split_once('/') {
                    Some((family, _)) => format!("{family}/"),
                    None => (*key).to_owned(),
                };
                let common = COMMON.contains(key) && action.starts_with("s3:");
                let told = common || crate::iam::action_supplies(action, &family) == Some(true);
                assert!(
                    !has || told,
                    "{method} {target} {more:?}: {action} has {key}"
                );
                assert!(has || !common, "{method} {target}: {action} lacks {key}");
                present += usize::from(has);
                absent += usize::from(!has);
            }
        }
    }
    assert!(present > 200 && absent > 900, "{present} {absent}");
}

#[test]
fn t40_what_makes_an_object() {
    for (method, target, headers, expected) in [
        (PUT, "/bucket/key", &[][..], Some("true")),
        (PUT, "/bucket/key", &[COPY], Some("true")),
        (POST, "/bucket/key?uploadId=u", &[], Some("true")),
        (POST, "/bucket/key?uploads", &[], Some("false")),
        (
            PUT,
            "/bucket/key?partNumber=1&uploadId=u",
            &[],
            Some("false"),
        ),
        (
            PUT,
            "/bucket/key?partNumber=1&uploadId=u",
            &[COPY],
            Some("false"),
        ),
        (DELETE, "/bucket/key", &[], None),
    ] {
        let condition = match expected {
            Some(flag) => format!(r#"{{"Bool":{{"s3:ObjectCreationOperation":"{flag}"}}}}"#),
            None => r#"{"Null":{"s3:ObjectCreationOperation":"true"}}"#.to_owned(),
        };
        let statement = format!(
            r#"{},{{"Effect":"Allow","Action":["s3:PutObject","s3:DeleteObject"],"Resource":"*","Condition":{condition}}}"#,
            allow("s3:GetObject", "*")
        );
        Stage::new(&statement).permit(&method, target, headers);
    }
}

#[test]
fn t44_a_header_that_cannot_be_read_decides_nothing() {
    let deny = r#"{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringLike":{"aws:UserAgent":"*evil*"}}}"#;
    let stage = Stage::new(&format!("{},{deny}", allow("s3:*", "*")));
    stage.permit(&GET, "/bucket/key", &[("user-agent", "good")]);
    stage.denied(&GET, "/bucket/key", &[("user-agent", "evil")]);
    let (request, caller) = stage.signed(&GET, "/bucket/key", &[]);
    for values in [&[&b"evil"[..], b"good"][..], &[b"evil\xff"]] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("user-agent", HeaderValue::from_bytes(value).unwrap());
        }
        let request = Request {
            head: head(&GET, "/bucket/key", headers),
            ..request.clone()
        };
        let decided =
            stage
                .authorizer
                .authorize(request, caller.clone(), &stage.policies, stage.now);
        let Err(Unpermitted::Denied(denied)) = decided else {
            panic!("{decided:?}");
        };
        assert_eq!(denied.error.code(), ErrorCode::InvalidArgument);
    }
}

#[test]
fn t40_what_deletions_and_parts_compare_and_copy() {
    let everything_but = |action: &str, condition: &str| {
        format!(
            r#"{{"Effect":"Allow","NotAction":"{action}","Resource":"*"}},{{"Effect":"Allow","Action":"{action}","Resource":"*","Condition":{condition}}}"#
        )
    };
    let stage = Stage::new(&everything_but(
        "s3:DeleteObject",
        &equals("s3:if-match", "e"),
    ));
    stage.permit(&DELETE, "/bucket/key", &[("if-match", "\"e\"")]);
    stage.denied(&DELETE, "/bucket/key", &[("if-match", "\"f\"")]);
    stage.denied(&DELETE, "/bucket/key", &[]);
    let absent = r#"{"Null":{"s3:if-none-match":"true"}}"#;
    let stage = Stage::new(&everything_but("s3:DeleteObject", absent));
    stage.permit(&DELETE, "/bucket/key", &[("if-match", "\"e\"")]);
    let part = "/bucket/key?partNumber=1&uploadId=u";
    let stage = Stage::new(&everything_but(
        "s3:PutObject",
        r#"{"StringLike":{"s3:x-amz-copy-source":"bucket/from*"}}"#,
    ));
    stage.permit(&PUT, part, &[COPY]);
    stage.permit(&PUT, "/bucket/key", &[COPY]);
    stage.denied(&PUT, part, &[("x-amz-copy-source", "/bucket/other")]);
    stage.denied(&PUT, part, &[]);
}

/// Of headers that are refused by name before anybody is asked: what conditions see once they are not.
#[test]
fn t36_what_is_locked() {
    let days = |n: i64| {
        format!(r#"{{"NumericEquals":{{"s3:object-lock-remaining-retention-days":"{n}"}}}}"#)
    };
    for (condition, allowed) in [
        (equals("s3:object-lock-mode", "GOVERNANCE"), true),
        (equals("s3:object-lock-legal-hold", "ON"), true),
        (
            equals("s3:object-lock-retain-until-date", "2026-11-28T11:06:40Z"),
            true,
        ),
        (days(10), true),
        (days(9), false),
        // The reference has it with CreateBucket alone.
        (equals("s3:x-amz-object-ownership", "x"), false),
        (equals("s3:x-amz-server-side-encryption", "AES256"), true),
        (
            equals("s3:x-amz-server-side-encryption-aws-kms-key-id", "k"),
            true,
        ),
        (
            equals(
                "s3:x-amz-server-side-encryption-customer-algorithm",
                "AES256",
            ),
            true,
        ),
        (equals("s3:x-amz-grant-read", "r"), true),
        (equals("s3:x-amz-grant-write", "w"), true),
        (equals("s3:x-amz-grant-read-acp", "ra"), true),
        (equals("s3:x-amz-grant-write-acp", "wa"), true),
        (equals("s3:x-amz-grant-full-control", "f"), true),
        (equals("s3:x-amz-content-sha256", "UNSIGNED-PAYLOAD"), true),
    ] {
        let statement = format!(
            r#"{{"Effect":"Allow","NotAction":"s3:PutObject","Resource":"*"}},
                {{"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{condition}}}"#
        );
        let stage = Stage::new(&statement);
        for target in ["/bucket/key", "/bucket/key?partNumber=1&uploadId=u"] {
            let (request, caller) = stage.signed(&PUT, target, &[]);
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("x-amz-object-lock-mode", "GOVERNANCE"),
                ("x-amz-object-lock-legal-hold", "ON"),
                (
                    "x-amz-object-lock-retain-until-date",
                    "2026-11-28T11:06:40Z",
                ),
                ("x-amz-object-ownership", "x"),
                ("x-amz-server-side-encryption", "AES256"),
                ("x-amz-server-side-encryption-aws-kms-key-id", "k"),
                ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
                ("x-amz-grant-read", "r"),
                ("x-amz-grant-write", "w"),
                ("x-amz-grant-read-acp", "ra"),
                ("x-amz-grant-write-acp", "wa"),
                ("x-amz-grant-full-control", "f"),
                ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ] {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
            let request = Request {
                head: head(&PUT, target, headers),
                ..request
            };
            let decided = stage
                .authorizer
                .authorize(request, caller, &stage.policies, stage.now);
            assert_eq!(decided.is_ok(), allowed, "{condition}: {decided:?}");
        }
    }
    let upload = equals("s3:RequestObjectTag/team", "red");
    assert!(met(
        &upload,
        &POST,
        "/bucket/key?uploads",
        &[("x-amz-tagging", "team=red")]
    ));
    assert!(!met(&upload, &POST, "/bucket/key?uploads", &[]));
}
