//! Grants that reach further than a list says: to the public, to all but some, and to any role.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>

use super::super::policy::Policy;
use super::super::principal::{Named, Principals};
use super::Report;
use super::document::Element;
use super::view::View;

/// Giving a role to a service.
const PASS_ROLE: (&str, &str, [&str; 3]) = (
    "iam:passrole",
    "PASS_ROLE",
    [
        "iam:passedtoservice",
        "iam:associatedresourcearn",
        "aws:resourcetag/",
    ],
);

/// What a grant is to let somebody take another's rights on.
const HANDED_OVER: [(&str, &str, [&str; 3]); 2] = [
    PASS_ROLE,
    (
        "sts:assumerole",
        "ASSUME_ROLE",
        ["aws:resourcetag/", "iam:resourcetag/", "sts:externalid"],
    ),
];

/// Statements that grant to everyone.
pub(super) fn check_public(document: &Element<'_>, policy: &Policy, report: &mut Report) {
    let elements = document.member("Statement").map_or(&[][..], Element::items);
    for at in policy.public_statements() {
        let principals = policy.statements().get(at).map(|s| &s.principals);
        let Some(Some(Principals::Only(named))) = principals else {
            continue;
        };
        let element = elements.get(at).and_then(|s| s.member("Principal"));
        if let (true, Some(element)) = (named.contains(&Named::Everyone), element) {
            report.security(
                "PUBLIC_GRANT",
                element,
                "it grants to everyone, signed or not, and no condition limits that to fixed values"
                    .to_owned(),
                "name principals, or add a condition such as aws:SourceIp or aws:PrincipalArn with fixed values",
            );
        }
    }
}

/// Grants to all but some, and of any role.
pub(super) fn check(view: &View<'_>, report: &mut Report) {
    if !view.allows() {
        return;
    }
    for (name, code, what) in [
        (
            "NotPrincipal",
            "ALLOW_WITH_NOT_PRINCIPAL",
            "everyone else, also who did not sign",
        ),
        (
            "NotAction",
            "ALLOW_WITH_NOT_ACTION",
            "every other action, of other services and of later ones too",
        ),
        (
            "NotResource",
            "ALLOW_WITH_NOT_RESOURCE",
            "every other resource, of other services and of later ones too",
        ),
    ] {
        if let Some(element) = view.element.member(name) {
            let positive = name.trim_start_matches("Not");
            report.security(
                code,
                element,
                format!("with `Allow` it grants {what}"),
                &format!("list what is granted with `{positive}`, or deny with `{name}`"),
            );
        }
    }
    check_roles(view, report);
}

/// Passing or assuming any role is having all that any role has. `*` on `*` says so itself.
fn check_roles(view: &View<'_>, report: &mut Report) {
    let everywhere = match view.names_resources() {
        true => view
            .resources
            .iter()
            .find(|resource| resource.text() == "*"),
        false => view.resources.first(),
    };
    let Some(everywhere) = everywhere else {
        return;
    };
    let patterns = view.statement.actions.named().iter();
    if !view.names_actions() {
        let (action, _, keys) = PASS_ROLE;
        let excepted = patterns.clone().any(|pattern| pattern.matches(action));
        if !excepted && !is_limited(view, &keys) {
            let code = match view.names_resources() {
                true => "PASS_ROLE_WITH_NOT_ACTION_AND_STAR_IN_RESOURCE",
                false => "PASS_ROLE_WITH_NOT_ACTION_AND_NOT_RESOURCE",
            };
            report.security(
                code,
                everywhere,
                "what `NotAction` leaves has `iam:PassRole` in it, on any role there is".to_owned(),
                "list what is granted with `Action`, or name `iam:PassRole` in `NotAction`",
            );
        }
        return;
    }
    let all = |text: &str| matches!(text, "*" | "*:*");
    let mut named = patterns.clone().map(|pattern| pattern.as_written());
    if view.conditions.is_empty() && everywhere.text() == "*" && named.any(all) {
        report.security(
            "PASS_ROLE_WITH_STAR_IN_ACTION_AND_RESOURCE",
            everywhere,
            "`*` on `*` is every right there is, handing rights to others among them".to_owned(),
            "list what is granted; who administers the store may have it all",
        );
    }
    for (action, code, keys) in HANDED_OVER {
        let mut some = patterns
            .clone()
            .filter(|pattern| !all(pattern.as_written()) && pattern.matches(action));
        let limited = is_limited(view, &keys);
        if let (Some(pattern), false) = (some.next(), limited) {
            let wild = pattern.as_written().contains(['*', '?']);
            let code = match (code, view.names_resources()) {
                ("PASS_ROLE", false) if wild => "PASS_ROLE_WITH_STAR_IN_ACTION_AND_NOT_RESOURCE",
                ("PASS_ROLE", true) => "PASS_ROLE_WITH_STAR_IN_RESOURCE",
                ("PASS_ROLE", false) => "PASS_ROLE_WITH_NOT_RESOURCE",
                (_, true) => "ASSUME_ROLE_WITH_STAR_IN_RESOURCE",
                (_, false) => "ASSUME_ROLE_WITH_NOT_RESOURCE",
            };
            report.security(
                code,
                everywhere,
                format!("`{}` is granted on any role there is", pattern.as_written()),
                "name the roles, as in `arn:aws:iam::123456789012:role/name`",
            );
        }
    }
}

/// Whether a condition limits what is handed over.
fn is_limited(view: &View<'_>, keys: &[&str]) -> bool {
    let mut asked = view.conditions.iter();
    asked.any(|asked| {
        let key = asked.condition.key.as_written().to_ascii_lowercase();
        keys.iter().any(|limit| key.starts_with(limit))
    })
}
