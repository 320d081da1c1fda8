//! The total parser: any head becomes a typed [`Call`], or is refused precisely.

use super::{Addressing, Call, Error, Head, Payload, Target, parse, route};

/// What is asked. Nothing here is trusted yet: `authn` says who asks, `authz` whether they may.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head as it arrived; what the signature covers.
    pub head: Head,
    /// What the address names.
    pub target: Target,
    /// What is asked, typed.
    pub call: Call,
    /// What `x-amz-content-sha256` says of the body.
    pub payload: Payload,
}

impl Request {
    /// Parses a head.
    ///
    /// # Errors
    /// `NotImplemented` for operations and sub-resources that are not answered; otherwise the code
    /// that S3 documents for what is wrong.
    pub fn parse(head: Head, addressing: &Addressing) -> Result<Self, Error> {
        let target = addressing.target(&head.host, &head.path)?;
        let row = route::route(&head, &target)?;
        parse::headers::only_known(&head, row.operation)?;
        let call = parse::call(&head, &target, row.operation)?;
        let payload = Payload::parse(&head)?;
        Ok(Self {
            head,
            target,
            call,
            payload,
        })
    }
}
