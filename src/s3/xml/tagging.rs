//! The document of an object's tags, which is both asked and answered.

use super::Writer;
use super::element::{Element, malformed};
use crate::s3::{Error, TagSet};

/// Reads the body of a PutObjectTagging.
///
/// # Errors
/// `MalformedXML`, or those of [`TagSet::new`].
pub fn read_tagging(document: &[u8]) -> Result<TagSet, Error> {
    let root = Element::read(document, "Tagging")?;
    let [set] = root.children.as_slice() else {
        return Err(malformed());
    };
    if set.name != "TagSet" {
        return Err(malformed());
    }
    set.only(&["Tag"])?;
    let tags = set.children.iter().map(tag);
    TagSet::new(tags.collect::<Result<Vec<_>, _>>()?)
}

fn tag(tag: &Element) -> Result<(String, String), Error> {
    tag.only(&["Key", "Value"])?;
    let (key, value) = (tag.required("Key")?, tag.required("Value")?);
    Ok((key.to_owned(), value.to_owned()))
}

/// The document of `tags`.
#[must_use]
pub fn tagging(tags: &TagSet) -> String {
    let mut xml = Writer::new("Tagging");
    xml.open("TagSet");
    for (key, value) in tags.iter() {
        xml.open("Tag");
        xml.text("Key", key);
        xml.text("Value", value);
        xml.close("Tag");
    }
    xml.close("TagSet");
    xml.finish("Tagging")
}
