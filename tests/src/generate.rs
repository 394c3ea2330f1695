//! A platform of any size, always the same: apps over variants of the templates that ship, in the tiers that ship.

use std::path::PathBuf;
use std::{fs, iter};

use crate::folders::repository_root;

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformShape {
    /// How many apps.
    pub apps: usize,
    /// How many templates they share.
    pub templates: usize,
    /// Which tiers they are in.
    pub tiers: Tiers,
}

/// Which tiers the apps are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiers {
    /// All in the sandbox.
    Sandbox,
    /// Of twenty apps, fifteen in the sandbox, three in the pilot, two in production.
    Mixed,
}

/// A file: its path from the repository's root, and its bytes.
pub type GeneratedFile = (String, Vec<u8>);

const FAMILIES: [(&str, &str); 3] =
    [("survey", "simple-survey/v1"), ("form", "approval-form/v1"), ("links", "link-shortener/v1")];
const TEAMS: [(&str, &str); 8] = [
    ("people-ops", "maya"),
    ("workplace", "noor"),
    ("finance", "theo"),
    ("it-platform", "ines"),
    ("procurement", "arlo"),
    ("legal", "wren"),
    ("research", "juno"),
    ("field-sales", "otis"),
];
const TOPICS: [&str; 12] = [
    "onboarding",
    "travel",
    "lunch",
    "hardware",
    "training",
    "offsite",
    "newsletter",
    "parking",
    "referral",
    "handbook",
    "budget",
    "security",
];

impl PlatformShape {
    /// So many apps over twenty templates, all in the sandbox.
    pub fn sandbox(apps: usize) -> Self {
        Self { apps, templates: 20, tiers: Tiers::Sandbox }
    }

    /// All files of the platform.
    pub fn files(self) -> Vec<GeneratedFile> {
        let control = ["environments", "policies"].into_iter().flat_map(shipped_files);
        let templates = (0..self.templates).flat_map(template);
        let apps = (0..self.apps).map(|number| self.app(number, 0));
        control.chain(templates).chain(apps).collect()
    }

    /// The manifest of one app; each edit of it changes one of its parameters.
    pub fn app(self, number: usize, edit: usize) -> GeneratedFile {
        let (team, owner) = TEAMS[number % TEAMS.len()];
        let topic = TOPICS[number / 7 % TOPICS.len()];
        let template = number % self.templates;
        let (family, parameters) = match template % FAMILIES.len() {
            0 => ("survey", survey(number, topic, edit)),
            1 => ("form", form(number, topic, edit)),
            _ => ("links", links(number, topic, edit)),
        };
        let tier = match (self.tiers, number % 20) {
            (Tiers::Mixed, 15..18) => "pilot",
            (Tiers::Mixed, 18..) => "production",
            _ => "sandbox",
        };
        let name = format!("{team}-{topic}-{number:05}");
        let (ttl, cost_center) = (7 + number % 22, 1000 + number / 16 % 9000);
        let mut text = format!(
            "apiVersion: dayfly.dev/v1\nkind: App\nmetadata:\n  name: {name}\nspec:\n  template: {}\n  tier: {tier}\n  \
             ttl: {ttl}d\n  costCenter: CC-{cost_center}\n  owner: {owner}@example.com\n  team: {team}\n  \
             purpose: The {family} about {topic} that {team} keeps\n  parameters:\n{parameters}",
            reference(template)
        );
        if number.is_multiple_of(4) && family != "links" {
            text.push_str("  connectors: [slack]\n");
        }
        if number.is_multiple_of(10) {
            text.push_str(&format!("  egress: [\"203.0.113.{}/32:443\"]\n", number / 10 % 256));
        }
        (format!("apps/{name}/app.yaml"), text.into_bytes())
    }
}

/// `survey-03/v1`
fn reference(template: usize) -> String {
    format!("{}-{template:02}/v1", FAMILIES[template % FAMILIES.len()].0)
}

fn survey(number: usize, topic: &str, edit: usize) -> String {
    let questions: Vec<_> =
        iter::successors(Some(number), |n| Some(n / 3)).take(2 + number % 4).map(|n| n % TOPICS.len()).collect();
    let questions = questions.into_iter().map(|topic| format!("      - What should change about {}?\n", TOPICS[topic]));
    format!(
        "    title: How is {topic} going?\n    retentionDays: {}\n    anonymous: {}\n    questions:\n{}",
        1 + (number + edit) % 365,
        number.is_multiple_of(2),
        questions.collect::<String>()
    )
}

fn form(number: usize, topic: &str, edit: usize) -> String {
    let approvers: Vec<_> = TEAMS.iter().cycle().skip(number).take(1 + number % 3).map(|(team, _)| *team).collect();
    format!(
        "    title: Request for {topic}\n    approvers: [{}]\n    remindAfterDays: {}\n    storageGib: {}\n",
        approvers.join(", "),
        1 + (number + edit) % 30,
        1 + number % 2
    )
}

fn links(number: usize, topic: &str, edit: usize) -> String {
    let link = |n: usize| format!("      {topic}-{n}: https://intranet.example.com/{topic}/{}\n", number + edit + n);
    format!("    links:\n{}", (0..2 + number % 8).map(link).collect::<String>())
}

/// A variant of a template that ships: another name and another release of its images.
fn template(number: usize) -> Vec<GeneratedFile> {
    let (_, original) = FAMILIES[number % FAMILIES.len()];
    let (old, new) = (format!("catalog/{original}/"), format!("catalog/{}/", reference(number)));
    let name = |reference: &str| reference.split('/').next().unwrap_or_default().to_owned();
    let kept = |path: &String| path.ends_with("template.yaml") || path.contains("/resources/");
    let rename = |(path, bytes): GeneratedFile| {
        let text = String::from_utf8(bytes).expect("a template is text");
        let text = text
            .replace(&format!("name: {}\n", name(original)), &format!("name: {}\n", name(&reference(number))))
            .replace(&format!("/{}:1.", name(original)), &format!("/{}:{}.", name(original), number + 1));
        (path.replacen(&old, &new, 1), text.into_bytes())
    };
    shipped_files(old.trim_end_matches('/')).into_iter().filter(|(path, _)| kept(path)).map(rename).collect()
}

/// The files of a folder that ships, by their paths from the repository's root.
fn shipped_files(folder: &str) -> Vec<GeneratedFile> {
    let root = repository_root();
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::from(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("the sample platform ships") {
            let path = folder.join(entry.expect("a folder can be listed").file_name());
            match root.join(&path).is_dir() {
                true => folders.push(path),
                false => {
                    let bytes = fs::read(root.join(&path)).expect("a file can be read");
                    files.push((path.to_string_lossy().into_owned(), bytes));
                }
            }
        }
    }
    files.sort_unstable();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_judge::evaluate::{Desired, Evaluation, Evaluator};
    use dayfly_model::platform::Platform;
    use dayfly_model::snapshot::{FileEntry, Snapshot};

    fn judged(platform: &Platform, evaluator: &mut Evaluator) -> Evaluation {
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        evaluator.evaluate(&Desired { tip: platform, approved: None }, now)
    }

    #[test]
    fn every_generated_app_is_admitted_without_a_finding() {
        let shape = PlatformShape { apps: 40, templates: 20, tiers: Tiers::Mixed };
        let platform = Platform::load(&Snapshot::from_texts(shape.files()), None);
        assert_eq!(platform.findings().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
        assert_eq!((platform.apps.len(), platform.templates.len()), (40, 20));
        let evaluation = judged(&platform, &mut Evaluator::default());
        for evaluated in evaluation.instances.values() {
            assert!(evaluated.admitted().is_some(), "{:?}", evaluated.verdict);
        }
    }

    #[test]
    fn an_edit_renders_the_edited_apps_and_no_other() {
        let shape = PlatformShape::sandbox(20);
        let before = Snapshot::from_texts(shape.files());
        let platform = Platform::load(&before, None);
        let mut evaluator = Evaluator::default();
        assert_eq!(judged(&platform, &mut evaluator).renders, 20);
        let edits =
            [7, 8, 9].map(|number| shape.app(number, 1)).map(|(path, bytes)| (path, Some(FileEntry::file(bytes))));
        let edited = Platform::load(&before.patched(None, edits), Some(&platform));
        assert_eq!(judged(&edited, &mut evaluator).renders, 3);
        assert_eq!(judged(&edited, &mut evaluator).renders, 0);
    }
}
