//! Our services, and the same service without the validator.

use std::time::Duration;

use dev_idp::{Algorithm, DEFAULT_CLIENT_ID, DevClient, DevIdp, TokenSpec};

use super::bare::HASHED;
use super::cores::Cores;
use super::cost::Case;
use super::generator::Requests;
use super::{CONNECTIONS, PROTECTED, ROUNDS};
use crate::Failure;
use crate::program::{self, Program};

const SECRET: &str = "secret";
/// The ends are those that the peers' settings add and ask for.
const AUDIENCE_BASE: &str = "https://api.example.test";
const AUDIENCE: &str = "https://api.example.test/rs256";
const SCOPES: &str = "data:read read:data";

/// A provider whose tokens our services and the peers accept.
pub(crate) async fn provider() -> Result<DevIdp, Failure> {
    let client = DevClient::new(DEFAULT_CLIENT_ID, SECRET).scopes(SCOPES.split(' '));
    let idp = DevIdp::builder()
        .client(client)
        .default_audience(AUDIENCE)
        .token_lifetime(Duration::from_secs(3_600));
    Ok(idp.start().await?)
}

/// A token for every case and every peer.
pub(crate) fn token(idp: &DevIdp, algorithm: Algorithm) -> String {
    idp.mint(TokenSpec::new().algorithm(algorithm).claim("scope", SCOPES))
}

/// What peers are told of the provider.
pub(crate) fn peer_variables(idp: &DevIdp) -> Vec<(&'static str, String)> {
    let jwks_path = "/api/v1/oauth2/jwks";
    let jwks = format!("{}{jwks_path}", idp.issuer());
    vec![
        ("ISSUER", idp.issuer().to_owned()),
        ("AUDIENCE", AUDIENCE.to_owned()),
        ("AUD", AUDIENCE_BASE.to_owned()),
        ("ALG", "RS256".to_owned()),
        ("JWKS", jwks.clone()),
        ("JWKS_URI", jwks),
        ("JWKS_PATH", jwks_path.to_owned()),
    ]
}

/// Everything of ours that is measured, running.
pub(crate) struct Services {
    cores: Cores,
    bare: Program,
    pub(crate) protected: Program,
    pub(crate) public: Program,
    bare_address: String,
    pub(crate) protected_address: String,
    pub(crate) public_address: String,
    issuer: String,
}

impl Services {
    pub(crate) async fn start(idp: &DevIdp, cores: Cores) -> Result<Self, Failure> {
        let issuer = idp.issuer().to_owned();
        let mut bare = cores.server(std::env::current_exe()?);
        bare.arg("bare").env_clear();
        let mut bare = Program::spawn(bare)?;
        let bare_address = bare.address().await?;
        let mut protected = cores.server(program::path("protected-data")?);
        protected.env_clear().envs([
            ("ISSUER", issuer.as_str()),
            ("LOG_FORMAT", "json"),
            ("API_AUDIENCE", AUDIENCE),
            ("PROTECTED_DATA_ADDR", "127.0.0.1:0"),
            ("PROTECTED_DATA_ADMIN_ADDR", "off"),
        ]);
        let mut protected = Program::spawn(protected)?;
        let protected_address = protected.address().await?;
        let (mut public, public_address) = start_public(cores, &issuer, &protected_address).await?;
        for program in [&mut bare, &mut protected, &mut public] {
            program.discard_log()?;
        }
        for address in [&protected_address, &public_address] {
            program::ready(address).await?;
        }
        Ok(Self {
            cores,
            bare,
            protected,
            public,
            bare_address,
            protected_address,
            public_address,
            issuer,
        })
    }

    /// A second public-data, which calls protected-data at this address.
    pub(crate) async fn another_public(
        &self,
        protected: &str,
    ) -> Result<(Program, String), Failure> {
        let (mut public, address) = start_public(self.cores, &self.issuer, protected).await?;
        public.discard_log()?;
        program::ready(&address).await?;
        Ok((public, address))
    }

    pub(crate) fn cases(&self, idp: &DevIdp, turn: Duration) -> Vec<Case<'_>> {
        const BARE: &str = "the same route without the layer";
        const HASH: &str = "the same, SHA-256 and a look-up (RS256)";
        // More than are checked in all rounds: one takes 50 µs at the least.
        let fresh = u64::try_from(turn.as_micros()).unwrap_or(u64::MAX) * u64::from(ROUNDS) / 50;
        let good = || token(idp, Algorithm::Es256);
        let usual = || token(idp, Algorithm::Rs256);
        // A good one and, after it, its claims under another token's signature.
        let half = (0..fresh / 8).flat_map(|_| {
            let (good, other) = (good(), good());
            let bad = match (good.rsplit_once('.'), other.rsplit_once('.')) {
                (Some((claims, _)), Some((_, signature))) => format!("{claims}.{signature}"),
                _ => String::new(),
            };
            [good, bad]
        });
        let protected = |name: &str, tokens: Vec<String>| {
            let requests = Requests::with_tokens(&self.protected_address, PROTECTED, tokens);
            let name = format!("protected-data, {name}");
            (name, requests)
        };
        let bare = Requests::with_tokens(&self.bare_address, PROTECTED, [usual()]);
        let (half_name, half) = protected("half bad signatures (ES256)", half.collect());
        let ours = [
            protected("one token (RS256)", vec![usual()]),
            protected("512 tokens (RS256)", (0..512).map(|_| usual()).collect()),
            protected("new tokens (ES256)", (0..fresh).map(|_| good()).collect()),
            (half_name, half.refused_too()),
        ];
        let ours = ours.into_iter().map(|(name, requests)| {
            Case::new(&name, CONNECTIONS, requests, vec![&self.protected]).beside(BARE)
        });
        let hashed = Requests::with_tokens(&self.bare_address, HASHED, [usual()]);
        let floor = [
            Case::new(BARE, CONNECTIONS, bare, vec![&self.bare]),
            Case::new(HASH, CONNECTIONS, hashed, vec![&self.bare]).beside(BARE),
        ];
        floor.into_iter().chain(ours).collect()
    }

    /// Milliseconds from its execution to its listening, by service.
    pub(crate) fn start_times(&self) -> Vec<(&'static str, f64)> {
        let services = [
            ("protected-data", &self.protected),
            ("public-data", &self.public),
        ];
        services
            .into_iter()
            .filter_map(|(name, program)| Some((name, program.start_time()?.as_secs_f64() * 1e3)))
            .collect()
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        for program in [self.public, self.protected, self.bare] {
            program.stop().await?;
        }
        Ok(())
    }
}

async fn start_public(
    cores: Cores,
    issuer: &str,
    protected: &str,
) -> Result<(Program, String), Failure> {
    let mut public = cores.server(program::path("public-data")?);
    public.env_clear().envs([
        ("ISSUER", issuer),
        ("LOG_FORMAT", "json"),
        ("CLIENT_ID", DEFAULT_CLIENT_ID),
        ("CLIENT_SECRET", SECRET),
        ("PUBLIC_DATA_ADDR", "127.0.0.1:0"),
        ("PUBLIC_DATA_ADMIN_ADDR", "off"),
        ("PROTECTED_DATA_URL", &format!("http://{protected}")),
    ]);
    let mut public = Program::spawn(public)?;
    let address = public.address().await?;
    Ok((public, address))
}
