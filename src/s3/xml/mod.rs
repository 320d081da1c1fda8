//! The few XML documents that S3 reads and writes: a writer of elements, and readers of the documents
//! that requests carry.
//!
//! What a schema does not name is refused (T56).

mod element;
mod public_access;
mod tagging;
mod writer;

use super::{
    BucketName, Checksum, ChecksumAlgorithm, ETag, Error, ErrorCode, InvalidObjectKey, ObjectKey,
};
use element::{Element, malformed};
pub use public_access::{policy_status, public_access_block, read_public_access_block};
pub use tagging::{read_tagging, tagging};
pub use writer::{NAMESPACE, Writer, is_character};

/// The most keys of one DeleteObjects.
pub const MAX_DELETE_KEYS: usize = 1000;

/// The most parts of a multipart upload.
pub const MAX_PARTS: usize = 10_000;

/// An error's document.
#[must_use]
pub fn error(error: &Error, resource: &str, request_id: &str) -> String {
    let mut xml = Writer::plain("Error");
    xml.text("Code", error.code().as_str());
    xml.text("Message", error.message());
    for (name, value) in error.details() {
        xml.text(name, value);
    }
    xml.text("Resource", resource);
    xml.text("RequestId", request_id);
    xml.text("HostId", request_id);
    xml.finish("Error")
}

/// A key of a DeleteObjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteKey {
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version_id: Option<String>,
    /// The tag that the object must have.
    pub if_match: Option<ETag>,
}

/// DeleteObjects' document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The keys, 1 to 1,000.
    pub keys: Vec<DeleteKey>,
    /// Whether only errors are answered.
    pub quiet: bool,
}

/// A part of a CompleteMultipartUpload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletePart {
    /// 1 to 10,000.
    pub part_number: u16,
    /// Its tag.
    pub etag: ETag,
    /// Its checksum as the client has it.
    pub checksum: Option<Checksum>,
}

/// Reads the body of a DeleteObjects.
///
/// # Errors
/// `MalformedXML`, `KeyTooLongError`, or `NotImplemented` for a condition that is not known.
pub fn read_delete(document: &[u8]) -> Result<Delete, Error> {
    let root = Element::read(document, "Delete")?;
    let mut delete = Delete {
        keys: Vec::new(),
        quiet: false,
    };
    for child in &root.children {
        match child.name.as_str() {
            "Quiet" => delete.quiet = child.flag()?,
            "Object" => delete.keys.push(delete_key(child)?),
            _ => return Err(malformed()),
        }
    }
    match delete.keys.len() {
        1..=MAX_DELETE_KEYS => Ok(delete),
        _ => Err(malformed()),
    }
}

fn delete_key(object: &Element) -> Result<DeleteKey, Error> {
    object.only(&["Key", "VersionId", "ETag", "LastModifiedTime", "Size"])?;
    if object.optional("LastModifiedTime")?.is_some() || object.optional("Size")?.is_some() {
        return Err(ErrorCode::NotImplemented.into());
    }
    let key = ObjectKey::parse(object.required("Key")?).map_err(|why| match why {
        InvalidObjectKey::TooLong => why.into(),
        InvalidObjectKey::Empty | InvalidObjectKey::Nul => malformed(),
    })?;
    let version_id = object
        .optional("VersionId")?
        .filter(|id| !id.is_empty())
        .map(str::to_owned);
    Ok(DeleteKey {
        key,
        version_id,
        if_match: object.optional("ETag")?.map(ETag::parse),
    })
}

/// Reads the body of a CompleteMultipartUpload, in the order it stands.
///
/// # Errors
/// `MalformedXML` or `InvalidPartOrder`.
pub fn read_complete(document: &[u8]) -> Result<Vec<CompletePart>, Error> {
    let root = Element::read(document, "CompleteMultipartUpload")?;
    let part = |child: &Element| match child.name.as_str() {
        "Part" => complete_part(child),
        _ => Err(malformed()),
    };
    let parts: Vec<_> = root.children.iter().map(part).collect::<Result<_, _>>()?;
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(malformed());
    }
    let ascending = parts.windows(2).all(|pair| match pair {
        [a, b] => a.part_number < b.part_number,
        _ => true,
    });
    if ascending {
        Ok(parts)
    } else {
        Err(ErrorCode::InvalidPartOrder.into())
    }
}

fn complete_part(part: &Element) -> Result<CompletePart, Error> {
    let mut known = vec!["PartNumber", "ETag"];
    known.extend(ChecksumAlgorithm::ALL.map(ChecksumAlgorithm::element));
    part.only(&known)?;
    let part_number = part.required("PartNumber")?.trim().parse::<u16>();
    let Ok(part_number @ 1..=10_000) = part_number else {
        return Err(malformed());
    };
    let mut checksum = None;
    for algorithm in ChecksumAlgorithm::ALL {
        if let Some(text) = part.optional(algorithm.element())? {
            checksum = Some(Checksum::parse(algorithm, text).ok_or_else(malformed)?);
        }
    }
    Ok(CompletePart {
        part_number,
        etag: ETag::parse(part.required("ETag")?),
        checksum,
    })
}

/// Reads the body of a CreateBucket: its location constraint. No body is no constraint.
///
/// # Errors
/// `MalformedXML`, or `NotImplemented` naming what else of S3's stands in it.
pub fn read_location(document: &[u8]) -> Result<Option<String>, Error> {
    if document.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let root = Element::read(document, "CreateBucketConfiguration")?;
    root.only(&["LocationConstraint", "Location", "Bucket", "Tags"])?;
    // What S3 knows and nobody here would do: a bucket without its tags would be another's.
    let mut others = root.children.iter().map(|child| child.name.as_str());
    if let Some(name) = others.find(|name| *name != "LocationConstraint") {
        let message = format!("{name} in CreateBucketConfiguration is not implemented.");
        return Err(Error::with_message(ErrorCode::NotImplemented, message));
    }
    let constraint = root.optional("LocationConstraint")?;
    Ok(constraint
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned))
}

/// The names of a listing that were asked for percent-encoded (`encoding-type=url`): everything but
/// unreserved characters and `/`, with a space as `+`.
#[must_use]
pub fn url_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            other => {
                encoded.push('%');
                for digit in [other >> 4, other & 0xf] {
                    let digit = char::from_digit(u32::from(digit), 16);
                    encoded.extend(digit.map(|digit| digit.to_ascii_uppercase()));
                }
            }
        }
    }
    encoded
}

/// A bucket's location: empty for `us-east-1`.
#[must_use]
pub fn location(region: &str) -> String {
    let mut xml = Writer::new("LocationConstraint");
    if region != "us-east-1" {
        xml.content(region);
    }
    xml.finish("LocationConstraint")
}

/// Names a bucket in a text that a client is shown.
#[must_use]
pub fn resource(bucket: &BucketName, key: Option<&ObjectKey>) -> String {
    match key {
        Some(key) => format!("/{bucket}/{key}"),
        None => format!("/{bucket}"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn keys(document: &str) -> Result<Vec<String>, ErrorCode> {
        let delete = read_delete(document.as_bytes()).map_err(|e| e.code())?;
        Ok(delete
            .keys
            .iter()
            .map(|k| k.key.as_str().to_owned())
            .collect())
    }

    #[test]
    fn deletes_are_read() {
        let plain = "<Delete><Object><Key>a&amp;b &lt;&#x41;&#10;</Key></Object><Quiet>true</Quiet></Delete>";
        assert_eq!(keys(plain), Ok(vec!["a&b <A\n".to_owned()]));
        let spaced = format!(
            "<?xml version=\"1.0\"?>\n<Delete xmlns=\"{NAMESPACE}\">\n <Object>\n  <Key>k</Key><VersionId>v</VersionId>\n </Object>\n</Delete>\n"
        );
        assert_eq!(keys(&spaced), Ok(vec!["k".to_owned()]));
        assert_eq!(
            keys(
                "<s:Delete xmlns:s='x'><s:Object><s:Key><![CDATA[<k>]]></s:Key></s:Object></s:Delete>"
            ),
            Ok(vec!["<k>".to_owned()])
        );
        let most = format!(
            "<Delete>{}</Delete>",
            "<Object><Key>k</Key></Object>".repeat(1000)
        );
        assert_eq!(keys(&most).map(|k| k.len()), Ok(1000));
    }

    #[test]
    fn t56_hostile_documents_are_refused() {
        let too_many = format!(
            "<Delete>{}</Delete>",
            "<Object><Key>k</Key></Object>".repeat(1001)
        );
        let deep = "<Delete>".repeat(10_000);
        let long_key = format!(
            "<Delete><Object><Key>{}</Key></Object></Delete>",
            "k".repeat(1025)
        );
        for (document, code) in [
            ("", ErrorCode::MalformedXml),
            ("<Delete>", ErrorCode::MalformedXml),
            ("<Delete></Delete>", ErrorCode::MalformedXml),
            (
                "<Other><Object><Key>k</Key></Object></Other>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>k</Key></Object></Delete><Delete/>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>k</Key></Object></Delete>text",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>k</Key><Key>l</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key></Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            ("<Delete><Object/></Delete>", ErrorCode::MalformedXml),
            (
                "<Delete><Object><Key>k</Key><VersionId>v\0</VersionId></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>k</Key><Extra/></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key><b>k</b></Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>&#0;</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>&#x1;</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>&#xffff;</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>a\u{1}</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>a\u{1f}</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>a\u{fffe}</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><!-- \u{b} --><Object><Key>a</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>&unknown;</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<!DOCTYPE d [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Delete><Object><Key>&x;</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<?pi x?><Delete><Object><Key>k</Key></Object></Delete>",
                ErrorCode::MalformedXml,
            ),
            (
                "<Delete><Object><Key>k</Key><Size>1</Size></Object></Delete>",
                ErrorCode::NotImplemented,
            ),
            (too_many.as_str(), ErrorCode::MalformedXml),
            (deep.as_str(), ErrorCode::MalformedXml),
            (long_key.as_str(), ErrorCode::KeyTooLong),
        ] {
            assert_eq!(
                keys(document),
                Err(code),
                "{}",
                document.chars().take(80).collect::<String>()
            );
        }
        let utf16: Vec<u8> = "<Delete/>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert!(read_delete(&utf16).is_err());
    }

    #[test]
    fn completions_are_read() {
        let part = |n: &str| format!("<Part><PartNumber>{n}</PartNumber><ETag>\"e\"</ETag></Part>");
        let document =
            |parts: &str| format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let read = |parts: &str| {
            let parts = read_complete(document(parts).as_bytes()).map_err(|e| e.code())?;
            Ok(parts.iter().map(|p| p.part_number).collect::<Vec<_>>())
        };
        assert_eq!(read(&(part("1") + &part("10000"))), Ok(vec![1, 10_000]));
        assert_eq!(
            read(&(part("2") + &part("1"))),
            Err(ErrorCode::InvalidPartOrder)
        );
        assert_eq!(
            read(&(part("1") + &part("1"))),
            Err(ErrorCode::InvalidPartOrder)
        );
        for bad in [
            "",
            &part("0"),
            &part("10001"),
            &part("x"),
            "<Part><PartNumber>1</PartNumber></Part>",
        ] {
            assert_eq!(read(bad), Err(ErrorCode::MalformedXml), "{bad}");
        }
        let with = "<Part><PartNumber>1</PartNumber><ETag>e</ETag><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32></Part>";
        let parts = read_complete(document(with).as_bytes()).unwrap();
        assert!(parts.iter().all(|p| p.checksum.is_some()));
    }

    #[test]
    fn locations() {
        let at = |text: &str| {
            format!(
                "<CreateBucketConfiguration><LocationConstraint>{text}</LocationConstraint></CreateBucketConfiguration>"
            )
        };
        assert_eq!(read_location(b"").unwrap(), None);
        assert_eq!(
            read_location(at("eu-west-1").as_bytes())
                .unwrap()
                .as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(read_location(at("").as_bytes()).unwrap(), None);
        assert!(
            read_location(b"<CreateBucketConfiguration><Other/></CreateBucketConfiguration>")
                .is_err()
        );
        assert!(read_location(b"{}").is_err());
        let tagged = "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>";
        let error = read_location(tagged.as_bytes()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotImplemented);
        assert!(error.message().starts_with("Tags "));
    }

    #[test]
    fn t82_writing_escapes() {
        let mut xml = Writer::plain("R");
        xml.text("Key", "<a>&\"\u{1}\r");
        assert!(
            xml.finish("R")
                .ends_with("<R><Key>&lt;a&gt;&amp;&quot;\u{fffd}&#xd;</Key></R>")
        );
        let mut xml = Writer::plain("R");
        xml.text("Key", "\u{e9}&&\u{7f}\u{1f}a\tb\u{ffff}");
        assert!(
            xml.finish("R")
                .ends_with("<Key>\u{e9}&amp;&amp;&#x7f;\u{fffd}a\tb\u{fffd}</Key></R>")
        );
        assert_eq!(url_encode("a b/\u{e9}+"), "a+b/%C3%A9%2B");
    }
}
