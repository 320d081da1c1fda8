//! Reads the documents that requests carry: well-formed UTF-8 without a document type, to a small depth
//! and a bounded number of elements (T56).

use quick_xml::Reader;
use quick_xml::events::Event;

use super::is_character;
use crate::s3::{Error, ErrorCode};

const MAX_DEPTH: usize = 6;
const MAX_ELEMENTS: usize = 90_000;

pub(super) fn malformed() -> Error {
    ErrorCode::MalformedXml.into()
}

/// An element read whole; namespaces and attributes are passed over.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// Reads a document whose root is `root`.
    pub(super) fn read(document: &[u8], root: &str) -> Result<Self, Error> {
        let text = std::str::from_utf8(document).map_err(|_| malformed())?;
        // The reader would let them pass into a key, a version or a tag.
        if !text.chars().all(is_character) {
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

    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Refuses children that are not in `names`.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Error> {
        let known = |child: &Self| names.contains(&child.name.as_str());
        if self.children.iter().all(known) {
            Ok(())
        } else {
            Err(malformed())
        }
    }

    /// The text of the child `name`, which stands once and has no children.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(child), None) if child.children.is_empty() => Ok(Some(&child.text)),
            _ => Err(malformed()),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Error> {
        self.optional(name)?.ok_or_else(malformed)
    }

    pub(super) fn flag(&self) -> Result<bool, Error> {
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
        return Some(character).filter(|character| is_character(*character));
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
