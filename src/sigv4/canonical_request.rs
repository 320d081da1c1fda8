//! The canonical request: what a signature covers, in one unambiguous text.
//!
//! In S3's flavour: the path is percent-encoded exactly once from its decoded form and never
//! normalised, so that `//` and `..` in a key stay what they are.

use http::{HeaderMap, Method};

use crate::crypto;

/// The text that is hashed into the string to sign.
#[derive(Clone)]
pub struct CanonicalRequest(Vec<u8>);

impl CanonicalRequest {
    /// Builds it from decoded parts. `signed_headers` are lower-case names in order; `payload` is
    /// the value of `x-amz-content-sha256` or what stands for it.
    #[must_use]
    pub fn new<'q>(
        method: &Method,
        path: &str,
        query: impl Iterator<Item = (&'q str, &'q str)>,
        headers: &HeaderMap,
        signed_headers: &[&str],
        payload: &str,
    ) -> Self {
        let mut text = Vec::with_capacity(512);
        text.extend_from_slice(method.as_str().as_bytes());
        text.push(b'\n');
        encode_path(path, &mut text);
        text.push(b'\n');
        canonical_query(query, &mut text);
        text.push(b'\n');
        for name in signed_headers {
            canonical_header(headers, name, &mut text);
        }
        text.push(b'\n');
        for (at, name) in signed_headers.iter().enumerate() {
            if at > 0 {
                text.push(b';');
            }
            text.extend_from_slice(name.as_bytes());
        }
        text.push(b'\n');
        text.extend_from_slice(payload.as_bytes());
        Self(text)
    }

    /// Its SHA-256.
    #[must_use]
    pub fn digest(&self) -> [u8; crypto::SHA256_LENGTH] {
        crypto::sha256(&self.0)
    }

    /// The text itself, which S3 answers to a client whose signature did not match. It holds what
    /// the client sent, security token included, and nothing else.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl std::fmt::Debug for CanonicalRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CanonicalRequest(***)")
    }
}

/// One header: values of repeated headers joined by commas in their order, outer white space
/// trimmed, inner runs of spaces made one.
fn canonical_header(headers: &HeaderMap, name: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(name.as_bytes());
    to.push(b':');
    for (at, value) in headers.get_all(name).iter().enumerate() {
        if at > 0 {
            to.push(b',');
        }
        collapse(value.as_bytes(), to);
    }
    to.push(b'\n');
}

fn collapse(value: &[u8], to: &mut Vec<u8>) {
    let value = value.trim_ascii();
    // Most have no space at all.
    if memchr::memchr(b' ', value).is_none() {
        to.extend_from_slice(value);
        return;
    }
    let mut space = false;
    for &byte in value {
        let is_space = byte == b' ';
        if !(is_space && space) {
            to.push(byte);
        }
        space = is_space;
    }
}

/// Pairs percent-encoded, then sorted by encoded name and value.
fn canonical_query<'q>(query: impl Iterator<Item = (&'q str, &'q str)>, to: &mut Vec<u8>) {
    let mut pairs: Vec<(String, String)> = query
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            to.push(b'&');
        }
        to.extend_from_slice(name.as_bytes());
        to.push(b'=');
        to.extend_from_slice(value.as_bytes());
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len().saturating_add(8));
    for byte in text.bytes() {
        if unreserved(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(escape(byte).map(char::from));
        }
    }
    encoded
}

/// Percent-encodes a path once, leaving its slashes.
pub fn encode_path(path: &str, to: &mut Vec<u8>) {
    for byte in path.bytes() {
        if unreserved(byte) || byte == b'/' {
            to.push(byte);
        } else {
            to.extend_from_slice(&escape(byte));
        }
    }
}

/// `%` and two digits: without `format!`, which takes ten times as long.
fn escape(byte: u8) -> [u8; 3] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'0');
    [b'%', digit(byte >> 4), digit(byte & 15)]
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn canonical_form() {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-meta-a", HeaderValue::from_static("  b   c  "));
        headers.append("x-amz-meta-a", HeaderValue::from_static("d"));
        headers.append("host", HeaderValue::from_static("h"));
        let query = [("b", "1 2"), ("a", ""), ("a", "\u{e9}"), ("a-b", "/")];
        let canonical = CanonicalRequest::new(
            &Method::GET,
            "/a b/../c//+\u{e9}",
            query.into_iter(),
            &headers,
            &["host", "x-amz-meta-a"],
            "UNSIGNED-PAYLOAD",
        );
        let expected = "GET\n/a%20b/../c//%2B%C3%A9\na=&a=%C3%A9&a-b=%2F&b=1%202\nhost:h\nx-amz-meta-a:b c,d\n\nhost;x-amz-meta-a\nUNSIGNED-PAYLOAD";
        assert_eq!(canonical.text(), expected);
    }
}
