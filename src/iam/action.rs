//! Actions: `service:Name`, in whatever case.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html>

use super::context::{Context, Values};
use super::key::Key;
use super::pattern::{Pattern, Syntax};

/// The longest name of an action that is lowered without allocating.
const ROOM: usize = 128;

/// An action that is asked, in lower case.
pub(super) struct Lowered {
    room: [u8; ROOM],
    length: usize,
    long: Option<String>,
}

impl Lowered {
    pub(super) fn new(action: &str) -> Self {
        let mut room = [0; ROOM];
        let long = match room.get_mut(..action.len()) {
            Some(room) => {
                room.copy_from_slice(action.as_bytes());
                room.make_ascii_lowercase();
                None
            }
            None => Some(action.to_ascii_lowercase()),
        };
        Self {
            room,
            length: action.len(),
            long,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        let short = || self.room.get(..self.length);
        match &self.long {
            Some(long) => long,
            // Lower-case ASCII letters of what was UTF-8 are UTF-8.
            None => short()
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
        }
    }
}

/// An action of a policy: a name or a pattern, in lower case.
#[derive(Clone, Debug)]
pub(super) struct ActionPattern {
    pattern: Pattern,
    written: Box<str>,
}

impl ActionPattern {
    /// Reads `service:name` with wildcards in the name, or `*`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'?' | b'-');
        let well_formed = match text.split_once(':') {
            Some(("*", "*")) => true,
            Some((service, name)) => {
                let of_service = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
                !service.is_empty()
                    && service.bytes().all(of_service)
                    && !name.is_empty()
                    && name.bytes().all(plain)
            }
            None => text == "*",
        };
        if !well_formed {
            let service = text.split_once(':').map_or("", |(service, _)| service);
            let why = match service.contains(['*', '?']) {
                true => ": there is a wildcard in its service",
                false => "",
            };
            return Err(format!("`{text}` is not an action{why}"));
        }
        Ok(Self {
            pattern: Pattern::parse(
                &text.to_ascii_lowercase(),
                Syntax {
                    wildcards: true,
                    variables: false,
                },
            )?,
            written: text.into(),
        })
    }

    /// Whether it takes in `action`, which is in lower case.
    pub(super) fn matches(&self, action: &str) -> bool {
        self.pattern.matches(action, &NoContext)
    }

    /// As the policy has it.
    pub(super) fn as_written(&self) -> &str {
        &self.written
    }
}

impl PartialEq for ActionPattern {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

/// Nothing is known: actions have no variables.
pub(super) struct NoContext;

impl Context for NoContext {
    fn values(&self, _key: &Key) -> Values<'_> {
        Values::Absent
    }
}
