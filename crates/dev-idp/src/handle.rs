use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::authorize::{self, AuthorizationRequest};
use crate::back_channel::{self, LogoutDelivery};
use crate::builder::DevIdpBuilder;
use crate::client::DevClient;
use crate::error::{KeyError, UnknownClient, UnknownPerson};
use crate::faults::Fault;
use crate::grants::RefreshTokens;
use crate::keyring::{Rotation, generate_all};
use crate::keys::Algorithm;
use crate::mint::{TokenSpec, seal};
use crate::people::DevPerson;
use crate::provider::{ExpiresIn, Provider};
use crate::pushed;
use crate::redirect::TENANT_NAME;
use crate::requests::{Endpoint, JWKS_PATH, LOGOUT_PATH, RequestCounts, TOKEN_PATH};
use crate::server::Server;
use crate::sign_in;
use crate::tamper::Tamper;

/// A running identity provider. Dropping it ends its tasks and closes its listeners.
pub struct DevIdp {
    pub(crate) provider: Arc<Provider>,
    pub(crate) server: Server,
    pub(crate) addr: SocketAddr,
    pub(crate) control: Option<(Server, SocketAddr)>,
}

impl DevIdp {
    /// Returns a builder: any free port on 127.0.0.1, no control API, tokens that live for 300 s.
    pub fn builder() -> DevIdpBuilder {
        DevIdpBuilder::default()
    }

    /// Returns the issuer, without a slash at its end unless one was configured.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    /// Returns the address that the provider listens on, with its real port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the address of the control API if it is on, with its real port.
    #[must_use]
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(|(_, addr)| *addr)
    }

    /// Returns the URL of the token endpoint.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        format!("{}{TOKEN_PATH}", self.provider.base)
    }

    /// Returns the URL of the key set.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        format!("{}{JWKS_PATH}", self.provider.base)
    }

    /// Returns the URL of the authorization endpoint with `{tenant_name}` in the place of the tenant's name. The one
    /// that the metadata name has no tenant: there, a person signs in at the first of their tenants.
    #[must_use]
    pub fn authorization_endpoint(&self) -> String {
        authorize::endpoint(&self.provider, TENANT_NAME)
    }

    /// Answers an authorization request as if this person had just signed in, in a browser that never was here, and
    /// returns the address that the browser is sent to: the client's callback with a code.
    ///
    /// Over HTTP the same is a `POST` of `email` and `password` to that address with `login` in the place of
    /// `api/v1/oauth2/authorize`.
    ///
    /// # Panics
    ///
    /// Panics if the request is refused, or the person may not sign in there.
    #[must_use]
    #[track_caller]
    pub fn sign_in(&self, authorization_url: &str, email: &str) -> String {
        let url = Url::parse(authorization_url).expect("an authorization URL");
        let path = url.path().strip_prefix("/tenants/");
        let tenant = path.and_then(|rest| Some(rest.split_once('/')?.0));
        let provider = &self.provider;
        let query = pushed::expand(provider, url.query().unwrap_or_default());
        let read = |query: String| AuthorizationRequest::read(provider, tenant, &query);
        let request = query.and_then(read).ok();
        let request = request.expect("an authorization request that is not refused");
        let found = {
            let people = provider.people.lock();
            let first = people
                .person(email)
                .and_then(|person| person.tenants().next());
            let tenant = tenant.or(first).unwrap_or_default().to_owned();
            let member = people.member(email, &tenant);
            member.map(|person| (person.email().to_owned(), tenant))
        };
        let (email, tenant) = found.expect("a person who may sign in there");
        let entered = sign_in::enter(provider, None, &request, email, tenant);
        let (location, _) = entered.expect("signing in fails only without randomness");
        location
    }

    /// Adds a person, or puts them in the place of the one with their address.
    pub fn set_person(&self, person: DevPerson) {
        self.provider.people.lock().put(person);
    }

    /// Disables a person, or enables them again ([`DevPerson::disabled`]).
    ///
    /// # Errors
    ///
    /// Fails if nobody has this address.
    pub fn disable_person(&self, email: &str, disabled: bool) -> Result<(), UnknownPerson> {
        let mut people = self.provider.people.lock();
        people.edit(email, |person| person.disabled(disabled))
    }

    /// Changes a person's roles at a tenant, of which they become a member ([`DevPerson::member`]). Userinfo tells
    /// them from now on.
    ///
    /// # Errors
    ///
    /// Fails if nobody has this address.
    pub fn set_roles<R: Into<String>>(
        &self,
        email: &str,
        tenant: &str,
        roles: impl IntoIterator<Item = R>,
    ) -> Result<(), UnknownPerson> {
        let mut people = self.provider.people.lock();
        people.edit(email, |person| person.member(tenant, roles))
    }

    /// Returns the subject of the person with this address (`sub`), whether the provider knows them or not. It is
    /// the same whenever the provider starts.
    #[must_use]
    pub fn subject(&self, email: &str) -> String {
        DevPerson::new(email, "").subject()
    }

    /// Returns the URL of the logout endpoint with `{tenant_name}` in the place of the tenant's name.
    #[must_use]
    pub fn end_session_endpoint(&self) -> String {
        let base = &self.provider.base;
        format!("{base}/tenants/{TENANT_NAME}{LOGOUT_PATH}")
    }

    /// Returns the ids of a person's sessions at the provider (`sid`), one for each browser and tenant.
    #[must_use]
    pub fn sessions(&self, email: &str) -> Vec<String> {
        let email = DevPerson::new(email, "");
        self.provider.logins.lock().sids(email.email())
    }

    /// Ends a session at the provider: the browser is asked for the password again, and each client that was told
    /// of the session gets a logout token. Refresh tokens stay good, as OpenID Connect Back-Channel Logout 1.0
    /// section 2.7 has it for `offline_access`.
    ///
    /// When this returns, the clients have answered, or 2 s have passed for each that did not. Dropping the future
    /// before may leave some untold.
    pub async fn end_session(&self, sid: &str) -> Vec<LogoutDelivery> {
        back_channel::end(&self.provider, sid).await
    }

    /// Sets whether authorization requests have to be pushed (RFC 9126 section 5). They need not at first.
    pub fn require_pushed_requests(&self, required: bool) {
        self.provider.settings.lock().pushed_requests_required = required;
    }

    /// Sets what becomes of refresh tokens from now on.
    pub fn set_refresh_tokens(&self, tokens: RefreshTokens) {
        self.provider.settings.lock().refresh_tokens = tokens;
    }

    /// Makes a new key of each algorithm and signs with them from now on.
    ///
    /// The keys are computed on a blocking thread. Dropping the future before it is ready changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// Fails, changing nothing, if keys cannot be made.
    pub async fn rotate(&self, rotation: Rotation) -> Result<(), KeyError> {
        self.provider.rotate(rotation).await
    }

    /// Withdraws all but the newest key of each algorithm, which ends an overlapping rotation.
    pub fn retire(&self) {
        self.provider.keys.lock().retire();
    }

    /// Sets the algorithm that tokens are signed with, RS256 at first. Every algorithm's keys are
    /// published all the time.
    pub fn set_signing_algorithm(&self, algorithm: Algorithm) {
        self.provider.settings.lock().algorithm = algorithm;
    }

    /// Returns the id of the key that signs now.
    #[must_use]
    pub fn current_kid(&self) -> String {
        self.provider.signing_key(None).kid().to_owned()
    }

    /// Returns the ids of the published keys, oldest first.
    #[must_use]
    pub fn published_kids(&self) -> Vec<String> {
        self.provider.keys.lock().kids()
    }

    /// Changes a client's secret. The old one is refused at once; issued tokens stay valid.
    ///
    /// # Errors
    ///
    /// Fails if no client has this id.
    pub fn set_secret(&self, client_id: &str, secret: &str) -> Result<(), UnknownClient> {
        let mut clients = self.provider.clients.lock();
        let client = clients.get_mut(client_id).ok_or(UnknownClient)?;
        client.set_secret(secret);
        Ok(())
    }

    /// Adds a client, or puts it in the place of the one that has its id. Issued tokens stay valid.
    pub fn set_client(&self, client: DevClient) {
        let mut clients = self.provider.clients.lock();
        clients.insert(client.id().to_owned(), client);
    }

    /// Sets the lifetime of the tokens issued from now on, in whole seconds.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.provider.settings.lock().lifetime = lifetime;
    }

    /// Sets the member `expires_in` of token replies, whatever the tokens' real lifetime.
    pub fn set_expires_in(&self, expires_in: ExpiresIn) {
        self.provider.settings.lock().expires_in = expires_in;
    }

    /// Adds a lie behind the others.
    pub fn tamper(&self, tamper: Tamper) {
        self.provider.tampering.add(tamper);
    }

    /// Adds a fault behind the others.
    pub fn fault(&self, fault: Fault) {
        self.provider.faults.add(fault);
    }

    /// Removes all faults and lies, and lets go the requests that are [held](crate::Effect::Hold). Requests
    /// that were delayed or left hanging stay so.
    pub fn clear_faults(&self) {
        self.provider.tampering.clear();
        self.provider.faults.clear();
    }

    /// Returns how many requests arrived so far.
    #[must_use]
    pub fn requests(&self) -> RequestCounts {
        *self.provider.requests.borrow()
    }

    /// Waits until at least `count` requests to `endpoint` arrived since the provider started. They
    /// need not have been answered, but a fault that waited for them has been met.
    pub async fn wait_for_requests(&self, endpoint: Endpoint, count: u64) {
        let mut requests = self.provider.requests.subscribe();
        let reached = requests.wait_for(|counts| counts.of(endpoint) >= count);
        let reached = reached.await.map(drop);
        reached.expect("the sender lives in `self`, which is borrowed");
    }

    /// Signs a token.
    ///
    /// # Panics
    ///
    /// Panics if the operating system gives no memory or no randomness.
    #[must_use]
    pub fn mint(&self, spec: TokenSpec) -> String {
        spec.sign(&self.provider)
            .expect("signing fails only without memory or randomness")
    }

    /// Signs a header and a payload exactly as they are given, with the key that signs now: for
    /// repeated members, odd numbers and text that is no JSON at all.
    ///
    /// # Panics
    ///
    /// Panics if the operating system gives no memory or no randomness.
    #[must_use]
    pub fn mint_raw(&self, header_json: &str, payload_json: &str) -> String {
        let key = self.provider.signing_key(None);
        seal(&key, header_json, payload_json)
            .expect("signing fails only without memory or randomness")
    }

    /// Takes the provider down: open connections are closed and new ones refused. Keys, clients,
    /// faults and counts stay, and so does the port; the control API stays up.
    pub async fn pause(&self) {
        self.server.pause().await;
    }

    /// Brings the provider back on the same port. Does nothing unless it was paused.
    ///
    /// # Errors
    ///
    /// Fails if the port cannot be listened on again; it can be tried again.
    pub async fn resume(&self) -> io::Result<()> {
        self.server.resume().await
    }

    /// Ends the provider. When this returns, its ports are free and its tasks have ended; requests
    /// that were being answered are cut off.
    pub async fn shutdown(self) {
        if let Some((control, _)) = self.control {
            control.shutdown().await;
        }
        self.server.shutdown().await;
    }
}

impl fmt::Debug for DevIdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevIdp")
            .field("issuer", &self.issuer())
            .field("addr", &self.addr)
            .field("control_addr", &self.control_addr())
            .field("requests", &self.requests())
            .finish_non_exhaustive()
    }
}

impl Provider {
    pub(crate) async fn rotate(&self, rotation: Rotation) -> Result<(), KeyError> {
        let made = tokio::task::spawn_blocking(generate_all).await;
        let keys = made.map_err(|_| KeyError)??;
        self.keys.lock().rotate(keys, rotation);
        Ok(())
    }

    /// Returns what the control API shows of the keys.
    pub(crate) fn key_summary(&self) -> Value {
        serde_json::json!({
            "kids": self.keys.lock().kids(),
            "signing_kid": self.signing_key(None).kid(),
        })
    }
}
