//! The list of signed headers: strict in form, and complete.
//!
//! A header that arrives and is not covered could have been added by anyone on the way, or by the
//! holder of a presigned URL, and would be acted on (T1, T2).

use super::Error;
use crate::s3::Head;

/// The longest list.
const MAX_LENGTH: usize = 4096;

/// Splits the list, which must be lower-case, sorted and without repetition, as signers write it.
pub(super) fn parse(list: &str, malformed: fn(String) -> Error) -> Result<Vec<&str>, Error> {
    let wrong = || malformed("the SignedHeaders list is not valid".to_owned());
    let token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    let names: Vec<&str> = list.split(';').collect();
    let ascending = names.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let tokens = names
        .iter()
        .all(|name| !name.is_empty() && name.bytes().all(token));
    if list.len() > MAX_LENGTH || !ascending || !tokens {
        return Err(wrong());
    }
    Ok(names)
}

/// Whether every listed header arrived. One that did not, since somebody on the way dropped it, makes
/// another request of what was signed, even where it was empty.
pub(super) fn arrived(head: &Head, names: &[&str]) -> bool {
    names.iter().all(|name| head.headers().contains_key(*name))
}

/// Every header that means something is listed. `names` are sorted, as [`parse`] leaves them.
pub(super) fn check(head: &Head, names: &[&str]) -> Result<(), Error> {
    let matters = |name: &str| name == "host" || name.starts_with("x-amz-");
    let arrived = head.headers().keys().map(http::HeaderName::as_str);
    let mut unsigned: Vec<&str> = arrived
        .filter(|name| matters(name) && names.binary_search(name).is_err())
        .collect();
    if unsigned.is_empty() {
        return Ok(());
    }
    unsigned.sort_unstable();
    Err(Error::Unsigned(unsigned.join(", ")))
}
