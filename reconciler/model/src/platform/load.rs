//! A snapshot becomes a platform: each folder read by itself, so that what is broken breaks nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::format::quoted;
use super::read::{Folder, FolderReader, folded, visible};
use super::{App, Environment, Item, Platform, Template, Waiver};
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::names::AppName;
use crate::rule::Rule;
use crate::snapshot::{FileContent, FileEntry, Snapshot};

impl Platform {
    /// Reads everything that a snapshot declares. What has not changed since `previous` is taken from it, the same `Arc`.
    /// Never fails: what cannot be read is an item with its errors, or one of `diagnostics`.
    pub fn load(snapshot: &Snapshot, previous: Option<&Self>) -> Self {
        let mut loader = Loader { snapshot, found: Vec::new() };
        let empty = Self::default();
        let old = previous.unwrap_or(&empty);
        let majors = |name| {
            let folder = format!("catalog/{name}/");
            snapshot.names(&folder).map(|major| format!("{name}/{major}")).collect::<Vec<_>>()
        };
        let mut platform = Self {
            revision: snapshot.revision(),
            apps: loader.folders::<App>(snapshot.names("apps/"), &old.apps),
            templates: loader.folders::<Template>(snapshot.names("catalog/").flat_map(majors), &old.templates),
            environments: loader.folders::<Environment>(snapshot.names("environments/"), &old.environments),
            policies: policies(snapshot, &old.policies),
            waivers: waivers(snapshot, &old.waivers),
            misnamed: misnamed(snapshot),
            ..Self::default()
        };
        loader.absent_parts(&platform);
        loader.same_on_some_computers();
        loader.claimed_twice(&platform.apps);
        platform.place(&old.placements);
        loader.found.sort();
        platform.diagnostics = loader.found.into();
        platform
    }
}

/// A load under way: the snapshot, and what was found outside any item.
struct Loader<'a> {
    snapshot: &'a Snapshot,
    found: Vec<Diagnostic>,
}

impl Loader<'_> {
    /// Reads the folders of a root. A folder without a legal name is noted; a file beside the folders is ignored.
    fn folders<T: Folder>(
        &mut self,
        names: impl Iterator<Item = impl AsRef<str>>,
        old: &BTreeMap<T::Name, Item<T>>,
    ) -> BTreeMap<T::Name, Item<T>> {
        let mut items = BTreeMap::new();
        for name in names {
            let name = name.as_ref();
            let path = format!("{}{name}", T::ROOT);
            let instead = self.snapshot.get(&path);
            if matches!(instead, Some(FileEntry { content: FileContent::Bytes(_) | FileContent::TooLarge(_), .. })) {
                continue;
            }
            match name.parse::<T::Name>() {
                Ok(key) => {
                    let item = match instead {
                        Some(link) => self.link(&key, name, link, old),
                        None => self.folder(&key, &format!("{path}/"), old),
                    };
                    items.insert(key, item);
                }
                Err(error) => {
                    let message = format!("the folder's name {} {error}", quoted(name));
                    self.note(Rule::NAME_FOLDER, &path, message, "Rename the folder.");
                }
            }
        }
        items
    }

    fn folder<T: Folder>(&self, key: &T::Name, path: &str, old: &BTreeMap<T::Name, Item<T>>) -> Item<T> {
        let digest = self.snapshot.folder_digest(path);
        if let Some(same) = old.get(key).filter(|item| item.folder == digest) {
            return same.clone();
        }
        let mut source = FolderReader::new(self.snapshot, path, digest);
        let read = T::read(key, &mut source);
        source.item(read, T::app(key))
    }

    /// A link or a submodule in a folder's place.
    fn link<T: Folder>(
        &self,
        key: &T::Name,
        name: &str,
        link: &FileEntry,
        old: &BTreeMap<T::Name, Item<T>>,
    ) -> Item<T> {
        let digest = Digest::of_parts([b"link".as_slice(), link.id.as_bytes()]);
        match old.get(key).filter(|item| item.folder == digest) {
            Some(same) => same.clone(),
            None => FolderReader::file(T::ROOT, name, link, digest).item(None, T::app(key)),
        }
    }

    fn note(&mut self, rule: Rule, path: &str, message: String, help: &str) {
        self.found.push(Diagnostic::new(rule, visible(path), message).help(help));
    }

    fn absent_parts(&mut self, platform: &Platform) {
        for root in ["apps", "catalog", "environments", "policies"] {
            if self.snapshot.get(root).is_some() {
                let message = "is a link or a file, and links are not followed".to_owned();
                self.note(Rule::FILE_SYMLINK, root, message, "Put the folder itself here.");
            }
        }
        if platform.environments.is_empty() {
            let help = "Add environments/<tier>/environment.yaml.";
            self.note(Rule::PLATFORM_NO_ENVIRONMENTS, "environments", "has no tier".into(), help);
        }
        if platform.templates.is_empty() {
            let help = "Add catalog/<name>/v1/template.yaml.";
            self.note(Rule::PLATFORM_NO_TEMPLATES, "catalog", "has no template".into(), help);
        }
        if platform.apps.is_empty() {
            let none = Diagnostic::new(Rule::PLATFORM_NO_APPS, "apps", "has no app");
            self.found.push(none.help("Add one with `dayfly new`."));
        }
    }

    /// Notes folders of apps that differ from another only in upper and lower case or in how accents are written. A legal
    /// name is as plain as can be, so the error is the other's.
    fn same_on_some_computers(&mut self) {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for name in self.snapshot.names("apps/").filter(|name| name.parse::<AppName>().is_err()) {
            let plain = folded(name);
            let legal = plain != name && self.snapshot.folder(&format!("apps/{plain}/")).next().is_some();
            let first = if legal { Some(plain.as_str()) } else { seen.get(&plain).copied() };
            if let Some(first) = first.map(visible) {
                let message = format!("is the same name as apps/{first} on some computers");
                self.note(Rule::FILE_COLLISION, &format!("apps/{name}"), message, "Rename one of the two.");
            }
            seen.insert(plain, name);
        }
    }

    /// Notes names that several apps claim, each at the app whose folder has another name.
    fn claimed_twice(&mut self, apps: &BTreeMap<AppName, Item<App>>) {
        let mut claims: BTreeMap<&str, Vec<&AppName>> = BTreeMap::new();
        for (folder, item) in apps {
            if let Some(claim) = &item.claim {
                claims.entry(&claim.0).or_default().push(folder);
            }
        }
        for (name, folders) in claims {
            let owner = name.parse().ok().and_then(|name: AppName| apps.get_key_value(&name)).map(|(owner, _)| owner);
            for folder in &folders {
                let others = owner.iter().chain(&folders).filter(|other| *other != folder);
                let others: Vec<_> = others.take(12).map(|other| format!("apps/{other}")).collect();
                if let (Some((_, position)), false) = (&apps[*folder].claim, others.is_empty()) {
                    let message =
                        format!("metadata.name: {} is claimed by {} as well", visible(name), others.join(", "));
                    let twice = Diagnostic::new(Rule::NAME_CLAIMED_TWICE, format!("apps/{folder}/app.yaml"), message);
                    let help = format!("Write `name: {folder}`, the folder's name.");
                    self.found.push(twice.at(*position).about(folder).help(help));
                }
            }
        }
    }
}

/// The folders of apps whose names differ from a legal one only in upper and lower case, or in spaces around it.
fn misnamed(snapshot: &Snapshot) -> BTreeMap<AppName, String> {
    let illegal = snapshot.names("apps/").filter(|name| name.parse::<AppName>().is_err());
    illegal.filter_map(|name| Some((folded(name).trim().parse().ok()?, visible(name)))).collect()
}

fn policies(snapshot: &Snapshot, old: &Item<BTreeMap<String, Arc<str>>>) -> Item<BTreeMap<String, Arc<str>>> {
    let digest = snapshot.folder_digest("policies/");
    if old.folder == digest {
        return old.clone();
    }
    let mut source = FolderReader::new(snapshot, "policies/", digest);
    source.files.retain(|path, _| path.ends_with(".rego"));
    let texts = source.texts("");
    source.item(Some(texts), None)
}

fn waivers(snapshot: &Snapshot, old: &BTreeMap<String, Item<Waiver>>) -> BTreeMap<String, Item<Waiver>> {
    const FOLDER: &str = "policies/waivers/";
    let mut items = BTreeMap::new();
    for (path, entry) in snapshot.folder(FOLDER) {
        let file = &path[FOLDER.len()..];
        let Some(name) = file.strip_suffix(".yaml").or(file.strip_suffix(".yml")) else { continue };
        let digest = Digest::of_parts([path.as_bytes(), entry.id.as_bytes()]);
        let item = match old.get(name).filter(|item| item.folder == digest) {
            Some(same) => same.clone(),
            None => {
                let mut source = FolderReader::file(FOLDER, file, entry, digest);
                let read = Waiver::read(name, file, &mut source);
                source.item(read, None)
            }
        };
        items.insert(name.to_owned(), item);
    }
    items
}
