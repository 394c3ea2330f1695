//! The platform that ships, and copies of its folders.

use std::fs;
use std::path::Path;

/// The folders that the shipped platform is made of.
const PLATFORM: [&str; 4] = ["apps", "catalog", "environments", "policies"];

/// The repository's top, where the shipped platform stands.
pub fn repository_root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Copies the platform that ships into a folder.
pub fn copy_shipped_platform(to: &Path) {
    for folder in PLATFORM {
        copy(&repository_root().join(folder), &to.join(folder));
    }
}

/// Copies a folder's files into another.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}
