//! An object's tags: the set, and how a header writes it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Error, ErrorCode, Query};

/// The most tags of one object.
pub const MAX_TAGS: usize = 10;

/// The longest key. S3 keeps tags in UTF-16 and counts what stands there.
const MAX_KEY: usize = 128;

/// The longest value, counted in the same way.
const MAX_VALUE: usize = 256;

/// The prefix of AWS's own keys.
const RESERVED: &str = "aws:";

/// What `x-amz-tagging` leaves as it is; a space is `%20`, which every parser reads as one.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// At most [`MAX_TAGS`] tags whose keys differ, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSet(Vec<(String, String)>);

impl TagSet {
    /// Checks keys, values and their number.
    ///
    /// # Errors
    /// `InvalidTag` for a tag that cannot be one, `BadRequest` for too many.
    pub fn new(tags: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut set = Self::default();
        for (key, value) in tags {
            check(&key, &value)?;
            if set.0.iter().any(|(other, _)| *other == key) {
                let message = "Cannot provide multiple Tags with the same key";
                return Err(invalid(message, &key));
            }
            if set.0.len() >= MAX_TAGS {
                return Err(too_many());
            }
            set.0.push((key, value));
        }
        set.0.sort();
        Ok(set)
    }

    /// Reads `x-amz-tagging`: tags as the pairs of a URL's query. A key without `=` has an empty
    /// value, and no text has no tags.
    ///
    /// # Errors
    /// `InvalidArgument` for what is not such a query, otherwise those of [`Self::new`].
    pub fn from_query(text: &str) -> Result<Self, Error> {
        let not_a_query = || {
            let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.";
            super::parse::invalid("x-amz-tagging", text, message)
        };
        // A second `=` belongs to nobody: it was to be encoded.
        let ambiguous = |pair: &str| pair.bytes().filter(|byte| *byte == b'=').count() > 1;
        let query = Query::parse(text).map_err(|_| not_a_query())?;
        // Before the pairs are compared with each other: nobody has signed for them yet.
        if query.pairs().nth(MAX_TAGS).is_some() {
            return Err(too_many());
        }
        if text.split('&').any(ambiguous) || query.repeated().next().is_some() {
            return Err(not_a_query());
        }
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self::new(query.pairs().map(owned))
    }

    /// The text of `x-amz-tagging`, ASCII.
    #[must_use]
    pub fn to_query(&self) -> String {
        let encode = |text| utf8_percent_encode(text, ENCODED);
        let pair = |(key, value)| format!("{}={}", encode(key), encode(value));
        let pairs: Vec<String> = self.iter().map(pair).collect();
        pairs.join("&")
    }

    /// Key and value of each tag.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many tags there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check(key: &str, value: &str) -> Result<(), Error> {
    if key.starts_with(RESERVED) {
        let message = "Your TagKey cannot be prefixed with aws:";
        return Err(invalid(message, key));
    }
    let fits = |text: &str, most| {
        text.encode_utf16().take(most + 1).count() <= most && text.chars().all(is_tag_character)
    };
    if key.is_empty() || !fits(key, MAX_KEY) {
        return Err(invalid("The TagKey you have provided is invalid", key));
    }
    if !fits(value, MAX_VALUE) {
        let message = "The TagValue you have provided is invalid";
        return Err(invalid(message, key).detail("TagValue", shortened(value)));
    }
    Ok(())
}

/// Letters, digits and spaces of any language, and a few signs. A line end is no space here.
fn is_tag_character(c: char) -> bool {
    let space = c.is_whitespace() && !c.is_control();
    c.is_alphanumeric() || space || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
}

fn too_many() -> Error {
    let message = "Object tags cannot be greater than 10";
    Error::with_message(ErrorCode::BadRequest, message)
}

fn invalid(message: &'static str, key: &str) -> Error {
    Error::with_message(ErrorCode::InvalidTag, message).detail("TagKey", shortened(key))
}

/// What a refusal shows of a text that may be as long as a document.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_VALUE).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::xml;
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, (ErrorCode, String)> {
        let set = TagSet::from_query(text);
        set.map(|set| set.0)
            .map_err(|error| (error.code(), error.message().to_owned()))
    }

    fn owned(tags: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        tags.iter().map(owned).collect()
    }

    #[test]
    fn headers_are_read() {
        for (text, tags) in [
            ("", &[][..]),
            ("a=b", &[("a", "b")]),
            ("b=2&a=1", &[("a", "1"), ("b", "2")]),
            ("a", &[("a", "")]),
            ("a=&&b=", &[("a", ""), ("b", "")]),
            ("a+b=c%20d", &[("a b", "c d")]),
            ("%C3%A9=%E6%BC%A2", &[("\u{e9}", "\u{6f22}")]),
            ("a%3Db=%2B%2F%3A%40-_.", &[("a=b", "+/:@-_.")]),
            ("A=1&a=1", &[("A", "1"), ("a", "1")]),
            ("xaws:a=1", &[("xaws:a", "1")]),
        ] {
            assert_eq!(read(text), Ok(owned(tags)), "{text}");
        }
    }

    #[test]
    fn headers_are_refused() {
        let eleven: Vec<String> = (0..11).map(|n| format!("k{n}=v")).collect();
        let (key, value) = ("k".repeat(129), "v".repeat(257));
        // Two positions each in UTF-16.
        let wide = "%F0%A0%80%80".repeat(65);
        use ErrorCode::{BadRequest, InvalidArgument, InvalidTag};
        for (text, code, names) in [
            ("a=b=c", InvalidArgument, "x-amz-tagging"),
            ("a=1&a=2", InvalidArgument, "x-amz-tagging"),
            ("a=1&%61=2", InvalidArgument, "x-amz-tagging"),
            ("a=%", InvalidArgument, "x-amz-tagging"),
            ("a=%ff", InvalidArgument, "x-amz-tagging"),
            ("=v", InvalidTag, "TagKey"),
            ("a!=v", InvalidTag, "TagKey"),
            ("a=%22", InvalidTag, "TagValue"),
            ("a=%0A", InvalidTag, "TagValue"),
            ("a=%00", InvalidTag, "TagValue"),
            ("a=%F0%9F%A6%80", InvalidTag, "TagValue"),
            ("aws:a=b", InvalidTag, "aws:"),
            (&format!("{key}=v"), InvalidTag, "TagKey"),
            (&format!("{wide}=v"), InvalidTag, "TagKey"),
            (&format!("k={value}"), InvalidTag, "TagValue"),
            (&eleven.join("&"), BadRequest, "10"),
        ] {
            let (found, message) = read(text).unwrap_err();
            assert_eq!(found, code, "{text}");
            assert!(message.contains(names), "{text}: {message}");
        }
    }

    #[test]
    fn the_longest_are_taken() {
        let tags = (0..10).map(|n| (format!("{n:k>128}"), "v".repeat(256)));
        let set = TagSet::new(tags).unwrap();
        assert_eq!(TagSet::from_query(&set.to_query()).unwrap(), set);
        let document = xml::tagging(&set);
        assert_eq!(xml::read_tagging(document.as_bytes()).unwrap(), set);
    }

    #[test]
    fn documents_are_read() {
        let tag =
            |key: &str, value: &str| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
        let document = |tags: &str| format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
        let read = |text: &str| xml::read_tagging(text.as_bytes()).map(|set| set.0);
        let code = |text: &str| read(text).unwrap_err().code();
        let spaced = format!(
            "<?xml version=\"1.0\"?>\n<Tagging xmlns=\"{}\">\n <TagSet>\n  {}\n </TagSet>\n</Tagging>\n",
            xml::NAMESPACE,
            tag("a", " b ")
        );
        assert_eq!(read(&spaced).unwrap(), owned(&[("a", " b ")]));
        for none in ["<Tagging><TagSet/></Tagging>", &document("")] {
            assert_eq!(read(none).unwrap(), []);
        }
        assert_eq!(
            read(&document(&(tag("b", "") + &tag("a", "&#x41;")))).unwrap(),
            owned(&[("a", "A"), ("b", "")])
        );
        for bad in [
            "",
            "<Tagging/>",
            "<TagSet/>",
            "<Tagging><TagSet/><TagSet/></Tagging>",
            "<Tagging><Other/></Tagging>",
            "<Tagging><TagSet><Other/></TagSet></Tagging>",
            &document("<Tag><Key>a</Key></Tag>"),
            &document("<Tag><Value>a</Value></Tag>"),
            &document("<Tag><Key>a</Key><Key>b</Key><Value>c</Value></Tag>"),
            &document("<Tag><Key>a</Key><Value>c</Value><Other/></Tag>"),
            "<!DOCTYPE t [<!ENTITY x 'y'>]><Tagging><TagSet/></Tagging>",
        ] {
            assert_eq!(code(bad), ErrorCode::MalformedXml, "{bad}");
        }
        assert_eq!(code(&document(&tag("", "b"))), ErrorCode::InvalidTag);
        assert_eq!(code(&document(&tag("a", "&#10;"))), ErrorCode::InvalidTag);
        let twice = tag("a", "1") + &tag("a", "2");
        assert_eq!(code(&document(&twice)), ErrorCode::InvalidTag);
        let eleven: String = (0..11).map(|n| tag(&format!("k{n}"), "v")).collect();
        assert_eq!(code(&document(&eleven)), ErrorCode::BadRequest);
    }

    proptest! {
        /// What is written is read as the same, header and document alike.
        #[test]
        fn a_set_comes_back(tags in prop::collection::vec(
            ("[\\p{L}\\p{N} _.:/=+@&<>%-]{1,20}", "[\\p{L}\\p{N}\\p{Zs}_.:/=+@-]{0,20}"), 0..12,
        )) {
            if let Ok(set) = TagSet::new(tags) {
                let header = set.to_query();
                prop_assert!(header.bytes().all(|b| b.is_ascii_graphic()));
                prop_assert_eq!(&TagSet::from_query(&header).unwrap(), &set);
                let document = xml::tagging(&set);
                prop_assert_eq!(&xml::read_tagging(document.as_bytes()).unwrap(), &set);
            }
        }

        /// Whatever a header says, what is read of it is written so that it is read again.
        #[test]
        fn a_header_is_read_as_one_set(text in "[ab=&+%24\u{e9}]{0,24}") {
            if let Ok(set) = TagSet::from_query(&text) {
                prop_assert!(set.len() <= MAX_TAGS);
                prop_assert_eq!(&TagSet::from_query(&set.to_query()).unwrap(), &set);
            }
        }
    }
}
