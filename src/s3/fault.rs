//! What a client is told of a failed system call: whether there is no room, whether to come again, or
//! neither.

use std::io;

use rustix::io::Errno;

use super::{Error, ErrorCode};

impl Error {
    /// The error of a system call, for a file or a directory of the gateway's: 507 where there is no
    /// room, 503 where the same may work later, 500 otherwise. `what` failed is for the operator.
    #[must_use]
    pub fn from_io(what: impl std::fmt::Display, error: &io::Error) -> Self {
        let said = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(errno) => Self::of(errno),
            None => match error.kind() {
                io::ErrorKind::OutOfMemory => Self::new(ErrorCode::ServiceUnavailable),
                _ => Self::new(ErrorCode::InternalError),
            },
        };
        said.because(format_args!("{what}: {error}"))
    }

    /// The same for a bare error number.
    #[must_use]
    pub fn from_errno(what: impl std::fmt::Display, errno: Errno) -> Self {
        Self::of(errno).because(format_args!("{what}: {errno}"))
    }

    fn of(errno: Errno) -> Self {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::new(ErrorCode::InsufficientStorage),
            Errno::ROFS => Self::with_message(
                ErrorCode::ServiceUnavailable,
                "Service is unable to handle request: its storage is read-only.",
            ),
            Errno::MFILE
            | Errno::NFILE
            | Errno::NOMEM
            | Errno::NOBUFS
            | Errno::IO
            | Errno::STALE
            | Errno::AGAIN
            | Errno::INTR
            | Errno::BUSY
            | Errno::TIMEDOUT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::CONNREFUSED
            | Errno::CONNRESET
            | Errno::NOTCONN
            | Errno::SHUTDOWN
            | Errno::NODEV
            | Errno::NXIO
            | Errno::REMOTEIO
            | Errno::NOLCK => Self::new(ErrorCode::ServiceUnavailable),
            _ => Self::new(ErrorCode::InternalError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_says_whether_it_may_pass() {
        use ErrorCode::{InsufficientStorage, InternalError, ServiceUnavailable};
        for (errno, code) in [
            (Errno::NOSPC, InsufficientStorage),
            (Errno::DQUOT, InsufficientStorage),
            (Errno::MFILE, ServiceUnavailable),
            (Errno::NFILE, ServiceUnavailable),
            (Errno::NOMEM, ServiceUnavailable),
            (Errno::IO, ServiceUnavailable),
            (Errno::STALE, ServiceUnavailable),
            (Errno::ROFS, ServiceUnavailable),
            (Errno::ACCESS, InternalError),
            (Errno::NOTDIR, InternalError),
        ] {
            let from = io::Error::from_raw_os_error(errno.raw_os_error());
            let error = Error::from_io("open", &from);
            assert_eq!(error.code(), code, "{errno:?}");
            assert!(error.reason().is_some_and(|why| why.starts_with("open: ")));
            let error = Error::from_errno("open", errno);
            assert_eq!(error.code(), code, "{errno:?}");
        }
        let read_only = Error::from_errno("open", Errno::ROFS);
        assert!(read_only.message().contains("read-only"));
    }
}
