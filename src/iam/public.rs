//! Whether a bucket's policy is public, as S3's Block Public Access means it: it is assumed to be, until
//! every grant in it is to fixed values of what the list below has.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status>

use ipnet::IpNet;

use super::arn;
use super::condition::{Condition, Operator, Quantifier, Test};
use super::policy::Policy;
use super::principal::{Named, Principals};
use super::statement::{Effect, Statement};

/// The widest networks that limit: `/8` of IPv4, `/32` of IPv6. RFC 1918's own are no wider.
const WIDEST: (u8, u8) = (8, 32);

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
        let statements = self.statements().iter().enumerate();
        let public =
            |(_, statement): &(usize, &Statement)| is_public_grant(statement, self.has_variables());
        statements.filter(public).map(|(at, _)| at)
    }
}

fn is_public_grant(statement: &Statement, variables: bool) -> bool {
    let to_anyone = match &statement.principals {
        None => false,
        Some(Principals::Except(_)) => true,
        // A provider of identities is none of S3's fixed principals: it may vouch for anyone.
        Some(Principals::Only(named)) => named
            .iter()
            .any(|one| matches!(one, Named::Everyone | Named::Federated(_))),
    };
    let limits = |condition: &Condition| is_limit(condition, statement, variables);
    statement.effect == Effect::Allow && to_anyone && !statement.conditions.iter().any(limits)
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
/// did not sign is `anonymous`.
fn is_person(value: &str) -> bool {
    let role = value
        .get(..4)
        .is_some_and(|four| four.eq_ignore_ascii_case("AROA"));
    is_fixed(value) && !(role && value.contains(':')) && !value.eq_ignore_ascii_case("anonymous")
}

fn is_narrow(value: &str) -> bool {
    match value.parse::<IpNet>() {
        Ok(IpNet::V4(network)) => network.prefix_len() >= WIDEST.0,
        Ok(IpNet::V6(network)) => network.prefix_len() >= WIDEST.1,
        Err(_) => false,
    }
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
            let condition =
                format!(r#"{{"IpAddress":{{"aws:SourceIp":["198.51.100.1","{network}"]}}}}"#);
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
