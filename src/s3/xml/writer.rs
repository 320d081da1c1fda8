//! Writes the documents that S3 answers.

/// The namespace of S3's documents.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

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

    /// Who a grant of an ACL is for: an account, by its canonical id.
    pub fn canonical_user(&mut self, name: &str, id: &str, display_name: &str) {
        const TYPE: &str = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
                            xsi:type=\"CanonicalUser\"";
        self.open(&format!("{name} {TYPE}"));
        self.text("ID", id);
        self.text("DisplayName", display_name);
        self.close(name);
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

    /// Text of the open element, escaped.
    pub(super) fn content(&mut self, text: &str) {
        escape(text, &mut self.0);
    }

    /// How many bytes have been written and not been taken.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.len()
    }

    /// Takes what has been written so far: what comes next is written behind it.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.0)
    }

    /// The document, or the rest of it, its root closed.
    #[must_use]
    pub fn finish(mut self, root: &str) -> String {
        self.close(root);
        self.0
    }
}

/// Whether XML 1.0 has the character, as it is or by its number.
#[must_use]
pub fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Escapes markup, and by number what a reader would change. What XML has no character for is replaced,
/// so that a document always parses: lists are not made of such names.
fn escape(text: &str, to: &mut String) {
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_special(*c)) {
        let (plain, from) = rest.split_at(at);
        to.push_str(plain);
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            c if is_character(c) => by_number(c, to),
            _ => to.push(char::REPLACEMENT_CHARACTER),
        }
        rest = from.get(c.len_utf8()..).unwrap_or_default();
    }
    to.push_str(rest);
}

fn is_special(c: char) -> bool {
    match c {
        '&' | '<' | '>' | '"' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => true,
        '\t' | '\n' => false,
        c => c < ' ',
    }
}

fn by_number(c: char, to: &mut String) {
    to.push_str("&#x");
    let code = u32::from(c);
    let digits = (0..8).rev().map(|digit| code >> (4 * digit) & 0xf);
    for digit in digits.skip_while(|digit| *digit == 0) {
        to.extend(char::from_digit(digit, 16));
    }
    to.push(';');
}
