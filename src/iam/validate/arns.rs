//! Parts of ARNs: regions and accounts that there are not, parts that are missing.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

use super::super::arn::is_account;
use super::super::reference::nearest::nearest;
use super::super::reference::regions::REGIONS;
use super::Report;
use super::document::Element;
use super::known;

/// Checks a resource's ARN, whose variables are one character each.
pub(super) fn check(element: &Element<'_>, whole: &str, report: &mut Report) {
    let text = element.text();
    if text == "*" {
        return;
    }
    let given = whole.split(':').count();
    let parts: Vec<&str> = whole.splitn(6, ':').collect();
    if given < 6 {
        report.error(
            "MISSING_ARN_FIELD",
            element,
            format!("`{text}` has {given} of an ARN's six parts: it stands for all that begins so"),
            "write all of it, as in `arn:aws:s3:::bucket/*`",
        );
        return;
    }
    let [_, _, service, region, account, _] = parts.as_slice() else {
        return;
    };
    if service.bytes().any(|b| b.is_ascii_uppercase()) {
        report.error(
            "INVALID_ARN_SERVICE_CASE",
            element,
            format!("`{text}` is nothing: services are in lower case"),
            &format!("write `{}`", service.to_ascii_lowercase()),
        );
    }
    check_service(element, service, report);
    let literal = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let global = *service == "iam";
    if global && !matches!(*region, "" | "*") {
        report.error(
            "ARN_REGION_NOT_ALLOWED",
            element,
            format!("`{text}` is nothing: what IAM has is in no region"),
            "leave the region empty",
        );
    } else if *service == "kms" && region.is_empty() {
        report.error(
            "MISSING_ARN_REGION",
            element,
            format!("`{text}` is nothing: keys are in a region"),
            "name the region, or write `*`",
        );
    } else if *service != "s3" && !region.is_empty() && literal(region) && !is_region(region) {
        report.error(
            "INVALID_ARN_REGION",
            element,
            format!("`{region}` in `{text}` is no region of AWS's"),
            &meant(region),
        );
    }
    // Keys and users are an account's; the parts of `arn:aws:iam::aws:policy/…` are AWS's own.
    if matches!(*service, "iam" | "kms" | "sts") && account.is_empty() {
        report.error(
            "MISSING_ARN_ACCOUNT",
            element,
            format!("`{text}` is nothing: what `{service}` has is an account's"),
            "name the account, or write `*`",
        );
    }
    let named = !account.is_empty() && literal(account) && *account != "aws";
    if *service != "s3" && named && !is_account(account) {
        report.error(
            "INVALID_ARN_ACCOUNT",
            element,
            format!("`{account}` in `{text}` is not an account"),
            "an account is 12 digits",
        );
    }
}

/// A service that there is not, as far as it is nearly one that is answered here.
fn check_service(element: &Element<'_>, service: &str, report: &mut Report) {
    if let Some(meant) = known::meant_service(service) {
        report.error(
            "INVALID_SERVICE",
            element,
            format!(
                "`{}` is nothing: there is no service `{service}`",
                element.text()
            ),
            &format!("did you mean `{meant}`?"),
        );
    }
}

/// Checks an ARN in a condition, all of whose parts are there.
pub(super) fn check_value(element: &Element<'_>, report: &mut Report) {
    let text = element.text();
    if text.starts_with("arn:") && !text.contains("${") && text.split(':').count() >= 6 {
        check(element, text, report);
    }
}

/// Whether AWS has a region of that name.
pub(super) fn is_region(text: &str) -> bool {
    REGIONS.contains(&text)
}

/// The region that may have been meant.
pub(super) fn nearest_region(text: &str) -> Option<&'static str> {
    nearest(text, REGIONS.iter().copied())
}

/// What to write instead of a region that there is not.
pub(super) fn meant(text: &str) -> String {
    match nearest_region(text) {
        Some(region) => format!("did you mean `{region}`?"),
        None => "write it as in `us-east-1`".to_owned(),
    }
}
