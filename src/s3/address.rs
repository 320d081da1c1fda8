//! Path-style and virtual-hosted-style addresses become one [`Target`], decided once.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>

use super::{BucketName, Error, ErrorCode, InvalidObjectKey, ObjectKey};

/// What a request's address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The endpoint itself.
    Service,
    /// One bucket.
    Bucket(BucketName),
    /// One object.
    Object(BucketName, ObjectKey),
}

impl Target {
    /// The bucket, where it is or is in one.
    #[must_use]
    pub fn bucket(&self) -> Option<&BucketName> {
        match self {
            Self::Service => None,
            Self::Bucket(bucket) | Self::Object(bucket, _) => Some(bucket),
        }
    }
}

/// The domains under which a bucket may stand in the host name.
#[derive(Clone, Debug, Default)]
pub struct Addressing {
    domains: Vec<String>,
}

impl Addressing {
    /// `domains` without a leading dot, as in `s3.example.com`.
    #[must_use]
    pub fn new(domains: impl IntoIterator<Item = String>) -> Self {
        let lower = |d: String| d.trim_matches('.').to_ascii_lowercase();
        let mut domains: Vec<String> = domains.into_iter().map(lower).collect();
        // The longest that fits is the one that is meant, as the most of a host name.
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        Self { domains }
    }

    /// The target of `host` (with or without a port) and the decoded `path`.
    ///
    /// # Errors
    /// `InvalidBucketName`, `KeyTooLongError` or `InvalidURI`.
    pub fn target(&self, host: &str, path: &str) -> Result<Target, Error> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = match self.bucket_of(host) {
            Some(bucket) => (bucket, path),
            None => match path.split_once('/') {
                Some((bucket, key)) => (bucket.to_owned(), key),
                None => (path.to_owned(), ""),
            },
        };
        if bucket.is_empty() {
            return if key.is_empty() && path.is_empty() {
                Ok(Target::Service)
            } else {
                Err(bad_bucket(&bucket))
            };
        }
        let name = BucketName::parse(&bucket).map_err(|_| bad_bucket(&bucket))?;
        match ObjectKey::parse(key) {
            Ok(key) => Ok(Target::Object(name, key)),
            Err(InvalidObjectKey::Empty) => Ok(Target::Bucket(name)),
            Err(why) => Err(why.into()),
        }
    }

    /// The bucket in a virtual-hosted-style host, in lower case as DNS names compare.
    fn bucket_of(&self, host: &str) -> Option<String> {
        if self.domains.is_empty() {
            return None;
        }
        let name = host
            .rsplit_once(':')
            .map_or(host, |(name, _)| name)
            .to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let bucket = |domain: &String| {
            name.strip_suffix(domain.as_str())?
                .strip_suffix('.')
                .map(str::to_owned)
        };
        if self.domains.iter().any(|domain| domain == name) {
            return None;
        }
        self.domains.iter().find_map(bucket)
    }
}

fn bad_bucket(name: &str) -> Error {
    Error::new(ErrorCode::InvalidBucketName).detail("BucketName", name)
}

impl From<InvalidObjectKey> for Error {
    fn from(why: InvalidObjectKey) -> Self {
        match why {
            InvalidObjectKey::TooLong => {
                Self::new(ErrorCode::KeyTooLong).detail("MaxSizeAllowed", "1024")
            }
            InvalidObjectKey::Empty | InvalidObjectKey::Nul => ErrorCode::InvalidUri.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bucket_decided_once() {
        let addressing = Addressing::new(["s3.example.com".to_owned()]);
        let cases = [
            ("s3.example.com", "/", "service"),
            ("s3.example.com:9000", "/bucket", "bucket bucket"),
            ("s3.example.com", "/bucket/", "bucket bucket"),
            ("s3.example.com", "/bucket/a/b", "object bucket a/b"),
            ("s3.example.com", "/bucket//a", "object bucket /a"),
            ("bucket.s3.example.com", "/", "bucket bucket"),
            ("BUCKET.S3.Example.com.:443", "/a", "object bucket a"),
            ("bucket.s3.example.com", "/other/a", "object bucket other/a"),
            ("my.bucket.s3.example.com", "/a", "object my.bucket a"),
            ("evils3.example.com", "/bucket", "bucket bucket"),
            ("127.0.0.1:9000", "/bucket/k", "object bucket k"),
            ("[::1]:9000", "/bucket/k", "object bucket k"),
            ("s3.example.com", "//key", "InvalidBucketName"),
            ("s3.example.com", "/Up/key", "InvalidBucketName"),
            ("up_.s3.example.com", "/key", "InvalidBucketName"),
        ];
        for (host, path, expected) in cases {
            let got = match addressing.target(host, path) {
                Ok(Target::Service) => "service".to_owned(),
                Ok(Target::Bucket(b)) => format!("bucket {b}"),
                Ok(Target::Object(b, k)) => format!("object {b} {k}"),
                Err(e) => e.code().as_str().to_owned(),
            };
            assert_eq!(got, expected, "{host} {path}");
        }
    }
    #[test]
    fn the_longest_domain_is_meant() {
        let domains = ["example.com", "s3.example.com"].map(str::to_owned);
        let addressing = Addressing::new(domains);
        for (host, expected) in [
            ("s3.example.com", None),
            ("example.com", None),
            ("bucket.s3.example.com", Some("bucket")),
            ("bucket.example.com", Some("bucket")),
        ] {
            assert_eq!(addressing.bucket_of(host).as_deref(), expected, "{host}");
        }
    }
}
