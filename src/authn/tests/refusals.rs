//! What a refusal tells: nothing of which keys exist, and nothing by its time (T13, T15).

use super::*;

/// A random request with other text in its credential or signature.
fn with(raw: &Raw, change: impl Fn(&str) -> String) -> Request {
    let mut raw = raw.clone();
    raw.target = change(&raw.target);
    for (name, value) in &mut raw.headers {
        if name == "authorization" {
            *value = change(std::str::from_utf8(value).unwrap()).into_bytes();
        }
    }
    parse(&raw).unwrap()
}

/// The request with its signature wrong from the digit `at` on.
fn spoilt(raw: &Raw, at: usize) -> Request {
    with(raw, |text| {
        let Some((before, signature)) = text.rsplit_once("Signature=") else {
            return text.to_owned();
        };
        let digit = |(n, c): (usize, char)| match (n >= at, c) {
            (false, c) => c,
            (true, '0') => '1',
            (true, _) => '0',
        };
        let wrong: String = signature.chars().enumerate().map(digit).collect();
        format!("{before}Signature={wrong}")
    })
}

/// T15: an unknown key takes every step of a known one, the comparison of a whole signature among
/// them, and not even the right signature of what stands in for its secret opens anything.
#[test]
fn t15_an_unknown_key_is_verified_like_a_known_one() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (authenticator, directory) = (Authenticator::new("us-east-1".into()), directory());
    let nobody = Directory::new([AccessKey {
        id: ID.into(),
        secret: Secret::new("nobody has this secret".to_owned()),
        owner: Owner::Root,
        enabled: true,
        policy: None,
    }]);
    let date = crate::sigv4::CredentialScope::at(now(), "us-east-1", "s3").date;
    let derived = |id: &str| authenticator.keys.contains_key(&(id.into(), date.clone()));
    for case in 0..100 {
        let raw = signed_by_aws(&mut rng);
        assert_eq!(case > 0, derived(super::super::verify::NOBODY));
        let unknown = with(&raw, |text| text.replace(ID, &format!("AKIDUNKNOWN{case}")));
        let refused = authenticator.authenticate(&unknown, &directory, now());
        assert!(matches!(refused, Err(Error::UnknownAccessKey(_))));
        assert!(
            derived(super::super::verify::NOBODY),
            "a signature was computed"
        );
        assert!(!derived(&format!("AKIDUNKNOWN{case}")));
    }
    let signed = parse(&sign_with("nobody has this secret", &[], &[])).unwrap();
    let accepted = Authenticator::new("us-east-1".into());
    assert!(accepted.authenticate(&signed, &nobody, now()).is_ok());
    let refused = accepted.authenticate(&signed, &Directory::default(), now());
    assert!(matches!(refused, Err(Error::UnknownAccessKey(_))));
}

/// A GET that our own signer signs with `secret`.
fn sign_with(secret: &str, query: &[(&str, &str)], extra: &[(&'static str, &'static str)]) -> Raw {
    let credentials = Credentials {
        access_key_id: ID.to_owned(),
        secret: Secret::new(secret.to_owned()),
        session_token: None,
    };
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("gate"));
    for (name, value) in extra {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let query: Vec<_> = query.iter().map(owned).collect();
    let outgoing = OutgoingRequest {
        method: &Method::GET,
        path: "/bucket/key",
        query: &query,
        headers: &headers,
        payload: OutgoingPayload::Sha256(crate::crypto::sha256(b"")),
    };
    let signed = sign(&outgoing, &credentials, "us-east-1", "s3", now());
    let sent = headers
        .iter()
        .chain(signed.headers.iter().map(|(name, value)| (name, value)));
    let pairs: Vec<_> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
    Raw {
        method: Method::GET,
        target: format!("/bucket/key?{}", pairs.join("&")),
        headers: sent
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
    }
}

/// T13: a permanent key has no token, in whichever place one stands.
#[test]
fn t13_a_token_beside_a_permanent_key_is_refused_wherever_it_stands() {
    let (authenticator, directory) = (Authenticator::new("us-east-1".into()), directory());
    let ask = |raw: &Raw| {
        let request = parse(raw).unwrap();
        authenticator.authenticate(&request, &directory, now())
    };
    assert!(ask(&sign_with(SECRET, &[], &[])).is_ok());
    for raw in [
        sign_with(SECRET, &[], &[("x-amz-security-token", "token")]),
        sign_with(SECRET, &[("X-Amz-Security-Token", "token")], &[]),
    ] {
        assert!(matches!(ask(&raw), Err(Error::Token)));
    }
    let anonymous = Raw {
        method: Method::GET,
        target: "/bucket/key?X-Amz-Security-Token=token".to_owned(),
        headers: vec![("host".to_owned(), b"gate".to_vec())],
    };
    assert!(matches!(ask(&anonymous), Err(Error::Anonymous(_))));
}

/// T15: how long a refusal takes tells neither whether the key exists nor how much of the signature
/// is right. Loose, since the machine has other things to do: the medians of many interleaved
/// requests, and one quiet round of several is enough.
#[test]
fn t15_time_tells_no_key_and_no_digit() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (authenticator, directory) = (Authenticator::new("us-east-1".into()), directory());
    let raw = signed_by_aws(&mut rng);
    let unknown = with(&raw, |text| text.replace(ID, "AKIDUNKNOWN"));
    let classes = [unknown, spoilt(&raw, 0), spoilt(&raw, 32), spoilt(&raw, 63)];
    let mut ratios = Vec::new();
    for _round in 0..20 {
        let mut times = [const { Vec::new() }; 4];
        for turn in 0..1_000 {
            for class in 0..classes.len() {
                let class = (class + turn) % classes.len();
                let before = std::time::Instant::now();
                let refused = authenticator.authenticate(&classes[class], &directory, now());
                times[class].push(before.elapsed());
                assert!(refused.is_err());
            }
        }
        let medians = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64()
        });
        let least = medians.iter().copied().fold(f64::INFINITY, f64::min);
        let most = medians.iter().copied().fold(0.0, f64::max);
        ratios.push(most / least);
        if most < least * 1.25 {
            return;
        }
    }
    panic!("refusals take differently long: {ratios:?}");
}
