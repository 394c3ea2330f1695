//! Where things stand around a platform's folder: its repository, its key, its kubeconfig.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use dayfly_core::ledger::Signer;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

use crate::error::Error;
use crate::git::Repository;

/// A platform's folder, and `.dayfly/` in it: Dayfly's own state, never committed.
#[derive(Debug, Clone)]
pub struct Home {
    directory: PathBuf,
}

impl Home {
    /// The home of a folder.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The platform's folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Dayfly's own state.
    pub fn state(&self) -> PathBuf {
        self.directory.join(".dayfly")
    }

    /// The bare repository that `up` makes.
    pub fn bare(&self) -> PathBuf {
        self.state().join("platform.git")
    }

    /// The kubeconfig that `up` writes.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state().join("kubeconfig")
    }

    /// The file that `up` holds locked while it runs.
    pub fn lock(&self) -> PathBuf {
        self.state().join("lock")
    }

    /// Whether a `dayfly up` runs here.
    pub fn is_up(&self) -> bool {
        fs::File::open(self.lock()).is_ok_and(|file| file.try_lock_shared().is_err())
    }

    /// The repository whose default branch says what runs: the one that `up` made where there is one, else the folder's.
    pub fn repository(&self) -> Result<Repository, Error> {
        let bare = self.bare();
        Ok(Repository::open(if bare.is_dir() { &bare } else { &self.directory })?)
    }

    /// The key that signs records: the one in `path`, else this home's own.
    pub fn signer(&self, path: Option<&Path>) -> Result<Signer, Error> {
        let path = self.key(path);
        let bytes = fs::read(&path).map_err(|_| {
            Error::usage(
                format!("{}: the key that signs and verifies approvals is not there", path.display()),
                "`dayfly adopt` makes one and approves the current commit; or name it with --ledger-key FILE",
            )
        })?;
        Signer::from_pkcs8(&bytes).map_err(|e| {
            Error::usage(format!("{}: {e}", path.display()), "it must be an ed25519 key in PKCS #8, DER encoded")
        })
    }

    /// The same; made where it is absent.
    pub fn signer_or_new(&self, path: Option<&Path>) -> Result<Signer, Error> {
        let file = self.key(path);
        if !file.exists() {
            let folder = file.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
            let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                .map_err(|_| Error::usage("the system gives no random numbers", "try again later"))?;
            write_private(&file, key.as_ref()).map_err(Error::file(&file))?;
        }
        self.signer(path)
    }

    fn key(&self, path: Option<&Path>) -> PathBuf {
        path.map_or_else(|| self.state().join("ledger.key"), Path::to_owned)
    }
}

/// Writes a file that only its owner can read; whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
