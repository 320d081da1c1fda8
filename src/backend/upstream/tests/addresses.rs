//! T50: from the target that a client writes to the target that an upstream reads, over every string of
//! a few odd pieces: one key, or a refusal.

use super::request::Outgoing;
use super::*;
use crate::s3::{Addressing, Call, Head, Peer, Request as Parsed};
use http::{HeaderMap, HeaderValue, Method};

const PIECES: [&str; 12] = [
    ".", "/", "//", "%2e", "%2f", "%5c", "\\", ";", "#", "%00", "a", "?",
];

/// What is authorised and stored: the key of a GET of `target`.
fn key_of(target: &str) -> Result<Option<ObjectKey>, ErrorCode> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("gate"));
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        secure: true,
        tls_version: None,
    };
    let head = Head::new(Method::GET, target, "gate".to_owned(), headers, peer);
    let parsed = head.and_then(|head| Parsed::parse(head, &Addressing::default()));
    match parsed.map_err(|error| error.code())?.call {
        Call::GetObject(call) => Ok(Some(call.key)),
        Call::ListObjects(_) => Ok(None),
        other => panic!("{target} became {other:?}"),
    }
}

/// The percent-decoded text, by definition; `None` where a NUL is in it.
fn decoded(text: &str) -> Option<String> {
    let text = [("%2e", "."), ("%2f", "/"), ("%5c", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    (!text.contains("%00")).then_some(text)
}

fn check(written: &str, forwarded: &mut usize) {
    let target = format!("/bucket/{written}");
    let found = key_of(&target);
    let (path, query) = written.split_once('?').unwrap_or((written, ""));
    let key = decoded(path).filter(|_| !written.contains('#'));
    // An empty query is none, and no other of these is a word of any operation: where an object is read,
    // it is passed over.
    let plain = query.is_empty();
    match (found, key) {
        (Err(code), key) if !plain || key.is_none() => {
            let refusals = [
                ErrorCode::InvalidUri,
                ErrorCode::NotImplemented,
                ErrorCode::InvalidArgument,
            ];
            assert!(refusals.contains(&code), "{target}: {code:?}");
        }
        (Ok(None), Some(key)) if plain => assert_eq!(key, "", "{target}"),
        (Ok(Some(found)), Some(key)) => {
            assert_eq!(found.as_str(), key, "{target}");
            let place = mapping::Place {
                bucket: "theirs",
                prefix: "",
                keys: Keys::Exact,
            };
            let dotted = key
                .split(['/', '\\'])
                .any(|part| part == "." || part == "..");
            match Outgoing::object(Method::GET, place, &found) {
                Err(_) => assert!(dotted, "{target} was refused"),
                Ok(outgoing) => {
                    assert!(!dotted, "{target} was not refused");
                    let sent = outgoing.target(&outgoing.path(true));
                    let read = percent_encoding::percent_decode_str(&sent).decode_utf8();
                    assert_eq!(read.unwrap(), format!("/theirs/{key}"), "{target}");
                    *forwarded += 1;
                }
            }
        }
        (found, _) => panic!("{target}: {found:?}"),
    }
}

/// Up to six pieces: 3,257,436 strings.
#[test]
fn t50_every_string_of_odd_pieces_is_one_key_or_none() {
    let (mut checked, mut forwarded) = (0_usize, 0_usize);
    for length in 1..=6 {
        for number in 0..PIECES.len().pow(length) {
            let mut rest = number;
            let mut written = String::new();
            for _ in 0..length {
                written.push_str(PIECES[rest % PIECES.len()]);
                rest /= PIECES.len();
            }
            check(&written, &mut forwarded);
            checked += 1;
        }
    }
    assert_eq!(checked, 3_257_436);
    assert!(forwarded * 10 > checked, "{forwarded}");
}
