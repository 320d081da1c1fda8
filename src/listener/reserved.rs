//! The way in for operators: without TLS, and with descriptors of its own, so that health is told when
//! clients have taken all others.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pingora_timeout::sleep;
use rustix::io::Errno;

use super::accept::{Application, Stop};
use super::connection::Connection;
use super::descriptors::Reserve;
use super::room::{Entry, Room};
use super::wire::Wire;

/// How long nothing is accepted when nothing is left to give up. Shorter than what health may take.
const EXHAUSTED: Duration = Duration::from_millis(10);

/// Accepts as [`super::accept()`] does, and gives up a descriptor of `reserve` where there is none left.
///
/// # Errors
/// When the listener cannot be taken into the runtime.
pub async fn accept_reserved<A: Application>(
    listener: std::net::TcpListener,
    app: Arc<A>,
    room: Arc<Room>,
    reserve: Reserve,
    mut stop: Stop,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let Some(accepted) = stop.accept(&listener).await else {
            return Ok(());
        };
        match accepted {
            Ok((tcp, peer)) => {
                let _ = tcp.set_nodelay(true);
                // Beyond its room nobody is told why: an operator's client asks again.
                let Entry::Welcome(place) = room.enter(peer.ip()) else {
                    reserve.refill();
                    continue;
                };
                let app = app.clone();
                let (ends, reserve) = (stop.connections.clone(), reserve.clone());
                pingora_runtime::current_handle().spawn(async move {
                    let wire = Wire::new(tcp, peer);
                    let connection = Box::new(Connection::plain(wire, place.guest()));
                    place.attend(connection.serve(app, ends)).await;
                    drop(place);
                    reserve.refill();
                });
            }
            Err(error) => {
                let none = [Errno::MFILE, Errno::NFILE].map(|errno| errno.raw_os_error());
                let given = error.raw_os_error().is_some_and(|e| none.contains(&e));
                // At once, before a client takes what was given up.
                if !(given && reserve.give()) {
                    tracing::warn!(%error, "an operator's connection cannot be accepted");
                    sleep(EXHAUSTED).await;
                    reserve.refill();
                }
            }
        }
    }
}
