//! Puts the shipped platform into the binary, for `init`: every file of its folders, by path.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("shipped.rs");
    let mut files = Vec::new();
    for folder in ["apps", "catalog", "environments", "policies"] {
        let path = root.join(folder);
        println!("cargo::rerun-if-changed={}", path.display());
        if path.is_dir() {
            walk(&path, folder, &mut files)?;
        }
    }
    files.sort();
    let mut out = fs::File::create(out)?;
    writeln!(out, "&[")?;
    for (name, path) in files {
        writeln!(out, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    writeln!(out, "]")
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
    for item in fs::read_dir(folder)? {
        let item = item?;
        let name = format!("{prefix}/{}", item.file_name().to_string_lossy());
        if item.file_type()?.is_dir() {
            walk(&item.path(), &name, files)?;
        } else {
            files.push((name, item.path().canonicalize()?));
        }
    }
    Ok(())
}
