//! The small texts in headers: ranges, dates, conditions, copy sources, checksums, scopes, sizes.
//!
//! The first byte says which; the rest is the text. What is read is written and read again as the
//! same, and means what a plain reading of its RFC says.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use portcullis::s3::time::{
    amz_date, http_date, iso8601, parse_amz_date, parse_http_date, parse_iso8601,
};
use portcullis::s3::{
    Addressing, ByteRange, Call, Checksum, ChecksumAlgorithm, ETag, Head, ObjectKey, Payload,
    ReadConditions, Request, Verdict,
};
use portcullis::sigv4::{CredentialScope, encode, encode_path};
use portcullis_fuzz::{now, peer};
use time::OffsetDateTime;

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    match kind {
        b'r' => range(text),
        b'd' => dates(text),
        b'c' => conditions(text),
        b's' => copy_source(text),
        b'g' => copy_range(text),
        b'x' => checksum(text),
        b'p' => payload(text),
        b'k' => scope(text),
        b'e' => escapes(text),
        _ => {}
    }
});

fn range(text: &str) {
    let Some(range) = ByteRange::parse(text) else {
        return;
    };
    assert_eq!(ByteRange::parse(&range.to_string()), Some(range));
    let plain = |b: u8| b.is_ascii_digit() || b == b'-';
    let spec = text.trim().strip_prefix("bytes=").expect("the only unit");
    assert!(
        spec.bytes().all(plain) && spec.matches('-').count() == 1,
        "{text:?}"
    );
    for size in [0, 1, 2, 10, 4096, u64::MAX / 2, u64::MAX] {
        let satisfiable = match range {
            ByteRange::FromTo(first, _) | ByteRange::From(first) => first < size,
            ByteRange::Suffix(length) => length > 0,
        };
        let Ok(bytes) = range.resolve(size) else {
            assert!(!satisfiable, "{text:?} of {size}");
            continue;
        };
        let Some(bytes) = bytes else {
            assert!(size == 0 && range.is_of_the_end(), "{text:?} of {size}");
            continue;
        };
        assert!(satisfiable && bytes.first <= bytes.last && bytes.last < size);
        assert_eq!(bytes.length(), bytes.last - bytes.first + 1);
        match range {
            ByteRange::FromTo(first, last) => {
                assert_eq!((bytes.first, bytes.last), (first, last.min(size - 1)));
            }
            ByteRange::From(first) => assert_eq!((bytes.first, bytes.last), (first, size - 1)),
            ByteRange::Suffix(length) => assert_eq!(bytes.length(), length.min(size)),
        }
    }
}

/// Whatever can be read as a time can be written in every form: a client's goes on to an upstream,
/// an upstream's goes back to a client.
fn dates(text: &str) {
    type Read = fn(&str) -> Option<OffsetDateTime>;
    let forms: [Read; 3] = [parse_http_date, parse_iso8601, parse_amz_date];
    for at in forms.iter().filter_map(|parse| parse(text)) {
        let (http, iso, amz) = (http_date(at), iso8601(at), amz_date(at));
        // Years beyond four digits have no place in these forms.
        if !(0..=9999).contains(&at.year()) {
            continue;
        }
        let seconds = Some(at.unix_timestamp());
        for (parse, written) in forms.iter().zip([http, iso, amz]) {
            let again = parse(&written).map(OffsetDateTime::unix_timestamp);
            assert_eq!(again, seconds, "{text:?} became {written:?}");
        }
    }
}

fn request(method: Method, target: &str, name: &'static str, value: &str) -> Option<Request> {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    headers.insert(HeaderName::from_static(name), value);
    let head = Head::new(method, target, "localhost".to_owned(), headers, peer()).ok()?;
    Request::parse(head, &Addressing::default()).ok()
}

fn read_conditions(name: &'static str, value: &str) -> Option<ReadConditions> {
    match request(Method::GET, "/bucket/key", name, value)?.call {
        Call::GetObject(call) => Some(call.conditions),
        _ => None,
    }
}

fn conditions(text: &str) {
    let other = ETag("no tag of a client".to_owned());
    let any = |tags: &[ETag]| tags.iter().any(|tag| tag.0 == "*" || *tag == other);
    if let Some(conditions) = read_conditions("if-match", text) {
        let tags = conditions
            .if_match
            .clone()
            .expect("a list, whatever it says");
        for tag in &tags {
            assert_eq!(conditions.verdict(tag, now()), Verdict::Proceed);
        }
        let verdict = if any(&tags) {
            Verdict::Proceed
        } else {
            Verdict::Failed
        };
        assert_eq!(conditions.verdict(&other, now()), verdict);
    }
    if let Some(conditions) = read_conditions("if-none-match", text) {
        let tags = conditions
            .if_none_match
            .clone()
            .expect("a list, whatever it says");
        for tag in &tags {
            assert_eq!(conditions.verdict(tag, now()), Verdict::NotModified);
        }
        let verdict = if any(&tags) {
            Verdict::NotModified
        } else {
            Verdict::Proceed
        };
        assert_eq!(conditions.verdict(&other, now()), verdict);
    }
    for (name, before, after) in [
        ("if-modified-since", Verdict::NotModified, Verdict::Proceed),
        ("if-unmodified-since", Verdict::Proceed, Verdict::Failed),
    ] {
        let Some(conditions) = read_conditions(name, text) else {
            continue;
        };
        let Some(since) = conditions
            .if_modified_since
            .or(conditions.if_unmodified_since)
        else {
            assert!(conditions.is_empty());
            continue;
        };
        let verdict = if now().unix_timestamp() <= since.unix_timestamp() {
            before
        } else {
            after
        };
        assert_eq!(
            conditions.verdict(&other, now()),
            verdict,
            "{name}: {text:?}"
        );
    }
    if let Some(request) = request(Method::PUT, "/bucket/key", "if-none-match", text) {
        let Call::PutObject(call) = request.call else {
            panic!("not a PutObject");
        };
        assert!(
            call.conditions.if_none_match,
            "a condition that nobody checks"
        );
    }
}

fn copy_source(text: &str) {
    let read = |value: &str| {
        let request = request(Method::PUT, "/target/key", "x-amz-copy-source", value)?;
        match request.call {
            Call::CopyObject(call) => Some(call.source),
            other => panic!("a copy source became {other:?}"),
        }
    };
    let Some(source) = read(text) else { return };
    assert!(ObjectKey::parse(source.key.as_str()).is_ok());
    let mut rendered = Vec::new();
    encode_path(&format!("/{}/{}", source.bucket, source.key), &mut rendered);
    let mut rendered = String::from_utf8(rendered).expect("ASCII");
    if let Some(version) = &source.version_id {
        assert!(!version.is_empty());
        rendered = format!("{rendered}?versionId={}", encode(version));
    }
    assert_eq!(
        read(&rendered),
        Some(source),
        "{text:?} became {rendered:?}"
    );
}

fn copy_range(text: &str) {
    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else {
        return;
    };
    headers.insert("x-amz-copy-source", HeaderValue::from_static("/source/key"));
    headers.insert("x-amz-copy-source-range", value);
    let (host, target) = (
        "localhost".to_owned(),
        "/bucket/key?partNumber=1&uploadId=u",
    );
    let head = Head::new(Method::PUT, target, host, headers, peer()).expect("a good head");
    let Ok(request) = Request::parse(head, &Addressing::default()) else {
        return;
    };
    let Call::UploadPartCopy(call) = request.call else {
        panic!("a part's copy became {:?}", request.call);
    };
    let (first, last) = call.range.expect("a range that was sent is not overlooked");
    assert!(first <= last);
    assert_eq!(ByteRange::parse(text), Some(ByteRange::FromTo(first, last)));
}

fn checksum(text: &str) {
    for algorithm in ChecksumAlgorithm::ALL {
        if let Some(checksum) = Checksum::parse(algorithm, text) {
            assert_eq!(checksum.digest().len(), algorithm.length());
            assert_eq!(
                Checksum::parse(algorithm, &checksum.base64()),
                Some(checksum)
            );
        }
    }
}

fn payload(text: &str) {
    let Some(request) = request(Method::PUT, "/bucket/key", "x-amz-content-sha256", text) else {
        return;
    };
    let named = match request.payload {
        Payload::Absent => panic!("a payload mode was overlooked"),
        Payload::Sha256(digest) => {
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(text, hex);
            return;
        }
        Payload::Unsigned => "UNSIGNED-PAYLOAD",
        Payload::SignedChunks => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        Payload::SignedChunksTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        Payload::UnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    };
    assert_eq!(text, named);
}

fn scope(text: &str) {
    if let Ok((id, scope)) = CredentialScope::parse_credential(text) {
        assert_eq!(format!("{id}/{scope}"), text);
        let parts = [&scope.date, &scope.region, &scope.service];
        assert!(!id.is_empty() && !parts.iter().any(|part| part.contains('/')));
    }
}

/// Any key comes back from the forms it is sent and shown in.
fn escapes(text: &str) {
    let Ok(key) = ObjectKey::parse(text) else {
        return;
    };
    let mut path = Vec::new();
    encode_path(&format!("/bucket/{key}"), &mut path);
    let path = String::from_utf8(path).expect("ASCII");
    let head = Head::new(Method::GET, &path, String::new(), HeaderMap::new(), peer());
    assert_eq!(
        head.expect("what was encoded").path,
        format!("/bucket/{key}")
    );
    let token = portcullis::s3::continuation_token(text);
    let target = format!(
        "/bucket?list-type=2&continuation-token={token}&prefix={}",
        encode(text)
    );
    let head = Head::new(
        Method::GET,
        &target,
        String::new(),
        HeaderMap::new(),
        peer(),
    );
    let request = Request::parse(head.expect("what was encoded"), &Addressing::default());
    let Ok(Call::ListObjectsV2(call)) = request.map(|request| request.call) else {
        panic!("not a listing: {target}");
    };
    assert_eq!(
        (call.prefix.as_str(), call.after.as_deref()),
        (text, Some(text))
    );
}
