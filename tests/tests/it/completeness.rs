//! No test is forgotten: a file that no test binary compiles is refused.

use std::fs;
use std::path::{Path, PathBuf};

use dayfly_tests::folders::repository_root;

/// The Rust files and the folders in a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The files in a folder that neither the module in `parent` nor a module below it names.
fn unnamed_modules(parent: &Path, folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(parent).unwrap();
    let mut unnamed = Vec::new();
    for path in sources(folder).into_iter().filter(|path| path != parent) {
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !text.lines().any(|line| line == format!("mod {module};")) {
            unnamed.push(format!("{}: add `mod {module};` to {}", path.display(), parent.display()));
        } else if path.is_dir() {
            let inside = path.join("mod.rs");
            let parent = if inside.exists() { inside } else { path.with_extension("rs") };
            unnamed.extend(unnamed_modules(&parent, &path));
        }
    }
    unnamed
}

#[test]
fn every_file_and_folder_of_tests_is_a_target_of_the_manifest() {
    let package = repository_root().join("tests");
    let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
    for path in sources(&package.join("tests")) {
        let target = if path.is_dir() { format!("{}/main.rs", name(&path)) } else { name(&path) };
        let line = format!("path = \"tests/{target}\"");
        assert!(manifest.lines().any(|known| known == line), "{}: move it to tests/tests/it", path.display());
    }
}

#[test]
fn every_file_of_a_test_binary_is_a_module_of_it() {
    let crates = sources(&repository_root().join("reconciler")).into_iter().map(|path| path.join("tests"));
    let folders = crates.filter(|path| path.is_dir()).chain([repository_root().join("tests/tests")]);
    let binaries = folders.flat_map(|folder| sources(&folder)).filter(|path| path.join("main.rs").exists());
    let binaries: Vec<_> = binaries.collect();
    assert!(binaries.len() >= 3, "{binaries:?}");
    let unnamed: Vec<_> = binaries.iter().flat_map(|folder| unnamed_modules(&folder.join("main.rs"), folder)).collect();
    assert!(unnamed.is_empty(), "{}", unnamed.join("\n"));
}
