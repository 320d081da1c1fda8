//! Which operation a head asks for: the table of operations read as a router.
//!
//! Nothing falls through: a query key that the operation's row does not name is refused, so that an
//! unknown sub-resource never becomes the plain operation (T51). Two kinds are passed over, as S3 does:
//! what begins with `x-` and not with `x-amz-`, and, where an object is read, what is no word of S3's.

use super::operation::{Row, TargetKind};
use super::{Error, ErrorCode, Head, Operation, Target};
use http::Method;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Query keys of Signature Version 2.
const SIGNATURE_V2: [&str; 3] = ["AWSAccessKeyId", "Expires", "Signature"];

/// Words of S3's that no row has.
const RESERVED: [&str; 2] = ["annotation", "annotations"];

/// Every word that S3 reads in a query, in lower case: another spelling of one is a mistake, and what
/// it meant is not to be passed over.
static WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let rows = Operation::ALL.iter().map(|operation| operation.row());
    let of_rows = rows.flat_map(|row| row.sub_resource.iter().chain(row.parameters));
    let all = of_rows.chain(&RESERVED).chain(&SIGNATURE_V2);
    all.map(|word| word.to_ascii_lowercase()).collect()
});

/// What presigners of Version 2 repeat in the query: it is signed as the header that comes as well.
const CONTENT: [&str; 2] = ["content-md5", "content-type"];

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
    if head.method == Method::OPTIONS {
        return Err(no_cors(head, kind));
    }
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
        let message = format!("{} is not implemented.", row.name);
        let error = Error::with_message(ErrorCode::NotImplemented, message);
        Err(error.detail("Parameter", row.name))
    }
}

/// What a browser is told that asks whether a page of another origin may do something: no bucket here
/// has rules of CORS, so none may.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html>
fn no_cors(head: &Head, kind: TargetKind) -> Error {
    let bad = |message: &'static str| Error::with_message(ErrorCode::BadRequest, message);
    if !head.has_header("origin") {
        return bad("Insufficient information. Origin request header needed.");
    }
    let Some(method) = head.headers().get("access-control-request-method") else {
        return bad("Invalid Access-Control-Request-Method: null");
    };
    let method = method.to_str().unwrap_or_default().chars().take(16);
    let message = "CORSResponse: CORS is not enabled for this bucket.";
    Error::with_message(ErrorCode::AccessForbidden, message)
        .detail("Method", method.collect::<String>())
        .detail("ResourceType", resource_type(kind))
}

fn only_known_keys(head: &Head, row: &Row) -> Result<(), Error> {
    let passed_over =
        |key: &str| is_a_clients_own(key) || (reads_an_object(row) && means_nothing(key));
    let is_signature = |key: &&str| SIGNATURE_V2.contains(key);
    let mut repeated = head.query.repeated();
    if let Some(key) = repeated.find(|key| is_signature(key) || !passed_over(key)) {
        let message = "a query parameter is given more than once";
        return Err(
            Error::with_message(ErrorCode::InvalidArgument, message).detail("ArgumentName", key)
        );
    }
    let known = |key: &str| {
        row.sub_resource.contains(&key)
            || row.parameters.contains(&key)
            || passed_over(key)
            || SIGNATURE_V2.contains(&key)
            || Head::is_signature_parameter(key)
            || (head.is_presigned() && Head::is_hoisted(key))
            || (head.is_presigned_by_version_two() && CONTENT.contains(&key))
    };
    let unknown = head.query.pairs().find(|(key, _)| !known(key));
    match unknown {
        Some((key, _)) if of_the_other_listing(row, key) => {
            let message = "The parameter belongs to the other version of the listing.";
            Err(Error::with_message(ErrorCode::InvalidArgument, message)
                .detail("ArgumentName", key))
        }
        Some((key, _)) => Err(not_implemented(key)),
        None => Ok(()),
    }
}

/// Whether a key is a parameter of the version of ListObjects that was not asked for: to go on from the
/// wrong place, or not to, is worse than to be refused.
fn of_the_other_listing(row: &Row, key: &str) -> bool {
    let other = match row.operation {
        Operation::ListObjects => Operation::ListObjectsV2,
        Operation::ListObjectsV2 => Operation::ListObjects,
        _ => return false,
    };
    other.row().parameters.contains(&key)
}

/// Whether a key is for whoever reads logs. SDKs add the operation's name as `x-id`.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>
fn is_a_clients_own(key: &str) -> bool {
    key.starts_with("x-") && !is_amz(key)
}

/// Whether a key is no word of S3's, such as the `v` of `style.css?v=3`.
fn means_nothing(key: &str) -> bool {
    !key.is_empty() && !is_amz(key) && !WORDS.contains(&key.to_ascii_lowercase())
}

fn is_amz(key: &str) -> bool {
    let prefix = key.as_bytes().get(..6);
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"x-amz-"))
}

/// A read of an object asks for no more than the object, whatever stands in its query.
fn reads_an_object(row: &Row) -> bool {
    matches!(row.operation, Operation::GetObject | Operation::HeadObject)
}

/// The refusal by name of a query parameter. It is what a client sent, so little of it is repeated.
fn not_implemented(what: &str) -> Error {
    let what: String = what.chars().take(64).collect();
    let message = format!("The query parameter '{what}' is not implemented for this operation.");
    Error::with_message(ErrorCode::NotImplemented, message).detail("Parameter", what)
}

fn resource_type(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Service => "SERVICE",
        TargetKind::Bucket => "BUCKET",
        TargetKind::Object => "OBJECT",
    }
}
