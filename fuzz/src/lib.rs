//! What the fuzz targets share: requests read from bytes, one access key and its signatures, and a
//! gateway at the end of a connection in memory.

mod asked;
mod gateway;
mod signed;

pub use asked::Asked;
pub use gateway::{Answer, Wire, answers, runtime};
pub use signed::{ID, REGION, authenticator, directory, now, presign, sign};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use portcullis::s3::{Head, Peer};

/// Where a request came from.
#[must_use]
pub fn peer() -> Peer {
    Peer {
        address: [127, 0, 0, 1].into(),
        secure: true,
        tls_version: Some("1.3"),
    }
}

/// A request's head in parts: a request line and header lines, as HTTP/1.1 has them.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The method.
    pub method: Method,
    /// Path and query as sent.
    pub target: String,
    /// The headers as sent.
    pub headers: HeaderMap,
}

impl Parts {
    /// Reads `data` as leniently as its types allow: what the gateway's own checks refuse is to
    /// reach them. `None` for what no HTTP library would hand over.
    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        let mut lines = data.split(|byte| *byte == b'\n');
        let line = std::str::from_utf8(lines.next()?).ok()?.trim_end();
        let (method, rest) = line.split_once(' ')?;
        let target = rest.strip_suffix(" HTTP/1.1").unwrap_or(rest);
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            let name = HeaderName::from_bytes(name).ok()?;
            let value = HeaderValue::from_bytes(value[1..].trim_ascii()).ok()?;
            headers.try_append(name, value).ok()?;
        }
        Some(Self {
            method: Method::from_bytes(method.as_bytes()).ok()?,
            target: target.to_owned(),
            headers,
        })
    }

    /// The head, where path and query can be read.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        let host = self.headers.get(header::HOST);
        let host = host.map_or(Some("127.0.0.1:9000"), |host| host.to_str().ok())?;
        let (method, headers) = (self.method.clone(), self.headers.clone());
        Head::new(method, &self.target, host.to_owned(), headers, peer()).ok()
    }
}

/// `head` with other headers, read anew.
///
/// # Panics
/// Never: what it has been read from is encoded again.
#[must_use]
pub fn with_headers(head: &Head, change: impl FnOnce(&mut HeaderMap)) -> Head {
    let mut headers = head.headers().clone();
    change(&mut headers);
    let encode = portcullis::sigv4::encode;
    let pairs = head.query.pairs();
    let pairs = pairs.map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let pairs: Vec<String> = pairs.collect();
    let target = match pairs.is_empty() {
        true => head.raw_path.clone(),
        false => format!("{}?{}", head.raw_path, pairs.join("&")),
    };
    let (method, host) = (head.method.clone(), head.host.clone());
    Head::new(method, &target, host, headers, peer()).expect("an encoded target")
}
