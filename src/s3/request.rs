//! The total parser: any head becomes a typed [`Call`], or is refused precisely.

use super::{Addressing, Call, Error, Head, Payload, Target, parse, route};

/// What is asked. Nothing here is trusted yet: `authn` says who asks, `authz` whether they may.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head as it arrived; what the signature covers.
    pub head: Head,
    /// What the address names.
    pub target: Target,
    /// What is asked, typed.
    pub call: Call,
    /// What `x-amz-content-sha256` says of the body.
    pub payload: Payload,
}

impl Request {
    /// Parses a head.
    ///
    /// # Errors
    /// `NotImplemented` for operations and sub-resources that are not answered; otherwise the code
    /// that S3 documents for what is wrong.
    pub fn parse(head: Head, addressing: &Addressing) -> Result<Self, Error> {
        let target = addressing.target(&head.host, &head.path)?;
        let row = route::route(&head, &target)?;
        parse::headers::only_known(&head, row.operation)?;
        let call = parse::call(&head, &target, row.operation)?;
        let payload = Payload::parse(&head)?;
        Ok(Self {
            head,
            target,
            call,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::s3::{ChecksumRequest, ErrorCode, Peer};
    use http::{HeaderMap, HeaderValue, Method};

    fn parse(
        method: Method,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Call, ErrorCode> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let peer = Peer {
            address: [127, 0, 0, 1].into(),
            secure: true,
            tls_version: None,
        };
        let head = Head::new(method, target, "localhost".to_owned(), map, peer);
        let request = head.and_then(|head| Request::parse(head, &Addressing::default()));
        request.map(|request| request.call).map_err(|e| e.code())
    }

    #[test]
    fn what_means_nothing_is_passed_over_where_an_object_is_read() {
        for query in [
            "v=3",
            "utm_source=a",
            "V",
            "x-anything=1",
            "x-id=GetObject",
            "response",
            "a&b=c",
        ] {
            for method in [Method::GET, Method::HEAD] {
                let call = parse(method, &format!("/bucket/style.css?{query}"), &[]);
                assert!(
                    matches!(&call, Ok(Call::GetObject(_) | Call::HeadObject(_))),
                    "{query}: {call:?}"
                );
            }
        }
        for query in [
            "versionid=v",
            "VERSIONID=v",
            "partnumber=1",
            "ACL",
            "torrent",
            "annotation",
            "Retention",
            "x-amz-acl=private",
            "X-Amz-Nothing=1",
            "=1",
            "uploadid=u",
            "signature=s",
            "Response-Content-Type=a",
            "prefix=a",
            "policy",
        ] {
            for method in [Method::GET, Method::HEAD] {
                let call = parse(method, &format!("/bucket/style.css?{query}"), &[]);
                assert!(call.is_err(), "{query}: {call:?}");
            }
        }
    }

    #[test]
    fn versions_are_text_that_a_url_can_carry() {
        let long = "v".repeat(1025);
        for bad in ["", "a%20b", "%C3%A9", "%01", &long] {
            for method in [Method::GET, Method::HEAD, Method::DELETE] {
                let call = parse(method, &format!("/bucket/key?versionId={bad}"), &[]);
                assert_eq!(call.err(), Some(ErrorCode::InvalidArgument), "{bad}");
            }
        }
        for good in [
            "null",
            "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY",
            long.get(1..).unwrap(),
        ] {
            let target = format!("/bucket/key?versionId={}", good.replace('+', "%2B"));
            let call = parse(Method::DELETE, &target, &[]).unwrap();
            assert!(matches!(call, Call::DeleteObject(c) if c.version_id.as_deref() == Some(good)));
        }
    }

    #[test]
    fn elsewhere_only_what_is_a_clients_own() {
        for (method, path) in [
            (Method::PUT, "/bucket/key"),
            (Method::DELETE, "/bucket/key"),
            (Method::GET, "/bucket"),
            (Method::DELETE, "/bucket"),
            (Method::GET, "/"),
        ] {
            let ask = |query: &str| parse(method.clone(), &format!("{path}?{query}"), &[]);
            for query in ["x-id=Any", "x-trace=1", "x-"] {
                assert!(ask(query).is_ok(), "{method} {path}?{query}");
            }
            for query in [
                "v=3",
                "x-amz-trace=1",
                "x-Amz-Trace=1",
                "X-trace=1",
                "xid=1",
            ] {
                let refused = ask(query).map(|call| call.operation());
                assert_eq!(
                    refused,
                    Err(ErrorCode::NotImplemented),
                    "{method} {path}?{query}"
                );
            }
        }
    }

    #[test]
    fn a_checksum_in_a_presigned_query_says_nothing_of_the_body() {
        let of = |target: &str, headers| match parse(Method::PUT, target, headers).unwrap() {
            Call::PutObject(call) => call.checksum,
            other => panic!("{other:?}"),
        };
        let query = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32";
        let presigned = format!("/bucket/key?{query}&X-Amz-Signature=0");
        assert_eq!(of(&presigned, &[]), None);
        for odd in ["X-Amz-Checksum-SHA256=no", "x-amz-checksum-crc99=a"] {
            let presigned = format!("/bucket/key?{odd}&X-Amz-Signature=0");
            assert_eq!(of(&presigned, &[]), None);
        }
        // As a header it is verified, whatever the query says.
        let header = [("x-amz-checksum-crc32", "y/Q5Jg==")];
        let asked = of(&presigned, &header);
        assert!(matches!(asked, Some(ChecksumRequest { .. })), "{asked:?}");
        // Unsigned, it is no parameter at all.
        let unsigned = parse(Method::PUT, &format!("/bucket/key?{query}"), &[]);
        assert_eq!(
            unsigned.map(|c| c.operation()),
            Err(ErrorCode::NotImplemented)
        );
    }
}
