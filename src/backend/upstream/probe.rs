//! Asks a store what it makes of keys, checksums and conditions, by writing and removing objects under a
//! prefix that nobody else has, and compares that with how it is configured.

use super::client::Client;
use super::error::{About, Error};
use super::exchange::Sending;
use super::mapping::{Keys, Place};
use super::request::Outgoing;
use crate::backend::Body;
use crate::crypto::random;
use crate::s3::{self, ChecksumAlgorithm, Hasher};
use bytes::Bytes;
use http::{Method, StatusCode};

/// How a finding compares with the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is as it should be.
    Fine,
    /// Worth knowing: another setting would do more, or nothing can be set.
    Note,
    /// The configuration promises what the store does not keep.
    Wrong,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was asked about.
    pub about: &'static str,
    /// What the store does, and which setting is right.
    pub found: String,
    /// How that compares.
    pub judgement: Judgement,
}

/// Two keys that a store could take for one: how it is called, the key, the other, and which kind it is.
const FORMS: [(&str, &str, &str, Kind); 13] = [
    ("an empty segment, `a//x`", "a/x", "a//x", Kind::Empty),
    ("several of them, `a///x`", "a/x", "a///x", Kind::Empty),
    ("a slash at the end, `x/`", "x", "x/", Kind::Last),
    ("a dot segment, `a/./x`", "a/x", "a/./x", Kind::Dots),
    ("a dot segment, `b/../x`", "x", "b/../x", Kind::Dots),
    ("another case, `A`", "a", "A", Kind::Other),
    (
        "Unicode decomposed (NFD)",
        "\u{e9}",
        "e\u{301}",
        Kind::Other,
    ),
    ("Unicode composed (NFC)", "o\u{308}", "\u{f6}", Kind::Other),
    ("a backslash, `a\\x`", "a/x", "a\\x", Kind::Other),
    ("an escape, `a%2Fx`", "a/x", "a%2Fx", Kind::Other),
    ("a space at the end", "a", "a ", Kind::Other),
    ("a dot at the end, `a.`", "a", "a.", Kind::Other),
    ("a semicolon, `a;x`", "a", "a;x", Kind::Other),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Refused by `keys = "normalized"`.
    Empty,
    /// Refused by `keys = "trimmed"`.
    Last,
    /// Sent to no upstream.
    Dots,
    /// Sent to all.
    Other,
}

/// What a store makes of two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Two,
    One,
    Refused(StatusCode),
    Lost,
}

/// Asks, and cleans up behind itself whatever comes of it.
///
/// # Errors
/// When the store cannot be asked: not reached, or an object cannot be written, read and removed there.
pub(super) async fn probe(client: Client<'_>, place: Place<'_>) -> Result<Vec<Finding>, s3::Error> {
    let name = random::<16>().map_err(s3::Error::internal)?;
    let probe = Probe {
        client,
        place,
        at: format!("{}portcullis-probe-{}/", place.prefix, hex::encode(name)),
    };
    let found = probe.all().await;
    let cleaned = probe.clean().await;
    let found = found?;
    cleaned?;
    Ok(found)
}

struct Probe<'c> {
    client: Client<'c>,
    place: Place<'c>,
    at: String,
}

impl Probe<'_> {
    async fn all(&self) -> Result<Vec<Finding>, s3::Error> {
        let mut found = Vec::new();
        for (about, key, other, kind) in FORMS {
            let (key, other) = (format!("{}{key}", self.at), format!("{}{other}", self.at));
            found.push(self.judged(about, kind, self.compare(&key, &other).await?));
        }
        let key = format!("{}x", self.at);
        let made = self.compare(&key, &format!("/{key}")).await?;
        found.push(self.judged("a slash at the beginning, `/a`", Kind::Empty, made));
        found.push(self.checksums().await?);
        found.extend(self.conditions().await?);
        Ok(found)
    }

    fn request(&self, method: Method, key: &str) -> Outgoing<'_> {
        let mut request = Outgoing::bucket(method, self.place);
        request.key = Some(key.to_owned().into());
        request
    }

    async fn put(
        &self,
        key: &str,
        body: &'static str,
        headers: &[(&'static str, String)],
    ) -> Result<StatusCode, s3::Error> {
        let mut request = self.request(Method::PUT, key);
        for (name, value) in headers {
            request.header(*name, value);
        }
        let body = Sending::Document(Bytes::from_static(body.as_bytes()));
        let answer = self.client.send(&request, body).await?;
        let status = answer.status();
        answer.drain().await?;
        self.sane(status)
    }

    /// The object's bytes, where there is one.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, s3::Error> {
        let request = self.request(Method::GET, key);
        let answer = self.client.send(&request, Sending::Nothing).await?;
        let status = self.sane(answer.status())?;
        if status != StatusCode::OK {
            answer.drain().await?;
            return Ok(None);
        }
        // Taken for an empty object, it would say of the store what is not so.
        let length = answer.content_length()?;
        let length = length.ok_or_else(|| Error::garbage("an object without a length"))?;
        match answer.body(length).await? {
            Body::Whole(bytes) => Ok(Some(bytes)),
            Body::Empty => Ok(Some(Bytes::new())),
            Body::Stream(_) => Err(Error::garbage("an object that nobody wrote").into()),
        }
    }

    async fn delete(&self, key: &str, if_match: Option<&str>) -> Result<StatusCode, s3::Error> {
        let mut request = self.request(Method::DELETE, key);
        if let Some(tag) = if_match {
            request.header("if-match", tag);
        }
        let answer = self.client.send(&request, Sending::Nothing).await?;
        let status = answer.status();
        answer.drain().await?;
        self.sane(status)
    }

    /// What a store says that fails is no answer to what it does; that it does not know something is.
    fn sane(&self, status: StatusCode) -> Result<StatusCode, s3::Error> {
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            return Err(Error::garbage(format!("`{}` answers {status}", self.client.name)).into());
        }
        Ok(status)
    }

    /// An object that is there, which is what everything else is compared with.
    async fn base(&self, key: &str) -> Result<(), s3::Error> {
        let status = self.put(key, "one", &[]).await?;
        if !status.is_success() || self.get(key).await?.as_deref() != Some(b"one") {
            let why = format!("an object cannot be written and read in this bucket ({status})");
            return Err(Error::garbage(why).into());
        }
        Ok(())
    }

    /// Whether `other` is another key than `key`, to write, to read and to remove.
    async fn compare(&self, key: &str, other: &str) -> Result<Made, s3::Error> {
        self.base(key).await?;
        let seen = self.get(other).await?;
        let status = self.put(other, "two", &[]).await?;
        let (first, second) = (self.get(key).await?, self.get(other).await?);
        self.delete(other, None).await?;
        let last = self.get(key).await?;
        self.delete(key, None).await?;
        let one = |found: &Option<Bytes>| found.as_deref() == Some(b"one");
        Ok(match status.is_success() {
            _ if one(&seen) || one(&second) || !one(&first) || !one(&last) => Made::One,
            true if second.as_deref() == Some(b"two") => Made::Two,
            true => Made::Lost,
            false => Made::Refused(status),
        })
    }

    fn judged(&self, about: &'static str, kind: Kind, made: Made) -> Finding {
        let exact = self.place.keys == Keys::Exact;
        let (said, judgement) = match (made, kind) {
            (Made::One, Kind::Empty) if exact => (
                "it is taken for the key without it: `keys = \"normalized\"` is right, and a policy is passed by now",
                Judgement::Wrong,
            ),
            (Made::One, Kind::Empty) => (
                "it is taken for the key without it, and `keys = \"normalized\"` keeps such keys away",
                Judgement::Fine,
            ),
            (Made::One, Kind::Last) if self.place.keys == Keys::Trimmed => (
                "it is taken for the key without it, and `keys = \"trimmed\"` keeps such keys away",
                Judgement::Fine,
            ),
            (Made::One, Kind::Last) => (
                "it is taken for the key without it: `keys = \"trimmed\"` is right, and a policy is passed by now",
                Judgement::Wrong,
            ),
            (Made::Two, Kind::Last) if self.place.keys == Keys::Trimmed => (
                "it is a key of its own: `keys = \"normalized\"` would let clients use such keys",
                Judgement::Note,
            ),
            (Made::One, Kind::Dots) => (
                "it is taken for another key, and such keys go to no upstream",
                Judgement::Fine,
            ),
            (Made::One, Kind::Other) => (
                "it is taken for the other key: a policy that denies one is passed by under the other, which no setting here prevents",
                Judgement::Wrong,
            ),
            (Made::Two, Kind::Empty) if !exact => (
                "it is a key of its own: `keys = \"exact\"` would let clients use such keys",
                Judgement::Note,
            ),
            (Made::Two, Kind::Dots) => (
                "it is a key of its own, and goes to no upstream",
                Judgement::Fine,
            ),
            (Made::Two, _) => ("it is a key of its own", Judgement::Fine),
            (Made::Lost, _) => ("it is written and cannot be read again", Judgement::Note),
            (Made::Refused(_), _) => ("it is refused", Judgement::Fine),
        };
        let found = match made {
            Made::Refused(status) => format!("{said} with {}", status.as_u16()),
            _ => said.to_owned(),
        };
        Finding {
            about,
            found,
            judgement,
        }
    }

    async fn checksums(&self) -> Result<Finding, s3::Error> {
        let key = format!("{}checksum", self.at);
        let algorithm = ChecksumAlgorithm::Crc32;
        let of = |bytes: &[u8]| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(bytes);
            (algorithm.header(), hasher.finish().base64())
        };
        let wrong = self.put(&key, "one", &[of(b"two")]).await?;
        let right = self.put(&key, "one", &[of(b"one")]).await?;
        let mut request = self.request(Method::HEAD, &key);
        request.header("x-amz-checksum-mode", "ENABLED");
        let answer = self.client.send(&request, Sending::Nothing).await?;
        let kept = answer.header(algorithm.header())? == Some(of(b"one").1.as_str());
        answer.give_back().await;
        self.delete(&key, None).await?;
        let verified = right.is_success() && !wrong.is_success();
        let (found, judgement) = match (verified && kept, self.client.checksums) {
            (true, true) => ("they are verified and kept", Judgement::Fine),
            (true, false) => (
                "they are verified and kept: `checksums = true` would return them to clients",
                Judgement::Note,
            ),
            (false, true) => (
                "they are not verified, or not kept: `checksums = false` is right",
                Judgement::Wrong,
            ),
            (false, false) => (
                "they are not verified, or not kept, as `checksums = false` says",
                Judgement::Fine,
            ),
        };
        Ok(Finding {
            about: "checksums",
            found: found.to_owned(),
            judgement,
        })
    }

    async fn conditions(&self) -> Result<Vec<Finding>, s3::Error> {
        let key = format!("{}condition", self.at);
        let none = || "\"00000000000000000000000000000000\"".to_owned();
        let mut found = Vec::new();
        for (about, header, value) in [
            (
                "a write that must not replace, `If-None-Match: *`",
                "if-none-match",
                "*".to_owned(),
            ),
            ("a write that must replace, `If-Match`", "if-match", none()),
        ] {
            self.base(&key).await?;
            let status = self.put(&key, "two", &[(header, value)]).await?;
            let kept = self.get(&key).await?.as_deref() == Some(b"one");
            found.push(condition(about, status, kept));
        }
        self.base(&key).await?;
        let status = self.delete(&key, Some(&none())).await?;
        let kept = self.get(&key).await?.as_deref() == Some(b"one");
        found.push(condition(
            "a deletion of what it must match, `If-Match`",
            status,
            kept,
        ));
        self.delete(&key, None).await?;
        Ok(found)
    }

    /// Removes whatever is left.
    async fn clean(&self) -> Result<(), s3::Error> {
        let request = Outgoing::bucket(Method::GET, self.place)
            .query("list-type", "2")
            .query("prefix", self.at.as_str());
        let answer = self.client.send(&request, Sending::Nothing).await?;
        let root = answer
            .expect(About::Bucket)
            .await?
            .xml(About::Bucket)
            .await?;
        for entry in root.all("Contents") {
            let key = entry.filled("Key")?;
            if key.starts_with(&self.at) {
                self.delete(key, None).await?;
            }
        }
        Ok(())
    }
}

fn condition(about: &'static str, status: StatusCode, kept: bool) -> Finding {
    let (found, judgement) = match (kept, status.is_success()) {
        (true, false) => (
            format!("it is answered {} and changes nothing", status.as_u16()),
            Judgement::Fine,
        ),
        _ => (
            "it is overlooked: clients must not rely on it, and no setting here makes up for it"
                .to_owned(),
            Judgement::Note,
        ),
    };
    Finding {
        about,
        found,
        judgement,
    }
}
