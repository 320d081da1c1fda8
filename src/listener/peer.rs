//! A Pingora session's other end.

use std::net::IpAddr;

use ipnet::IpNet;
use pingora_core::protocols::http::ServerSession;

use crate::s3::{Error, ErrorCode, Peer};

/// What is known of the client. Its address is the connection's, or, where that is a trusted proxy,
/// the last address in `X-Forwarded-For` that is not one, read right to left (T37).
///
/// With `proto`, a trusted proxy's `X-Forwarded-Proto` says whether the client came by TLS, of which
/// version nobody knows.
///
/// # Errors
/// `BadRequest` when a trusted proxy sends a list that cannot be read: whose address it is would be
/// a guess.
pub fn of(session: &ServerSession, trusted: &[IpNet], proto: bool) -> Result<Peer, Error> {
    let mut connection = connection(session);
    let headers = &session.req_header().headers;
    if proto && is_trusted(&connection.address, trusted) {
        let said: Option<Vec<&str>> = headers
            .get_all("x-forwarded-proto")
            .iter()
            .map(|value| value.to_str().ok())
            .collect();
        let said = said.and_then(|lists| scheme(&lists));
        let said = said.ok_or_else(|| {
            Error::new(ErrorCode::BadRequest).because("x-forwarded-proto cannot be read")
        })?;
        if let Some(secure) = said {
            (connection.secure, connection.tls_version) = (secure, None);
        }
    }
    let forwarded = headers.get_all("x-forwarded-for").iter();
    let lists: Option<Vec<&str>> = forwarded.map(|value| value.to_str().ok()).collect();
    let address = lists.and_then(|lists| client(connection.address, &lists, trusted));
    let address = address.ok_or_else(|| {
        Error::new(ErrorCode::BadRequest).because("x-forwarded-for cannot be read")
    })?;
    Ok(Peer {
        address,
        ..connection
    })
}

/// The port that the client has connected to.
#[must_use]
pub fn port(session: &ServerSession) -> Option<u16> {
    let socket = session.digest()?.socket_digest.as_ref()?;
    let address = socket.local_addr()?.as_inet()?;
    Some(address.port())
}

/// What the connection alone tells, whatever a request on it says.
#[must_use]
pub fn connection(session: &ServerSession) -> Peer {
    let address = session
        .client_addr()
        .and_then(|address| address.as_inet())
        .map(std::net::SocketAddr::ip);
    // A Unix socket's other end is on this machine.
    let address = address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let digest = session
        .digest()
        .and_then(|digest| digest.ssl_digest.as_ref());
    let tls_version = digest.map(|digest| match &*digest.version {
        "TLSv1_3" | "TLSv1.3" => "1.3",
        _ => "1.2",
    });
    Peer {
        address: canonical(address),
        secure: tls_version.is_some(),
        tls_version,
    }
}

/// An IPv4 address that is mapped into IPv6 is that IPv4 address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn is_trusted(address: &IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(address))
}

/// Whether every part of the way was by TLS, `Some(None)` where nothing is said. What a client has sent
/// and a proxy has added to can only make it less.
fn scheme(lists: &[&str]) -> Option<Option<bool>> {
    let mut all = None;
    for text in lists.iter().flat_map(|list| list.split(',')) {
        let secure = match text.trim() {
            https if https.eq_ignore_ascii_case("https") => true,
            http if http.eq_ignore_ascii_case("http") => false,
            _ => return None,
        };
        all = Some(all.unwrap_or(true) && secure);
    }
    Some(all)
}

fn client(connection: IpAddr, lists: &[&str], trusted: &[IpNet]) -> Option<IpAddr> {
    let mut address = connection;
    for text in lists.iter().rev().flat_map(|list| list.rsplit(',')) {
        if !is_trusted(&address, trusted) {
            break;
        }
        address = parse(text.trim())?;
    }
    Some(address)
}

/// An address with or without a port.
fn parse(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>();
    let address = plain.or_else(|_| {
        text.parse::<std::net::SocketAddr>()
            .map(|socket| socket.ip())
    });
    address.ok().map(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t121_a_scheme_is_one_of_two() {
        for (lists, expected) in [
            (&[][..], Some(None)),
            (&["https"][..], Some(Some(true))),
            (&["HTTPS"], Some(Some(true))),
            (&["http"], Some(Some(false))),
            // A client's own word before the proxy's makes nothing secure.
            (&["https, http"], Some(Some(false))),
            (&["http, https"], Some(Some(false))),
            (&["https", "http"], Some(Some(false))),
            (&["https", "https"], Some(Some(true))),
            (&[""], None),
            (&["ftp"], None),
            (&["https;q=1"], None),
        ] {
            assert_eq!(scheme(lists), expected, "{lists:?}");
        }
    }

    #[test]
    fn t37_only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"]
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect();
        let cases: [(&str, &[&str], Option<&str>); 9] = [
            ("192.0.2.1", &["203.0.113.9"], Some("192.0.2.1")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["203.0.113.9, 10.0.0.2"], Some("203.0.113.9")),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["203.0.113.9:1234"], Some("203.0.113.9")),
            ("10.0.0.1", &["::ffff:203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["junk"], None),
        ];
        for (connection, lists, expected) in cases {
            let connection = connection.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
            let got = client(connection, lists, &trusted).map(|a| a.to_string());
            assert_eq!(got.as_deref(), expected, "{connection} {lists:?}");
        }
    }
}
