//! Whether a bucket's policy is public, as S3's Block Public Access means it: it is assumed to be, until
//! every grant in it is to fixed values of what the list below has.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status>

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::Ipv4Addr;

use super::arn;
use super::condition::{Condition, Operator, Quantifier, Test};
use super::policy::Policy;
use super::principal::{Named, Principals};
use super::statement::{Effect, Statement};

/// The widest networks that limit: `/8` of IPv4, `/32` of IPv6. RFC 1918's own are no wider. All that a
/// policy names together are no wider either, or many of them would be everyone.
const WIDEST: (u8, u8) = (8, 32);

/// RFC 1918's networks, which are nobody's on the internet and do not count.
const PRIVATE: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// Whether a value limits.
type Limits = fn(&str) -> bool;

/// What limits a grant to everyone, and which of its values do.
const LIMITING: &[(&str, Limits)] = &[
    // A principal, a user, a role or a service.
    ("aws:PrincipalAccount", arn::is_account),
    ("aws:PrincipalArn", is_fixed),
    ("aws:PrincipalOrgID", is_fixed),
    ("aws:PrincipalOrgPaths", is_fixed),
    ("aws:PrincipalServiceName", is_fixed),
    ("aws:PrincipalServiceNamesList", is_fixed),
    // The rest by name.
    ("aws:SourceAccount", is_fixed),
    ("aws:SourceArn", is_fixed),
    ("aws:SourceIp", is_narrow),
    ("aws:SourceOwner", is_fixed),
    ("aws:SourceVpc", is_fixed),
    ("aws:SourceVpce", is_fixed),
    ("aws:userid", is_person),
    ("s3:DataAccessPointAccount", is_fixed),
    ("s3:DataAccessPointArn", is_of_one_account),
];

impl Policy {
    /// Whether one of its statements grants something to the public, as S3 means it.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status>
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.public_statements().next().is_some()
    }

    /// The statements that make it public, from 0.
    pub(super) fn public_statements(&self) -> impl Iterator<Item = usize> {
        let statements = self.statements().iter();
        let reaches: Vec<_> = statements
            .map(|statement| Reach::of(statement, self.has_variables()))
            .collect();
        let networks = reaches.iter().flat_map(|reach| match reach {
            Reach::Networks(networks) => networks.as_slice(),
            Reach::Known | Reach::Everyone => &[],
        });
        // What one statement has no room for another may have.
        let wide = is_wide(networks);
        let public = move |reach: &Reach| match reach {
            Reach::Known => false,
            Reach::Networks(_) => wide,
            Reach::Everyone => true,
        };
        let each = reaches.into_iter().enumerate();
        each.filter_map(move |(at, reach)| public(&reach).then_some(at))
    }
}

/// Whom a statement grants something to.
enum Reach {
    /// Nobody, or who is fixed.
    Known,
    /// Whoever is in these networks.
    Networks(Vec<IpNet>),
    /// Anyone.
    Everyone,
}

impl Reach {
    fn of(statement: &Statement, variables: bool) -> Self {
        let to_anyone = match &statement.principals {
            None => false,
            Some(Principals::Except(_)) => true,
            // A provider of identities is none of S3's fixed principals: it may vouch for anyone.
            Some(Principals::Only(named)) => named
                .iter()
                .any(|one| matches!(one, Named::Everyone | Named::Federated(_))),
        };
        if statement.effect != Effect::Allow || !to_anyone {
            return Self::Known;
        }
        let limits = statement
            .conditions
            .iter()
            .filter(|condition| is_limit(condition, statement, variables));
        let mut reach = Self::Everyone;
        for condition in limits {
            if !condition.key.is("aws:SourceIp") {
                return Self::Known;
            }
            // All conditions must be met, so that any one of them is a limit.
            let networks = condition.write(variables);
            reach = Self::Networks(networks.iter().filter_map(|text| network(text)).collect());
        }
        reach
    }
}

/// Whether networks have more addresses together than the widest that limits.
fn is_wide<'a>(networks: impl Iterator<Item = &'a IpNet>) -> bool {
    let (mut v4, mut v6): (Vec<Ipv4Net>, Vec<Ipv6Net>) = (Vec::new(), Vec::new());
    for network in networks {
        match network {
            IpNet::V4(network) if PRIVATE.iter().any(|net| net.contains(network)) => {}
            IpNet::V4(network) => v4.push(*network),
            IpNet::V6(network) => v6.push(*network),
        }
    }
    // Merged, so that none counts twice; in units of a network's last bit.
    let size = |prefix: u8, most: u8| 1_u128.checked_shl(u32::from(most.saturating_sub(prefix)));
    let all = |sizes: &mut dyn Iterator<Item = Option<u128>>| {
        sizes.fold(0_u128, |sum, size| {
            sum.saturating_add(size.unwrap_or(u128::MAX))
        })
    };
    let v4 = Ipv4Net::aggregate(&v4);
    let v6 = Ipv6Net::aggregate(&v6);
    let addresses = all(&mut v4.iter().map(|net| size(net.prefix_len(), 32)));
    let networks = all(&mut v6.iter().map(|net| size(net.prefix_len(), 128)));
    Some(addresses) > size(WIDEST.0, 32) || Some(networks) > size(WIDEST.1, 128)
}

/// Whether a condition leaves only fixed values of one of the keys.
fn is_limit(condition: &Condition, statement: &Statement, variables: bool) -> bool {
    let key = LIMITING.iter().find(|(key, _)| condition.key.is(key));
    let Some((key, limits)) = key else {
        return false;
    };
    let operator = condition.operator;
    let compares = match operator.test {
        Test::StringEquals | Test::StringEqualsIgnoreCase | Test::StringLike | Test::Arn => {
            *key != "aws:SourceIp"
        }
        Test::IpAddress => *key == "aws:SourceIp",
        Test::Numeric(_) | Test::Date(_) | Test::Bool | Test::Binary | Test::Null => false,
    };
    compares
        && !operator.negated
        && (!takes_absence(operator) || is_required(statement, key))
        && condition.write(variables).iter().all(|value| limits(value))
}

/// Whether a request without the key meets the operator.
fn takes_absence(operator: Operator) -> bool {
    operator.if_exists || operator.quantifier == Quantifier::All
}

/// Whether the statement asks for the key to be there.
fn is_required(statement: &Statement, key: &str) -> bool {
    statement.conditions.iter().any(|condition| {
        condition.operator.test == Test::Null
            && condition.key.is(key)
            && condition.write(false) == ["false"]
    })
}

/// Whether it has neither wildcard nor variable, whatever the operator makes of them.
fn is_fixed(value: &str) -> bool {
    !value.contains(['*', '?']) && !value.contains("${")
}

/// A user, or whoever else is not a role's session: those choose what stands behind the role's id. Who
/// did not sign is `anonymous`. A KMS key was among S3's fixed values once and is not now: which key is
/// asked for says nothing of who asks.
fn is_person(value: &str) -> bool {
    let role = value
        .get(..4)
        .is_some_and(|four| four.eq_ignore_ascii_case("AROA"));
    is_fixed(value) && !(role && value.contains(':')) && !value.eq_ignore_ascii_case("anonymous")
}

fn is_narrow(value: &str) -> bool {
    match network(value) {
        Some(IpNet::V4(network)) => network.prefix_len() >= WIDEST.0,
        Some(IpNet::V6(network)) => network.prefix_len() >= WIDEST.1,
        None => false,
    }
}

/// A network; one of IPv4 also where it is written as one of IPv6.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok();
    let network = network.or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))?;
    if let IpNet::V6(v6) = network
        && let Some(mapped) = v6.network().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
    {
        return Ipv4Net::new(mapped, length).ok().map(IpNet::from);
    }
    Some(network)
}

/// The ARN of access points, whose names alone may be a pattern.
fn is_of_one_account(value: &str) -> bool {
    match arn::parts(value) {
        Some([prefix, partition, service, region, account, resource]) => {
            let name = resource.strip_prefix("accesspoint/");
            [prefix, partition, service, region]
                .into_iter()
                .all(is_fixed)
                && arn::is_account(account)
                && name.is_some_and(|name| !name.is_empty() && !name.contains("${"))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::policy::{Policy, PolicyKind};

    fn public(statement: &str) -> bool {
        let json = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        let policy = Policy::parse(PolicyKind::Resource, "p", json.as_bytes());
        policy.unwrap().is_public()
    }

    fn grant(effect: &str, principal: &str, condition: &str) -> String {
        format!(
            r#"{{"Effect":"{effect}",{principal},"Action":"s3:PutObject","Resource":"*","Condition":{condition}}}"#
        )
    }

    #[test]
    fn principals_are_fixed_or_everyone() {
        for (effect, principal, expected) in [
            ("Allow", r#""Principal":"*""#, true),
            ("Allow", r#""Principal":{"AWS":"*"}"#, true),
            ("Allow", r#""Principal":{"AWS":["123456789012","*"]}"#, true),
            ("Allow", r#""Principal":{"AWS":"123456789012"}"#, false),
            (
                "Allow",
                r#""Principal":{"AWS":"arn:aws:iam::123456789012:role/r"}"#,
                false,
            ),
            (
                "Allow",
                r#""Principal":{"Service":"cloudtrail.amazonaws.com"}"#,
                false,
            ),
            (
                "Allow",
                r#""Principal":{"Federated":"graph.facebook.com"}"#,
                true,
            ),
            ("Allow", r#""NotPrincipal":{"AWS":"123456789012"}"#, true),
            ("Deny", r#""Principal":"*""#, false),
            ("Deny", r#""NotPrincipal":{"AWS":"123456789012"}"#, false),
        ] {
            let statement = grant(effect, principal, "{}");
            assert_eq!(public(&statement), expected, "{statement}");
        }
    }

    #[test]
    fn one_statement_is_enough() {
        let private = grant("Allow", r#""Principal":{"AWS":"123456789012"}"#, "{}");
        let everyone = grant("Allow", r#""Principal":"*""#, "{}");
        assert!(!public(&private));
        assert!(public(&format!("{private},{everyone}")));
    }

    #[test]
    #[rustfmt::skip]
    fn conditions_limit_by_fixed_values() {
        for (condition, expected) in [
            // AWS's own examples.
            (r#"{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#, true),
            (r#"{"StringEquals":{"aws:SourceVpc":"vpc-91237329"}}"#, false),
            // Each key of the list, in whatever case.
            (r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#, false),
            (r#"{"ForAnyValue:StringEquals":{"aws:PrincipalOrgPaths":"o-1/r-1/"}}"#, false),
            (r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/a"}}"#, false),
            (r#"{"StringEquals":{"AWS:principalaccount":"123456789012"}}"#, false),
            (r#"{"StringEquals":{"aws:PrincipalServiceName":"logging.s3.amazonaws.com"}}"#, false),
            (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:eu-west-1:123456789012:t"}}"#, false),
            (r#"{"StringLike":{"aws:SourceVpce":"vpce-1"}}"#, false),
            (r#"{"StringEquals":{"aws:SourceOwner":"123456789012"}}"#, false),
            (r#"{"StringEquals":{"aws:SourceAccount":"123456789012"}}"#, false),
            (r#"{"StringEquals":{"s3:DataAccessPointAccount":"123456789012"}}"#, false),
            // Keys that are not in it.
            (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, true),
            (r#"{"StringEquals":{"aws:Referer":"secret"}}"#, true),
            (r#"{"StringEquals":{"aws:SourceOrgID":"o-1"}}"#, true),
            (r#"{"IpAddress":{"aws:VpcSourceIp":"10.0.0.0/8"}}"#, true),
            (r#"{"StringEquals":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"k"}}"#, true),
            // Operators that leave more than the values.
            (r#"{"StringNotEquals":{"aws:SourceVpc":"vpc-1"}}"#, true),
            (r#"{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-1"}}"#, true),
            (r#"{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-1"},"Null":{"aws:sourcevpc":false}}"#, false),
            (r#"{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-1"},"Null":{"aws:sourcevpc":true}}"#, true),
            (r#"{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-1"},"Null":{"aws:sourcevpc":["true","false"]}}"#, true),
            (r#"{"ForAllValues:StringEquals":{"aws:PrincipalOrgPaths":"o-1/r-1/"}}"#, true),
            (r#"{"ForAllValues:StringEquals":{"aws:PrincipalOrgPaths":"o-1/r-1/"},"Null":{"aws:PrincipalOrgPaths":"false"}}"#, false),
            (r#"{"Null":{"aws:SourceVpc":"false"}}"#, true),
            // Values that are not fixed; one is enough.
            (r#"{"StringEquals":{"aws:SourceVpc":["vpc-1","vpc-2"]}}"#, false),
            (r#"{"StringLike":{"aws:SourceVpc":["vpc-1","vpc-?"]}}"#, true),
            (r#"{"StringEquals":{"aws:PrincipalArn":"${aws:PrincipalArn}"}}"#, true),
            (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:123456789012:t"}}"#, true),
            (r#"{"StringEquals":{"aws:PrincipalAccount":"anonymous"}}"#, true),
            // Users' ids, but not those of a role's sessions.
            (r#"{"StringEquals":{"aws:userid":"AIDA1"}}"#, false),
            (r#"{"StringLike":{"aws:userid":"AROA1:*"}}"#, true),
            (r#"{"StringEquals":{"aws:userid":"AROA1:session"}}"#, true),
            (r#"{"StringEquals":{"aws:userid":"anonymous"}}"#, true),
            // Access points of an account.
            (r#"{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:123456789012:accesspoint/*"}}"#, false),
            (r#"{"StringLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:123456789012:accesspoint/a*"}}"#, false),
            (r#"{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:*:accesspoint/a"}}"#, true),
            (r#"{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:*:123456789012:accesspoint/a"}}"#, true),
            (r#"{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:123456789012:*"}}"#, true),
        ] {
            let statement = grant("Allow", r#""Principal":"*""#, condition);
            assert_eq!(public(&statement), expected, "{condition}");
        }
        assert!(!public(&grant("Allow", r#""NotPrincipal":{"AWS":"123456789012"}"#, r#"{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#)));
    }

    fn to_networks(operator: &str, networks: &[String]) -> String {
        let condition = format!(
            r#"{{"{operator}":{{"aws:SourceIp":["{}"]}}}}"#,
            networks.join("\",\"")
        );
        grant("Allow", r#""Principal":"*""#, &condition)
    }

    #[test]
    fn t105_networks_count_together() {
        let eights = |of: &dyn Fn(u32) -> bool| -> Vec<String> {
            let all = (0..256).filter(|first| of(*first));
            all.map(|first| format!("{first}.0.0.0/8")).collect()
        };
        let texts =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|&t| t.to_owned()).collect() };
        for (networks, expected) in [
            (eights(&|_| true), true),
            (eights(&|first| first % 2 == 0), true),
            (eights(&|first| first < 128), true),
            (texts(&["11.0.0.0/8"]), false),
            (texts(&["11.0.0.0/8", "12.0.0.0/8"]), true),
            (texts(&["11.0.0.0/8", "192.0.2.1"]), true),
            // The same once more is no more.
            (texts(&["11.0.0.0/8", "11.0.0.0/9", "11.1.2.3"]), false),
            (texts(&["11.0.0.0/9", "11.128.0.0/9"]), false),
            (
                texts(&["198.51.100.0/24", "203.0.113.0/24", "2001:db8::/48"]),
                false,
            ),
            // Private networks are nobody's there.
            (
                texts(&[
                    "10.0.0.0/8",
                    "172.16.0.0/12",
                    "192.168.0.0/16",
                    "198.51.100.1",
                ]),
                false,
            ),
            (texts(&["10.0.0.0/8", "11.0.0.0/8"]), false),
            (texts(&["2001:db8::/32", "2001:db9::/32"]), true),
            (texts(&["2001:db8::/33", "2001:db8:8000::/33"]), false),
            // IPv4 in the clothes of IPv6.
            (
                (0..256)
                    .map(|first| format!("::ffff:{first}.0.0.0/104"))
                    .collect(),
                true,
            ),
            (texts(&["::ffff:11.0.0.0/104"]), false),
            (texts(&["::ffff:10.0.0.0/103"]), true),
        ] {
            let statement = to_networks("IpAddress", &networks);
            assert_eq!(public(&statement), expected, "{statement}");
        }
        // Everything but one address.
        assert!(public(&to_networks("NotIpAddress", &texts(&["192.0.2.1"]))));
        assert!(public(&to_networks(
            "ForAnyValue:NotIpAddress",
            &texts(&["192.0.2.1"])
        )));
    }

    #[test]
    fn t105_statements_count_together() {
        let each: Vec<String> = (0..100)
            .map(|first| to_networks("IpAddress", &[format!("{first}.0.0.0/8")]))
            .collect();
        assert!(public(&each.join(",")));
        let two = |one: &str, other: &str| {
            [one, other]
                .map(|net| to_networks("IpAddress", &[net.to_owned()]))
                .join(",")
        };
        assert!(public(&two("11.0.0.0/8", "12.0.0.0/8")));
        assert!(!public(&two("11.0.0.0/9", "11.128.0.0/9")));
        assert!(!public(&two("198.51.100.0/24", "203.0.113.0/24")));
        // Another limit beside it holds by itself.
        let limited: Vec<String> = (0..80)
            .map(|first| {
                let condition = format!(
                    r#"{{"IpAddress":{{"aws:SourceIp":"{first}.0.0.0/8"}},"StringEquals":{{"aws:SourceVpc":"vpc-1"}}}}"#
                );
                grant("Allow", r#""Principal":"*""#, &condition)
            })
            .collect();
        assert!(!public(&limited.join(",")));
        // What excepts some of the networks makes them no wider, and nothing else narrower.
        let condition = r#"{"IpAddress":{"aws:SourceIp":"11.0.0.0/8"},"NotIpAddress":{"aws:SourceIp":"11.1.0.0/16"}}"#;
        assert!(!public(&grant("Allow", r#""Principal":"*""#, condition)));
        let condition = r#"{"NotIpAddress":{"aws:SourceIp":"11.1.0.0/16"},"Bool":{"aws:SecureTransport":"true"}}"#;
        assert!(public(&grant("Allow", r#""Principal":"*""#, condition)));
        // What denies does not make what is granted private: S3 looks at grants alone.
        let deny = r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.1"}}}"#;
        assert!(public(&format!("{},{deny}", each.join(","))));
    }

    #[test]
    fn networks_are_no_wider_than_documented() {
        for (network, expected) in [
            ("192.0.2.1", false),
            ("192.0.2.0/24", false),
            ("11.0.0.0/8", false),
            ("10.0.0.0/8", false),
            ("10.0.0.0/7", true),
            ("0.0.0.0/1", true),
            ("0.0.0.0/0", true),
            ("::ffff:0.0.0.0/96", true),
            ("2001:db8::/32", false),
            ("2001:db8::/31", true),
            ("::/0", true),
        ] {
            let condition = format!(r#"{{"IpAddress":{{"aws:SourceIp":["{network}"]}}}}"#);
            let statement = grant("Allow", r#""Principal":"*""#, &condition);
            assert_eq!(public(&statement), expected, "{network}");
        }
        for (operator, expected) in [("NotIpAddress", true), ("StringEquals", true)] {
            let condition = format!(r#"{{"{operator}":{{"aws:SourceIp":"192.0.2.1"}}}}"#);
            let statement = grant("Allow", r#""Principal":"*""#, &condition);
            assert_eq!(public(&statement), expected, "{operator}");
        }
    }
}
