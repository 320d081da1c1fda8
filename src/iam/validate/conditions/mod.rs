//! Conditions: keys that no request has, operators that do not fit, values that mean something else.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html>

mod keys;
mod operators;
mod quantifiers;
mod values;

use time::OffsetDateTime;

use super::Report;
use super::view::View;

pub(super) fn check(view: &View<'_>, now: Option<OffsetDateTime>, report: &mut Report) {
    for asked in &view.conditions {
        let supplied = keys::check(asked, view, report);
        keys::check_variables(asked, report);
        operators::check(asked, report);
        // Of a key that is never there one finding is enough.
        if supplied {
            quantifiers::check(asked, view, report);
        }
        values::check(asked, view.variables, report);
        if let Some(now) = now {
            values::check_dates(asked, view, now, report);
        }
    }
    keys::check_resources(view, report);
}
