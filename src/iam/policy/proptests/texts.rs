//! What patterns match, by definition, and that refusals name what they refuse.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::super::context::{Context, Values};
use super::super::super::evaluate::{Decision, Policies, Request, evaluate};
use super::super::super::key::Key;
use super::super::super::pattern::{Pattern, Syntax};
use super::super::super::principal::Principal;
use super::super::*;
use super::oracle::naively;
use super::{ACCOUNT, ALICE, config};

/// A name that no pattern character is special in.
struct Named(&'static str);

impl Context for Named {
    fn values(&self, key: &Key) -> Values<'_> {
        Values::maybe(key.is("aws:username").then_some(self.0))
    }
}

const WILD: Syntax = Syntax {
    wildcards: true,
    variables: true,
};
const LITERAL: Syntax = Syntax {
    wildcards: false,
    variables: true,
};

proptest! {
    #![proptest_config(config())]

    /// T34: a pattern matches what its definition says, case and all.
    #[test]
    fn t34_patterns_are_the_oracles(pattern in "[abA*?\u{e9}]{0,9}", text in "[abA*?\u{e9}]{0,9}") {
        let compiled = Pattern::parse(&pattern, WILD).unwrap();
        prop_assert_eq!(compiled.matches(&text, &Named("x")), naively(&pattern, &text));
        let literal = Pattern::parse(&pattern, LITERAL).unwrap();
        prop_assert_eq!(literal.matches(&text, &Named("x")), pattern == text);
    }

    /// T46: long segments are found in another way, and in the same places.
    #[test]
    fn t46_long_segments_are_found(long in "[ab?\u{e9}]{30,50}", cut in any::<Index>(), before in "[ab\u{e9}]{0,40}", after in "[ab]{0,9}", wrong in any::<bool>()) {
        let one = |c: char| if c == '?' { '\u{1f980}' } else { c };
        let mut inside: Vec<char> = long.chars().map(one).collect();
        if wrong {
            let at = cut.index(inside.len());
            *inside.get_mut(at).unwrap() = 'c';
        }
        let text = format!("{before}{}{after}", inside.into_iter().collect::<String>());
        let pattern = format!("*{long}*");
        let compiled = Pattern::parse(&pattern, WILD).unwrap();
        prop_assert_eq!(compiled.matches(&text, &Named("x")), naively(&pattern, &text));
        // What stands behind it begins where the leftmost place ends.
        let pattern = format!("*{long}*{after}");
        let compiled = Pattern::parse(&pattern, WILD).unwrap();
        prop_assert_eq!(compiled.matches(&text, &Named("x")), naively(&pattern, &text));
    }

    /// T38: the text of a variable is that text, whatever characters it has.
    #[test]
    fn t38_variables_are_literal(before in "[ab*?]{0,4}", after in "[ab*?]{0,4}", text in "[ab*?]{0,9}", name in select(vec!["a", "*", "?", "a*", "", "b?a"])) {
        let compiled = Pattern::parse(&format!("{before}${{aws:username}}{after}"), WILD).unwrap();
        // By definition: some place where the name stands, with the pattern's halves around it.
        let split = |at: usize| {
            let (left, rest) = text.split_at(at);
            naively(&before, left) && rest.strip_prefix(name).is_some_and(|right| naively(&after, right))
        };
        let expected = (0..=text.len()).any(split);
        prop_assert_eq!(compiled.matches(&text, &Named(name)), expected);
    }

    /// T33: actions match in whatever case policy and table are written, resources in their own only.
    #[test]
    fn t33_case(pattern in "s3:[abABx*?]{1,6}", action in "s3:[abAB]{1,6}", key in "[abAB]{1,4}", allowed_key in "[abAB*]{1,4}") {
        let json = format!(r#"{{"Statement":{{"Effect":"Allow","Action":"{pattern}","Resource":"arn:aws:s3:::b/{allowed_key}"}}}}"#);
        let policy = Arc::new(Policy::parse(PolicyKind::Identity, "p", json.as_bytes()).unwrap());
        let principal = Principal::User { account: ACCOUNT.into(), arn: ALICE.into() };
        let resource = format!("arn:aws:s3:::b/{key}");
        let policies = Policies { identity: &[policy], ..Policies::default() };
        let request = Request { principal: &principal, action: &action, resource: &resource, context: &Named("x") };
        let expected = naively(&pattern.to_lowercase(), &action.to_lowercase()) && naively(&allowed_key, &key);
        prop_assert_eq!(matches!(evaluate(&policies, &request), Decision::Allow(_)), expected);
    }
}

/// Elements of a statement that cannot be, and the field that the refusal names.
const FAULTS: [(&str, &str); 22] = [
    (r#""Effect":"allow""#, "Effect"),
    (r#""Effect":["Allow"]"#, "Effect"),
    (r#""Effect":null"#, "Effect"),
    (r#""Action":[]"#, "Action"),
    (r#""Action":"GetObject""#, "Action"),
    (r#""Action":"s3:Get Object""#, "Action"),
    (r#""Action":"s3:GetObject ""#, "Action"),
    (r#""Action":"*:GetObject""#, "Action"),
    (r#""Action":["s3:*",1]"#, "Action"),
    (r#""Action":"s3:*","NotAction":"s3:*""#, "Action"),
    (r#""Resource":"bucket""#, "Resource"),
    (r#""Resource":"arn:aws:s3:::""#, "Resource"),
    (r#""Resource":"arn:gcp:s3:::b""#, "Resource"),
    (r#""Resource":"arn:aws:s3:::${aws:nope}""#, "Resource"),
    (r#""Resource":"*","NotResource":"*""#, "Resource"),
    (r#""Principal":"*""#, "Principal"),
    (r#""Condition":[]"#, "Condition"),
    (r#""Condition":{"Like":{"aws:username":"a"}}"#, "Condition"),
    (
        r#""Condition":{"StringEquals":{"aws:nope":"a"}}"#,
        "Condition",
    ),
    (
        r#""Condition":{"StringEquals":{"aws:username":[]}}"#,
        "Condition",
    ),
    (
        r#""Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}"#,
        "Condition",
    ),
    (r#""Other":1"#, "element"),
];

proptest! {
    /// T42: what is refused is named: the statement by number and Sid, and the field.
    #[test]
    fn t42_refusals_name_statement_and_field(count in 1_usize..6, at in any::<Index>(), fault in select(FAULTS.to_vec()), sids in any::<bool>()) {
        let (fault, field) = fault;
        let bad = at.index(count) + 1;
        let statement = |number: usize| {
            let mut elements: Vec<String> = [r#""Effect":"Allow""#, r#""Action":"s3:*""#, r#""Resource":"*""#].map(str::to_owned).to_vec();
            if number == bad {
                let (name, _) = fault.split_once(':').unwrap();
                elements.retain(|element| !element.starts_with(name));
                elements.push(fault.to_owned());
            }
            if sids {
                elements.push(format!(r#""Sid":"S{number}""#));
            }
            format!("{{{}}}", elements.join(","))
        };
        let statements: Vec<_> = (1..=count).map(statement).collect();
        let json = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
        let error = Policy::parse(PolicyKind::Identity, "p", json.as_bytes()).unwrap_err();
        let number = if sids { format!("{bad} (`S{bad}`)") } else { bad.to_string() };
        match &error {
            Error::Statement { statement, field: found, reason } => {
                prop_assert_eq!(statement, &number);
                prop_assert_eq!(*found, field);
                prop_assert!(!reason.is_empty());
            }
            Error::Document(_) => prop_assert!(false, "{}", error),
        }
        let named = format!("statement {number}, {field}: ");
        prop_assert!(error.to_string().starts_with(&named), "{}", error);
    }
}
