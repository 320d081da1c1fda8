//! A request's head as it arrived: untrusted, unnormalised, exactly what a signature covers.

use super::{Error, ErrorCode};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use std::net::IpAddr;

/// What a request knows of the wire it came on.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The client's address: from the connection, or from a trusted proxy in front of us.
    pub address: IpAddr,
    /// Whether the client's bytes came under TLS.
    pub secure: bool,
    /// The TLS protocol version as in `1.3`, when `secure`.
    pub tls_version: Option<&'static str>,
}

/// A query string, parsed once. Whatever it holds, looking a key up is cheap: anyone may send one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    // In the order they arrived.
    pairs: Vec<(String, String)>,
    // Places in `pairs`, by key and then as they arrived.
    sorted: Vec<usize>,
}

impl Query {
    /// Parses `raw`, the text after `?`. A `+` is a space, a key without `=` has an empty value.
    ///
    /// # Errors
    /// `InvalidURI` for a broken escape or for what does not decode to UTF-8.
    pub fn parse(raw: &str) -> Result<Self, Error> {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode_form(name)?, decode_form(value)?))
        });
        let pairs = decoded.collect::<Result<Vec<_>, Error>>()?;
        let mut sorted: Vec<usize> = (0..pairs.len()).collect();
        sorted.sort_by_key(|at| pairs.get(*at).map(|(key, _)| key.as_str()));
        Ok(Self { pairs, sorted })
    }

    fn at(&self, place: usize) -> Option<(&str, &str)> {
        let (key, value) = self.pairs.get(*self.sorted.get(place)?)?;
        Some((key, value))
    }

    /// The value of `name`'s first occurrence. Keys are case-sensitive.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let before = |at: &usize| self.pairs.get(*at).is_some_and(|(key, _)| **key < *name);
        let (key, value) = self.at(self.sorted.partition_point(before))?;
        (key == name).then_some(value)
    }

    /// Whether `name` is there, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Every pair, decoded, in the order it arrived.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Keys that occur more than once, in the order of the alphabet.
    pub fn repeated(&self) -> impl Iterator<Item = &str> {
        let neighbours = (1..self.sorted.len()).map(|place| (self.at(place - 1), self.at(place)));
        neighbours.filter_map(|pair| match pair {
            (Some((before, _)), Some((key, _))) if before == key => Some(key),
            _ => None,
        })
    }
}

/// A key or a value of a query: a `+` is a space.
fn decode_form(text: &str) -> Result<String, Error> {
    match text.contains('+') {
        true => decode(&text.replace('+', " ")),
        false => decode(text),
    }
}

/// Percent-decodes `text` strictly: every `%` starts two hexadecimal digits, and the result is
/// UTF-8. A `+` stays a `+`.
///
/// # Errors
/// `InvalidURI`.
pub(crate) fn decode(text: &str) -> Result<String, Error> {
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        let hex = |b: Option<&u8>| b.is_some_and(u8::is_ascii_hexdigit);
        if *byte == b'%' && !(hex(rest.next()) && hex(rest.next())) {
            return Err(ErrorCode::InvalidUri.into());
        }
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| ErrorCode::InvalidUri.into())
}

/// The query key that makes a request a presigned one.
const SIGNATURE: &str = "X-Amz-Signature";

/// A request's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The path as it stood on the wire, still percent-encoded, starting with `/`.
    pub raw_path: String,
    /// The path, percent-decoded once.
    pub path: String,
    /// The query, decoded.
    pub query: Query,
    // Every header as it arrived; names in lower case. Not changed: `marks` speaks of them.
    headers: HeaderMap,
    /// `Host`, or HTTP/2's `:authority`, as it arrived.
    pub host: String,
    /// The wire it came on.
    pub peer: Peer,
    // The `x-amz-*` headers that a presigner moved into the query, by lower-case name.
    hoisted: Vec<(String, String)>,
    presigned: bool,
    // One bit for every name in `headers`: most that are asked for did not come, and this says so
    // without a look into the map.
    marks: u64,
}

/// The most pairs of a query: more than any operation knows, with as much metadata moved into it as an
/// object may have in words.
const MAX_PAIRS: usize = 128;

/// The bit of a header's name.
fn mark(name: &str) -> u64 {
    let name = name.as_bytes();
    let middle = name.get(name.len() / 2).copied().unwrap_or_default();
    let last = name.last().copied().unwrap_or_default();
    let mixed = usize::from(middle) * 7 + usize::from(last) * 3 + name.len();
    1 << (mixed % 64)
}

impl Head {
    /// Takes a head in. `raw_target` is the request target in origin form.
    ///
    /// # Errors
    /// `InvalidURI` when path or query don't decode, `InvalidArgument` where the query has too many
    /// parameters.
    pub fn new(
        method: Method,
        raw_target: &str,
        host: String,
        headers: HeaderMap,
        peer: Peer,
    ) -> Result<Self, Error> {
        let (raw_path, raw_query) = raw_target.split_once('?').unwrap_or((raw_target, ""));
        if !raw_path.starts_with('/') || raw_target.contains('#') {
            return Err(ErrorCode::InvalidUri.into());
        }
        if raw_query.split('&').nth(MAX_PAIRS).is_some() {
            let message = "A request has at most 128 query parameters";
            return Err(Error::with_message(ErrorCode::InvalidArgument, message));
        }
        let marks = headers.keys().map(|name| mark(name.as_str()));
        let query = Query::parse(raw_query)?;
        let presigned =
            query.has(SIGNATURE) || (query.has("Signature") && query.has("AWSAccessKeyId"));
        Ok(Self {
            marks: marks.fold(0, |all, bit| all | bit),
            method,
            path: decode(raw_path)?,
            raw_path: raw_path.to_owned(),
            hoisted: if presigned {
                hoisted(&query)
            } else {
                Vec::new()
            },
            presigned,
            query,
            headers,
            host,
            peer,
        })
    }

    /// Every header as it arrived; names in lower case.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether this is a presigned request: the signature stands in the query.
    #[must_use]
    pub fn is_presigned(&self) -> bool {
        self.presigned
    }

    /// Whether the signature in the query is one of Version 2.
    #[must_use]
    pub fn is_presigned_by_version_two(&self) -> bool {
        self.presigned && !self.query.has(SIGNATURE)
    }

    /// Whether `key` is one of the query keys that carry a Signature Version 4.
    #[must_use]
    pub fn is_signature_parameter(key: &str) -> bool {
        const KEYS: [&str; 7] = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-Security-Token",
            SIGNATURE,
            "X-Amz-SignedHeaders",
        ];
        KEYS.contains(&key)
    }

    /// Whether a query key is an `x-amz-*` header that a presigner moved into the query. The
    /// signature covers the whole query, so it counts as that header, but for a checksum.
    #[must_use]
    pub fn is_hoisted(key: &str) -> bool {
        let prefix = key.as_bytes().get(..6);
        prefix.is_some_and(|p| p.eq_ignore_ascii_case(b"x-amz-"))
            && !Self::is_signature_parameter(key)
    }

    /// Whether a query key says the checksum of a body. S3 passes those over: presigners make them
    /// before there is a body, of none at all.
    fn is_checksum(key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        match key.strip_prefix("x-amz-checksum-") {
            Some(rest) => !matches!(rest, "algorithm" | "mode" | "type"),
            None => key == "x-amz-sdk-checksum-algorithm",
        }
    }

    /// Whether header `name` arrived, as a header or moved into a presigned query.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        (self.may_have(name) && self.headers.contains_key(name))
            || self.hoisted(name).next().is_some()
    }

    /// `false` says that no header `name` came; `true` says nothing.
    fn may_have(&self, name: &str) -> bool {
        self.marks & mark(name) != 0
    }

    /// Every value that header `name`, in lower case, has in a presigned query.
    pub fn hoisted<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        let first = self.hoisted.partition_point(|(key, _)| key.as_str() < name);
        let rest = self.hoisted.get(first..).unwrap_or_default().iter();
        let named = rest.take_while(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Every `x-amz-*` header by its lower-case name, as a header or moved into a presigned query. One
    /// that is in both places comes twice.
    pub fn amz_names(&self) -> impl Iterator<Item = &str> {
        let sent = self
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .filter(|n| n.starts_with("x-amz-"));
        let mut before = None;
        let hoisted = self.hoisted.iter().map(|(name, _)| name.as_str());
        let once = hoisted.filter(move |name| before.replace(*name) != Some(*name));
        sent.chain(once)
    }

    /// The text of header `name` where it occurs once. An `x-amz-*` header may have been moved into
    /// the query of a presigned request, never be in both places.
    ///
    /// # Errors
    /// `InvalidArgument` naming the header when it is repeated or not UTF-8 text.
    pub fn header(&self, name: &'static str) -> Result<Option<&str>, Error> {
        let mut hoisted = self.hoisted(name);
        let moved = match (hoisted.next(), hoisted.next()) {
            (moved, None) => moved,
            _ => return Err(invalid_header(name)),
        };
        if !self.may_have(name) {
            return Ok(moved);
        }
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next(), moved) {
            (None, _, moved) => Ok(moved),
            (Some(value), None, None) => text(value).map(Some).ok_or_else(|| invalid_header(name)),
            _ => Err(invalid_header(name)),
        }
    }
}

/// What stands in a presigned query for headers, sorted by name.
fn hoisted(query: &Query) -> Vec<(String, String)> {
    let moved = query
        .pairs()
        .filter(|(key, _)| Head::is_hoisted(key) && !Head::is_checksum(key));
    let mut moved: Vec<(String, String)> = moved
        .map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()))
        .collect();
    moved.sort_by(|(a, _), (b, _)| a.cmp(b));
    moved
}

/// A header's value as UTF-8 text, which is what SDKs send for metadata beyond ASCII.
pub(crate) fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

fn invalid_header(name: &'static str) -> Error {
    Error::with_message(
        ErrorCode::InvalidArgument,
        "a header is repeated or is not text",
    )
    .detail("ArgumentName", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let query = Query::parse("prefix=a%2Fb+c&acl&x=&&=v").ok();
        let pairs: Vec<_> = query.iter().flat_map(Query::pairs).collect();
        assert_eq!(
            pairs,
            [("prefix", "a/b c"), ("acl", ""), ("x", ""), ("", "v")]
        );
        for broken in ["a=%", "a=%2", "a=%zz", "%ff=1", "a=%c3%28"] {
            assert!(Query::parse(broken).is_err(), "{broken}");
        }
        assert_eq!(
            Query::parse("a=1&b=2&a=3")
                .ok()
                .and_then(|q| q.repeated().next().map(str::to_owned)),
            Some("a".to_owned())
        );
        assert_eq!(
            Query::parse("a=1&A=2")
                .ok()
                .and_then(|q| q.repeated().next().map(str::to_owned)),
            None
        );
    }

    #[test]
    fn paths_decode_once() {
        for (raw, decoded) in [
            ("/b/%2561", "/b/%61"),
            ("/b/a+b", "/b/a+b"),
            ("/b//x", "/b//x"),
            ("/b/%2e%2e/x", "/b/../x"),
        ] {
            assert_eq!(decode(raw).ok().as_deref(), Some(decoded));
        }
    }
}
