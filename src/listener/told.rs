//! HTTP/2 as its bytes pass in both directions, and what is told of requests that its own checks refuse:
//! the library behind answers those by a reset or the end of the connection and says nothing of it.

use std::net::IpAddr;
use std::sync::Arc;

use super::accept::Application;
use super::target::{Refused, Targets};
use crate::s3::Peer;

/// A frame's head (RFC 9113 section 4.1), and as much of its payload as is looked at.
const FRAME: usize = 9;
const LOOKED_AT: usize = 8;

/// Takes what is told of a connection.
type Tell = Box<dyn Fn(&str) + Send + Sync>;

/// An HTTP/2 connection, watched.
pub(super) struct Watched {
    targets: Targets,
    answers: Answers,
    tell: Tell,
    // Whether it was told why the connection ends: what comes after that is no event of its own.
    told: bool,
}

impl Watched {
    /// One of `peer`, whose refusals `app` tells.
    pub(super) fn new<A: Application>(app: &Arc<A>, peer: Peer) -> Self {
        let teller = Arc::clone(app);
        Self {
            targets: Targets::new(app.head_bytes()),
            answers: Answers::default(),
            tell: Box::new(move |why| {
                teller.refused(&peer, why);
            }),
            told: false,
        }
    }

    /// Looks at what the client says.
    ///
    /// # Errors
    /// [`Refused`] says why nothing more may pass.
    pub(super) fn comes(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let passes = self.targets.watch(bytes);
        if let (Err(refused), false) = (&passes, self.told) {
            // It is asked for again and again until the connection ends.
            self.told = true;
            (self.tell)(&format!("HTTP/2: {refused}; the connection ends"));
        }
        passes
    }

    /// The head that has begun and not ended, counted from 1.
    pub(super) fn head(&self) -> Option<u64> {
        self.targets.head()
    }

    /// A head that has begun does not end.
    pub(super) fn is_too_slow(&mut self) {
        if !self.told {
            self.told = true;
            (self.tell)("HTTP/2: a head did not end in time; the connection ends");
        }
    }

    /// Looks at what goes to the client.
    pub(super) fn goes(&mut self, bytes: &[u8]) {
        let (tell, told) = (&self.tell, &mut self.told);
        self.answers.watch(bytes, |refusal| match refusal {
            Refusal::Stream(why) => tell(&why),
            Refusal::Connection(why) if !*told => {
                *told = true;
                tell(&why);
            }
            Refusal::Connection(_) => {}
        });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.told && self.targets.head().is_some() {
            (self.tell)("HTTP/2: the connection ended before a head did");
        }
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

/// What is refused, and why: a request, behind which others are answered, or all that is still to come.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Stream(String),
    Connection(String),
}

/// The frames that go to a client.
#[derive(Debug, Default)]
struct Answers {
    head: [u8; FRAME],
    // How much of the head has passed; and of the payload, and how much of that is left.
    come: usize,
    payload: [u8; LOOKED_AT],
    passed: usize,
    left: usize,
}

impl Answers {
    fn watch(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Refusal)) {
        while !bytes.is_empty() {
            if self.come < FRAME {
                let (now, rest) = bytes.split_at(bytes.len().min(FRAME - self.come));
                for (to, from) in self.head.iter_mut().skip(self.come).zip(now) {
                    *to = *from;
                }
                (self.come, bytes) = (self.come + now.len(), rest);
                let [a, b, c, ..] = self.head;
                self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.passed = 0;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(self.left));
            for (to, from) in self.payload.iter_mut().skip(self.passed).zip(now) {
                *to = *from;
            }
            self.passed = self.passed.saturating_add(now.len());
            self.left = self.left.saturating_sub(now.len());
            bytes = rest;
            if self.come == FRAME && self.left == 0 {
                if let Some(refusal) = refusal(&self.head, &self.payload, self.passed) {
                    tell(refusal);
                }
                self.come = 0;
            }
        }
    }
}

/// What a frame says of a request that nobody behind has seen. A stream that was handed on is reset for
/// other reasons, or has its own event.
fn refusal(head: &[u8; FRAME], payload: &[u8; LOOKED_AT], length: usize) -> Option<Refusal> {
    const HEADERS: u8 = 1;
    /// `:status: 400` in HPACK's static table.
    const BAD_REQUEST: u8 = 0x8c;
    const END: u8 = 1;
    const RESET: u8 = 3;
    const GOAWAY: u8 = 7;
    let [_, _, _, kind, flags, stream @ ..] = *head;
    let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
    let [a, b, c, d, e, f, g, h] = *payload;
    match kind {
        // Every answer of ours has an id: one that is so short is the library's.
        HEADERS if flags & END != 0 && length <= LOOKED_AT => Some(Refusal::Stream(match a {
            BAD_REQUEST => format!("HTTP/2: the head of stream {stream} is no request's (400)"),
            _ => format!("HTTP/2: the head of stream {stream} is too large (431)"),
        })),
        RESET if length == 4 => {
            let code = u32::from_be_bytes([a, b, c, d]);
            let refused = matches!(code, 1 | 6 | 7 | 9);
            let why = || format!("HTTP/2: stream {stream} is reset: {}", name(code));
            refused.then(why).map(Refusal::Stream)
        }
        GOAWAY if length >= 8 => {
            let code = u32::from_be_bytes([e, f, g, h]);
            let why = || format!("HTTP/2: the connection ends: {}", name(code));
            (code != 0).then(why).map(Refusal::Connection)
        }
        _ => None,
    }
}

/// The names of RFC 9113 section 7.
fn name(code: u32) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let name = usize::try_from(code).ok().and_then(|at| NAMES.get(at));
    name.map_or_else(|| format!("code {code}"), |name| (*name).to_owned())
}

/// What the connection alone tells of its other end.
pub(super) fn peer(address: IpAddr, tls: Option<&'static str>) -> Peer {
    Peer {
        address: address.to_canonical(),
        secure: tls.is_some(),
        tls_version: tls,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap_or_default();
        let [_, a, b, c] = length.to_be_bytes();
        let mut frame = vec![a, b, c, kind, 0];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    #[test]
    fn resets_and_ends_are_found_wherever_the_bytes_break() {
        let mut own = frame(1, 9, &[0x48, 0x82, 0x68, 0x4f]);
        own.splice(4..5, [0x5]);
        let all = [
            own,
            frame(4, 0, &[]),
            frame(0, 1, &[7; 1000]),
            frame(3, 1, &[0, 0, 0, 8]),
            frame(3, 5, &[0, 0, 0, 1]),
            frame(1, 7, &[0x88]),
            frame(3, 7, &[0, 0, 0, 0]),
            frame(4, 0, &[]),
            frame(7, 0, &[0, 0, 0, 5, 0, 0, 0, 0]),
            frame(7, 0, &[0, 0, 0, 5, 0, 0, 0, 11, b'w', b'h', b'y', b'?']),
        ]
        .concat();
        for size in [1, 3, 9, 10, 4096] {
            let (mut answers, mut told) = (Answers::default(), Vec::new());
            for piece in all.chunks(size) {
                answers.watch(piece, |why| told.push(why));
            }
            let stream = |why: &str| Refusal::Stream(format!("HTTP/2: {why}"));
            let expected = [
                stream("the head of stream 9 is too large (431)"),
                stream("stream 5 is reset: PROTOCOL_ERROR"),
                Refusal::Connection("HTTP/2: the connection ends: ENHANCE_YOUR_CALM".to_owned()),
            ];
            assert_eq!(told, expected, "by {size}");
        }
    }

    /// What is told of a connection on which this goes to the client, and that, before it is gone, comes from it.
    fn told(goes: &[Vec<u8>], comes: &[Vec<u8>]) -> Vec<String> {
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let teller = Arc::clone(&told);
        let mut watched = Watched {
            targets: Targets::new(8192),
            answers: Answers::default(),
            tell: Box::new(move |why| teller.lock().unwrap().push(why.to_owned())),
            told: false,
        };
        watched.comes(&[0; 24]).unwrap();
        goes.iter().for_each(|frame| watched.goes(frame));
        for frame in comes {
            let _ = watched.comes(frame);
        }
        drop(watched);
        std::mem::take(&mut *told.lock().unwrap())
    }

    #[test]
    fn t86_a_refused_stream_silences_nothing_that_comes_after() {
        let reset = |stream| frame(3, stream, &[0, 0, 0, 7]);
        let goaway = frame(7, 0, &[0, 0, 0, 5, 0, 0, 0, 11]);
        let (stream, ends) = (
            |stream| format!("HTTP/2: stream {stream} is reset: REFUSED_STREAM"),
            "HTTP/2: the connection ends: ENHANCE_YOUR_CALM".to_owned(),
        );
        let fragment = {
            let mut head = frame(1, 9, b"\x04\x02/#");
            head.splice(4..5, [0x4]);
            head
        };
        let refused = "HTTP/2: a request target holds a fragment; the connection ends".to_owned();
        assert_eq!(
            told(&[reset(1), reset(3)], std::slice::from_ref(&fragment)),
            [stream(1), stream(3), refused.clone()]
        );
        assert_eq!(
            told(&[reset(1)], &[frame(1, 9, &[0x82])]),
            [
                stream(1),
                "HTTP/2: the connection ended before a head did".to_owned()
            ]
        );
        // Why it ends is told once.
        assert_eq!(
            told(&[goaway.clone(), goaway], &[frame(1, 9, &[0x82])]),
            [ends]
        );
        assert_eq!(told(&[], &[fragment.clone(), fragment]), [refused]);
    }
}
