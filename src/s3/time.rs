//! The three ways S3 writes a time.

use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// `2026-11-24T10:20:30.000Z`, as XML has it.
#[must_use]
pub fn iso8601(at: OffsetDateTime) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.to_offset(UtcOffset::UTC)
        .format(format)
        .unwrap_or_default()
}

/// `Tue, 24 Nov 2026 10:20:30 GMT` (RFC 9110 section 5.6.7), as headers have it.
#[must_use]
pub fn http_date(at: OffsetDateTime) -> String {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at.to_offset(UtcOffset::UTC)
        .format(format)
        .unwrap_or_default()
}

/// `20261124T102030Z`, as Signature Version 4 has it.
#[must_use]
pub fn amz_date(at: OffsetDateTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    at.to_offset(UtcOffset::UTC)
        .format(format)
        .unwrap_or_default()
}

/// Reads what [`http_date`] writes; also RFC 850's and asctime's older forms, as RFC 9110 asks.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    let rfc850 = format_description!(
        "[weekday], [day]-[month repr:short]-[year repr:last_two] [hour]:[minute]:[second] GMT"
    );
    let asctime = format_description!(
        "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
    );
    let fixed = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let plain = PrimitiveDateTime::parse(text, fixed)
        .or_else(|_| PrimitiveDateTime::parse(text, rfc850))
        .or_else(|_| PrimitiveDateTime::parse(text, asctime));
    match plain {
        Ok(at) => Some(at.assume_utc()),
        Err(_) => OffsetDateTime::parse(text, &Rfc2822).ok(),
    }
}

/// Reads an ISO 8601 time with or without fractions, as other stores' XML has it.
#[must_use]
pub fn parse_iso8601(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text.trim(), &time::format_description::well_known::Rfc3339).ok()
}

/// Reads `20261124T102030Z`.
#[must_use]
pub fn parse_amz_date(text: &str) -> Option<OffsetDateTime> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    PrimitiveDateTime::parse(text, format)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
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
        for bad in ["", "yesterday", "20261124T102030", "20261324T102030Z"] {
            assert_eq!(parse_amz_date(bad), None);
            assert_eq!(parse_http_date(bad), None);
        }
    }
}
