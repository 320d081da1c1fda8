//! What a link is signed with, wherever a client's text holds it: whoever reads events could use it.

use std::borrow::Cow;

use crate::audit::bounded;

/// What a link's parameters are called that prove something. The second version's could be many a word, and
/// is one only as a parameter, or where the access key stands with it: however an `&` is written in other
/// languages' texts.
const AMZ: [&str; 2] = ["X-Amz-Signature", "X-Amz-Security-Token"];
const V2: &str = "Signature=";
const V2_KEY: &str = "AWSAccessKeyId";

/// A text that a client chose, bounded, and without what a link is signed with from where that begins: it
/// stands there where a client has encoded the link's `?`, once or more often.
pub(super) fn told(text: &str) -> Cow<'_, str> {
    let text = bounded(text);
    match begins(text).and_then(|at| text.get(..at)) {
        Some(before) => Cow::Owned(format!("{before}[a link's signature]")),
        None => Cow::Borrowed(text),
    }
}

/// Where it begins, if it does.
fn begins(text: &str) -> Option<usize> {
    if !text.contains('%') {
        return found(text.as_bytes());
    }
    // What is left once nothing more can be decoded, each byte with where it begins in the text.
    let mut decoded: Vec<(u8, usize)> = Vec::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        decoded.push((byte, at));
        while let [.., (b'%', at), (high, _), (low, _)] = *decoded
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            decoded.truncate(decoded.len().saturating_sub(3));
            decoded.push((high << 4 | low, at));
        }
    }
    let bytes: Vec<u8> = decoded.iter().map(|(byte, _)| *byte).collect();
    let (_, at) = decoded.get(found(&bytes)?)?;
    Some(*at)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// Where it begins in what is decoded. Names are taken as they come: not everybody minds their case.
fn found(text: &[u8]) -> Option<usize> {
    let begins = |text: &[u8], name: &str| {
        let beginning = text.get(..name.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(name.as_bytes()))
    };
    let has_key = (0..text.len()).any(|at| text.get(at..).is_some_and(|text| begins(text, V2_KEY)));
    (0..text.len()).find(|at| match text.get(*at..) {
        Some(rest @ [b'x' | b'X', ..]) => AMZ.iter().any(|name| begins(rest, name)),
        Some([b'&' | b'?' | b';', rest @ ..]) => begins(rest, V2),
        Some(rest @ [b's' | b'S', ..]) => has_key && begins(rest, V2),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t86_no_link_s_signature_is_told() {
        const TOLD: &str = "[a link's signature]";
        for (text, before) in [
            (
                "photos/a?X-Amz-Algorithm=b&X-Amz-Signature=canary",
                "photos/a?X-Amz-Algorithm=b&",
            ),
            ("a?x-amz-security-token=canary&Signature=canary", "a?"),
            ("a?AWSAccessKeyId=b&Signature=canary", "a?AWSAccessKeyId=b"),
            ("a?Signature=canary&Expires=1", "a"),
            (
                "/b/a%3FAWSAccessKeyId=b%26Signature%3Dcanary",
                "/b/a%3FAWSAccessKeyId=b",
            ),
            ("/b/a%3fSignature=canary", "/b/a"),
            ("/b/a%253FX%252DAmz-Signature%253Dcanary", "/b/a%253F"),
            ("/b/a%3F%58-Amz-Security-Token=canary", "/b/a%3F"),
            ("/b/a%25253FX-Amz-Signatur%25252565=canary", "/b/a%25253F"),
            ("/b/%C3%A9%3FSignature=canary", "/b/%C3%A9"),
            ("\u{e9}%26Signature=canary", "\u{e9}"),
            ("a?b=c&amp;Signature=canary", "a?b=c&amp"),
            ("a?b=c%26%2338;Signature=canary", "a?b=c%26%2338"),
            (
                r"a?AWSAccessKeyId=b\u0026Signature=canary",
                r"a?AWSAccessKeyId=b\u0026",
            ),
            (
                "a?Expires=1%u0026Signature=canary%u0026awsaccesskeyid=b",
                "a?Expires=1%u0026",
            ),
        ] {
            assert_eq!(told(text), format!("{before}{TOLD}"), "{text}");
        }
        for text in [
            "",
            "%",
            "100%25 Signature=a",
            "table/Signature=a/part",
            "X-Amz-Sig",
            "a%3FSignatures",
            "%E9%zz%2",
        ] {
            assert_eq!(told(text), text);
        }
        // However often it is encoded, and in the time of its length.
        let deep = format!("a%{}3FSignature=canary", "25".repeat(900));
        assert_eq!(told(&deep), format!("a{TOLD}"));
    }

    proptest::proptest! {
        #[test]
        fn t86_what_stands_before_it_is_told_as_it_came(text in "[%0-9A-Fa-z&?\u{e9}]{0,40}") {
            let told = told(&text);
            let kept = told.strip_suffix("[a link's signature]").unwrap_or(&told);
            proptest::prop_assert!(text.starts_with(kept));
        }
    }
}
