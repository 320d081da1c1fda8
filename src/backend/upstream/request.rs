//! One request to an upstream, rendered from what was granted: nothing of a client's head is ever
//! copied into it (T53, T54).

use super::error::Error;
use super::mapping::{Keys, Place};
use crate::s3::time::http_date;
use crate::s3::{
    self, ErrorCode, MAX_KEY_LENGTH, ObjectKey, ObjectMetadata, ReadConditions, TagSet,
    WriteConditions,
};
use crate::sigv4::{encode, encode_path};
use http::Method;
use std::borrow::Cow;

/// User metadata under this prefix is ours: never shown to a client, never taken from one.
pub(super) const INTERNAL: &str = "portcullis-";
/// The checksum that a client gave, where the upstream itself keeps none.
pub(super) const KEPT_CHECKSUM: &str = "x-amz-meta-portcullis-checksum";
/// The tags that an upload in parts was opened with, where the upstream may have spoilt them.
pub(super) const KEPT_TAGS: &str = "x-amz-meta-portcullis-tagging";

/// A request's head before it is signed.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) method: Method,
    /// The bucket at the upstream; `None` for the service itself.
    pub(super) bucket: Option<&'a str>,
    /// The key at the upstream.
    pub(super) key: Option<Cow<'a, str>>,
    /// Decoded names and values.
    pub(super) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
}

impl<'a> Outgoing<'a> {
    /// A request to the service.
    pub(super) fn service(method: Method) -> Self {
        Self {
            method,
            bucket: None,
            key: None,
            query: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// A request to a bucket.
    pub(super) fn bucket(method: Method, place: Place<'a>) -> Self {
        Self {
            bucket: Some(place.bucket),
            ..Self::service(method)
        }
    }

    /// A request to an object.
    ///
    /// # Errors
    /// [`mapped_key`]'s.
    pub(super) fn object(
        method: Method,
        place: Place<'a>,
        key: &'a ObjectKey,
    ) -> Result<Self, s3::Error> {
        Ok(Self {
            key: Some(mapped_key(place, key)?),
            ..Self::bucket(method, place)
        })
    }

    /// Whether it changes nothing, and may be sent again.
    pub(super) fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// Adds a parameter.
    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a parameter that may be absent.
    pub(super) fn maybe_query(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Adds a header.
    pub(super) fn header(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.headers.push((name.into(), value.into()));
    }

    /// Adds a read's conditions; `prefix` is empty or `x-amz-copy-source-`.
    pub(super) fn read_conditions(&mut self, prefix: &str, conditions: &ReadConditions) {
        let tags = |tags: &[s3::ETag]| tags.iter().map(tag).collect::<Vec<_>>().join(", ");
        let texts = [
            ("if-match", conditions.if_match.as_deref().map(tags)),
            (
                "if-none-match",
                conditions.if_none_match.as_deref().map(tags),
            ),
            (
                "if-modified-since",
                conditions.if_modified_since.map(http_date),
            ),
            (
                "if-unmodified-since",
                conditions.if_unmodified_since.map(http_date),
            ),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                self.header(format!("{prefix}{name}"), text);
            }
        }
    }

    /// Adds a write's conditions.
    pub(super) fn write_conditions(&mut self, conditions: &WriteConditions) {
        if let Some(etag) = &conditions.if_match {
            self.header("if-match", tag(etag));
        }
        if conditions.if_none_match {
            self.header("if-none-match", "*");
        }
    }

    /// Adds what is kept with an object.
    ///
    /// # Errors
    /// `InvalidArgument` for user metadata under our own prefix.
    pub(super) fn metadata(&mut self, metadata: &ObjectMetadata) -> Result<(), s3::Error> {
        for (name, value) in &metadata.standard {
            self.header(*name, value);
        }
        for (name, value) in &metadata.user {
            // Some stores read an underscore as a dash.
            let read = name.to_ascii_lowercase().replace('_', "-");
            if read.starts_with(INTERNAL) {
                return Err(s3::Error::with_message(
                    ErrorCode::InvalidArgument,
                    "Metadata names that start with x-amz-meta-portcullis- are reserved.",
                ));
            }
            self.header(format!("x-amz-meta-{name}"), value);
        }
        Ok(())
    }

    /// Adds an object's tags.
    pub(super) fn tags(&mut self, tags: &TagSet) {
        if !tags.is_empty() {
            self.header("x-amz-tagging", tags.to_query());
        }
    }

    /// The decoded path. In virtual-hosted style the bucket is in the host.
    pub(super) fn path(&self, path_style: bool) -> String {
        let bucket = self.bucket.filter(|_| path_style);
        let key = self.key.as_deref();
        let length = bucket.map_or(0, str::len) + key.map_or(0, str::len);
        let mut path = String::with_capacity(length.saturating_add(2));
        if let Some(bucket) = bucket {
            path.push('/');
            path.push_str(bucket);
        }
        // A bucket alone has no slash behind it, a key always one before it.
        if path.is_empty() || key.is_some() {
            path.push('/');
        }
        path.push_str(key.unwrap_or_default());
        path
    }

    /// The request target that goes onto the wire for the decoded `path`: encoded once, by the
    /// function that the signature is computed with.
    pub(super) fn target(&self, path: &str) -> String {
        let mut target = encoded(path);
        for (index, (name, value)) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.push_str(&encode(value));
        }
        target
    }
}

fn encoded(path: &str) -> String {
    let mut to = Vec::with_capacity(path.len().saturating_add(64));
    encode_path(path, &mut to);
    // What is not ASCII was encoded away.
    String::from_utf8_lossy(&to).into_owned()
}

/// The key at the upstream.
///
/// # Errors
/// `InvalidArgument` for a key that an HTTP server on the way could take for another (T50), or the
/// store (T103), and `KeyTooLong` when the route's prefix makes it so.
pub(super) fn mapped_key<'k>(
    place: Place<'_>,
    key: &'k ObjectKey,
) -> Result<Cow<'k, str>, s3::Error> {
    let refused = |what: &str| {
        let message = format!("A key with {what} segment cannot be kept behind this bucket.");
        s3::Error::with_message(ErrorCode::InvalidArgument, message)
    };
    if key.has_dot_segment() {
        return Err(refused("a `.` or `..`"));
    }
    if place.keys != Keys::Exact && key.has_empty_segment() {
        return Err(refused("an empty"));
    }
    if place.keys == Keys::Trimmed && key.as_str().ends_with(['/', '\\']) {
        return Err(refused("an empty last"));
    }
    let mapped = place.key(key.as_str());
    if mapped.len() > MAX_KEY_LENGTH {
        return Err(ErrorCode::KeyTooLong.into());
    }
    Ok(mapped)
}

/// `x-amz-copy-source`: an encoded path, and the version behind it.
pub(super) fn copy_source(
    place: Place<'_>,
    source: &s3::call::CopySource,
) -> Result<String, s3::Error> {
    let key = mapped_key(place, &source.key)?;
    let path = format!("{}/{key}", place.bucket);
    let mut text = encoded(&path);
    if let Some(version) = &source.version_id {
        text.push_str("?versionId=");
        text.push_str(&encode(version));
    }
    Ok(text)
}

fn tag(etag: &s3::ETag) -> String {
    if etag.0 == "*" {
        "*".to_owned()
    } else {
        etag.quoted()
    }
}

/// A header's value: no line end, no control character (T59).
pub(super) fn header_value(name: &str, value: &str) -> Result<http::HeaderValue, s3::Error> {
    http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        s3::Error::with_message(
            ErrorCode::InvalidArgument,
            "A header's value holds a control character.",
        )
        .detail("ArgumentName", name)
    })
}

/// A name that came from metadata.
pub(super) fn header_name(name: &str) -> Result<http::HeaderName, s3::Error> {
    http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        let error = Error::garbage(format!("`{name}` is not a header name"));
        s3::Error::new(ErrorCode::InvalidArgument).because(error)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn place<'a>(bucket: &'a str, prefix: &'a str) -> Place<'a> {
        Place {
            bucket,
            prefix,
            keys: Keys::Exact,
        }
    }

    #[test]
    fn targets() {
        let cases = [
            ("a", "/b/a", "/a"),
            ("a//b", "/b/a//b", "/a//b"),
            ("/a", "/b//a", "//a"),
            ("a/", "/b/a/", "/a/"),
            ("%2e%2e/x", "/b/%252e%252e/x", "/%252e%252e/x"),
            ("a b+c", "/b/a%20b%2Bc", "/a%20b%2Bc"),
            ("a?x#y", "/b/a%3Fx%23y", "/a%3Fx%23y"),
            ("a;b=c\\d", "/b/a%3Bb%3Dc%5Cd", "/a%3Bb%3Dc%5Cd"),
            (
                "\u{e9}\u{1f980}",
                "/b/%C3%A9%F0%9F%A6%80",
                "/%C3%A9%F0%9F%A6%80",
            ),
            ("~-_.x", "/b/~-_.x", "/~-_.x"),
        ];
        for (key, in_path_style, in_virtual_style) in cases {
            let key = ObjectKey::parse(key).unwrap();
            let request = Outgoing::object(Method::GET, place("b", ""), &key).unwrap();
            assert_eq!(request.target(&request.path(true)), in_path_style);
            assert_eq!(request.target(&request.path(false)), in_virtual_style);
        }
        let bucket = Outgoing::bucket(Method::GET, place("b", ""))
            .query("list-type", "2")
            .query("prefix", "a/ +&=\u{e9}");
        assert_eq!(
            bucket.target(&bucket.path(true)),
            "/b?list-type=2&prefix=a%2F%20%2B%26%3D%C3%A9"
        );
        assert_eq!(Outgoing::service(Method::GET).path(true), "/");
    }

    proptest::proptest! {
        /// T50: the key that was authorised is the key that the upstream decodes, once.
        #[test]
        fn any_key_arrives_as_it_is(text in "[a-c%2eEfF./\\\\;?#+ &=\\PC]{1,40}") {
            let key = ObjectKey::parse(&text).unwrap();
            let request = Outgoing::object(Method::GET, place("b", "p/"), &key);
            if key.has_dot_segment() {
                proptest::prop_assert!(request.is_err());
                return Ok(());
            }
            let target = request.unwrap().query("versionId", text.as_str());
            let target = target.target(&target.path(true));
            let (path, query) = target.split_once('?').unwrap();
            let safe = |b: u8| b.is_ascii_alphanumeric() || b"-._~%/".contains(&b);
            proptest::prop_assert!(path.bytes().all(safe));
            let decoded = percent_encoding::percent_decode_str(path).decode_utf8().unwrap();
            proptest::prop_assert_eq!(decoded, format!("/b/p/{text}"));
            let value = query.strip_prefix("versionId=").unwrap();
            let decoded = percent_encoding::percent_decode_str(value).decode_utf8().unwrap();
            proptest::prop_assert_eq!(decoded, text);
            // What Pingora makes of it is the same text.
            let head = pingora_http::RequestHeader::build("GET", target.as_bytes(), None).unwrap();
            proptest::prop_assert_eq!(head.raw_path(), target.as_bytes());
        }
    }

    #[test]
    fn keys_that_could_become_others_are_not_sent() {
        for key in ["..", "a/../b", "a/.", "./a", "a\\..\\b"] {
            let key = ObjectKey::parse(key).unwrap();
            let error = Outgoing::object(Method::GET, place("b", ""), &key).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{key}");
        }
        let long = ObjectKey::parse(&"k".repeat(1020)).unwrap();
        assert!(mapped_key(place("b", "abc/"), &long).is_ok());
        let error = mapped_key(place("b", "abcd/"), &long).unwrap_err();
        assert_eq!(error.code(), ErrorCode::KeyTooLong);
    }

    #[test]
    fn t103_empty_segments_go_only_to_stores_that_keep_them() {
        let normalized = Place {
            keys: Keys::Normalized,
            ..place("b", "p/")
        };
        for (key, kept) in [
            ("a//b", false),
            ("/a", false),
            ("//", false),
            ("a/b/", true),
            ("a", true),
        ] {
            let key = ObjectKey::parse(key).unwrap();
            assert!(mapped_key(place("b", "p/"), &key).is_ok());
            let mapped = mapped_key(normalized, &key);
            assert_eq!(mapped.is_ok(), kept, "{key}");
        }
    }

    #[test]
    fn internal_metadata_is_not_a_clients() {
        let mut request = Outgoing::service(Method::PUT);
        let of = |name: &str| ObjectMetadata {
            user: vec![(name.to_owned(), "x".to_owned())],
            ..ObjectMetadata::default()
        };
        assert!(request.metadata(&of("colour_of")).is_ok());
        for name in ["Portcullis-Checksum", "portcullis_checksum"] {
            let error = request.metadata(&of(name)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{name}");
        }
    }

    #[test]
    fn values_cannot_split_a_head() {
        for bad in ["a\r\nx-amz-acl: public-read", "a\nb", "a\0", "\u{7f}"] {
            assert!(header_value("x-amz-meta-a", bad).is_err());
        }
        assert!(header_value("x-amz-meta-a", "caf\u{e9}\t").is_ok());
        assert!(header_name("x-amz-meta-a b").is_err());
    }

    #[test]
    fn copy_sources() {
        let source = |key: &str, version: Option<&str>| s3::call::CopySource {
            bucket: s3::BucketName::parse("ours").unwrap(),
            key: ObjectKey::parse(key).unwrap(),
            version_id: version.map(str::to_owned),
            conditions: ReadConditions::default(),
        };
        let text = |key, version| copy_source(place("b", "p/"), &source(key, version)).unwrap();
        assert_eq!(text("a b?versionId=x", None), "b/p/a%20b%3FversionId%3Dx");
        assert_eq!(text("a", Some("v/1")), "b/p/a?versionId=v%2F1");
        assert!(copy_source(place("b", ""), &source("a/../b", None)).is_err());
    }
}
