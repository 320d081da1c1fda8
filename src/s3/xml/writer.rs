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
