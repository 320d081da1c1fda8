//! How a request's body is framed and what its signature covers: `x-amz-content-sha256`.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use super::{Error, ErrorCode, Head};

/// What `x-amz-content-sha256` says of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// No header: only presigned and anonymous requests may leave it out.
    Absent,
    /// The lower-case hexadecimal SHA-256 of the body.
    Sha256([u8; 32]),
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: `aws-chunked`, every chunk signed.
    SignedChunks,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: the same, and a signed trailer.
    SignedChunksTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: `aws-chunked`, unsigned, and a trailer.
    UnsignedTrailer,
}

const NOT_A_PAYLOAD: &str = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.";

impl Payload {
    /// Reads the header, wherever a presigner put it.
    ///
    /// # Errors
    /// `InvalidArgument` for anything but the documented values, `InvalidRequest` for the ECDSA
    /// forms, which are known and not supported.
    pub fn parse(head: &Head) -> Result<Self, Error> {
        let Some(text) = head.header("x-amz-content-sha256")? else {
            return Ok(Self::Absent);
        };
        match text {
            "UNSIGNED-PAYLOAD" => Ok(Self::Unsigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::SignedChunks),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::SignedChunksTrailer),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::UnsignedTrailer),
            text if text.starts_with("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD") => {
                let message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
                Err(Error::with_message(ErrorCode::InvalidRequest, message))
            }
            text => {
                let mut digest = [0; 32];
                let lower = text
                    .bytes()
                    .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
                match lower && hex::decode_to_slice(text, &mut digest).is_ok() {
                    true => Ok(Self::Sha256(digest)),
                    false => Err(
                        Error::with_message(ErrorCode::InvalidArgument, NOT_A_PAYLOAD)
                            .detail("ArgumentName", "x-amz-content-sha256")
                            .detail("ArgumentValue", text.get(..100).unwrap_or(text)),
                    ),
                }
            }
        }
    }

    /// Whether the body is framed in `aws-chunked`.
    #[must_use]
    pub fn is_chunked(self) -> bool {
        matches!(
            self,
            Self::SignedChunks | Self::SignedChunksTrailer | Self::UnsignedTrailer
        )
    }

    /// Whether a trailer follows the last chunk.
    #[must_use]
    pub fn has_trailer(self) -> bool {
        matches!(self, Self::SignedChunksTrailer | Self::UnsignedTrailer)
    }
}
