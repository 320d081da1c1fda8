//! The three ways S3 writes a time.

use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

// Written and read by hand: every request has some of them, and a general formatter costs a
// microsecond for each.

/// `2026-11-24T10:20:30.000Z`, as XML has it.
#[must_use]
pub fn iso8601(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let mut text = String::with_capacity(24);
    date(&mut text, at, "-");
    text.push('T');
    clock(&mut text, at, ":");
    text.push('.');
    let millis = at.millisecond();
    digit(&mut text, millis / 100);
    two(&mut text, u32::from(millis % 100));
    text.push('Z');
    text
}

/// `Tue, 24 Nov 2026 10:20:30 GMT` (RFC 9110 section 5.6.7), as headers have it.
#[must_use]
pub fn http_date(at: OffsetDateTime) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let at = at.to_offset(UtcOffset::UTC);
    let mut text = String::with_capacity(29);
    let day = usize::from(at.weekday().number_days_from_sunday());
    text.push_str(DAYS.get(day).copied().unwrap_or_default());
    text.push_str(", ");
    two(&mut text, u32::from(at.day()));
    text.push(' ');
    let month = usize::from(u8::from(at.month())).saturating_sub(1);
    text.push_str(MONTHS.get(month).copied().unwrap_or_default());
    text.push(' ');
    year(&mut text, at);
    text.push(' ');
    clock(&mut text, at, ":");
    text.push_str(" GMT");
    text
}

/// `20261124T102030Z`, as Signature Version 4 has it.
#[must_use]
pub fn amz_date(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let mut text = String::with_capacity(16);
    date(&mut text, at, "");
    text.push('T');
    clock(&mut text, at, "");
    text.push('Z');
    text
}

fn digit(text: &mut String, n: u16) {
    text.push(char::from_digit(u32::from(n % 10), 10).unwrap_or('0'));
}

fn two(text: &mut String, n: u32) {
    for n in [n / 10 % 10, n % 10] {
        text.push(char::from_digit(n, 10).unwrap_or('0'));
    }
}

/// Four digits; S3 has no other years.
fn year(text: &mut String, at: OffsetDateTime) {
    let year = at.year().unsigned_abs();
    two(text, year / 100);
    two(text, year);
}

fn date(text: &mut String, at: OffsetDateTime, between: &str) {
    year(text, at);
    text.push_str(between);
    two(text, u32::from(u8::from(at.month())));
    text.push_str(between);
    two(text, u32::from(at.day()));
}

fn clock(text: &mut String, at: OffsetDateTime, between: &str) {
    two(text, u32::from(at.hour()));
    text.push_str(between);
    two(text, u32::from(at.minute()));
    text.push_str(between);
    two(text, u32::from(at.second()));
}

/// Reads what [`http_date`] writes; also RFC 850's and asctime's older forms, as RFC 9110 asks.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    if let Some(at) = imf_fixdate(text.as_bytes()).or_else(|| rfc850(text)) {
        return Some(at);
    }
    let asctime = format_description!(
        "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
    );
    match PrimitiveDateTime::parse(text, asctime) {
        Ok(at) => Some(at.assume_utc()),
        Err(_) => in_utc(OffsetDateTime::parse(text, &Rfc2822).ok()?),
    }
}

/// A time in UTC, where its year can be written: an offset may lead out of the last or first one,
/// and whoever writes it then would panic.
fn in_utc(at: OffsetDateTime) -> Option<OffsetDateTime> {
    at.checked_to_offset(UtcOffset::UTC)
}

/// Reads an ISO 8601 time with or without fractions, as other stores' XML has it.
#[must_use]
pub fn parse_iso8601(text: &str) -> Option<OffsetDateTime> {
    let format = &time::format_description::well_known::Rfc3339;
    in_utc(OffsetDateTime::parse(text.trim(), format).ok()?)
}

/// Reads `20261124T102030Z`.
#[must_use]
pub fn parse_amz_date(text: &str) -> Option<OffsetDateTime> {
    let &[
        y1,
        y2,
        y3,
        y4,
        m1,
        m2,
        d1,
        d2,
        b'T',
        h1,
        h2,
        n1,
        n2,
        s1,
        s2,
        b'Z',
    ] = text.as_bytes()
    else {
        return None;
    };
    let month = Month::try_from(u8::try_from(number(&[m1, m2])?).ok()?).ok()?;
    at([y1, y2, y3, y4], month, [d1, d2], [h1, h2, n1, n2, s1, s2])
}

/// Reads `Tue, 24 Nov 2026 10:20:30 GMT`; the day of the week says nothing new.
fn imf_fixdate(text: &[u8]) -> Option<OffsetDateTime> {
    let (_, rest) = text.split_first_chunk::<3>()?;
    let &[
        b',',
        b' ',
        d1,
        d2,
        b' ',
        a,
        b,
        c,
        b' ',
        y1,
        y2,
        y3,
        y4,
        b' ',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        b' ',
        b'G',
        b'M',
        b'T',
    ] = rest
    else {
        return None;
    };
    let month = MONTHS.iter().position(|m| m.as_bytes() == [a, b, c])?;
    let month = Month::try_from(u8::try_from(month).ok()?.checked_add(1)?).ok()?;
    at([y1, y2, y3, y4], month, [d1, d2], [h1, h2, n1, n2, s1, s2])
}

/// Reads `Tuesday, 24-Nov-26 10:20:30 GMT`. Two digits are a year from 1970 to 2069.
fn rfc850(text: &str) -> Option<OffsetDateTime> {
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.splitn(3, '-');
    let (day, month, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, clock) = rest.split_at_checked(2)?;
    let century = if year < "70" { "20" } else { "19" };
    imf_fixdate(format!("Day, {day} {month} {century}{year}{clock}").as_bytes())
}

fn at(year: [u8; 4], month: Month, day: [u8; 2], clock: [u8; 6]) -> Option<OffsetDateTime> {
    let [h1, h2, n1, n2, s1, s2] = clock;
    let small = |digits| u8::try_from(number(digits)?).ok();
    let date = Date::from_calendar_date(i32::from(number(&year)?), month, small(&day)?).ok()?;
    let clock = Time::from_hms(small(&[h1, h2])?, small(&[n1, n2])?, small(&[s1, s2])?).ok()?;
    Some(PrimitiveDateTime::new(date, clock).assume_utc())
}

/// Up to four digits.
fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |n, b| {
        let digit = char::from(*b).to_digit(10)?;
        Some(n.wrapping_mul(10).wrapping_add(u16::try_from(digit).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn all_forms() {
        let at = datetime!(2026-11-24 10:20:30.5 UTC);
        assert_eq!(iso8601(at), "2026-11-24T10:20:30.500Z");
        assert_eq!(http_date(at), "Tue, 24 Nov 2026 10:20:30 GMT");
        assert_eq!(amz_date(at), "20261124T102030Z");
        let whole = Some(datetime!(2026-11-24 10:20:30 UTC));
        assert_eq!(parse_http_date("Tue, 24 Nov 2026 10:20:30 GMT"), whole);
        assert_eq!(parse_http_date("Tue Nov 24 10:20:30 2026"), whole);
        assert_eq!(parse_amz_date("20261124T102030Z"), whole);
        assert_eq!(parse_iso8601("2026-11-24T10:20:30.5Z"), Some(at));
        assert_eq!(
            http_date(datetime!(2024-02-29 00:00 UTC)),
            "Thu, 29 Feb 2024 00:00:00 GMT"
        );
        assert_eq!(
            parse_http_date("Thu, 29 Feb 2024 00:00:00 GMT"),
            Some(datetime!(2024-02-29 00:00 UTC))
        );
        assert_eq!(parse_http_date("Tuesday, 24-Nov-26 10:20:30 GMT"), whole);
        for bad in [
            "",
            "yesterday",
            "20261124T102030",
            "20261324T102030Z",
            "20260230T102030Z",
            "20261124T242030Z",
            "2026112aT102030Z",
            "+0261124T102030Z",
            "Thu, 30 Feb 2024 00:00:00 GMT",
            "Thu, 29 Foo 2024 00:00:00 GMT",
        ] {
            assert_eq!(parse_amz_date(bad), None);
            assert_eq!(parse_http_date(bad), None);
        }
    }

    #[test]
    fn offsets_do_not_lead_out_of_the_last_year() {
        for (text, iso) in [
            (
                "Tue, 24 Nov 2026 10:20:30 +0100",
                "2026-11-24T10:20:30+01:00",
            ),
            (
                "Fri, 31 Dec 9999 23:30:00 -0100",
                "9999-12-31T23:30:00-01:00",
            ),
        ] {
            let times = [parse_http_date(text), parse_iso8601(iso)];
            let written = times.map(|at| at.map(|at| (http_date(at), amz_date(at))));
            let expected = "Tue, 24 Nov 2026 09:20:30 GMT";
            let expected = (expected.to_owned(), "20261124T092030Z".to_owned());
            let expected = (!text.contains("9999")).then_some(expected);
            assert_eq!(written, [expected.clone(), expected]);
        }
    }
}
