//! One folder of the platform while it is read: its files, its manifest, and everything found wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use unicode_normalization::UnicodeNormalization;

use super::check::SchemaRules;
use super::format::{hidden, quoted};
use super::manifest::Manifest;
use super::{Item, Spans};
use crate::diagnostic::{Diagnostic, Position};
use crate::digest::Digest;
use crate::names::{AppName, NameError};
use crate::rule::Rule;
use crate::schema::{ManifestKind, checker};
use crate::snapshot::{FileContent, FileEntry, MAX_FILE, Snapshot};
use crate::yaml;

/// A thing that a folder of the platform declares.
pub(super) trait Folder: Sized + Clone {
    /// What its folder is called.
    type Name: FromStr<Err = NameError> + Ord;
    /// Where such folders are.
    const ROOT: &'static str;

    /// Reads it; what is wrong is noted in the source. None if nothing could be made of it.
    fn read(name: &Self::Name, source: &mut FolderReader<'_>) -> Option<Self>;

    /// The app that its findings are about, if it is one.
    fn app(_name: &Self::Name) -> Option<&AppName> {
        None
    }
}

/// A folder and what was found in it. Errors concern the folder alone, so that it can be cached by its digest.
pub(super) struct FolderReader<'a> {
    /// The folder from the repository's root, with the slash; for a waiver, which is one file, the folder it is in.
    pub folder: String,
    /// The digest of the folder's files.
    pub digest: Digest,
    /// The files by their path inside the folder.
    pub files: BTreeMap<&'a str, &'a FileEntry>,
    found: Vec<Diagnostic>,
    claim: Option<(String, Position)>,
}

impl<'a> FolderReader<'a> {
    pub fn new(snapshot: &'a Snapshot, folder: &'a str, digest: Digest) -> Self {
        let files = snapshot.folder(folder).map(|(path, entry)| (&path[folder.len()..], entry)).collect();
        let mut source = Self { folder: folder.into(), digest, files, found: Vec::new(), claim: None };
        source.refuse_strange_files();
        source
    }

    /// A folder of which only one file counts.
    pub fn file(folder: &'a str, name: &'a str, entry: &'a FileEntry, digest: Digest) -> Self {
        let mut source =
            Self { folder: folder.into(), digest, files: [(name, entry)].into(), found: Vec::new(), claim: None };
        source.refuse_strange_files();
        source
    }

    /// Reads and judges a manifest; what is wrong with it is noted.
    pub fn manifest<Spec: DeserializeOwned>(
        &mut self,
        file: &str,
        kind: ManifestKind,
    ) -> Option<(Manifest<Spec>, Spans)> {
        let path = format!("{}{file}", self.folder);
        let Some(entry) = self.files.get(file) else {
            let other = format!("{}.yml", file.trim_end_matches(".yaml"));
            let help = match self.files.contains_key(other.as_str()) {
                true => format!("Rename {}{other} to {file}.", self.folder),
                false => format!("Add the file {path}, or remove the folder."),
            };
            self.found.push(Diagnostic::new(Rule::MANIFEST_ABSENT, &path, "is absent").help(help));
            return None;
        };
        let (value, places) = match yaml::document(entry.bytes()?, yaml::MANIFEST) {
            Ok(read) => read,
            Err(error) => {
                self.found.push(error.diagnostic(&path));
                return None;
            }
        };
        let spans = Spans::new(&path, places);
        let violations =
            checker(kind).violations(&value, &SchemaRules::MANIFEST, |field| Some(field.to_owned()), &spans);
        if !violations.is_empty() {
            self.found.extend(violations);
            return None;
        }
        match serde_json::from_value(value) {
            Ok(manifest) => Some((manifest, spans)),
            Err(error) => {
                self.found.push(Diagnostic::new(Rule::MANIFEST_VALUE, &path, error.to_string()));
                None
            }
        }
    }

    /// Notes an error about a field, and returns it for a next step to be added.
    pub fn error(&mut self, rule: Rule, spans: &Spans, field: &str, message: impl fmt::Display) -> &mut Diagnostic {
        let at = self.found.len();
        self.found.push(spans.finding(rule, field, message));
        &mut self.found[at]
    }

    /// Notes a `metadata.name` that is not the folder's.
    pub fn folder_name(&mut self, spans: &Spans, name: &str, folder: &str) {
        if name != folder {
            let message = format!("{} is not the folder's name", quoted(name));
            let help = format!("Write `name: {folder}`.");
            self.error(Rule::NAME_NOT_THE_FOLDER, spans, "metadata.name", message).help = Some(help);
            self.claim = Some((name.to_owned(), spans.position("metadata.name")));
        }
    }

    /// Notes several findings.
    pub fn notes(&mut self, diagnostics: Vec<Diagnostic>) {
        self.found.extend(diagnostics);
    }

    /// Notes what is wrong with a field whose value is read by a function; the schema has usually seen it before.
    pub fn field<T>(&mut self, spans: &Spans, field: &str, read: Result<T, impl fmt::Display>) -> Option<T> {
        read.map_err(|error| self.error(Rule::MANIFEST_VALUE, spans, field, error)).ok()
    }

    /// The texts of the files under a folder inside, by path from the repository's root.
    pub fn texts(&mut self, inside: &str) -> BTreeMap<String, Arc<str>> {
        let mut texts = BTreeMap::new();
        for (name, entry) in &self.files {
            let Some(bytes) = entry.bytes().filter(|_| name.starts_with(inside)) else { continue };
            let path = format!("{}{name}", self.folder);
            match std::str::from_utf8(bytes) {
                Ok(text) => drop(texts.insert(path, text.into())),
                Err(_) => {
                    let found = Diagnostic::new(Rule::FILE_UTF_8, path, "is no UTF-8 text");
                    self.found.push(found.help("Save it as UTF-8."));
                }
            }
        }
        texts
    }

    /// The item: what was read unless an error was noted, which `app`, if given, owns.
    pub fn item<T>(self, read: Option<T>, app: Option<&AppName>) -> Item<T> {
        let own = |diagnostic: Diagnostic| Diagnostic { app: app.cloned(), ..diagnostic };
        let (mut errors, warnings): (Vec<_>, Vec<_>) = self.found.into_iter().map(own).partition(Diagnostic::is_error);
        errors.sort();
        let loaded = match read {
            Some(read) if errors.is_empty() => Ok(Arc::new(read)),
            _ => Err(errors.into()),
        };
        Item { folder: self.digest, loaded, warnings: warnings.into(), claim: self.claim }
    }

    /// Notes links, submodules, files too large, and names that some file system takes for another or for git's own.
    fn refuse_strange_files(&mut self) {
        let mut seen = BTreeMap::new();
        for (name, entry) in &self.files {
            let path = format!("{}{}", self.folder, visible(name));
            let mut refuse = |rule: Rule, message: String, help: &str| {
                self.found.push(Diagnostic::new(rule, &*path, message).help(help));
            };
            match entry.content {
                FileContent::Symlink => refuse(
                    Rule::FILE_SYMLINK,
                    "is a symbolic link, and links are not followed".into(),
                    "Put the file itself here.",
                ),
                FileContent::Submodule => refuse(
                    Rule::FILE_SUBMODULE,
                    "is a submodule, and submodules are not entered".into(),
                    "Put the files themselves here.",
                ),
                FileContent::TooLarge(bytes) => {
                    let [has, max] = [bytes, MAX_FILE].map(|bytes| yaml::size(bytes as usize));
                    let message = format!("has {has}, at most {max} are possible");
                    refuse(Rule::FILE_SIZE, message, "Keep large data outside the repository.");
                }
                FileContent::Bytes(_) => {}
            }
            if let Some(message) = strange_name(name) {
                refuse(Rule::FILE_NAME, message, "Rename it.");
            }
            for prefix in prefixes(name) {
                let other = seen.entry(folded(prefix)).or_insert(prefix);
                if *other != prefix {
                    let message = format!("is the same name as {} on some computers", visible(other));
                    refuse(Rule::FILE_COLLISION, message, "Rename one of the two.");
                    break;
                }
            }
        }
    }
}

/// The folders that a file is in, and the file: `a`, `a/b`, `a/b/c`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end]).chain([path])
}

/// A name as a file system without upper and lower case, with composed accents, sees it.
pub(super) fn folded(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// A path with what is invisible in it escaped.
pub(super) fn visible(path: &str) -> String {
    let shown = |c: char| if hidden(c) { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] };
    path.chars().flat_map(shown).collect()
}

/// Why some file system would not keep a path as it is, or take it for git's own folder.
fn strange_name(path: &str) -> Option<String> {
    if path.contains('\u{fffd}') {
        return Some("has a name that is no UTF-8".into());
    }
    if path.chars().any(hidden) {
        return Some("has an invisible character in its name".into());
    }
    if path.contains(['\\', ':']) {
        return Some("has `\\` or `:` in its name".into());
    }
    let git = path.split('/').map(|part| folded(part.trim_end_matches(['.', ' ']))).any(|part| {
        part == ".git"
            || part == ".gitmodules"
            || part.strip_prefix("git~").is_some_and(|rest| rest.parse::<u8>().is_ok())
    });
    git.then(|| "is a name that git keeps for itself".into())
}

/// A name that the schema has judged.
pub(super) fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Names that the schema has judged.
pub(super) fn all_parsed<T: FromStr>(texts: &[String]) -> Vec<T> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}
