//! Conditional headers.

use super::super::{ETag, Error, ErrorCode, Head, ReadConditions, WriteConditions, time};

/// The conditions of a read.
pub(super) fn of_read(head: &Head) -> Result<ReadConditions, Error> {
    Ok(ReadConditions {
        if_match: tags(head.header("if-match")?),
        if_none_match: tags(head.header("if-none-match")?),
        // RFC 9110: a date that cannot be read is as if it were not there.
        if_modified_since: head
            .header("if-modified-since")?
            .and_then(time::parse_http_date),
        if_unmodified_since: head
            .header("if-unmodified-since")?
            .and_then(time::parse_http_date),
    })
}

/// The conditions on a copy's source.
pub(super) fn of_copy_source(head: &Head) -> Result<ReadConditions, Error> {
    let date = |name| Ok::<_, Error>(head.header(name)?.and_then(time::parse_http_date));
    Ok(ReadConditions {
        if_match: tags(head.header("x-amz-copy-source-if-match")?),
        if_none_match: tags(head.header("x-amz-copy-source-if-none-match")?),
        if_modified_since: date("x-amz-copy-source-if-modified-since")?,
        if_unmodified_since: date("x-amz-copy-source-if-unmodified-since")?,
    })
}

/// The conditions of a write: S3 knows `If-None-Match: *` and `If-Match` with one tag.
pub(super) fn of_write(head: &Head) -> Result<WriteConditions, Error> {
    let if_none_match = match head.header("if-none-match")?.map(str::trim) {
        None => false,
        Some("*" | "\"*\"") => true,
        Some(_) => {
            return Err(Error::new(ErrorCode::NotImplemented).detail("Header", "If-None-Match"));
        }
    };
    let if_match = head.header("if-match")?.map(ETag::parse);
    if if_match.is_some() && if_none_match {
        return Err(Error::new(ErrorCode::NotImplemented).detail("Header", "If-Match"));
    }
    Ok(WriteConditions {
        if_match,
        if_none_match,
    })
}

fn tags(list: Option<&str>) -> Option<Vec<ETag>> {
    list.map(|list| list.split(',').map(ETag::parse).collect())
}
