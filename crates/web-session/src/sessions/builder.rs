//! Settings of sessions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clock::{Clock, SystemClock};
use sealing::{Secrets, SecretsError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Inner, Settings, WebSessions};
use crate::answer::{Notice, NoticePage};
use crate::cookies::{CookieRules, SessionSameSite};
use crate::counts::Counts;
use crate::provider::{AtProvider, Provider};
use crate::public_url::{PublicUrl, PublicUrlError, url_of_origin};
use crate::refresh::Flights;
use crate::revoke::Revocations;
use crate::store::{MemoryStore, SessionStore};
use crate::tenancy::Tenancy;
use crate::time::ForwardClock;
use crate::watch::Watches;

/// The secrets that cookies and rows are sealed with: 1 to 5, the newest first. Clones share them, and
/// [`Secrets::replace`] takes effect at once.
#[derive(Clone, Debug)]
pub struct SessionSecrets(Secrets);

impl SessionSecrets {
    /// Takes secrets of at least 32 characters each from a text, separated by white space, the newest first.
    ///
    /// # Errors
    ///
    /// As [`Secrets::from_text`].
    pub fn from_text(text: &str) -> Result<Self, SecretsError> {
        Secrets::from_text(text).map(Self)
    }

    /// Takes a list that something else replaces.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self(secrets)
    }

    /// Returns the list.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.0
    }
}

/// Settings of [`WebSessions`]. The public address has no default.
pub struct WebSessionsBuilder {
    provider: Arc<Provider>,
    secrets: SessionSecrets,
    tenancy: Tenancy,
    public_url: Option<String>,
    allow_http: bool,
    insecure_cookies: bool,
    same_site: SessionSameSite,
    store: Option<Arc<dyn SessionStore>>,
    clock: Arc<dyn Clock>,
    notice_page: Option<NoticePage>,
    settings: Settings,
}

/// Why sessions cannot work with these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{}: {}", self.setting(), self.problem())]
pub enum BuildError {
    /// The public address is missing or cannot be used.
    PublicUrl(PublicUrlError),
    /// Cookies without `Secure` on a public address with https, or with it on one without that is not this machine.
    InsecureCookies,
    /// The idle time is shorter than a second, or longer than the whole.
    IdleTimeout,
    /// No session would be allowed.
    PerPerson,
    /// Not an origin.
    TrustedOrigin,
}

impl BuildError {
    /// Returns the name of the variable that such a setting usually comes from.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        match self {
            Self::PublicUrl(_) => "PUBLIC_URL",
            Self::InsecureCookies => "DANGEROUS_INSECURE_COOKIES",
            Self::IdleTimeout => "SESSION_IDLE_TIMEOUT",
            Self::PerPerson => "SESSIONS_PER_USER",
            Self::TrustedOrigin => "TRUSTED_ORIGINS",
        }
    }

    /// Returns what is wrong with it, without its value.
    #[must_use]
    pub fn problem(&self) -> String {
        let text = match self {
            Self::PublicUrl(error) => return error.to_string(),
            Self::InsecureCookies => "is for http alone, and needed there but on localhost",
            Self::IdleTimeout => "expected at least 1 s, and at most SESSION_LIFETIME",
            Self::PerPerson => "expected at least 1",
            Self::TrustedOrigin => "expected origins such as https://partner.example",
        };
        text.to_owned()
    }
}

impl WebSessionsBuilder {
    pub(crate) fn new(provider: Arc<Provider>, secrets: SessionSecrets) -> Self {
        Self {
            provider,
            secrets,
            tenancy: Tenancy::off(),
            public_url: None,
            allow_http: false,
            insecure_cookies: false,
            same_site: SessionSameSite::default(),
            store: None,
            clock: Arc::new(SystemClock),
            notice_page: None,
            settings: Settings {
                idle: Duration::from_secs(3_600),
                lifetime: Duration::from_secs(12 * 3_600),
                max_stale: Duration::from_secs(3_600),
                per_person: 20,
                role_permissions: BTreeMap::new(),
                trusted_origins: Vec::new(),
                hands_out_tokens: false,
            },
        }
    }

    /// Sets the origin that people see, such as `https://app.example`, or one per tenant:
    /// `https://{tenant_name}.app.example`. The `Host` of a request must be that of the origin; a proxy in front must
    /// keep it. https is required but on this machine.
    #[must_use]
    pub fn public_url(mut self, url: &str) -> Self {
        self.public_url = Some(url.to_owned());
        self
    }

    /// Sets whether the public address may be http anywhere. Cookies then need
    /// [`dangerous_insecure_cookies`](Self::dangerous_insecure_cookies), and everybody on the way can read them.
    #[must_use]
    pub fn dangerous_allow_http(mut self, allowed: bool) -> Self {
        self.allow_http = allowed;
        self
    }

    /// Sets whether cookies go without `Secure` and without the prefix `__Host-`: for Safari on http.
    #[must_use]
    pub fn dangerous_insecure_cookies(mut self, insecure: bool) -> Self {
        self.insecure_cookies = insecure;
        self
    }

    /// Sets how the session cookie travels when a person comes from another site. Default: `Lax`.
    #[must_use]
    pub fn same_site(mut self, same_site: SessionSameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Sets whether people belong to tenants. Default: [`Tenancy::off`].
    #[must_use]
    pub fn tenancy(mut self, tenancy: Tenancy) -> Self {
        self.tenancy = tenancy;
        self
    }

    /// Sets where sessions are kept. Default: a [`MemoryStore`] for 10,000.
    #[must_use]
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets when a session ends without activity. Default: 1 h.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle = timeout;
        self
    }

    /// Sets when a session ends whatever happens. Default: 12 h.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.lifetime = lifetime;
        self
    }

    /// Sets how long a person stays known after their access token expired while the provider is away. Default: 1 h.
    #[must_use]
    pub fn max_stale(mut self, limit: Duration) -> Self {
        self.settings.max_stale = limit;
        self
    }

    /// Sets how many sessions a person may have; one more ends the oldest. Default: 20.
    #[must_use]
    pub fn sessions_per_person(mut self, limit: usize) -> Self {
        self.settings.per_person = limit;
        self
    }

    /// Sets what roles permit: the role's key, such as `owner`, and permissions, such as `invoice:write`. Default:
    /// nothing.
    #[must_use]
    pub fn role_permissions<R, P, I>(mut self, roles: I) -> Self
    where
        R: Into<String>,
        P: Into<String>,
        I: IntoIterator<Item = (R, Vec<P>)>,
    {
        let roles = roles.into_iter().map(|(role, permissions)| {
            let permissions = permissions.into_iter().map(Into::into).collect();
            (role.into(), permissions)
        });
        self.settings.role_permissions = roles.collect();
        self
    }

    /// Adds another origin whose pages may send what changes something, such as `https://partner.example`. It
    /// needs the CSRF token all the same.
    #[must_use]
    pub fn trusted_origin(mut self, origin: &str) -> Self {
        self.settings.trusted_origins.push(origin.to_owned());
        self
    }

    /// Sets whether `GET /api/auth/token` gives the person's access token to scripts. Whoever runs a script in the
    /// page has the token then. Default: there is no such address.
    #[must_use]
    pub fn dangerous_token_endpoint(mut self, there: bool) -> Self {
        self.settings.hands_out_tokens = there;
        self
    }

    /// Sets the look of pages that say why something is refused or does not work: what returns their HTML. Their
    /// content security policy allows styles, scripts and images of the application's own origin. Default: plain
    /// pages.
    #[must_use]
    pub fn notice_page(mut self, page: impl Fn(&Notice) -> String + Send + Sync + 'static) -> Self {
        self.notice_page = Some(Arc::new(page));
        self
    }

    /// Sets the clock that sessions are judged by. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the whole. Asks nobody anything.
    ///
    /// # Errors
    ///
    /// Fails with the first setting that cannot work.
    pub fn build(self) -> Result<WebSessions, BuildError> {
        let public_url = self.public_url.as_deref().unwrap_or_default();
        let public_url =
            PublicUrl::parse(public_url, self.allow_http).map_err(BuildError::PublicUrl)?;
        let needs_insecure = !public_url.is_https() && !public_url.is_loopback();
        if self.insecure_cookies && public_url.is_https()
            || needs_insecure && !self.insecure_cookies
        {
            return Err(BuildError::InsecureCookies);
        }
        let settings = self.settings;
        let second = Duration::from_secs(1);
        if settings.idle < second || settings.idle > settings.lifetime {
            return Err(BuildError::IdleTimeout);
        }
        if settings.per_person == 0 {
            return Err(BuildError::PerPerson);
        }
        for origin in &settings.trusted_origins {
            if url_of_origin(origin).is_none() {
                return Err(BuildError::TrustedOrigin);
            }
        }
        let secrets = self.secrets.secrets();
        let store = self
            .store
            .unwrap_or_else(|| Arc::new(MemoryStore::new(10_000)));
        let renewals = AtProvider {
            provider: Arc::clone(&self.provider),
            tenancy: self.tenancy.clone(),
        };
        Ok(WebSessions {
            inner: Arc::new(Inner {
                provider: self.provider,
                renewals: Arc::new(renewals),
                tenancy: self.tenancy,
                public_url,
                cookies: CookieRules {
                    insecure: self.insecure_cookies,
                    same_site: self.same_site,
                },
                settings,
                notice_page: self.notice_page,
                store,
                row_sealer: Arc::new(secrets.purpose("row")),
                login_sealer: secrets.purpose("login"),
                logout_sealer: secrets.purpose("logout"),
                clock: ForwardClock::new(self.clock),
                flights: Flights::default(),
                watches: Watches::default(),
                revocations: Revocations::default(),
                counts: Counts::default(),
                tasks: TaskTracker::new(),
                is_swept: AtomicBool::new(false),
                stop: CancellationToken::new(),
            }),
        })
    }
}

impl fmt::Debug for WebSessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSessionsBuilder")
            .field("provider", &self.provider)
            .field("public_url", &self.public_url)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
