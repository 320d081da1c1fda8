//! What a writer says of an object: standard headers and user metadata.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>

use super::super::head::text;
use super::super::{
    Error, ErrorCode, Head, ObjectMetadata, STANDARD_METADATA, WEBSITE_REDIRECT, without_framing,
};

/// The longest website redirect, in bytes.
const MAX_REDIRECT: usize = 2048;

/// The prefix of user metadata.
const USER_PREFIX: &str = "x-amz-meta-";

/// The most bytes of names and values of user metadata together.
const MAX_USER_METADATA: usize = 2048;

/// Reads what a writer says.
pub(super) fn of(head: &Head) -> Result<ObjectMetadata, Error> {
    Ok(ObjectMetadata {
        standard: standard(head)?,
        user: user(head)?,
    })
}

fn standard(head: &Head) -> Result<Vec<(&'static str, String)>, Error> {
    let mut kept = Vec::new();
    for name in STANDARD_METADATA {
        let Some(value) = head.header(name)? else {
            continue;
        };
        let value = match name {
            "content-encoding" => without_framing(value).into_owned(),
            WEBSITE_REDIRECT => redirect(head)?.unwrap_or_default(),
            _ => value.to_owned(),
        };
        if !value.is_empty() {
            kept.push((name, value));
        }
    }
    Ok(kept)
}

/// Where a website sends who asks for the object: a path, or a URL of the web.
pub(super) fn redirect(head: &Head) -> Result<Option<String>, Error> {
    let Some(value) = head.header(WEBSITE_REDIRECT)? else {
        return Ok(None);
    };
    let leads = ["/", "http://", "https://"]
        .iter()
        .any(|p| value.starts_with(p));
    // A presigned query can carry what a header cannot, and this is one again when it is read (T59).
    if !leads || value.chars().any(char::is_control) {
        return Err(ErrorCode::InvalidRedirectLocation.into());
    }
    if value.len() > MAX_REDIRECT {
        let message = "The length of website redirect location cannot exceed 2,048 characters.";
        return Err(Error::with_message(
            ErrorCode::InvalidRedirectLocation,
            message,
        ));
    }
    Ok(Some(value.to_owned()))
}

fn user(head: &Head) -> Result<Vec<(String, String)>, Error> {
    let mut kept: Vec<(String, String)> = Vec::new();
    let mut size = 0_usize;
    for name in head.amz_names() {
        let Some(short) = name.strip_prefix(USER_PREFIX) else {
            continue;
        };
        let not_text = || {
            Error::with_message(ErrorCode::InvalidArgument, "metadata is not UTF-8 text")
                .detail("ArgumentName", name)
        };
        let sent = head.headers().get_all(name).iter();
        let mut values = sent
            .map(|v| text(v).map(str::trim).ok_or_else(not_text))
            .collect::<Result<Vec<_>, _>>()?;
        let moved = head.hoisted(name);
        // One name may have come in both places, and would come twice.
        let (before, in_header) = (values.len(), !values.is_empty());
        values.extend(moved);
        if in_header && values.len() > before {
            return Err(Error::with_message(
                ErrorCode::InvalidArgument,
                "metadata is in a header and in the query",
            )
            .detail("ArgumentName", name));
        }
        let value = values.join(",");
        size = size.saturating_add(short.len()).saturating_add(value.len());
        kept.push((short.to_owned(), value));
    }
    if size > MAX_USER_METADATA {
        return Err(Error::new(ErrorCode::MetadataTooLarge)
            .detail("Size", size.to_string())
            .detail("MaxSizeAllowed", MAX_USER_METADATA.to_string()));
    }
    if kept
        .iter()
        .any(|(_, value)| value.bytes().any(|b| b.is_ascii_control() && b != b'\t'))
    {
        return Err(Error::with_message(
            ErrorCode::InvalidArgument,
            "metadata holds a control character",
        ));
    }
    Ok(kept)
}
