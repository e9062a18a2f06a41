//! Name resolution that gives public addresses only.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::url_rules::is_private_address;

/// Resolves names as the system does and leaves private addresses out.
///
/// It is the connector's own resolver, and not a check before the request: what was looked at is what
/// is connected to, so a second answer of the name server cannot lead elsewhere.
#[derive(Clone)]
pub(crate) struct PublicOnly {
    lookup: Option<Arc<Lookup>>,
}

/// Stands in for the system in tests.
type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl PublicOnly {
    pub(crate) fn new() -> Self {
        Self { lookup: None }
    }

    #[cfg(test)]
    pub(crate) fn with(
        lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            lookup: Some(Arc::new(lookup)),
        }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.lookup.clone();
        Box::pin(async move {
            let found = match lookup {
                Some(lookup) => lookup(name.as_str())?,
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
            };
            Ok(Box::new(public(found)?.into_iter()) as Addrs)
        })
    }
}

fn public(mut found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, OnlyPrivate> {
    let was_empty = found.is_empty();
    found.retain(|address| !is_private_address(address.ip()));
    if found.is_empty() && !was_empty {
        return Err(OnlyPrivate);
    }
    Ok(found)
}

/// A name resolved to private addresses only.
#[derive(Debug)]
pub(crate) struct OnlyPrivate;

impl fmt::Display for OnlyPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only private addresses")
    }
}

impl std::error::Error for OnlyPrivate {}

#[cfg(test)]
mod tests {
    use super::*;

    /// D25
    #[test]
    fn private_addresses_are_left_out_of_an_answer() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let mixed = addresses(&[
            "10.0.0.1:0",
            "93.184.216.34:0",
            "[::1]:0",
            "[2606:4700::1]:0",
        ]);
        let kept = public(mixed).unwrap();
        assert_eq!(kept, addresses(&["93.184.216.34:0", "[2606:4700::1]:0"]));
        assert!(public(addresses(&["10.0.0.1:0", "[fe80::1]:0"])).is_err());
        assert!(public(Vec::new()).unwrap().is_empty());
    }
}
