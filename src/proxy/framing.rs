//! From a Pingora session to a [`Head`]: strict message framing, before anything is believed.
//!
//! A request that two servers could read in two ways is refused and its connection closed (T47):
//! RFC 9112 lets a recipient be lenient, and leniency is what request smuggling lives on.

use http::{HeaderMap, Method, Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;

use crate::s3::{Error, ErrorCode, Head, Peer};

/// Reads the head out of a session whose header has been read.
///
/// # Errors
/// `BadRequest` and its like; the connection is not used again.
pub(super) fn head(session: &ServerSession, peer: Peer, most: usize) -> Result<Head, Error> {
    let request = session.req_header();
    match session.as_http1() {
        Some(h1) => {
            let raw = h1.get_headers_raw_bytes();
            at_most(raw.len(), most)?;
            strict_bytes(&raw)?;
        }
        None => at_most(as_http1(request), most)?,
    }
    strict_framing(&request.headers, request.version)?;
    known_method(&request.method)?;
    let raw = std::str::from_utf8(request.raw_path()).map_err(|_| ErrorCode::InvalidUri)?;
    let (target, absolute) = origin_form(raw)?;
    let host = host(
        &request.headers,
        request.uri.authority().map(http::uri::Authority::as_str),
        absolute,
    )?;
    let mut headers = request.headers.clone();
    if !headers.contains_key(header::HOST) {
        // HTTP/2 has `:authority`, which a signature covers as `host`.
        let value = http::HeaderValue::from_str(&host).map_err(|_| bad("the host is not valid"))?;
        headers.insert(header::HOST, value);
    }
    Head::new(request.method.clone(), target, host, headers, peer)
}

fn bad(reason: &'static str) -> Error {
    Error::new(ErrorCode::BadRequest).because(reason)
}

/// The refusal of a header section of more than `most` bytes.
pub(super) fn too_large(most: usize) -> Error {
    let error = Error::new(ErrorCode::RequestHeaderSectionTooLarge);
    error.detail("MaxSizeAllowed", most.to_string())
}

fn at_most(length: usize, most: usize) -> Result<(), Error> {
    match length > most {
        true => Err(too_large(most)),
        false => Ok(()),
    }
}

/// How many bytes this head would have in HTTP/1.1, so that a limit says the same in both versions:
/// what compression makes small is large to whoever works on it. More headers than HTTP/1.1 may have
/// are too many bytes.
fn as_http1(request: &RequestHeader) -> usize {
    /// The most headers of a request in HTTP/1.1, by Pingora's count.
    const MAX_HEADERS: usize = 256;
    if request.headers.len() > MAX_HEADERS {
        return usize::MAX;
    }
    let line = request.method.as_str().len() + request.raw_path().len() + "  HTTP/1.1\r\n".len();
    let authority =
        (request.uri.authority()).map_or(0, |host| host.as_str().len() + "host: \r\n".len());
    let headers = request.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    line + authority + headers + "\r\n".len()
}

/// What a lenient parser forgives and we don't: bare line feeds, folded lines, NUL.
fn strict_bytes(raw: &[u8]) -> Result<(), Error> {
    // A fragment is never sent; Pingora would drop it, and the key with it.
    // Parsers skip line ends before the request line.
    let begins = raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let line = raw.get(begins.unwrap_or(0)..).unwrap_or_default();
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if memchr::memchr(b'#', line).is_some() {
        return Err(ErrorCode::InvalidUri.into());
    }
    let mut lines = memchr::memchr3_iter(b'\r', b'\n', 0, raw);
    while let Some(at) = lines.next() {
        let after = raw.get(at..).unwrap_or_default();
        let ends = after.starts_with(b"\r\n") && lines.next().is_some();
        let folded = matches!(after.get(2), Some(b' ' | b'\t'));
        if !ends || folded {
            return Err(bad("a line does not end in CRLF, is folded, or holds NUL"));
        }
    }
    Ok(())
}

/// One length, said once, in one way.
fn strict_framing(headers: &HeaderMap, version: Version) -> Result<(), Error> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(bad("more than one content-length"));
    }
    if let Some(length) = length {
        let digits = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
        let number = length
            .to_str()
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        if !digits || number.is_none() {
            return Err(bad("content-length is not a number"));
        }
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => {}
        (Some(value), None)
            if value.as_bytes().eq_ignore_ascii_case(b"chunked") && version != Version::HTTP_10 => {
        }
        _ => return Err(bad("transfer-encoding is not exactly chunked")),
    }
    for name in [header::UPGRADE, header::TE, header::TRAILER] {
        let trailers = name == header::TE;
        let harmless =
            |v: &http::HeaderValue| trailers && v.as_bytes().eq_ignore_ascii_case(b"trailers");
        if headers.get_all(&name).iter().any(|value| !harmless(value)) {
            return Err(Error::new(ErrorCode::NotImplemented).detail("Header", name.as_str()));
        }
    }
    let mut expectations = headers.get_all(header::EXPECT).iter();
    // An empty one expects nothing.
    let met = |value: &http::HeaderValue| {
        value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"100-continue")
    };
    if expectations.any(|value| !met(value)) {
        return Err(ErrorCode::ExpectationFailed.into());
    }
    Ok(())
}

/// Pingora drops a Content-Length that stands beside a Transfer-Encoding before we see it, so both
/// are looked for in the bytes.
pub(super) fn both_lengths(session: &ServerSession) -> bool {
    let Some(h1) = session.as_http1() else {
        return false;
    };
    if !is_chunked(session.req_header()) {
        return false;
    }
    let raw = h1.get_headers_raw_bytes();
    let named = |line: &[u8]| {
        line.get(..15)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"content-length:"))
    };
    raw.split(|byte| *byte == b'\n').any(named)
}

/// Whether the client means one request per connection: HTTP/1.0 does unless it says otherwise, and
/// reads an answer to the connection's end.
pub(super) fn is_single(request: &RequestHeader) -> bool {
    let mut said = request.headers.get_all(header::CONNECTION).iter();
    let keeps = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    request.version < Version::HTTP_11 && !said.any(keeps)
}

/// Whether the body comes in chunks.
pub(super) fn is_chunked(request: &RequestHeader) -> bool {
    request.headers.contains_key(header::TRANSFER_ENCODING)
}

fn known_method(method: &Method) -> Result<(), Error> {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::PUT
        | Method::POST
        | Method::DELETE
        | Method::OPTIONS => Ok(()),
        _ => Err(Error::new(ErrorCode::MethodNotAllowed).detail("Method", method.as_str())),
    }
}

/// The path and query, and the authority when the target came in absolute form.
fn origin_form(raw: &str) -> Result<(&str, Option<&str>), Error> {
    if raw.starts_with('/') {
        return Ok((raw, None));
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| raw.strip_prefix(scheme));
    let rest = rest.ok_or(ErrorCode::InvalidUri)?;
    match rest.find('/') {
        Some(at) => match rest.split_at_checked(at) {
            Some((authority, target)) => Ok((target, Some(authority))),
            None => Err(ErrorCode::InvalidUri.into()),
        },
        None => Ok(("/", Some(rest))),
    }
}

/// The one host of a request; two that disagree are refused (T52).
fn host(
    headers: &HeaderMap,
    authority: Option<&str>,
    absolute: Option<&str>,
) -> Result<String, Error> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("more than one host"));
    }
    let first = match first {
        Some(value) => Some(value.to_str().map_err(|_| bad("the host is not valid"))?),
        None => None,
    };
    let mut named = [first, authority, absolute].into_iter().flatten();
    let host = named.next().ok_or_else(|| bad("no host"))?;
    if named.any(|other| !other.eq_ignore_ascii_case(host)) {
        return Err(bad("the host and the authority disagree"));
    }
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_');
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(bad("the host is not valid"));
    }
    Ok(host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(*name, value);
            }
        }
        headers
    }

    #[test]
    fn t47_framing_is_said_once_in_one_way() {
        let good: [&[(&'static str, &str)]; 4] = [
            &[],
            &[("content-length", "5")],
            &[("transfer-encoding", "chunked")],
            &[("te", "trailers"), ("expect", "100-continue")],
        ];
        for pairs in good {
            assert!(
                strict_framing(&headers(pairs), Version::HTTP_11).is_ok(),
                "{pairs:?}"
            );
        }
        let bad: [&[(&'static str, &str)]; 12] = [
            &[("content-length", "5"), ("content-length", "5")],
            &[("content-length", "+5")],
            &[("content-length", "5,5")],
            &[("content-length", "")],
            &[("content-length", "99999999999999999999")],
            &[("transfer-encoding", "chunked, identity")],
            &[("transfer-encoding", "xchunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            &[("upgrade", "h2c")],
            &[("expect", "200-ok")],
            &[("te", "gzip")],
        ];
        for pairs in bad {
            assert!(
                strict_framing(&headers(pairs), Version::HTTP_11).is_err(),
                "{pairs:?}"
            );
        }
        let chunked = headers(&[("transfer-encoding", "chunked")]);
        assert!(strict_framing(&chunked, Version::HTTP_10).is_err());
    }

    #[test]
    fn t47_lines_end_in_crlf() {
        let good = b"GET / HTTP/1.1\r\nhost: a\r\nx: y z\t\r\n\r\n";
        assert!(strict_bytes(good).is_ok());
        for raw in [
            &b"GET / HTTP/1.1\nhost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nhost: a\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\0\r\n\r\n",
        ] {
            assert!(strict_bytes(raw).is_err(), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn t52_a_target_has_no_fragment() {
        for before in ["", "\r\n", "\r\n\r\n"] {
            let of = |target| {
                strict_bytes(format!("{before}GET {target} HTTP/1.1\r\nx: #\r\n\r\n").as_bytes())
            };
            assert!(of("/a%23b").is_ok());
            let refused = of("/a#b").map_err(|error| error.code());
            assert_eq!(refused, Err(ErrorCode::InvalidUri), "{before:?}");
        }
    }

    #[test]
    fn t94_a_head_is_as_long_in_either_version() {
        let raw = "PUT /bucket/key?x=1 HTTP/1.1\r\nhost: a.example\r\nx-a: 12\r\nx-a: 3\r\n\r\n";
        let path = "https://a.example/bucket/key?x=1";
        let mut request = http::Request::put(path).body(()).map(|r| r.into_parts().0);
        if let Ok(parts) = &mut request {
            parts.headers = headers(&[("x-a", "12"), ("x-a", "3")]);
        }
        let request = request.map(RequestHeader::from);
        assert_eq!(request.map(|r| as_http1(&r)).ok(), Some(raw.len()));
        assert!(at_most(10, 10).is_ok() && at_most(11, 10).is_err());
    }

    #[test]
    fn t52_hosts_agree() {
        let one = headers(&[("host", "a.example:9000")]);
        assert_eq!(
            host(&one, None, None).ok().as_deref(),
            Some("a.example:9000")
        );
        assert!(host(&one, Some("A.example:9000"), None).is_ok());
        assert!(host(&one, Some("b.example"), None).is_err());
        assert!(host(&one, None, Some("b.example")).is_err());
        assert!(host(&headers(&[]), None, None).is_err());
        assert!(host(&headers(&[("host", "a"), ("host", "a")]), None, None).is_err());
        for bad in ["", "a b", "a/b", "a@b", "a,b"] {
            assert!(
                host(&headers(&[("host", bad)]), None, None).is_err(),
                "{bad}"
            );
        }
    }
}
