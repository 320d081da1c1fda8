//! The few XML documents that S3 reads and writes: a writer of elements, and a reader of the three
//! documents that requests carry.
//!
//! The reader takes well-formed UTF-8 without a document type, to a small depth and a bounded
//! number of elements, and refuses what its schema does not name (T56).

use super::{
    BucketName, Checksum, ChecksumAlgorithm, ETag, Error, ErrorCode, InvalidObjectKey, ObjectKey,
};
use quick_xml::Reader;
use quick_xml::events::Event;

/// The namespace of S3's documents.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The most keys of one DeleteObjects.
pub const MAX_DELETE_KEYS: usize = 1000;

/// The most parts of a multipart upload.
pub const MAX_PARTS: usize = 10_000;

const MAX_DEPTH: usize = 6;
const MAX_ELEMENTS: usize = 90_000;

/// Writes a document, element by element.
#[derive(Debug)]
pub struct Writer(String);

impl Writer {
    /// A document whose root element is `root`, in S3's namespace.
    #[must_use]
    pub fn new(root: &str) -> Self {
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
        Self(format!("{head}<{root} xmlns=\"{NAMESPACE}\">"))
    }

    /// A document whose root element is `root`, in no namespace, as errors are.
    #[must_use]
    pub fn plain(root: &str) -> Self {
        Self(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}>"
        ))
    }

    /// `<name>text</name>`, escaped.
    pub fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        escape(text, &mut self.0);
        self.close(name);
    }

    /// `<name>text</name>` where there is a text.
    pub fn maybe(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// `<name>number</name>`.
    pub fn number(&mut self, name: &str, number: impl Into<u64>) {
        self.text(name, itoa::Buffer::new().format(number.into()));
    }

    /// `<name>true</name>` or `<name>false</name>`.
    pub fn flag(&mut self, name: &str, flag: bool) {
        self.text(name, if flag { "true" } else { "false" });
    }

    /// `<name>`; the caller closes it.
    pub fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    /// `</name>`.
    pub fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// The document, its root closed.
    #[must_use]
    pub fn finish(mut self, root: &str) -> String {
        self.close(root);
        self.0
    }
}

/// Escapes markup, and what XML 1.0 has no character for as S3 does, by number.
fn escape(text: &str, to: &mut String) {
    for c in text.chars() {
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\t' | '\n' => to.push(c),
            c if (c as u32) < 0x20 || matches!(c, '\u{7f}' | '\u{fffe}' | '\u{ffff}') => {
                to.push_str(&format!("&#x{:x};", c as u32));
            }
            c => to.push(c),
        }
    }
}

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
    let elements = ChecksumAlgorithm::ALL.map(ChecksumAlgorithm::element);
    let [a, b, c, d, e] = elements;
    part.only(&["PartNumber", "ETag", a, b, c, d, e])?;
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
/// `MalformedXML`.
pub fn read_location(document: &[u8]) -> Result<Option<String>, Error> {
    if document.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let root = Element::read(document, "CreateBucketConfiguration")?;
    root.only(&["LocationConstraint"])?;
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
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

fn malformed() -> Error {
    ErrorCode::MalformedXml.into()
}

/// An element read whole; namespaces and attributes are passed over.
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document whose root is `root`.
    fn read(document: &[u8], root: &str) -> Result<Self, Error> {
        let text = std::str::from_utf8(document).map_err(|_| malformed())?;
        // In no XML is there such a character, and the reader would let it pass into a version or tag.
        if text.contains('\0') {
            return Err(malformed());
        }
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut open: Vec<Self> = Vec::new();
        let mut done: Option<Self> = None;
        let mut elements = 0_usize;
        loop {
            match reader.read_event().map_err(|_| malformed())? {
                Event::Start(start) => {
                    elements = elements.saturating_add(1);
                    if done.is_some() || open.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                        return Err(malformed());
                    }
                    open.push(Self::named(start.local_name().as_ref()));
                }
                Event::Empty(start) => {
                    elements = elements.saturating_add(1);
                    if done.is_some() || elements > MAX_ELEMENTS {
                        return Err(malformed());
                    }
                    let element = Self::named(start.local_name().as_ref());
                    close(element, &mut open, &mut done);
                }
                Event::End(_) => {
                    let element = open.pop().ok_or_else(malformed)?;
                    close(element, &mut open, &mut done);
                }
                Event::Text(text) => match open.last_mut() {
                    Some(element) => element.text.push_str(&text),
                    None if text.chars().all(char::is_whitespace) => {}
                    None => return Err(malformed()),
                },
                Event::CData(data) => {
                    open.last_mut().ok_or_else(malformed)?.text.push_str(&data);
                }
                Event::GeneralRef(reference) => {
                    let character = resolve(&reference).ok_or_else(malformed)?;
                    open.last_mut().ok_or_else(malformed)?.text.push(character);
                }
                Event::Decl(_) | Event::Comment(_) => {}
                Event::DocType(_) | Event::PI(_) => return Err(malformed()),
                Event::Eof => break,
            }
        }
        let whole = done.filter(|element| element.name == root && open.is_empty());
        whole.ok_or_else(malformed)
    }

    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Refuses children that are not in `names`.
    fn only(&self, names: &[&str]) -> Result<(), Error> {
        let known = |child: &Self| names.contains(&child.name.as_str());
        if self.children.iter().all(known) {
            Ok(())
        } else {
            Err(malformed())
        }
    }

    /// The text of the child `name`, which stands once and has no children.
    fn optional(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(child), None) if child.children.is_empty() => Ok(Some(&child.text)),
            _ => Err(malformed()),
        }
    }

    fn required(&self, name: &str) -> Result<&str, Error> {
        self.optional(name)?.ok_or_else(malformed)
    }

    fn flag(&self) -> Result<bool, Error> {
        match self.text.trim() {
            "true" | "1" => Ok(true),
            "false" | "0" | "" => Ok(false),
            _ => Err(malformed()),
        }
    }
}

fn close(element: Element, open: &mut [Element], done: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *done = Some(element),
    }
}

/// The five predefined entities and character references; a document defines none of its own.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return Some(character);
    }
    match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// A bucket's location: empty for `us-east-1`.
#[must_use]
pub fn location(region: &str) -> String {
    let mut xml = Writer::new("LocationConstraint");
    if region != "us-east-1" {
        escape(region, &mut xml.0);
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
    }

    #[test]
    fn t82_writing_escapes() {
        let mut xml = Writer::plain("R");
        xml.text("Key", "<a>&\"\u{1}\r");
        assert!(
            xml.finish("R")
                .ends_with("<R><Key>&lt;a&gt;&amp;&quot;&#x1;&#xd;</Key></R>")
        );
        assert_eq!(url_encode("a b/\u{e9}+"), "a+b/%C3%A9%2B");
    }
}
