//! The addresses of a host name, in the order in which they are tried.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::error::{FetchError, FetchErrorKind};
use crate::url_rules::is_private_address;

/// Resolves names as the system does, and leaves private addresses out where it is told to.
///
/// What it returns is what is connected to, so a second answer of the name server cannot lead elsewhere.
#[derive(Clone, Default)]
pub(crate) struct Resolver {
    pub(crate) deny_private: bool,
    lookup: Option<Arc<Lookup>>,
}

/// Stands in for the system in tests.
type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl Resolver {
    #[cfg(test)]
    pub(crate) fn with(
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            deny_private: false,
            lookup: Some(Arc::new(lookup)),
        }
    }

    /// Returns at least one address of `host`, which may be an address itself.
    pub(crate) async fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, FetchError> {
        let found = match &self.lookup {
            Some(lookup) => lookup(host, port),
            None => tokio::net::lookup_host((host, port))
                .await
                .map(Iterator::collect),
        };
        let mut found: Vec<_> =
            found.map_err(|error| FetchError::told(FetchErrorKind::Dns, &error))?;
        if found.is_empty() {
            return Err(FetchError::new(FetchErrorKind::Dns));
        }
        if self.deny_private {
            found.retain(|address| !is_private_address(address.ip()));
            if found.is_empty() {
                return Err(FetchError::new(FetchErrorKind::PrivateAddress));
            }
        }
        Ok(interleaved(found))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("deny_private", &self.deny_private)
            .finish_non_exhaustive()
    }
}

/// Both families in turn, the system's first choice first (RFC 8305 section 4): where one family leads
/// nowhere, half of the addresses do.
fn interleaved(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = found.first().is_some_and(SocketAddr::is_ipv4);
    let (preferred, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let mut others = others.into_iter();
    let mut ordered = Vec::with_capacity(preferred.len() + others.len());
    for address in preferred {
        ordered.push(address);
        ordered.extend(others.next());
    }
    ordered.extend(others);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    async fn resolved(
        deny_private: bool,
        texts: &[&str],
    ) -> Result<Vec<SocketAddr>, FetchErrorKind> {
        let found = addresses(texts);
        let mut resolver = Resolver::with(move |_, _| Ok(found.clone()));
        resolver.deny_private = deny_private;
        let found = resolver.resolve("idp.example", 0).await;
        found.map_err(|error| error.kind())
    }

    /// D25
    #[tokio::test]
    async fn private_addresses_are_left_out_of_an_answer() {
        let mixed = [
            "10.0.0.1:0",
            "93.184.216.34:0",
            "[::1]:0",
            "[2606:4700::1]:0",
        ];
        let public = addresses(&["93.184.216.34:0", "[2606:4700::1]:0"]);
        assert_eq!(resolved(true, &mixed).await, Ok(public));
        assert_eq!(resolved(false, &mixed).await.map(|all| all.len()), Ok(4));
        let private = resolved(true, &["10.0.0.1:0", "[fe80::1]:0"]).await;
        assert_eq!(private, Err(FetchErrorKind::PrivateAddress));
        assert_eq!(resolved(true, &[]).await, Err(FetchErrorKind::Dns));
    }

    #[test]
    fn the_families_take_turns() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"]);
        let ordered = addresses(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"]);
        assert_eq!(interleaved(found), ordered);
    }
}
