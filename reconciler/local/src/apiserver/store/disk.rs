//! The store's file, and the thread that writes it: each transaction commits all writes that are queued.
//!
//! A write is acknowledged when its transaction has reached the operating system, so every acknowledged write
//! survives the end of the process, SIGKILL included. The file is flushed to the device only on a clean stop: after
//! a power failure it may be damaged, and the next start refuses it. It holds nothing that cannot be rebuilt; delete
//! the folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use tokio::sync::watch;

const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
/// The most writes in one transaction.
const BATCH: usize = 1024;

/// Why the store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The folder or a file in it cannot be used.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// Another server has the folder open.
    #[error("{0}: in use by another server")]
    InUse(PathBuf),
    /// The file was damaged.
    #[error("{0}: the store is damaged; delete this folder, which holds nothing that cannot be rebuilt")]
    Damaged(PathBuf),
    /// The database refuses the file or a transaction.
    #[error("{path}: {source}")]
    Database { path: PathBuf, source: Box<redb::Error> },
}

/// One write.
pub(super) struct DiskRecord {
    pub path: String,
    /// None removes the object.
    pub bytes: Option<Bytes>,
    pub version: u64,
}

/// How much of what was queued is in the file.
#[derive(Clone, Debug, Default)]
pub(super) struct DiskProgress {
    /// Writes up to this version are in the file.
    pub version: u64,
    /// Why nothing more will be written.
    pub failure: Option<String>,
}

/// What a file held when it was opened.
pub(super) struct LoadedObjects {
    pub objects: Vec<(String, Bytes)>,
    pub version: u64,
}

/// The open file and its thread.
pub(super) struct Disk {
    sender: Option<Sender<DiskRecord>>,
    thread: Option<JoinHandle<()>>,
    progress: watch::Receiver<DiskProgress>,
    file: File,
    _lock: File,
}

impl Disk {
    /// Opens the file in `folder`, reads it and starts the thread.
    pub fn open(folder: &Path) -> Result<(Self, LoadedObjects), DiskError> {
        std::fs::create_dir_all(folder).map_err(|source| DiskError::File { path: folder.to_owned(), source })?;
        let lock = lock(&folder.join("lock"))?;
        let path = folder.join("objects.redb");
        let open = || -> io::Result<(File, UnflushedBackend)> {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            let backend = FileBackend::new(file.try_clone()?).map_err(io::Error::other)?;
            Ok((file, UnflushedBackend(backend)))
        };
        let (file, backend) = open().map_err(|source| DiskError::File { path: path.clone(), source })?;
        let database_error = |source: redb::Error| DiskError::Database { path: path.clone(), source: Box::new(source) };
        // On a damaged file the database may panic rather than return an error.
        let read = std::panic::catch_unwind(|| {
            let database = Database::builder().create_with_backend(backend)?;
            let loaded = load(&database)?;
            Ok((database, loaded))
        });
        let (database, loaded) = read.map_err(|_| DiskError::Damaged(folder.to_owned()))?.map_err(database_error)?;
        let (sender, receiver) = channel();
        let (report, progress) = watch::channel(DiskProgress { version: loaded.version, failure: None });
        let thread = std::thread::Builder::new()
            .name("apiserver-disk".to_owned())
            .spawn(move || run(&database, &receiver, &report))
            .map_err(|source| DiskError::File { path: path.clone(), source })?;
        Ok((Self { sender: Some(sender), thread: Some(thread), progress, file, _lock: lock }, loaded))
    }

    /// Queues a write; `progress` tells when it is in the file.
    pub fn push(&self, record: DiskRecord) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(record); // if the thread has stopped, `progress` says why
        }
    }

    pub fn progress(&self) -> watch::Receiver<DiskProgress> {
        self.progress.clone()
    }
}

impl Drop for Disk {
    /// Writes what is queued and flushes the file to the device.
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Err(error) = self.file.sync_all() {
            tracing::warn!(%error, "the store's file was not flushed");
        }
    }
}

fn lock(path: &Path) -> Result<File, DiskError> {
    let failed = |source| DiskError::File { path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(DiskError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn load(database: &Database) -> Result<LoadedObjects, redb::Error> {
    let setup = database.begin_write()?;
    setup.open_table(OBJECTS)?;
    setup.open_table(COUNTERS)?;
    setup.commit()?;
    let read = database.begin_read()?;
    let version = read.open_table(COUNTERS)?.get("version")?.map_or(0, |v| v.value());
    let mut objects = Vec::new();
    for row in read.open_table(OBJECTS)?.iter()? {
        let (path, bytes) = row?;
        objects.push((path.value().to_owned(), Bytes::copy_from_slice(bytes.value())));
    }
    Ok(LoadedObjects { objects, version })
}

fn run(database: &Database, records: &Receiver<DiskRecord>, report: &watch::Sender<DiskProgress>) {
    while let Ok(first) = records.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(record) = records.try_recv()
        {
            batch.push(record);
        }
        match commit(database, &batch) {
            Ok(version) => report.send_modify(|p| p.version = version),
            Err(error) => {
                tracing::error!(%error, "the store's file refuses writes");
                report.send_modify(|p| p.failure = Some(error.to_string()));
                return;
            }
        }
    }
}

fn commit(database: &Database, batch: &[DiskRecord]) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let mut last = 0;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        for record in batch {
            match &record.bytes {
                Some(bytes) => objects.insert(record.path.as_str(), bytes.as_ref())?,
                None => objects.remove(record.path.as_str())?,
            };
            last = record.version;
        }
        transaction.open_table(COUNTERS)?.insert("version", last)?;
    }
    transaction.commit()?;
    Ok(last)
}

/// A file that is never flushed: the operating system writes it to the device when it likes.
#[derive(Debug)]
struct UnflushedBackend(FileBackend);

impl StorageBackend for UnflushedBackend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}
