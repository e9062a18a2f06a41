//! Where a secret or token may still lie when nobody needs it.

use std::io::{Read as _, Seek as _, SeekFrom};

use dev_idp::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevClient, DevIdp};
use token_cache::{ClientCredentials, SecretString, TokenCache};

use crate::program::Program;
use crate::world::variables;

/// This process's memory at an address, whether or not anything is there any more. Nothing where the
/// system does not tell.
fn memory(address: usize, length: usize) -> Option<Vec<u8>> {
    let mut memory = std::fs::File::open("/proc/self/mem").ok()?;
    memory.seek(SeekFrom::Start(address as u64)).ok()?;
    let mut bytes = vec![0; length];
    memory.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// J6
#[tokio::test]
async fn a_token_is_wiped_when_nobody_holds_it() {
    let idp = DevIdp::builder().start().await.unwrap();
    let source =
        ClientCredentials::builder(DEFAULT_CLIENT_ID, SecretString::from(DEFAULT_CLIENT_SECRET))
            .token_endpoint(&idp.token_endpoint())
            .build()
            .unwrap();
    let cache = TokenCache::builder(source).build().unwrap();
    let token = cache.token().await.unwrap();
    // The signature, which is in no other buffer of a client that has sent nothing.
    let text = token.secret();
    let at = text.rfind('.').unwrap() + 1;
    let (address, signature) = (text.as_ptr() as usize + at, text[at..].to_owned());
    let length = signature.len();
    if memory(address, length).is_none() {
        return;
    }
    assert_eq!(memory(address, length).unwrap(), signature.as_bytes());
    cache.shutdown().await;
    drop((token, cache));
    let left = memory(address, length).unwrap_or_default();
    let is_left = left
        .windows(16)
        .zip(signature.as_bytes().windows(16))
        .any(|(left, token)| left == token);
    assert!(!is_left, "a part of the token is still there");
}

/// J8
#[tokio::test]
async fn a_secret_from_a_file_is_in_no_environment_and_no_command_line() {
    const SECRET: &str = "canary-0-secret";
    let idp = DevIdp::builder()
        .client(DevClient::new(DEFAULT_CLIENT_ID, SECRET).scopes(["data:read"]))
        .start()
        .await
        .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SECRET).unwrap();
    let mut variables = variables(&idp);
    variables.insert("LOG_FORMAT".to_owned(), "json".to_owned());
    variables.remove("CLIENT_SECRET");
    for (name, secret_file, dotenv) in [
        ("a secret file", Some(file.path()), None),
        ("`.env`", None, Some(format!("CLIENT_SECRET={SECRET}\n"))),
    ] {
        let mut variables = variables.clone();
        if let Some(path) = secret_file {
            let path = path.to_str().unwrap().to_owned();
            variables.insert("CLIENT_SECRET_FILE".to_owned(), path);
        }
        let before = idp.requests().token;
        let mut public =
            Program::start_with_file("public-data", &[], &variables, dotenv.as_deref());
        public.address().await;
        // It has read the secret by then.
        idp.wait_for_requests(dev_idp::Endpoint::Token, before + 1)
            .await;
        for place in ["environ", "cmdline"] {
            let path = format!("/proc/{}/{place}", public.id());
            let bytes = std::fs::read(path).unwrap_or_default();
            let is_there = bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes());
            assert!(!is_there, "{name}: {place}");
        }
        public.signal("INT");
        assert_eq!(public.ended().await.status.code(), Some(0));
    }
}
