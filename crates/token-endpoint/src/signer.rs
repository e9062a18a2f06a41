//! Secrets and keys that are elsewhere.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::error::EndpointError;
use crate::key::AssertionAlgorithm;
use crate::kind::TokenErrorKind;

/// How long signing may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Signs client assertions with a key that is elsewhere: in a key management service, or in hardware. Its `Debug` is
/// part of that of the client, and must show no secret.
#[async_trait]
pub trait AssertionSigner: fmt::Debug + Send + Sync + 'static {
    /// Signs a message, the first two parts of a JWS, and returns the signature as JWS has it (RFC 7518
    /// section 3): `r` and `s` of ECDSA side by side, not as DER.
    ///
    /// It is called once per request, and dropped after 3 s and with the request. That, a panic and an error
    /// that is not permanent are [`TokenErrorKind::Signer`].
    ///
    /// # Errors
    ///
    /// Fails where there is no signature.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError>;

    /// Returns what the key signs with.
    fn algorithm(&self) -> AssertionAlgorithm;

    /// Returns the `kid` in the header of the assertions. Default: none.
    fn key_id(&self) -> Option<String> {
        None
    }
}

/// Why there is no signature. The text stands in errors and logs, and must hold no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct SignerError {
    kind: TokenErrorKind,
    text: String,
}

impl SignerError {
    /// Returns a failure that passes: [`TokenErrorKind::Signer`].
    #[must_use]
    pub fn transient(text: impl Into<String>) -> Self {
        Self {
            kind: TokenErrorKind::Signer,
            text: text.into(),
        }
    }

    /// Returns a failure that needs a change: [`TokenErrorKind::SignerRefused`].
    #[must_use]
    pub fn permanent(text: impl Into<String>) -> Self {
        Self {
            kind: TokenErrorKind::SignerRefused,
            text: text.into(),
        }
    }
}

/// Gives a client secret, key or assertion that is elsewhere, such as one that a platform makes on demand. Its `Debug`
/// is part of that of the client, and must show no secret.
#[async_trait]
pub trait SecretProvider: fmt::Debug + Send + Sync + 'static {
    /// Returns the secret as it is now. It is called once per request, and dropped with it.
    ///
    /// # Errors
    ///
    /// Fails where there is none; the kind of the error decides when to ask again, such as
    /// [`TokenErrorKind::Connect`] where nobody answered.
    async fn secret(&self) -> Result<SecretString, EndpointError>;

    /// Returns a number that changes with the secret, and says nothing about it. While the provider rejects
    /// the secret, `token-cache` looks here once a second. The default says that it never changes.
    async fn version(&self) -> u64 {
        0
    }
}

/// Asks a signer, in a task of its own, so that its panic ends nothing else.
pub(crate) async fn sign(
    signer: &Arc<dyn AssertionSigner>,
    message: Vec<u8>,
) -> Result<Vec<u8>, EndpointError> {
    let algorithm = signer.algorithm();
    let signer = Arc::clone(signer);
    let signature = limited(async move { signer.sign(&message).await }).await?;
    if !algorithm.signs_with(signature.len()) {
        let name = algorithm.name();
        return Err(refused(&format!(
            "a signature of {} bytes is none of {name}",
            signature.len()
        )));
    }
    Ok(signature)
}

async fn limited(
    signing: impl Future<Output = Result<Vec<u8>, SignerError>> + Send + 'static,
) -> Result<Vec<u8>, EndpointError> {
    let away = |what: &str| EndpointError::new(TokenErrorKind::Signer).with_detail(what);
    match timeout(LIMIT, AbortOnDropHandle::new(tokio::spawn(signing))).await {
        Ok(Ok(Ok(signature))) => Ok(signature),
        Ok(Ok(Err(error))) => Err(EndpointError::new(error.kind).with_detail(&error.text)),
        Ok(Err(_)) => Err(away("it panicked")),
        Err(_) => Err(away("it did not sign within 3 s")),
    }
}

fn refused(what: &str) -> EndpointError {
    EndpointError::new(TokenErrorKind::SignerRefused).with_detail(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[derive(Clone, Copy, Debug)]
    enum Does {
        Signs(usize),
        Hangs,
        Panics,
        Passes,
        Refuses,
    }

    #[async_trait]
    impl AssertionSigner for Does {
        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignerError> {
            match *self {
                Self::Signs(length) => Ok(vec![7; length]),
                Self::Hangs => pending().await,
                Self::Panics => std::panic::panic_any("canary"),
                Self::Passes => Err(SignerError::transient("the vault is sealed")),
                Self::Refuses => Err(SignerError::permanent("no such key")),
            }
        }

        fn algorithm(&self) -> AssertionAlgorithm {
            AssertionAlgorithm::Es256
        }
    }

    /// M5
    #[tokio::test(start_paused = true)]
    async fn a_signer_that_is_away_slow_or_broken_gives_no_half_made_assertion() {
        for (does, expected, told) in [
            (Does::Signs(64), None, ""),
            (
                Does::Signs(70),
                Some(TokenErrorKind::SignerRefused),
                "70 bytes is none of ES256",
            ),
            (
                Does::Signs(0),
                Some(TokenErrorKind::SignerRefused),
                "0 bytes",
            ),
            (Does::Hangs, Some(TokenErrorKind::Signer), "within 3 s"),
            (Does::Panics, Some(TokenErrorKind::Signer), "it panicked"),
            (
                Does::Passes,
                Some(TokenErrorKind::Signer),
                "the vault is sealed",
            ),
            (
                Does::Refuses,
                Some(TokenErrorKind::SignerRefused),
                "no such key",
            ),
        ] {
            let signer: Arc<dyn AssertionSigner> = Arc::new(does);
            let began = tokio::time::Instant::now();
            let error = sign(&signer, b"message".to_vec()).await.err();
            assert_eq!(
                error.as_ref().map(EndpointError::kind),
                expected,
                "{does:?}"
            );
            assert!(began.elapsed() <= LIMIT, "{does:?}");
            let text = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(
                text.contains(told) && !text.contains("canary"),
                "{does:?}: {text}"
            );
        }
        assert!(TokenErrorKind::Signer.is_transient());
        assert_eq!(
            TokenErrorKind::Signer.answer(),
            TokenErrorKind::Status5xx.answer()
        );
        assert!(!TokenErrorKind::SignerRefused.is_transient());
    }
}
