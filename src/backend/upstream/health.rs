//! Whether an upstream answers at all.

use super::client::Client;
use super::error::Error;
use super::exchange::Sending;
use super::request::Outgoing;
use crate::s3;
use http::Method;

/// Asks for the service's head. Any answer below 500 will do, also a refusal: which operations our
/// credentials may ask for is not what readiness is about.
pub(super) async fn check(client: Client<'_>) -> Result<(), s3::Error> {
    client.sweep();
    let request = Outgoing::service(Method::HEAD);
    let patience = client.timeouts.connect;
    let answer = client
        .send_patiently(&request, Sending::Nothing, patience)
        .await?;
    let status = answer.status();
    answer.give_back().await;
    if status.is_server_error() && status != http::StatusCode::NOT_IMPLEMENTED {
        return Err(Error::garbage(format!("`{}` answers {status}", client.name)).into());
    }
    Ok(())
}
