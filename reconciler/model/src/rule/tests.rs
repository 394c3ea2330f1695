use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::table::{CONSTANTS, TABLE};
use super::*;

/// An identifier as the name of a constant: `cluster/TimedOut` is `CLUSTER_TIMED_OUT`.
fn constant(id: &str) -> String {
    let mut name = String::new();
    for c in id.chars() {
        if c.is_ascii_uppercase() && !name.ends_with('_') {
            name.push('_');
        }
        name.push(if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    }
    name
}

#[test]
fn the_table_is_sorted_and_each_identifier_stands_once_and_is_well_formed() {
    for pair in TABLE.windows(2) {
        assert!(pair[0].id() < pair[1].id(), "{} before {}", pair[0], pair[1]);
    }
    for (rule, name) in TABLE.iter().zip(CONSTANTS) {
        let legal = match rule.is_cluster() && rule.name().starts_with(|c: char| c.is_ascii_uppercase()) {
            true => is_alphabetic(rule.name()),
            false => rule.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
        };
        assert!(legal && !rule.name().is_empty(), "{rule}");
        assert!(rule.category().prefix().bytes().all(|byte| byte.is_ascii_lowercase()), "{rule}");
        assert_eq!(constant(rule.id()), *name);
    }
}

#[test]
fn every_rule_says_in_sentences_what_is_wrong_and_what_to_do() {
    let groups = table::OPEN.iter().map(|group| (group.title, group.help));
    for (title, help) in TABLE.iter().map(|rule| (rule.title(), rule.help())).chain(groups) {
        assert!(title.ends_with('.') && !title.contains('\n') && title.len() < 100, "{title}");
        assert!(help.ends_with('.') && !help.contains('\n'), "{help}");
    }
}

/// Nothing but the table makes rules of their own, so it is enough that each of its constants is named somewhere.
#[test]
fn every_rule_of_the_table_is_used() {
    fn read(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("model/src/rule") {
                read(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                all.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut sources = String::new();
    for package in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap() {
        let folder = package.unwrap().path().join("src");
        if folder.is_dir() {
            read(&folder, &mut sources);
        }
    }
    let used: HashSet<_> = sources
        .split("Rule::")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default())
        .collect();
    let unused: Vec<_> = CONSTANTS.iter().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn an_identifier_is_the_rule_in_json_and_is_read_back() {
    for rule in TABLE {
        let json = serde_json::to_string(rule).unwrap();
        assert_eq!(json, format!("{:?}", rule.id()));
        let read: Rule = serde_json::from_str(&json).unwrap();
        assert_eq!(read, *rule);
        assert!(std::ptr::eq(read.facts(), rule.facts()), "{rule}");
    }
    for id in ["policy/image-tag", "policy/Names of others, too", "cluster/SomethingNewer"] {
        let read: Rule = serde_json::from_str(&format!("{id:?}")).unwrap();
        assert_eq!((read.id(), serde_json::to_string(&read).unwrap()), (id, format!("{id:?}")));
    }
    assert!("cluster/SomethingNewer".parse::<Rule>().unwrap().is_cluster());
}

#[test]
fn a_policy_names_its_rules_and_may_not_name_nothing_or_several_lines() {
    assert_eq!(Rule::policy("image-tag").unwrap().id(), "policy/image-tag");
    assert_eq!(Rule::policy("image-tag").unwrap().name(), "image-tag");
    assert_eq!(Rule::policy("no-verdict").unwrap(), Rule::POLICY_NO_VERDICT);
    for name in ["", " ", "a\nb", "a\u{202e}b"] {
        assert!(Rule::policy(name).is_err(), "{name:?}");
    }
}

#[test]
fn what_identifies_no_rule_is_refused() {
    for id in ["", "/", "image-tag", "manifest", "manifest/", "manifest/unknown", "cluster/", "cluster/x", "other/rule"]
    {
        assert_eq!(id.parse::<Rule>().unwrap_err().to_string(), format!("{id:?} is no rule"));
    }
}
