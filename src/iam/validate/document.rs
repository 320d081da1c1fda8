//! A document again, with the path and the line of everything in it. It is read after the strict parser
//! has taken it for JSON, and is not strict itself.

use std::borrow::Cow;

/// A value, and where it is: a member where its key stands.
#[derive(Debug)]
pub(super) struct Element<'a> {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) value: Shape<'a>,
}

#[derive(Debug)]
pub(super) enum Shape<'a> {
    Object(Vec<(Cow<'a, str>, Element<'a>)>),
    List(Vec<Element<'a>>),
    Text(Cow<'a, str>),
    /// A number, `true`, `false` or `null`.
    Word(Cow<'a, str>),
}

impl<'a> Element<'a> {
    pub(super) fn members(&self) -> &[(Cow<'a, str>, Element<'a>)] {
        match &self.value {
            Shape::Object(members) => members,
            Shape::List(_) | Shape::Text(_) | Shape::Word(_) => &[],
        }
    }

    pub(super) fn member(&self, name: &str) -> Option<&Element<'a>> {
        let found = self.members().iter().find(|(known, _)| known == name);
        found.map(|(_, element)| element)
    }

    /// The items of a list; what is none is the one item of its own.
    pub(super) fn items(&self) -> &[Element<'a>] {
        match &self.value {
            Shape::List(items) => items,
            Shape::Object(_) | Shape::Text(_) | Shape::Word(_) => std::slice::from_ref(self),
        }
    }

    pub(super) fn text(&self) -> &str {
        match &self.value {
            Shape::Text(text) | Shape::Word(text) => text,
            Shape::Object(_) | Shape::List(_) => "",
        }
    }
}

impl Element<'_> {
    /// The document again.
    pub(super) fn write(&self, out: &mut String) {
        let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
        match &self.value {
            Shape::Object(members) => {
                out.push('{');
                for (at, (name, element)) in members.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    out.push_str(&text(name));
                    out.push(':');
                    element.write(out);
                }
                out.push('}');
            }
            Shape::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    item.write(out);
                }
                out.push(']');
            }
            Shape::Text(value) => out.push_str(&text(value)),
            Shape::Word(word) => out.push_str(word),
        }
    }

    /// Takes out what stands at `path`, and what is empty without it.
    pub(super) fn remove(&mut self, path: &str) {
        let keep = |element: &mut Element<'_>| {
            let found = element.path == path;
            let within = path.starts_with(element.path.as_str());
            if within && !found {
                element.remove(path);
            }
            !(found || within && element.is_empty())
        };
        match &mut self.value {
            Shape::Object(members) => members.retain_mut(|(_, element)| keep(element)),
            Shape::List(items) => items.retain_mut(keep),
            Shape::Text(_) | Shape::Word(_) => {}
        }
    }

    fn is_empty(&self) -> bool {
        match &self.value {
            Shape::Object(members) => members.is_empty(),
            Shape::List(items) => items.is_empty(),
            Shape::Text(_) | Shape::Word(_) => false,
        }
    }

    /// The statements, to be changed.
    pub(super) fn statements_mut(&mut self) -> &mut [Self] {
        let Shape::Object(members) = &mut self.value else {
            return &mut [];
        };
        let found = members.iter_mut().find(|(name, _)| name == "Statement");
        match found.map(|(_, element)| element) {
            None => &mut [],
            Some(element) if matches!(element.value, Shape::List(_)) => match &mut element.value {
                Shape::List(items) => items,
                _ => &mut [],
            },
            Some(one) => std::slice::from_mut(one),
        }
    }

    /// Gives a statement the member `name` with the text `value`, and takes `other` away.
    pub(super) fn set(&mut self, name: &'static str, value: &'static str, other: &str) {
        let (path, line) = (format!("{}.{name}", self.path), self.line);
        if let Shape::Object(members) = &mut self.value {
            members.retain(|(known, _)| known != name && known != other);
            let value = Shape::Text(Cow::Borrowed(value));
            members.push((Cow::Borrowed(name), Element { path, line, value }));
        }
    }
}

/// Reads what is known to be JSON, and not deeply nested.
pub(super) fn read(text: &str) -> Option<Element<'_>> {
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
    };
    reader.peek()?;
    let line = reader.line;
    reader.element(String::new(), line)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.line = self.line.saturating_add(usize::from(byte == b'\n'));
            self.at = self.at.saturating_add(1);
        }
    }

    /// Goes over the next byte that is not white space.
    fn skip(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn element(&mut self, path: String, line: usize) -> Option<Element<'a>> {
        let value = match self.peek()? {
            b'{' => self.object(&path)?,
            b'[' => self.list(&path)?,
            b'"' => Shape::Text(self.string()?),
            _ => Shape::Word(Cow::Borrowed(self.word()?)),
        };
        Some(Element { path, line, value })
    }

    fn object(&mut self, path: &str) -> Option<Shape<'a>> {
        let mut members = Vec::new();
        self.skip()?;
        while self.peek()? != b'}' {
            let line = self.line;
            let name = self.string()?;
            self.skip()?;
            let dot = if path.is_empty() { "" } else { "." };
            let mut inner = format!("{path}{dot}{name}");
            // One statement is as good as a list of one.
            if inner == "Statement" && self.peek()? == b'{' {
                inner.push_str("[1]");
            }
            members.push((name, self.element(inner, line)?));
            if self.peek()? == b',' {
                self.skip()?;
            }
        }
        self.skip()?;
        Some(Shape::Object(members))
    }

    fn list(&mut self, path: &str) -> Option<Shape<'a>> {
        let mut items = Vec::new();
        self.skip()?;
        while self.peek()? != b']' {
            let line = self.line;
            let number = items.len().saturating_add(1);
            items.push(self.element(format!("{path}[{number}]"), line)?);
            if self.peek()? == b',' {
                self.skip()?;
            }
        }
        self.skip()?;
        Some(Shape::List(items))
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let rest = self.text.get(self.at..)?;
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        let raw = rest.get(..end.saturating_add(2))?;
        self.at = self.at.saturating_add(raw.len());
        match raw.contains('\\') {
            true => serde_json::from_str(raw).ok().map(Cow::Owned),
            false => Some(Cow::Borrowed(raw.trim_matches('"'))),
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        let ends = |c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace();
        let word = rest.get(..rest.find(ends).unwrap_or(rest.len()))?;
        self.at = self.at.saturating_add(word.len());
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn everything_has_its_path_and_line() {
        let text = "\n{ \"Version\": \"2012-10-17\",\n \"Statement\": {\n\"Action\": [\"a\",\n\"b\\\"\\u0041\", 1 ],\n\"E\" : { } , \"F\":[] } }\n";
        let document = read(text).unwrap();
        let version = document.member("Version").unwrap();
        assert_eq!((version.path.as_str(), version.line), ("Version", 2));
        assert_eq!(version.text(), "2012-10-17");
        let statement = document.member("Statement").unwrap();
        assert_eq!(
            (statement.path.as_str(), statement.line),
            ("Statement[1]", 3)
        );
        let actions = statement.member("Action").unwrap().items();
        let seen: Vec<_> = actions
            .iter()
            .map(|a| (a.path.as_str(), a.line, a.text()))
            .collect();
        let expected = [
            ("Statement[1].Action[1]", 4, "a"),
            ("Statement[1].Action[2]", 5, "b\"A"),
            ("Statement[1].Action[3]", 5, "1"),
        ];
        assert_eq!(seen, expected);
        assert!(statement.member("F").unwrap().items().is_empty());
        let list = read(r#"{"Statement":[{"Sid":"s"}]}"#).unwrap();
        let sid = list
            .member("Statement")
            .unwrap()
            .items()
            .first()
            .unwrap()
            .member("Sid");
        assert_eq!(sid.unwrap().path, "Statement[1].Sid");
        assert!(read("{\"a\":").is_none());
    }
}
