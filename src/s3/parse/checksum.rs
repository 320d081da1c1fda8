//! Checksum headers.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>

use super::super::{
    Checksum, ChecksumAlgorithm, ChecksumRequest, ChecksumSource, ChecksumType, Error, ErrorCode,
    Head, StoredChecksum,
};

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::with_message(ErrorCode::InvalidRequest, message)
}

/// The algorithm that header `name` names.
pub(super) fn algorithm(
    head: &Head,
    name: &'static str,
) -> Result<Option<ChecksumAlgorithm>, Error> {
    let unsupported = "Checksum algorithm provided is unsupported. Please try again with any of the \
                       valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, \
                       XXHASH3, XXHASH128]";
    let known = |text| ChecksumAlgorithm::from_name(text).ok_or_else(|| invalid(unsupported));
    head.header(name)?.map(known).transpose()
}

/// The one `x-amz-checksum-<algorithm>` header: its algorithm and its text.
fn value(head: &Head) -> Result<Option<(ChecksumAlgorithm, &str)>, Error> {
    let mut found = None;
    for algorithm in ChecksumAlgorithm::ALL {
        let Some(text) = head.header(algorithm.header())? else {
            continue;
        };
        if found.replace((algorithm, text)).is_some() {
            return Err(invalid(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
    }
    Ok(found)
}

fn bad_value(algorithm: ChecksumAlgorithm) -> Error {
    invalid(format!(
        "Value for {} header is invalid.",
        algorithm.header()
    ))
}

/// The checksum that an upload's head announces.
pub(super) fn of_upload(head: &Head) -> Result<Option<ChecksumRequest>, Error> {
    let named = algorithm(head, "x-amz-sdk-checksum-algorithm")?;
    let named = named.or(algorithm(head, "x-amz-checksum-algorithm")?);
    of_body(head, named)
}

/// The same of a document, beside which `x-amz-checksum-algorithm` is of an object.
pub(in crate::s3) fn of_document(head: &Head) -> Result<Option<ChecksumRequest>, Error> {
    of_body(head, algorithm(head, "x-amz-sdk-checksum-algorithm")?)
}

fn of_body(
    head: &Head,
    named: Option<ChecksumAlgorithm>,
) -> Result<Option<ChecksumRequest>, Error> {
    let given = value(head)?;
    let trailer = head.header("x-amz-trailer")?;
    let request = match (given, trailer) {
        (Some(_), Some(_)) => {
            return Err(invalid(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        (Some((algorithm, text)), None) => {
            let checksum = Checksum::parse(algorithm, text).ok_or_else(|| bad_value(algorithm))?;
            Some(ChecksumRequest {
                algorithm,
                source: ChecksumSource::Header(checksum),
            })
        }
        (None, Some(name)) => {
            let unknown = "The value specified in the x-amz-trailer header is not supported";
            let algorithm =
                ChecksumAlgorithm::from_header(name.trim()).ok_or_else(|| invalid(unknown))?;
            Some(ChecksumRequest {
                algorithm,
                source: ChecksumSource::Trailer,
            })
        }
        (None, None) => None,
    };
    match (named, &request) {
        (Some(_), None) => Err(invalid(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
        )),
        (Some(named), Some(request)) if named != request.algorithm => Err(invalid(
            "Value for x-amz-sdk-checksum-algorithm header is invalid.",
        )),
        _ => Ok(request),
    }
}

/// The algorithm and type that a multipart upload is opened with.
pub(super) fn of_multipart(
    head: &Head,
) -> Result<Option<(ChecksumAlgorithm, ChecksumType)>, Error> {
    let kind = kind(head)?;
    let Some(algorithm) = algorithm(head, "x-amz-checksum-algorithm")? else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(invalid(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let crc64 = algorithm == ChecksumAlgorithm::Crc64Nvme;
    match kind {
        Some(kind @ ChecksumType::FullObject) if !algorithm.joins() => {
            Err(mismatched(kind, algorithm))
        }
        Some(kind @ ChecksumType::Composite) if crc64 => Err(mismatched(kind, algorithm)),
        Some(kind) => Ok(Some((algorithm, kind))),
        None if crc64 => Ok(Some((algorithm, ChecksumType::FullObject))),
        None => Ok(Some((algorithm, ChecksumType::Composite))),
    }
}

fn mismatched(kind: ChecksumType, algorithm: ChecksumAlgorithm) -> Error {
    let (kind, algorithm) = (kind.name(), algorithm.name().to_ascii_lowercase());
    invalid(format!(
        "The {kind} checksum type cannot be used with the {algorithm} checksum algorithm."
    ))
}

/// `x-amz-checksum-type`.
pub(super) fn kind(head: &Head) -> Result<Option<ChecksumType>, Error> {
    match head.header("x-amz-checksum-type")? {
        None => Ok(None),
        Some("COMPOSITE") => Ok(Some(ChecksumType::Composite)),
        Some("FULL_OBJECT") => Ok(Some(ChecksumType::FullObject)),
        Some(_) => Err(invalid("Value for x-amz-checksum-type header is invalid.")),
    }
}

/// The whole object's checksum that CompleteMultipartUpload states: base64, and `-N` behind a
/// composite one.
pub(super) fn of_complete(head: &Head) -> Result<Option<StoredChecksum>, Error> {
    let Some((algorithm, text)) = value(head)? else {
        return Ok(None);
    };
    let parsed = match text.rsplit_once('-') {
        Some((digest, parts)) => Checksum::parse(algorithm, digest)
            .zip(parts.parse().ok())
            .map(|(checksum, parts)| StoredChecksum {
                checksum,
                kind: ChecksumType::Composite,
                parts: Some(parts),
            }),
        None => Checksum::parse(algorithm, text).map(|checksum| StoredChecksum {
            checksum,
            kind: ChecksumType::FullObject,
            parts: None,
        }),
    };
    parsed.map(Some).ok_or_else(|| bad_value(algorithm))
}
