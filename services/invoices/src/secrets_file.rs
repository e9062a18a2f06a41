//! The file of the sessions' secrets, which may change while the service runs.

use std::path::PathBuf;
use std::time::Duration;

use idp_http::file::{FileProblem, read_secret};
use secrecy::ExposeSecret as _;
use tracing::{info, warn};
use web_session::{Secrets, SecretsError};

use crate::config::SessionSettings;

const EVERY: Duration = Duration::from_secs(1);

/// A list of secrets, and where a newer one comes from.
#[derive(Debug)]
pub(crate) struct SecretsFile {
    secrets: Secrets,
    path: PathBuf,
}

/// Why a file that has changed is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("names a file that {0}")]
    File(FileProblem),
    #[error("names a file with a list that cannot be used: {0}")]
    List(SecretsError),
}

impl SecretsFile {
    pub(crate) fn of(settings: &SessionSettings) -> Option<Self> {
        let (secrets, path) = (settings.secrets.clone()?, settings.secrets_file.clone()?);
        Some(Self { secrets, path })
    }

    /// Takes over what the file says, as often as it changes; what cannot be used leaves everything as it is. Never
    /// ends.
    pub(crate) async fn follow(file: Option<Self>) {
        let Some(file) = file else {
            return std::future::pending().await;
        };
        let mut told = None;
        loop {
            tokio::time::sleep(EVERY).await;
            match file.read() {
                Ok(true) => {
                    let ids: Vec<String> = ids(&file.secrets);
                    info!(secrets = ids.join(" "), "SESSION_SECRETS_FILE has changed");
                    told = None;
                }
                Ok(false) => told = None,
                Err(problem) => {
                    if told != Some(problem) {
                        warn!(
                            "the secrets of sessions stay as they were: SESSION_SECRETS_FILE {problem}"
                        );
                    }
                    told = Some(problem);
                }
            }
        }
    }

    /// Reads the file. Returns whether the list is another one now.
    fn read(&self) -> Result<bool, Problem> {
        let text = read_secret(&self.path).map_err(Problem::File)?;
        let newer = Secrets::from_text(text.secret.expose_secret()).map_err(Problem::List)?;
        Ok(self.secrets.replace(newer))
    }
}

/// The ids of secrets, which tell them apart and may be shown.
pub(crate) fn ids(secrets: &Secrets) -> Vec<String> {
    secrets.key_ids().iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K63
    #[test]
    fn a_list_is_taken_over_when_it_changes_and_if_it_can_be_used() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        let [old, new] = ["o", "n"].map(|letter| letter.repeat(32));
        let secrets = Secrets::from_text(&old).unwrap();
        let followed = SecretsFile {
            secrets: secrets.clone(),
            path: file.path().to_owned(),
        };
        write(&format!("{old}\n"));
        assert_eq!(followed.read(), Ok(false));
        write(&format!("{new}\n{old}\n"));
        assert_eq!(followed.read(), Ok(true));
        let both = ids(&secrets);
        assert_eq!(both.len(), 2);
        write("canary");
        let problem = followed.read().unwrap_err();
        assert!(!problem.to_string().contains("canary"), "{problem}");
        write("");
        assert_eq!(followed.read(), Err(Problem::File(FileProblem::Empty)));
        drop(file);
        assert_eq!(followed.read(), Err(Problem::File(FileProblem::Missing)));
        assert_eq!(ids(&secrets), both);
    }
}
