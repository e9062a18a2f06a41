use std::fmt;
use std::io;
use std::net::SocketAddr;

use thiserror::Error;

/// The provider could not start.
#[derive(Debug)]
pub struct StartError {
    kind: StartErrorKind,
    addr: Option<SocketAddr>,
    control: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why the provider could not start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The address is not loopback. The provider never listens on anything else.
    NotLoopback,
    /// Another program listens on the address.
    AddressInUse,
    /// The address could not be bound for another reason.
    Bind,
    /// Two clients were configured with the same id.
    DuplicateClient,
    /// The signing keys could not be made.
    Keys,
}

impl StartError {
    pub(crate) fn new(kind: StartErrorKind) -> Self {
        Self {
            kind,
            addr: None,
            control: false,
            source: None,
        }
    }

    pub(crate) fn not_loopback(addr: SocketAddr) -> Self {
        Self {
            addr: Some(addr),
            ..Self::new(StartErrorKind::NotLoopback)
        }
    }

    pub(crate) fn bind(addr: SocketAddr, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::AddrInUse => StartErrorKind::AddressInUse,
            _ => StartErrorKind::Bind,
        };
        Self {
            addr: Some(addr),
            source: Some(source.into()),
            ..Self::new(kind)
        }
    }

    pub(crate) fn for_control(self) -> Self {
        Self {
            control: true,
            ..self
        }
    }

    /// Returns why the provider could not start.
    #[must_use]
    pub fn kind(&self) -> StartErrorKind {
        self.kind
    }

    /// Returns the address that was refused, where the error is about one.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// Tells whether the error is about the control address and not the provider's own.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.control
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            StartErrorKind::NotLoopback => "the address is not a loopback address",
            StartErrorKind::AddressInUse => "the address is in use",
            StartErrorKind::Bind => "the address cannot be bound",
            StartErrorKind::DuplicateClient => "two clients have the same id",
            StartErrorKind::Keys => "the signing keys could not be made",
        };
        f.write_str(what)?;
        match self.addr {
            Some(addr) if self.control => write!(f, ": {addr} (control)"),
            Some(addr) => write!(f, ": {addr}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

impl From<KeyError> for StartError {
    fn from(source: KeyError) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(StartErrorKind::Keys)
        }
    }
}

/// The cryptography library could not make a key. It gives no reason.
#[derive(Clone, Copy, Debug, Error)]
#[error("the cryptography library could not make a signing key")]
#[non_exhaustive]
pub struct KeyError;

/// No client with that id was configured.
#[derive(Clone, Copy, Debug, Error)]
#[error("no client has this id")]
#[non_exhaustive]
pub struct UnknownClient;

/// Nobody with that e-mail address is known.
#[derive(Clone, Copy, Debug, Error)]
#[error("nobody has this e-mail address")]
#[non_exhaustive]
pub struct UnknownPerson;
