//! Which `.env` counts.

use std::path::{Path, PathBuf};

/// The `.env` on the way up from a folder.
#[derive(Debug, PartialEq, Eq)]
pub enum Nearest {
    /// The file that counts.
    File(PathBuf),
    /// There is one that another user owns, or that stands in another user's folder.
    Foreign,
    /// There is none.
    Nothing,
}

impl Nearest {
    /// Looks in `directory`, then in its parents as long as they have the same owner. A parent's file has to be that
    /// owner's as well: in a folder such as `/tmp` every user can leave one.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        let own = owner(directory);
        for (above, folder) in directory.ancestors().enumerate() {
            let path = folder.join(".env");
            let is_own = |path: &Path| above == 0 || owner(path) == own;
            match (path.is_file(), is_own(folder)) {
                (true, true) if is_own(&path) => return Self::File(path),
                (true, _) => return Self::Foreign,
                (false, false) => return Self::Nothing,
                (false, true) => {}
            }
        }
        Self::Nothing
    }
}

#[cfg(unix)]
fn owner(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(std::fs::metadata(path).ok()?.uid())
}

#[cfg(not(unix))]
fn owner(_: &Path) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let top = tempfile::tempdir().unwrap();
        let low = top.path().join("middle/low");
        std::fs::create_dir_all(&low).unwrap();
        (top, low)
    }

    #[test]
    fn the_nearest_file_counts() {
        let (top, low) = tree();
        let (upper, lower) = (top.path().join(".env"), low.join(".env"));
        std::fs::write(&upper, "").unwrap();
        assert_eq!(Nearest::of(&low), Nearest::File(upper));
        std::fs::write(&lower, "").unwrap();
        assert_eq!(Nearest::of(&low), Nearest::File(lower));
    }

    /// N87
    #[cfg(unix)]
    #[test]
    fn a_file_of_another_user_or_beyond_that_users_folder_does_not_count() {
        use std::os::unix::fs::chown;
        const ANOTHER: u32 = 65_532;
        let (top, low) = tree();
        let (middle, upper) = (top.path().join("middle"), top.path().join(".env"));
        std::fs::write(&upper, "").unwrap();
        if chown(&upper, Some(ANOTHER), None).is_err() {
            // Only root can give files away.
            return;
        }
        assert_eq!(Nearest::of(&low), Nearest::Foreign, "another's file");
        chown(&upper, Some(0), None).unwrap();
        chown(top.path(), Some(ANOTHER), None).unwrap();
        assert_eq!(Nearest::of(&low), Nearest::Foreign, "another's folder");
        chown(top.path(), Some(0), None).unwrap();
        chown(&middle, Some(ANOTHER), None).unwrap();
        assert_eq!(
            Nearest::of(&low),
            Nearest::Nothing,
            "beyond another's folder"
        );
        // The folder in which a program is started is chosen by the user who starts it.
        std::fs::write(low.join(".env"), "").unwrap();
        chown(&low, Some(ANOTHER), None).unwrap();
        assert_eq!(Nearest::of(&low), Nearest::File(low.join(".env")));
    }
}
