//! Saying what differed, and stopping there.

use std::fmt::{Debug, Display, Formatter};

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// What was not as it should be.
pub(crate) struct Failure(pub(crate) String);

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names what was being done when an error came.
pub(crate) trait During<T> {
    fn during(self, what: &str) -> Result<T, Failure>;
}

impl<T, E: std::error::Error> During<T> for Result<T, E> {
    fn during(self, what: &str) -> Result<T, Failure> {
        self.map_err(|e| Failure(format!("{what}: {}", DisplayErrorContext(e))))
    }
}

/// Two values that must be equal.
#[expect(clippy::needless_pass_by_value, reason = "shorter where it is called")]
pub(crate) fn same<T, U>(what: &str, got: T, expected: U) -> Result<(), Failure>
where
    T: PartialEq<U> + Debug,
    U: Debug,
{
    if got == expected {
        return Ok(());
    }
    let text = format!("{what}: got {got:?}, expected {expected:?}");
    Err(Failure(text))
}

/// Two bodies that must be equal: they may be too long to print.
pub(crate) fn same_bytes(what: &str, got: &[u8], expected: &[u8]) -> Result<(), Failure> {
    if got == expected {
        return Ok(());
    }
    let differs = |(a, b)| a != b;
    let at = got.iter().zip(expected).position(differs);
    let at = at.unwrap_or(got.len().min(expected.len()));
    let (got, expected) = (got.len(), expected.len());
    Err(Failure(format!(
        "{what}: {got} bytes of expected {expected}, the first difference is at {at}"
    )))
}

/// An answer that must be S3's error `code`, with its status.
pub(crate) fn refused<T: Debug, E>(
    what: &str,
    answer: Result<T, SdkError<E, HttpResponse>>,
    code: &str,
    status: u16,
) -> Result<(), Failure>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let error = match answer {
        Ok(answer) => return Err(Failure(format!("{what}: not refused but {answer:?}"))),
        Err(error) => error,
    };
    let answered = error.raw_response().map(|r| r.status().as_u16());
    if (error.code(), answered) == (Some(code), Some(status)) {
        return Ok(());
    }
    let error = DisplayErrorContext(error);
    Err(Failure(format!(
        "{what}: expected {status} {code}, got {answered:?}: {error}"
    )))
}
