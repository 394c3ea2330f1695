//! Where things stand around a platform's folder: its repository, its key, its kubeconfig.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use dayfly_controller::error::Error;
use dayfly_git as git;
use dayfly_git::Repository;
use dayfly_lifecycle::ledger::Signer;
use dayfly_model::help::shell;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

/// A platform's folder, and `.dayfly/` in it: Dayfly's own state, never committed.
#[derive(Debug, Clone)]
pub struct PlatformHome {
    directory: PathBuf,
}

impl PlatformHome {
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The home of a platform, or an error that names the nearest platform above, where there is none in this folder.
    pub fn of_platform(directory: &Path) -> Result<Self, Error> {
        let home = Self::new(directory);
        if home.is_platform() {
            return Ok(home);
        }
        let shown = directory.display();
        if !directory.is_dir() {
            let help = "name the platform's folder with -C DIR, or start one with `dayfly init DIR`";
            return Err(Error::usage(format!("{shown}: no such folder"), help));
        }
        let help = match Self::above(directory) {
            Some(above) => format!("the platform is in {0}: go there, or name it with -C {0}", shell(&above)),
            None => "name its folder with -C DIR, or start one with `dayfly init DIR`".into(),
        };
        Err(Error::usage(format!("{shown}: there is no platform here (no environments/ folder)"), help))
    }

    /// The nearest platform above a folder.
    pub fn above(directory: &Path) -> Option<PathBuf> {
        let here = directory.canonicalize().ok()?;
        here.ancestors().skip(1).find(|folder| Self::new(folder).is_platform()).map(Path::to_owned)
    }

    /// Whether a platform stands there: its files, the repository that `up` made, or a repository that has them. A damaged
    /// repository counts too: the command that reads it says what is wrong with it.
    fn is_platform(&self) -> bool {
        let is_in_git = || {
            let repository = Repository::open(&self.directory)?;
            Ok(!repository.folder(repository.tip()?.revision, "environments/")?.is_empty())
        };
        self.directory.join("environments").is_dir()
            || self.bare().is_dir()
            || is_in_git().unwrap_or_else(|error: git::Error| matches!(error, git::Error::Broken { .. }))
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

    /// What is remembered between passes: a cache.
    pub fn memory(&self) -> PathBuf {
        self.state().join("lifecycle.json")
    }

    /// The kubeconfig that `up` writes.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state().join("kubeconfig")
    }

    /// The file that `up` holds locked while it runs.
    fn lock(&self) -> PathBuf {
        self.state().join("lock")
    }

    /// Locks the folder for one `dayfly up`, as long as the file is held: two would fight over one state.
    pub fn lock_up(&self) -> Result<fs::File, Error> {
        let state = self.state();
        fs::create_dir_all(&state).map_err(Error::file(&state))?;
        let path = self.lock();
        let file = fs::File::create(&path).map_err(Error::file(&path))?;
        file.try_lock().map_err(|_| {
            Error::usage(
                format!("{}: another `dayfly up` runs in this folder", self.directory.display()),
                "stop it first, or use it: `dayfly status` tells how the apps are",
            )
        })?;
        Ok(file)
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

    /// The same key; made where it is absent.
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
