//! What a snapshot becomes as a whole: strange files, folders that share what did not change, the platform that ships.

use super::*;

#[test]
fn strange_files_break_only_their_own_app() {
    let big = FileEntry { content: FileContent::TooLarge(50 << 20), ..FileEntry::file(b"".as_slice()) };
    let link = FileEntry { content: FileContent::Symlink, ..FileEntry::file(b"/etc/passwd".as_slice()) };
    let module = FileEntry { content: FileContent::Submodule, ..FileEntry::file(b"".as_slice()) };
    let text = || FileEntry::file(b"x".as_slice());
    for (path, entry, expected) in [
        ("data.bin", big, "apps/poll/data.bin: has 50 MiB, at most 1 MiB are possible"),
        ("x", link, "apps/poll/x: is a symbolic link, and links are not followed"),
        ("x", module, "apps/poll/x: is a submodule, and submodules are not entered"),
        (".GIT/config", text(), "apps/poll/.GIT/config: is a name that git keeps for itself"),
        ("git~1/config", text(), "apps/poll/git~1/config: is a name that git keeps for itself"),
        ("APP.yaml", text(), "apps/poll/app.yaml: is the same name as APP.yaml on some computers"),
        ("a\u{200b}b", text(), "apps/poll/a\\u{200b}b: has an invisible character in its name"),
    ] {
        let poll = APP.replace("name: survey", "name: poll");
        let entries = files().into_iter().map(|(path, text)| (path, FileEntry::file(text.into_bytes())));
        let poll = [
            ("apps/poll/app.yaml".to_owned(), FileEntry::file(poll.into_bytes())),
            (format!("apps/poll/{path}"), entry),
        ];
        let platform = Platform::load(&Snapshot::new(None, entries.chain(poll)), None);
        assert_eq!(wrong(&platform, "poll"), [expected]);
        assert!(wrong(&platform, "survey").is_empty() && platform.diagnostics.is_empty());
    }
    let both = with(&[
        ("apps/poll/é", "x"),
        ("apps/poll/e\u{301}", "x"),
        ("apps/poll/app.yaml", &APP.replace("name: survey", "name: poll")),
    ]);
    assert_eq!(wrong(&both, "poll").len(), 1);
    let entries = files().into_iter().map(|(path, text)| (path, FileEntry::file(text.into_bytes())));
    let link = FileEntry { content: FileContent::Symlink, ..text() };
    let platform = Platform::load(&Snapshot::new(None, entries.chain([("apps/poll".to_owned(), link)])), None);
    assert_eq!(wrong(&platform, "poll"), ["apps/poll: is a symbolic link, and links are not followed"]);
}

#[test]
fn broken_is_not_absent() {
    let platform = with(&[("apps/survey/app.yaml", "\t"), ("apps/poll/notes.md", "x")]);
    assert!(platform.apps[&name("survey")].loaded.is_err());
    assert_eq!(wrong(&platform, "poll"), ["apps/poll/app.yaml: is absent"]);
    assert_eq!(wrong(&platform, "serveys"), ["apps/serveys: is absent"]);
    let empty = Platform::load(&Snapshot::default(), None);
    let rules: Vec<_> = empty.diagnostics.iter().map(|diagnostic| diagnostic.rule.id()).collect();
    assert_eq!(rules, ["platform/no-templates", "platform/no-environments", "platform/no-apps"]);
}

#[test]
fn what_did_not_change_is_shared_with_the_load_before() {
    let first = with(&[]);
    let poll = APP.replace("name: survey", "name: poll");
    let next = Snapshot::from_texts(files().into_iter().chain([("apps/poll/app.yaml".to_owned(), poll)]));
    let next = Platform::load(&next, Some(&first));
    let same = |platform: &Platform| platform.apps[&name("survey")].get().unwrap().clone();
    assert!(Arc::ptr_eq(&same(&first), &same(&next)));
    assert!(next.instance(&name("poll")).is_ok());
}

/// The files of the sample that ships.
#[test]
fn the_sample_that_ships_is_sound() {
    let platform = crate::fixtures::shipped();
    assert_eq!(platform.findings().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    for app in platform.apps.keys() {
        assert_eq!(wrong(&platform, app.as_str()), Vec::<String>::new());
    }
    assert!(platform.apps.len() > 3);
}

/// How long ten thousand apps take; `cargo test --release -- --ignored ten_thousand --nocapture`.
#[test]
#[ignore = "a measurement"]
fn ten_thousand_apps() {
    let apps = (0..10_000).map(|n| {
        let text = APP.replace("name: survey", &format!("name: app-{n}")) + "  parameters: {title: Hello}\n";
        (format!("apps/app-{n}/app.yaml"), text)
    });
    let snapshot = Snapshot::from_texts(files().into_iter().filter(|(path, _)| !path.starts_with("apps/")).chain(apps));
    let timed = |what: &str, from: std::time::Instant| println!("{what}: {:?} an app", from.elapsed() / 10_000);
    let start = std::time::Instant::now();
    let platform = Platform::load(&snapshot, None);
    timed("load", start);
    let start = std::time::Instant::now();
    assert!(platform.apps.keys().all(|app| platform.instance(app).is_ok()));
    timed("instance", start);
    let next = snapshot.patched(None, [("apps/app-7/x".to_owned(), Some(FileEntry::file(b"x".as_slice())))]);
    let start = std::time::Instant::now();
    let again = Platform::load(&next, Some(&platform));
    timed("load again", start);
    assert_eq!(again.apps.len(), 10_000);
    let text = APP.to_owned() + "  parameters: {title: Hello}\n";
    let start = std::time::Instant::now();
    (0..10_000).for_each(|_| drop(crate::yaml::document(text.as_bytes(), crate::yaml::MANIFEST).unwrap()));
    timed("yaml with places", start);
    let start = std::time::Instant::now();
    (0..10_000).for_each(|_| drop(crate::yaml::objects(&text, crate::yaml::OBJECTS).unwrap()));
    timed("yaml", start);
    let start = std::time::Instant::now();
    (0..10_000).for_each(|_| drop(serde_yaml::from_str::<serde_yaml::Value>(&text).unwrap()));
    timed("serde_yaml", start);
    let start = std::time::Instant::now();
    (0..10_000).for_each(|_| drop(serde_saphyr::from_str::<Value>(&text).unwrap()));
    timed("serde-saphyr", start);
}

#[test]
fn a_template_that_changes_what_it_renders_needs_a_higher_version() {
    let before = with(&[]);
    let path = "catalog/simple-survey/v1/README.md";
    let resource = "catalog/simple-survey/v1/resources/a.yaml";
    let found = |after: &Platform, path: &str| {
        after.changed_without_version(&before, &[path]).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found(&before, path), [""; 0]);
    assert_eq!(found(&before, "catalog/other/v1/resources/a.yaml"), [""; 0]);
    let errors = found(&before, resource);
    assert!(
        errors[0].ends_with(&format!("spec.version: {resource} changes, and the version stays 1.2.0")),
        "{errors:?}"
    );
}

#[test]
fn a_link_in_the_place_of_a_folder_is_an_error() {
    let link = FileEntry { id: crate::digest::ObjectId::of_blob(b""), content: FileContent::Symlink };
    let platform = Platform::load(&Snapshot::new(None, [("apps".to_owned(), link)]), None);
    assert!(platform.findings().any(|found| found.is_error() && found.path == "apps"));
}
