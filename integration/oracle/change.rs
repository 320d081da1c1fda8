//! Every way to change one field of a signed request, and what must be said of it.

use percent_encoding::percent_decode_str;
use portcullis::s3::time::{amz_date, parse_amz_date};
use portcullis::sigv4::encode_path;

use crate::parts::Parts;

/// A kind of change.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Of how many items of a request it can be made.
    items: fn(&Parts) -> usize,
    /// Makes it of the item, at the place that a number chooses; `None` where nothing would change.
    pub(crate) make: fn(&mut Parts, usize, usize) -> Option<()>,
    /// The reasons for which it may be refused.
    pub(crate) refused_as: &'static [&'static str],
}

/// A kind of change to one item of a request.
pub(crate) struct Change {
    pub(crate) kind: &'static Kind,
    pub(crate) item: usize,
}

impl Change {
    /// All changes that may be made of `parts`.
    pub(crate) fn of(parts: &Parts) -> Vec<Self> {
        let of = |kind: &'static Kind| {
            let items = 0..(kind.items)(parts);
            items.map(move |item| Self { kind, item })
        };
        KINDS.iter().flat_map(of).collect()
    }

    /// The names of all kinds.
    pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|kind| kind.name)
    }
}

const MISMATCH: &[&str] = &["signature_mismatch"];
const MALFORMED: &[&str] = &["malformed"];
const UNSIGNED: &[&str] = &["unsigned_headers"];

macro_rules! kinds {
    ($($name:literal $items:expr, $make:expr, $refused_as:expr;)*) => {
        static KINDS: &[Kind] = &[
            $(Kind { name: $name, items: $items, make: $make, refused_as: $refused_as },)*
        ];
    };
}

kinds! {
    "method" one, |p, _, _| set(&mut p.method, "GET").or_else(|| set(&mut p.method, "PUT")), MISMATCH;

    "path: a character replaced" one, |p, _, at| replace(&mut p.path, 1, at), MISMATCH;
    "path: a character removed" one, |p, _, at| remove(&mut p.path, 1, at), MISMATCH;
    "path: the case of a letter" one, |p, _, at| other_case(&mut p.path, at), MISMATCH;
    "path: a slash more" one, |p, _, at| insert_at_slash(p, at, "/"), MISMATCH;
    "path: /. more" one, |p, _, at| insert_at_slash(p, at, "/."), MISMATCH;
    "path: /x/.. more" one, |p, _, at| insert_at_slash(p, at, "/x/.."), MISMATCH;
    "path: a slash at the end" one, |p, _, _| { p.path.push('/'); Some(()) }, MISMATCH;
    "path: double slashes made one" one, |p, _, _| { let t = p.path.replace("//", "/"); set(&mut p.path, &t) }, MISMATCH;
    "path: dot segments resolved" one, |p, _, _| { let t = resolved(&p.path); set(&mut p.path, &t) }, MISMATCH;
    "path: escaped twice" one, |p, _, _| { let t = escaped(&p.path)?; set(&mut p.path, &t) }, MISMATCH;
    "path: unescaped twice" one, |p, _, _| { let t = unescaped(&p.path)?; set(&mut p.path, &t) }, MISMATCH;

    "query: a name" |p| p.query.len(), |p, i, at| replace(&mut p.query.get_mut(i)?.0, 0, at), MISMATCH;
    "query: a value" |p| p.query.len(), |p, i, at| replace(&mut p.query.get_mut(i)?.1, 0, at), MISMATCH;
    "query: the case of a letter" |p| p.query.len(), |p, i, at| other_case(&mut p.query.get_mut(i)?.1, at), MISMATCH;
    "query: a pair removed" |p| p.query.len(), |p, i, _| { p.query.remove(i); Some(()) }, MISMATCH;
    "query: a pair repeated" |p| p.query.len(), |p, i, _| { let t = p.query.get(i)?.clone(); p.query.push(t); Some(()) }, MISMATCH;
    "query: a pair added" one, |p, _, _| { p.query.push(("acl".to_owned(), String::new())); Some(()) }, MISMATCH;
    "query: a value's end for the next name" |p| p.query.len(), |p, i, _| shift(p, i), MISMATCH;
    "query: a security token" one, |p, _, _| { p.query.push(("X-Amz-Security-Token".to_owned(), "t".to_owned())); Some(()) }, MISMATCH;

    "header: a value" |p| p.headers.len(), header_value, &["signature_mismatch", "no_date", "malformed"];
    "header: the case of a letter" |p| p.headers.len(), header_case, &["signature_mismatch", "no_date"];
    "header: removed" |p| p.headers.len(), header_removed, &["signature_mismatch", "malformed", "no_date"];
    "header: repeated" |p| p.headers.len(), header_repeated, &["signature_mismatch", "payload", "no_date"];
    "header: two values in another order" |p| p.headers.len(), header_swapped, MISMATCH;
    "header: an unsigned one added" one, |p, _, _| add_header(p, "x-amz-acl", "public-read"), UNSIGNED;
    "header: an unsigned token" one, |p, _, _| add_header(p, "x-amz-security-token", "t"), UNSIGNED;

    "payload: another hash" one, |p, _, at| payload(p, at, false), &["signature_mismatch", "unsigned_headers"];
    "payload: a stream" one, |p, _, at| payload(p, at, true), &["signature_mismatch", "unsigned_headers", "payload_mode"];

    "time: a second off" one, |p, _, at| time(p, at, 1), &["signature_mismatch", "malformed", "skewed", "expired"];
    "time: a day off, and the scope with it" one, |p, _, at| day(p, at), &["signature_mismatch", "skewed", "expired"];
    "time: a longer life" one, |p, _, _| expires(p, 1), &["signature_mismatch", "malformed"];
    "time: a shorter life" one, |p, _, _| expires(p, -1), &["signature_mismatch", "expired"];

    "scope: its date" one, |p, _, at| { let [date, ..] = &mut p.scope; digit(date, at) }, MALFORMED;
    "scope: its region" one, |p, _, _| { let [_, region, ..] = &mut p.scope; set(region, "mars-1") }, &["wrong_scope", "malformed"];
    "scope: its region, at that region's gateway" one, other_gateway, MISMATCH;
    "scope: its service" one, |p, _, _| { let [_, _, service, _] = &mut p.scope; set(service, "sts") }, MALFORMED;
    "scope: its end" one, |p, _, _| { let [.., end] = &mut p.scope; set(end, "aws5_request") }, MALFORMED;
    "key: nobody's" one, |p, _, _| { p.id.push('X'); Some(()) }, &["unknown_access_key"];
    "key: somebody else's" one, |p, _, _| set(&mut p.id, "A").or_else(|| set(&mut p.id, "AKIDEXAMPLE")), MISMATCH;

    "signed headers: one removed" |p| p.signed.len(), |p, i, _| { p.signed.remove(i); Some(()) }, &["signature_mismatch", "unsigned_headers", "malformed"];
    "signed headers: one more that is there" one, |p, _, _| signed_more(p), MISMATCH;
    "signed headers: one more that is not" one, |p, _, _| { p.signed.push("zzz".to_owned()); Some(()) }, MISMATCH;
    "signed headers: one twice" |p| p.signed.len(), |p, i, _| { let t = p.signed.get(i)?.clone(); p.signed.insert(i, t); Some(()) }, MALFORMED;
    "signed headers: in another order" one, |p, _, _| { p.signed.reverse(); (p.signed.len() > 1).then_some(()) }, MALFORMED;
    "signed headers: in capitals" |p| p.signed.len(), |p, i, at| other_case(p.signed.get_mut(i)?, at), MALFORMED;

    "signature: a digit" one, |p, _, at| hex_digit(&mut p.signature, at), MISMATCH;
    "signature: a digit less" one, |p, _, at| remove(&mut p.signature, 0, at), MALFORMED;
    "signature: in capitals" one, |p, _, _| { let t = p.signature.to_ascii_uppercase(); set(&mut p.signature, &t) }, MALFORMED;
    "signature: another algorithm" one, |p, _, _| set(&mut p.algorithm, "AWS4-HMAC-SHA512"), &["unsupported_mechanism", "malformed"];
    "signature: a second one" one, second_signature, &["two_mechanisms"];
}

fn one(_: &Parts) -> usize {
    1
}

/// Sets `text`, where that changes it.
fn set(text: &mut String, to: &str) -> Option<()> {
    if text == to {
        return None;
    }
    to.clone_into(text);
    Some(())
}

/// The position of a character at or behind `from`.
fn position(text: &str, from: usize, at: usize) -> Option<(usize, char)> {
    let mut characters = text.char_indices().skip(from);
    let count = characters.clone().count();
    characters.nth(at.checked_rem(count)?)
}

/// Another character in the place of one, or the first one of an empty text.
fn replace(text: &mut String, from: usize, at: usize) -> Option<()> {
    let Some((start, old)) = position(text, from, at) else {
        text.push('q');
        return Some(());
    };
    let new = if old == 'q' { "r" } else { "q" };
    text.replace_range(start..start + old.len_utf8(), new);
    Some(())
}

fn remove(text: &mut String, from: usize, at: usize) -> Option<()> {
    let (start, _) = position(text, from, at)?;
    text.remove(start);
    Some(())
}

fn other_case(text: &mut String, at: usize) -> Option<()> {
    let letters = text.char_indices().filter(|(_, c)| c.is_ascii_alphabetic());
    let letters: Vec<_> = letters.collect();
    let (start, letter) = *letters.get(at.checked_rem(letters.len())?)?;
    let other = match letter.is_ascii_uppercase() {
        true => letter.to_ascii_lowercase(),
        false => letter.to_ascii_uppercase(),
    };
    text.replace_range(start..=start, other.encode_utf8(&mut [0; 4]));
    Some(())
}

/// Another digit in the place of one.
fn digit(text: &mut String, at: usize) -> Option<()> {
    let (start, old) = position(text, 0, at)?;
    let new = if old == '9' { "0" } else { "9" };
    text.replace_range(start..=start, new);
    Some(())
}

fn hex_digit(text: &mut String, at: usize) -> Option<()> {
    let (start, old) = position(text, 0, at)?;
    let new = if old == 'f' { "0" } else { "f" };
    text.replace_range(start..=start, new);
    Some(())
}

fn insert_at_slash(parts: &mut Parts, at: usize, what: &str) -> Option<()> {
    let slashes: Vec<_> = parts.path.match_indices('/').collect();
    let (start, _) = slashes.get(at.checked_rem(slashes.len())?)?;
    parts.path.insert_str(*start, what);
    Some(())
}

/// RFC 3986's resolution of `.` and `..`, which S3 does not do.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

fn escaped(path: &str) -> Option<String> {
    let mut escaped = Vec::new();
    encode_path(path, &mut escaped);
    String::from_utf8(escaped).ok()
}

fn unescaped(path: &str) -> Option<String> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// `a=b&c=d` becomes `a=&bc=d`.
fn shift(parts: &mut Parts, item: usize) -> Option<()> {
    let moved = std::mem::take(&mut parts.query.get_mut(item)?.1);
    parts.query.get_mut(item + 1)?.0.insert_str(0, &moved);
    (!moved.is_empty()).then_some(())
}

/// A header that the signature covers, other than the payload's, which has changes of its own.
fn covered(parts: &mut Parts, item: usize) -> Option<&mut (String, String)> {
    let name = &parts.headers.get(item)?.0;
    let covered = parts.covers(name) && name != "x-amz-content-sha256";
    covered.then_some(parts.headers.get_mut(item)?)
}

fn header_value(parts: &mut Parts, item: usize, at: usize) -> Option<()> {
    let value = &mut covered(parts, item)?.1;
    // White space at the ends and beside white space means nothing.
    let trimmed = value.trim().len();
    match position(value, 0, at) {
        Some((_, ' ')) if trimmed > 0 => {
            value.push('q');
            Some(())
        }
        _ => replace(value, 0, at),
    }
}

fn header_case(parts: &mut Parts, item: usize, at: usize) -> Option<()> {
    other_case(&mut covered(parts, item)?.1, at)
}

fn header_removed(parts: &mut Parts, item: usize, _: usize) -> Option<()> {
    let name = &parts.headers.get(item)?.0;
    if !parts.covers(name) {
        return None;
    }
    parts.headers.remove(item);
    Some(())
}

fn header_repeated(parts: &mut Parts, item: usize, _: usize) -> Option<()> {
    let header = parts.headers.get(item)?.clone();
    if !parts.covers(&header.0) {
        return None;
    }
    parts.headers.push(header);
    Some(())
}

fn header_swapped(parts: &mut Parts, item: usize, _: usize) -> Option<()> {
    let (name, value) = covered(parts, item)?.clone();
    let plain = |text: &str| {
        text.split(' ')
            .filter(|w| !w.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut others = parts.headers.iter().enumerate().skip(item + 1);
    let other = others
        .find(|(_, (n, v))| *n == name && plain(v) != plain(&value))?
        .0;
    let joined = |parts: &Parts| {
        let values = parts.headers.iter().filter(|(n, _)| *n == name);
        values.map(|(_, v)| plain(v)).collect::<Vec<_>>().join(",")
    };
    let before = joined(parts);
    parts.headers.swap(item, other);
    (joined(parts) != before).then_some(())
}

fn add_header(parts: &mut Parts, name: &str, value: &str) -> Option<()> {
    parts.headers.push((name.to_owned(), value.to_owned()));
    Some(())
}

fn payload(parts: &mut Parts, at: usize, stream: bool) -> Option<()> {
    const NAME: &str = "x-amz-content-sha256";
    const STREAM: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let mut headers = parts.headers.iter_mut();
    let Some((_, value)) = headers.find(|(name, _)| name == NAME) else {
        let value = if stream { STREAM } else { "UNSIGNED-PAYLOAD" };
        return add_header(parts, NAME, value);
    };
    match stream {
        true => set(value, STREAM),
        false if value.len() == 64 && at.is_multiple_of(2) => hex_digit(value, at),
        false if value.len() == 64 => set(value, "UNSIGNED-PAYLOAD"),
        false => set(value, &"0".repeat(64)),
    }
}

fn moved(text: &str, seconds: i64) -> Option<String> {
    let moved = parse_amz_date(text)?.checked_add(time::Duration::seconds(seconds))?;
    Some(amz_date(moved))
}

fn time(parts: &mut Parts, at: usize, seconds: i64) -> Option<()> {
    let seconds = if at.is_multiple_of(2) {
        seconds
    } else {
        -seconds
    };
    let time = parts.time.as_mut()?;
    let other = moved(time, seconds)?;
    set(time, &other)
}

fn day(parts: &mut Parts, at: usize) -> Option<()> {
    time(parts, at, 86_400)?;
    let [date, ..] = &mut parts.scope;
    set(date, parts.time.as_ref()?.get(..8)?)
}

fn expires(parts: &mut Parts, by: i64) -> Option<()> {
    let life: i64 = parts.expires.parse().ok()?;
    set(&mut parts.expires, &(life + by).to_string())
}

fn other_gateway(parts: &mut Parts, _: usize, _: usize) -> Option<()> {
    let other = match parts.gateway.as_str() {
        "us-east-1" => "eu-central-1",
        _ => "us-east-1",
    };
    let [_, region, ..] = &mut parts.scope;
    set(region, other)?;
    set(&mut parts.gateway, other)
}

/// Lists a header that arrived unsigned.
fn signed_more(parts: &mut Parts) -> Option<()> {
    let mut arrived = parts.headers.iter().map(|(name, _)| name);
    let name = arrived.find(|name| !parts.covers(name))?.clone();
    parts.signed.push(name);
    parts.signed.sort_unstable();
    Some(())
}

fn second_signature(parts: &mut Parts, _: usize, _: usize) -> Option<()> {
    if parts.presigned {
        return add_header(parts, "authorization", "AWS4-HMAC-SHA256 Credential=a");
    }
    let name = "X-Amz-Signature".to_owned();
    parts.query.push((name, parts.signature.clone()));
    Some(())
}
