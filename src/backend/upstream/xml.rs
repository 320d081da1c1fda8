//! An upstream's XML, read into a small tree: bounded in size, depth and elements, without
//! document types, external entities or attributes (T56). Nothing here trusts the other side.

use super::error::Error;
use crate::s3::time::parse_iso8601;
use quick_xml::Reader;
use quick_xml::events::Event;
use time::OffsetDateTime;

/// The largest document that is read, in bytes: a full page of 1,000 keys of 1,024 bytes, each
/// byte percent-encoded, with room for owners and checksums.
pub(super) const MAX_DOCUMENT: usize = 8 << 20;
/// The largest error document that is read, in bytes.
pub(super) const MAX_ERROR: usize = 64 << 10;
/// The deepest nesting; S3's own documents stay under 6.
const MAX_DEPTH: usize = 12;
/// The most elements; a page of 1,000 keys has under 20,000, 10,000 buckets have 50,000.
const MAX_ELEMENTS: usize = 100_000;

/// An element: its name without a namespace prefix, its own text, its children.
#[derive(Debug, Default)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a whole document and answers its root.
    pub(super) fn parse(document: &[u8]) -> Result<Self, Error> {
        let bad = |what: &'static str| Error::garbage(what);
        if document.len() > MAX_DOCUMENT {
            return Err(bad("the document is too large"));
        }
        let text = std::str::from_utf8(document).map_err(|_| bad("the document is not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        // The open elements, outermost first; the finished root ends in `root`.
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut elements = 0;
        loop {
            let event = reader
                .read_event()
                .map_err(|error| Error::garbage(format!("malformed XML: {error}")))?;
            match event {
                Event::Start(start) => {
                    elements += 1;
                    if open.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                        return Err(bad("the document nests too deep or has too many elements"));
                    }
                    if root.is_some() {
                        return Err(bad("the document has two roots"));
                    }
                    let name = start.local_name().as_ref().to_owned();
                    open.push(Self {
                        name,
                        ..Self::default()
                    });
                }
                Event::End(_) => {
                    let done = open.pop().ok_or_else(|| bad("an end without a start"))?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(done),
                        None => root = Some(done),
                    }
                }
                Event::Text(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text.xml10_content());
                    }
                }
                Event::CData(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text.xml10_content());
                    }
                }
                Event::GeneralRef(entity) => {
                    let c = character(&entity)
                        .ok_or_else(|| bad("the document names an unknown entity"))?;
                    if let Some(element) = open.last_mut() {
                        element.text.push(c);
                    }
                }
                Event::DocType(_) => return Err(bad("the document has a document type")),
                Event::Eof => break,
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => {}
            }
        }
        match root {
            Some(root) if open.is_empty() => Ok(root),
            _ => Err(bad("the document is cut off")),
        }
    }

    /// The element's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The text of the first child of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The same, which must be there.
    pub(super) fn need(&self, name: &'static str) -> Result<&str, Error> {
        self.get(name)
            .ok_or_else(|| Error::garbage(format!("`{}` lacks `{name}`", short_name(&self.name))))
    }

    /// The first child of that name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Every child of that name, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The same, which must say something.
    pub(super) fn filled(&self, name: &'static str) -> Result<&str, Error> {
        let text = self.need(name)?;
        if text.is_empty() {
            let parent = short_name(&self.name);
            return Err(Error::garbage(format!("`{name}` of `{parent}` is empty")));
        }
        Ok(text)
    }

    /// What the child of that name says, which must be `true` or `false`.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Error> {
        match self.need(name)?.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Error::garbage(format!(
                "`{name}` is neither true nor false"
            ))),
        }
    }

    /// The time that the child of that name says.
    pub(super) fn time(&self, name: &'static str) -> Result<OffsetDateTime, Error> {
        let time = parse_iso8601(self.need(name)?.trim());
        time.ok_or_else(|| Error::garbage(format!("`{name}` is not a time")))
    }

    /// The number that the child of that name says.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, Error> {
        let text = self.need(name)?.trim();
        text.parse()
            .map_err(|_| Error::garbage(format!("`{name}` is not a number")))
    }

    /// Checks that the root is what was asked for.
    pub(super) fn named(self, name: &'static str) -> Result<Self, Error> {
        // Some servers call an answer `…Response` where S3 says `…Result`.
        let stem = name.strip_suffix("Result").unwrap_or(name);
        let other = self.name.strip_suffix("Response");
        if self.name == name || other == Some(stem) {
            Ok(self)
        } else {
            let found = short_name(&self.name);
            Err(Error::garbage(format!("`{found}` instead of `{name}`")))
        }
    }
}

fn short_name(name: &str) -> String {
    super::error::short(name).chars().take(40).collect()
}

/// A predefined entity or a character reference; nothing else is ever defined.
fn character(entity: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    match &**entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => entity.resolve_char_ref().ok().flatten(),
    }
}

/// Reverses `encoding-type=url`: percent-escapes, and `+` for a space as AWS and MinIO write it
/// (a `+` itself is always escaped).
pub(super) fn url_decode(text: &str) -> Result<String, Error> {
    let bad = || Error::garbage("a name is not percent-encoded UTF-8");
    if !text.contains(['%', '+']) {
        return Ok(text.to_owned());
    }
    let escaped = |rest: &str| {
        let mut digits = rest.bytes().take(2);
        digits.len() == 2 && digits.all(|b| b.is_ascii_hexdigit())
    };
    if !text.split('%').skip(1).all(escaped) {
        return Err(bad());
    }
    let text = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| bad())
}

/// Whether a name comes through XML 1.0 and every parser's treatment of line ends unchanged.
pub(super) fn can_carry(text: &str) -> bool {
    let lost = |c: char| (c.is_control() && c != '\t') || matches!(c, '\u{fffe}' | '\u{ffff}');
    !text.contains(lost)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn trees() {
        let document =
            b"<?xml version=\"1.0\"?>\n<!-- c --><a:R xmlns:a='x'><K>a&amp;b&#65;<![CDATA[<]]></K>\
            <E/><K>2</K><T> true </T></a:R>\n";
        let root = Element::parse(document).unwrap().named("R").unwrap();
        assert_eq!(root.get("K"), Some("a&bA<"));
        assert_eq!(root.all("K").count(), 2);
        assert_eq!(root.get("E"), Some(""));
        assert!(root.flag("T").unwrap());
        assert!(root.flag("K").is_err() && root.flag("Missing").is_err());
        assert!(root.filled("E").is_err());
        assert!(root.time("T").is_err());
        assert!(root.number::<u64>("E").is_err());
        assert!(root.need("Missing").is_err());
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
        let many = format!("<a>{}</a>", "<b/>".repeat(200_000));
        let large = format!("<a>{}</a>", " ".repeat(MAX_DOCUMENT));
        let cases: [(&str, &[u8]); 15] = [
            ("nothing", b""),
            ("no root", b"  \n"),
            ("text", b"502 Bad Gateway"),
            ("cut off", b"<a><b>x</b>"),
            ("crossed", b"<a><b></a></b>"),
            ("two roots", b"<a/><b/>"),
            ("document type", b"<!DOCTYPE a><a/>"),
            (
                "external entity",
                b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
            ),
            (
                "billion laughs",
                b"<!DOCTYPE a [<!ENTITY x 'ha'><!ENTITY y '&x;&x;'>]><a>&y;</a>",
            ),
            ("unknown entity", b"<a>&nbsp;</a>"),
            ("UTF-16", b"\xff\xfe<\0a\0/\0>\0"),
            ("not UTF-8", b"<a>\xff</a>"),
            ("depth", deep.as_bytes()),
            ("elements", many.as_bytes()),
            ("size", large.as_bytes()),
        ];
        for (name, document) in cases {
            assert!(Element::parse(document).is_err(), "{name}");
        }
    }

    #[test]
    fn attributes_and_namespaces_cost_nothing() {
        use std::fmt::Write as _;
        let mut document = String::from("<a ");
        for n in 0..300_000 {
            write!(document, "xmlns:n{n}='x' ").unwrap();
        }
        document.push_str("/>");
        let before = std::time::Instant::now();
        assert_eq!(Element::parse(document.as_bytes()).unwrap().name(), "a");
        // Generous to a loaded machine: what is quadratic takes minutes.
        assert!(before.elapsed() < std::time::Duration::from_secs(60));
    }

    #[test]
    fn names_survive_encoding() {
        for (encoded, decoded) in [
            ("a%2Fb", Some("a/b")),
            ("a+b%2Bc", Some("a b+c")),
            ("%F0%9F%A6%80", Some("\u{1f980}")),
            ("plain", Some("plain")),
            ("%", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(url_decode(encoded).ok().as_deref(), decoded, "{encoded}");
        }
    }

    #[test]
    fn what_xml_can_carry() {
        let text = "a<b>&\"'\t\u{1f980}]]>";
        let mut writer = crate::s3::xml::Writer::new("Delete");
        writer.text("Key", text);
        let document = writer.finish("Delete");
        let root = Element::parse(document.as_bytes()).unwrap();
        assert_eq!(root.named("Delete").unwrap().get("Key"), Some(text));
        assert!(can_carry(text));
        for text in ["a\u{1}b", "a\nb", "a\rb", "a\u{7f}b", "\u{ffff}"] {
            assert!(!can_carry(text), "{text:?}");
        }
    }
}
