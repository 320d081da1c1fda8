//! On whose behalf something is done, as far as sharing goes: no name, and nothing to decide by.

use crate::authn::Identity;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

/// Equal for all requests of one user; of those that are nobody's, for all from one address. Two that
/// happen to be equal share what each would have had alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asker(u64);

impl Asker {
    /// The gateway itself, which looks after its backends.
    pub const GATEWAY: Self = Self(0);

    /// Whoever was authenticated, or the network of `address`.
    #[must_use]
    pub fn of(identity: &Identity, address: IpAddr) -> Self {
        // Of this process's own key, so that nobody can choose whom to be equal to.
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = match identity {
            Identity::User(user) => KEY.hash_one(("user", &*user.name)),
            Identity::Root => KEY.hash_one("root"),
            Identity::Anonymous => KEY.hash_one(("address", network(address))),
        };
        // Zero is the gateway's.
        Self(hash.max(1))
    }

    /// One of many, for unit tests.
    #[cfg(test)]
    pub(crate) const fn for_test(number: u64) -> Self {
        Self(number)
    }
}

/// What belongs to one client: an address, or the 64 bits of an IPv6 address that a host does not
/// choose itself.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(network.into())
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_anonymous_are_told_apart_by_their_network() {
        let asker = |text: &str| {
            let address = text.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
            Asker::of(&Identity::Anonymous, address)
        };
        assert_eq!(asker("192.0.2.1"), asker("192.0.2.1"));
        assert_eq!(asker("192.0.2.1"), asker("::ffff:192.0.2.1"));
        assert_ne!(asker("192.0.2.1"), asker("192.0.2.2"));
        assert_eq!(asker("2001:db8::1"), asker("2001:db8::ffff:1"));
        assert_ne!(asker("2001:db8::1"), asker("2001:db8:0:1::1"));
        assert_ne!(asker("192.0.2.1"), Asker::GATEWAY);
    }
}
