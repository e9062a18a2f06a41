//! SQLite, always.

use std::sync::Arc;

use stores::StoreUrl;
use tempfile::TempDir;
use web_session::SessionStore;
use web_session::store::Key;

pub(crate) fn url(folder: &TempDir) -> StoreUrl {
    let path = folder.path().join("a folder's %20sessions#1.db");
    format!("sqlite:{}", path.display()).parse().unwrap()
}

async fn fresh() -> Option<(Arc<dyn SessionStore>, TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let store = url(&folder).open().unwrap();
    Some((crate::answering(store).await, folder))
}

web_session::store_suite!(fresh);

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_reads_the_file_and_those_beside_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let place = url(&folder);
    for attempt in ["new", "there already, for all to read"] {
        let store = place.open().unwrap();
        assert!(store.load(&Key::new([1; 32])).await.unwrap().is_none());
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(!files.is_empty(), "{attempt}");
        for file in files {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{attempt}: {:?}", file.file_name());
            let everybody = std::fs::Permissions::from_mode(0o644);
            if file.file_name().to_string_lossy().ends_with(".db") {
                std::fs::set_permissions(file.path(), everybody).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_told_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["", "missing/sessions.db"] {
        let place = format!("sqlite:{}", folder.path().join(path).display());
        let Ok(place) = place.parse::<StoreUrl>() else {
            continue;
        };
        let error = place.open().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the file cannot be read and written")
        );
    }
}
