//! Small files that are read while the process runs: secrets, certificates.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

use secrecy::SecretString;
use zeroize::Zeroizing;

/// More than any credential that a provider issues, and a bound on what a wrong path can cost.
const MAX_SECRET: u64 = 64 * 1024;

/// Why a file cannot be used. The text completes "a file that …" and shows neither path nor content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// There is no such file.
    #[error("does not exist")]
    Missing,
    /// The process has no right to read it.
    #[error("may not be read")]
    Denied,
    /// It is a directory, a pipe, a socket or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// It is larger than its kind ever is.
    #[error("is larger than {0} bytes")]
    TooLarge(u64),
    /// Opening or reading it failed otherwise.
    #[error("cannot be read")]
    Unreadable,
    /// A secret that is not UTF-8.
    #[error("is not UTF-8 text")]
    NotText,
    /// A secret that begins with a byte order mark.
    #[error("begins with a byte order mark; remove it")]
    ByteOrderMark,
    /// A secret of no characters.
    #[error("is empty")]
    Empty,
}

/// A secret from a file.
#[derive(Debug)]
#[non_exhaustive]
pub struct SecretFile {
    /// The secret, without one line end at the end of the file.
    pub secret: SecretString,
    /// Every user of the machine may read the file.
    pub readable_by_all: bool,
}

/// Reads a regular file of at most `max` bytes whole. Links are followed.
///
/// It is opened without waiting and looked at afterwards, so that neither a pipe nor a file that is
/// replaced in between can make the caller wait. It blocks as files do: not for a network.
///
/// # Errors
///
/// Fails where the file is not there, is no regular file, or is larger.
pub fn read(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, FileProblem> {
    open(path, max).map(|(bytes, _)| bytes)
}

/// Reads a secret of at most 64 KiB.
///
/// # Errors
///
/// Fails as [`read`] does, and where the file is not UTF-8, begins with a byte order mark, or holds
/// nothing but a line end.
pub fn read_secret(path: &Path) -> Result<SecretFile, FileProblem> {
    let (bytes, file) = open(path, MAX_SECRET)?;
    let text = str::from_utf8(&bytes).map_err(|_| FileProblem::NotText)?;
    let secret = text
        .strip_suffix('\n')
        .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() {
        return Err(FileProblem::Empty);
    }
    if secret.starts_with('\u{feff}') {
        return Err(FileProblem::ByteOrderMark);
    }
    Ok(SecretFile {
        secret: SecretString::from(secret),
        readable_by_all: is_readable_by_all(&file),
    })
}

fn open(path: &Path, max: u64) -> Result<(Zeroizing<Vec<u8>>, File), FileProblem> {
    let mut options = OpenOptions::new();
    options.read(true);
    do_not_wait(&mut options);
    let file = options.open(path).map_err(|error| problem(&error))?;
    let metadata = file.metadata().map_err(|error| problem(&error))?;
    if !metadata.is_file() {
        return Err(FileProblem::NotRegular);
    }
    // One allocation: a buffer that grows leaves copies behind.
    let size = metadata.len().min(max) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(size).unwrap_or_default(),
    ));
    (&file)
        .take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| problem(&error))?;
    if bytes.len() as u64 > max {
        return Err(FileProblem::TooLarge(max));
    }
    Ok((bytes, file))
}

fn problem(error: &io::Error) -> FileProblem {
    match error.kind() {
        io::ErrorKind::NotFound => FileProblem::Missing,
        io::ErrorKind::PermissionDenied => FileProblem::Denied,
        io::ErrorKind::IsADirectory => FileProblem::NotRegular,
        _ if is_no_file(error) => FileProblem::NotRegular,
        _ => FileProblem::Unreadable,
    }
}

#[cfg(unix)]
fn do_not_wait(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
}

#[cfg(not(unix))]
fn do_not_wait(_: &mut OpenOptions) {}

/// What opening a socket fails with.
#[cfg(unix)]
fn is_no_file(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}

#[cfg(not(unix))]
fn is_no_file(_: &io::Error) -> bool {
    false
}

#[cfg(unix)]
fn is_readable_by_all(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.metadata();
    metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_all(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;
    use std::io::Write as _;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    /// H5
    #[test]
    fn a_secret_loses_one_line_end_and_nothing_else() {
        for (content, expected) in [
            (&b"s3cret"[..], Ok("s3cret")),
            (b"s3cret\n", Ok("s3cret")),
            (b"s3cret\r\n", Ok("s3cret")),
            (b"s3cret\n\n", Ok("s3cret\n")),
            (b"s3cret\r", Ok("s3cret\r")),
            (b" s3cret ", Ok(" s3cret ")),
            (b"", Err(FileProblem::Empty)),
            (b"\n", Err(FileProblem::Empty)),
            (b"\r\n", Err(FileProblem::Empty)),
            (b"s3cret\xff", Err(FileProblem::NotText)),
            (b"\xef\xbb\xbfs3cret", Err(FileProblem::ByteOrderMark)),
            (&[b's'; 70_000], Err(FileProblem::TooLarge(MAX_SECRET))),
        ] {
            let file = file(content);
            let found = read_secret(file.path());
            let found = found.as_ref().map(|found| found.secret.expose_secret());
            assert_eq!(found, expected.as_ref().copied(), "{content:?}");
        }
    }

    /// H5
    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let file = file(b"12345");
        assert_eq!(read(file.path(), 5).unwrap().as_slice(), b"12345");
        assert_eq!(read(file.path(), 4).unwrap_err(), FileProblem::TooLarge(4));
        let missing = Path::new("/nonexistent/file");
        assert_eq!(read(missing, 5).unwrap_err(), FileProblem::Missing);
    }

    /// H5, N22
    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |path: &Path| {
            let problem = read_secret(path).unwrap_err();
            assert_eq!(problem, FileProblem::NotRegular, "{path:?}");
        };
        refused(directory.path());
        refused(Path::new("/dev/null"));
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        refused(&socket);
        // Opening one for reading waits for a writer, unless told otherwise.
        let pipe = directory.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        refused(&pipe);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        refused(&link);
        let good = file(b"s3cret");
        let link = directory.path().join("secret");
        std::os::unix::fs::symlink(good.path(), &link).unwrap();
        let found = read_secret(&link).unwrap();
        assert_eq!(found.secret.expose_secret(), "s3cret");
    }

    /// H5
    #[cfg(unix)]
    #[test]
    fn a_file_that_everybody_may_read_is_told() {
        use std::os::unix::fs::PermissionsExt as _;
        for (mode, expected) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            let file = file(b"s3cret");
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), permissions).unwrap();
            let found = read_secret(file.path()).unwrap();
            assert_eq!(found.readable_by_all, expected, "{mode:o}");
        }
    }
}
