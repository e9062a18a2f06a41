//! What a row is worth elsewhere.

use sealing::Sealer;

use super::*;
use crate::SessionSecrets;
use crate::state::{Person, SessionState, Token, Tokens};

fn sealer() -> Arc<Sealer> {
    let secrets = SessionSecrets::from_text(&"s".repeat(32)).unwrap();
    Arc::new(secrets.secrets().purpose("row"))
}

fn session(sealer: &Arc<Sealer>, key: Key, name: &str) -> NewRow {
    let token = Token::new(name);
    let state = SessionState {
        created: now(),
        host: "localhost".to_owned(),
        person: Person {
            issuer: "https://idp.example".to_owned(),
            subject: name.to_owned(),
            sid: None,
            tenant_id: "default".to_owned(),
            tenant_name: None,
            custom_domain: None,
            email: None,
            display_name: None,
            roles: Vec::new(),
        },
        tokens: Tokens::new(token.clone(), None, 1, now(), None, 0.0),
        id_token: None,
        nonce: token,
        hold: None,
        data: serde_json::Map::new(),
    };
    NewRow {
        body: Body::open(state, sealer, key),
        ..row("")
    }
}

fn opened(sealer: &Sealer, key: &Key, row: &Row) -> Option<String> {
    let state = row.body.state(sealer, key);
    state.map(|state| state.person.subject.clone())
}

pub async fn a_row_at_another_key_opens_as_nothing(store: &Store) {
    let sealer = sealer();
    let new = session(&sealer, KEY, "somebody");
    store.create(&KEY, new).await.unwrap();
    let row = loaded(store, &KEY).await;
    assert_eq!(opened(&sealer, &KEY, &row).as_deref(), Some("somebody"));
    for moved in [row.body.clone(), Body::from_sealed(bytes(&row))] {
        let mut new = row.to_new();
        new.body = moved;
        store.create(&OTHER_KEY, new).await.unwrap();
        let row = loaded(store, &OTHER_KEY).await;
        assert_eq!(opened(&sealer, &OTHER_KEY, &row), None);
        store.remove(&OTHER_KEY).await.unwrap();
    }
    // Nor with a bit changed.
    let mut changed = bytes(&row);
    changed[20] ^= 1;
    let mut new = row.to_new();
    new.body = Body::from_sealed(changed);
    replaced(store, 1, new).await;
    assert_eq!(opened(&sealer, &KEY, &loaded(store, &KEY).await), None);
}

pub async fn an_old_row_cannot_be_put_back(store: &Store) {
    let sealer = sealer();
    let new = session(&sealer, KEY, "before");
    store.create(&KEY, new).await.unwrap();
    let old = loaded(store, &KEY).await;
    replaced(store, 1, session(&sealer, KEY, "after")).await;
    assert!(store.create(&KEY, old.to_new()).await.is_err());
    let swap = replace(store, old.version, old.to_new()).await;
    assert!(matches!(swap, Swap::Changed(_)), "{swap:?}");
    let row = loaded(store, &KEY).await;
    assert_eq!(opened(&sealer, &KEY, &row).as_deref(), Some("after"));
}
