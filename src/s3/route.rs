//! Which operation a head asks for: the table of operations read as a router.
//!
//! Nothing falls through: a query key that the operation's row does not name is refused, so that an
//! unknown sub-resource never becomes the plain operation (T51).

use super::operation::{Row, TargetKind};
use super::{Error, ErrorCode, Head, Operation, Target};
use http::Method;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Query keys that mean nothing to any operation: SDKs add the operation's name as `x-id`.
const HARMLESS: [&str; 1] = ["x-id"];

/// Query keys of Signature Version 2, which `authn` refuses by name.
const SIGNATURE_V2: [&str; 3] = ["AWSAccessKeyId", "Expires", "Signature"];

type Rows = HashMap<(Method, TargetKind), Vec<&'static Row>>;

/// The rows of each method and target, the more demanding ones first.
static ROWS: LazyLock<Rows> = LazyLock::new(|| {
    let mut rows = Rows::new();
    for operation in Operation::ALL {
        let row = operation.row();
        rows.entry((row.method.clone(), row.target))
            .or_default()
            .push(row);
    }
    for rows in rows.values_mut() {
        rows.sort_by_key(|row| std::cmp::Reverse((row.sub_resource.len(), row.header.is_some())));
    }
    rows
});

/// The operation that `head` asks of `target`.
///
/// # Errors
/// `MethodNotAllowed` where no operation has that method, `NotImplemented` for an operation or a
/// query key that is not answered, `InvalidArgument` for a repeated query key.
pub(super) fn route(head: &Head, target: &Target) -> Result<&'static Row, Error> {
    let kind = match target {
        Target::Service => TargetKind::Service,
        Target::Bucket(_) => TargetKind::Bucket,
        Target::Object(..) => TargetKind::Object,
    };
    let rows = ROWS
        .get(&(head.method.clone(), kind))
        .map_or(&[][..], Vec::as_slice);
    let asks_for = |row: &&&Row| {
        row.sub_resource.iter().all(|key| head.query.has(key))
            && row.header.is_none_or(|name| head.has_header(name))
    };
    let row = *rows.iter().find(asks_for).ok_or_else(|| {
        Error::new(ErrorCode::MethodNotAllowed)
            .detail("Method", head.method.as_str())
            .detail("ResourceType", resource_type(kind))
    })?;
    only_known_keys(head, row)?;
    if row.implemented {
        Ok(row)
    } else {
        Err(not_implemented(row.name))
    }
}

fn only_known_keys(head: &Head, row: &Row) -> Result<(), Error> {
    if let Some(key) = head.query.repeated() {
        let message = "a query parameter is given more than once";
        return Err(
            Error::with_message(ErrorCode::InvalidArgument, message).detail("ArgumentName", key)
        );
    }
    let known = |key: &str| {
        row.sub_resource.contains(&key)
            || row.parameters.contains(&key)
            || HARMLESS.contains(&key)
            || SIGNATURE_V2.contains(&key)
            || Head::is_signature_parameter(key)
            || (head.is_presigned() && Head::is_hoisted_header(key))
    };
    match head.query.pairs().find(|(key, _)| !known(key)) {
        Some((key, _)) => Err(not_implemented(key)),
        None => Ok(()),
    }
}

/// The refusal by name of an operation or sub-resource.
fn not_implemented(what: &str) -> Error {
    let message = "A parameter you provided implies functionality that is not implemented";
    Error::with_message(ErrorCode::NotImplemented, message).detail("Parameter", what)
}

fn resource_type(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Service => "SERVICE",
        TargetKind::Bucket => "BUCKET",
        TargetKind::Object => "OBJECT",
    }
}
