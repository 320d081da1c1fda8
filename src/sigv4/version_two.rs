//! Signature Version 2, which old clients and old links have: HMAC-SHA-1 over a form of its own. It covers
//! the method, the path, those words of the query that choose an operation, and every `x-amz-*` header;
//! not the host, not the body, and of a listing's parameters none.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use crate::crypto::{Secret, hmac_sha1};

/// Words of a query that are signed, in the order of the alphabet: those of AWS's page, and those that
/// its SDKs sign besides.
const SIGNED: [&str; 35] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Whether a word of a query is signed.
#[must_use]
pub fn is_signed(word: &str) -> bool {
    SIGNED.contains(&word)
}

/// What is signed, as it stood in the request.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'r> {
    /// The method.
    pub method: &'r Method,
    /// `Content-MD5`, or nothing.
    pub content_md5: &'r str,
    /// `Content-Type`, or nothing.
    pub content_type: &'r str,
    /// `Date`, nothing where `x-amz-date` stands for it, or `Expires` of a link.
    pub date: &'r str,
    /// The bucket, where it stands in the host.
    pub bucket_of_host: Option<&'r str>,
    /// The path, still percent-encoded.
    pub raw_path: &'r str,
}

/// The text that is signed. `headers` are the `x-amz-*` ones by lower-case name, in any order, one entry
/// for each value; `query` is the whole query, decoded.
#[must_use]
pub fn string_to_sign<'q>(
    parts: Parts<'_>,
    mut headers: Vec<(&str, String)>,
    query: impl Iterator<Item = (&'q str, &'q str)>,
) -> String {
    let mut text = String::with_capacity(256);
    for line in [
        parts.method.as_str(),
        parts.content_md5,
        parts.content_type,
        parts.date,
    ] {
        text.push_str(line);
        text.push('\n');
    }
    // Values of one name stay in their order.
    headers.sort_by_key(|(name, _)| *name);
    let mut before = None;
    for (name, value) in &headers {
        if before == Some(*name) {
            text.push(',');
        } else {
            if before.is_some() {
                text.push('\n');
            }
            text.push_str(name);
            text.push(':');
        }
        text.push_str(value.trim());
        before = Some(*name);
    }
    if before.is_some() {
        text.push('\n');
    }
    if let Some(bucket) = parts.bucket_of_host {
        text.push('/');
        text.push_str(bucket);
    }
    text.push_str(parts.raw_path);
    let mut words: Vec<_> = query.filter(|(word, _)| is_signed(word)).collect();
    words.sort_unstable();
    for (at, (word, value)) in words.iter().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(word);
        if !value.is_empty() {
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

/// The signature of a text: base64 of 20 bytes.
#[must_use]
pub fn signature(secret: &Secret, text: &str) -> String {
    STANDARD.encode(hmac_sha1(secret.expose().as_bytes(), text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of AWS's page.
    #[test]
    fn documented() {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
        let plain = |method, date, raw_path| Parts {
            method,
            content_md5: "",
            content_type: "",
            date,
            bucket_of_host: Some("awsexamplebucket1"),
            raw_path,
        };
        type Case<'c> = (
            Parts<'c>,
            Vec<(&'c str, String)>,
            Vec<(&'c str, &'c str)>,
            &'c str,
        );
        let cases: Vec<Case<'_>> = vec![
            (
                plain(
                    &Method::GET,
                    "Tue, 27 Mar 2007 19:36:42 +0000",
                    "/photos/puppy.jpg",
                ),
                vec![],
                vec![],
                "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
            ),
            (
                Parts {
                    content_type: "image/jpeg",
                    ..plain(
                        &Method::PUT,
                        "Tue, 27 Mar 2007 21:15:45 +0000",
                        "/photos/puppy.jpg",
                    )
                },
                vec![],
                vec![],
                "iqRzw+ileNPu1fhspnRs8nOjjIA=",
            ),
            (
                plain(&Method::GET, "Tue, 27 Mar 2007 19:42:41 +0000", "/"),
                vec![],
                vec![
                    ("prefix", "photos"),
                    ("max-keys", "50"),
                    ("marker", "puppy"),
                ],
                "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
            ),
            (
                plain(&Method::GET, "Tue, 27 Mar 2007 19:44:46 +0000", "/"),
                vec![],
                vec![("acl", "")],
                "82ZHiFIjc+WbcwFKGUVEQspPn+0=",
            ),
            (
                Parts {
                    bucket_of_host: Some("johnsmith"),
                    ..plain(&Method::GET, "1175139620", "/photos/puppy.jpg")
                },
                vec![],
                vec![("Expires", "1175139620")],
                "NpgCjnDzrM+WFzoENXmpNDUsSn8=",
            ),
        ];
        for (parts, headers, query, expected) in cases {
            let text = string_to_sign(parts, headers, query.into_iter());
            assert_eq!(signature(&secret, &text), expected, "{text}");
        }
    }

    #[test]
    fn headers_are_one_line_each_and_words_sorted() {
        let parts = Parts {
            method: &Method::PUT,
            content_md5: "m",
            content_type: "t",
            date: "",
            bucket_of_host: None,
            raw_path: "/b/a%20b",
        };
        let headers = vec![
            ("x-amz-meta-b", " 1 ".to_owned()),
            ("x-amz-date", "d".to_owned()),
            ("x-amz-meta-b", "2".to_owned()),
        ];
        let query = [("uploadId", "u/+"), ("prefix", "p"), ("partNumber", "1")];
        assert_eq!(
            string_to_sign(parts, headers, query.into_iter()),
            "PUT\nm\nt\n\nx-amz-date:d\nx-amz-meta-b:1,2\n/b/a%20b?partNumber=1&uploadId=u/+"
        );
    }
}
