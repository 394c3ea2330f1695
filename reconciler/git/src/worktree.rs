//! A working tree as a snapshot: uncommitted files included, links seen but never followed.

use std::fs;
use std::path::Path;

use dayfly_model::digest::ObjectId;
use dayfly_model::snapshot::{FileContent, FileEntry, MAX_FILE, Snapshot};

use crate::{Error, FOLDERS, is_litter};

/// Reads the platform's folders below `root`.
pub fn working_tree(root: &Path) -> Result<Snapshot, Error> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        let name = folder.trim_end_matches('/');
        match fs::symlink_metadata(root.join(name)) {
            Ok(meta) if meta.is_dir() => walk(&root.join(name), name, &mut files)?,
            Ok(meta) if meta.is_symlink() => files.push((name.to_owned(), link())),
            _ => {}
        }
    }
    Ok(Snapshot::new(None, files))
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<(String, FileEntry)>) -> Result<(), Error> {
    for item in fs::read_dir(folder).map_err(|e| Error::file(folder, e))? {
        let item = item.map_err(|e| Error::file(folder, e))?;
        let name = item.file_name();
        if is_litter(&name.to_string_lossy()) {
            continue;
        }
        let path = format!("{prefix}/{}", name.to_string_lossy());
        let kind = item.file_type().map_err(|e| Error::file(&item.path(), e))?;
        if kind.is_symlink() {
            files.push((path, link()));
        } else if kind.is_dir() {
            if item.path().join(".git").exists() {
                files.push((path, FileEntry { id: ObjectId::of_blob(b""), content: FileContent::Submodule }));
            } else {
                walk(&item.path(), &path, files)?;
            }
        } else if kind.is_file() {
            files.push((path, read(&item.path())?));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<FileEntry, Error> {
    let size = fs::symlink_metadata(path).map_err(|e| Error::file(path, e))?.len();
    if size > MAX_FILE {
        return Ok(FileEntry {
            id: ObjectId::of_blob(size.to_string().as_bytes()),
            content: FileContent::TooLarge(size),
        });
    }
    Ok(FileEntry::file(fs::read(path).map_err(|e| Error::file(path, e))?))
}

fn link() -> FileEntry {
    FileEntry { id: ObjectId::of_blob(b""), content: FileContent::Symlink }
}
