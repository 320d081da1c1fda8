//! The access key that a request names whose signature proved nothing: told in audit as what it is, a
//! claim.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::s3::Query;

/// The longest id that is told as it stands: AWS's own have 20 characters, and its secrets 40.
const MOST: usize = 32;

/// How much is told of what may be no id.
const HINT: usize = 4;

/// The access key id that a head claims to be signed with, by header or query, whichever version of
/// the signature. People paste a secret where the id belongs: what looks like none is only hinted at.
pub(super) fn access_key_id(headers: &HeaderMap, query: &Query) -> Option<String> {
    let header = headers.get(AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok());
    let of_query = query.get("X-Amz-Credential").map(first);
    let claimed = header.and_then(of_header).or(of_query);
    let claimed = claimed.or_else(|| query.get("AWSAccessKeyId"))?;
    (!claimed.is_empty()).then(|| shown(claimed))
}

fn of_header(text: &str) -> Option<&str> {
    if let Some(version_2) = text.strip_prefix("AWS ") {
        return version_2.trim_start().split_once(':').map(|(id, _)| id);
    }
    if !text.starts_with("AWS4-") {
        return None;
    }
    let (_, credential) = text.split_once("Credential=")?;
    Some(first(credential))
}

/// What stands before the first slash.
fn first(credential: &str) -> &str {
    let end = credential.find(['/', ',', ' ']);
    end.and_then(|end| credential.get(..end))
        .unwrap_or(credential)
}

fn shown(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.len() <= MOST && id.chars().all(plain) {
        return id.to_owned();
    }
    let hint: String = id
        .chars()
        .take(HINT)
        .filter(char::is_ascii_alphanumeric)
        .collect();
    format!("{hint}... ({} bytes)", id.len())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn t86_a_claim_is_an_id_and_never_a_secret() {
        let of = |header: &str, query: &str| {
            let mut headers = HeaderMap::new();
            if !header.is_empty() {
                headers.insert(AUTHORIZATION, header.parse().unwrap());
            }
            access_key_id(&headers, &Query::parse(query).unwrap())
        };
        let v4 = |id: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential={id}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"
            )
        };
        let secret = "0123456789abcdef0123456789abcdef01234567";
        for (header, query, claimed) in [
            (v4("AKIAEVE0000000000000"), "", Some("AKIAEVE0000000000000")),
            ("AWS AKIAV2:c2lnbmF0dXJl".into(), "", Some("AKIAV2")),
            (
                String::new(),
                "X-Amz-Credential=AKIAQ%2F20260101%2Fus-east-1%2Fs3%2Faws4_request",
                Some("AKIAQ"),
            ),
            (
                String::new(),
                "AWSAccessKeyId=AKIAV2&Signature=x",
                Some("AKIAV2"),
            ),
            ("AWS4-HMAC-SHA256 Credential=AKIA".into(), "", Some("AKIA")),
            (v4(secret), "", Some("0123... (40 bytes)")),
            (v4("wJalr+canary"), "", Some("wJal... (12 bytes)")),
            ("Bearer canary".into(), "", None),
            ("Basic Y2FuYXJ5".into(), "", None),
            ("AWS canary".into(), "", None),
            (v4(""), "", None),
            (String::new(), "X-Amz-Signature=canary", None),
        ] {
            assert_eq!(of(&header, query).as_deref(), claimed, "{header} {query}");
        }
    }
}
