//! The rules that findings are about: what is wrong, how bad that is, and what to do about it in general.
//!
//! Every rule that is known beforehand is a row of [`table`], and a constant of [`Rule`]. Two groups have rules besides: the
//! policies of a platform name their own (`policy/image-tag`), and a cluster may have reasons that a newer Dayfly knows.

mod table;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::diagnostic::Severity;
use crate::platform::format;
pub use table::RuleCategory;

/// What a finding is about. Its identifier (`manifest/unknown-field`) is what users see, in JSON and in waivers: it never
/// changes. Rules with one identifier are equal.
#[derive(Clone)]
pub struct Rule(RuleOrigin);

#[derive(Clone)]
enum RuleOrigin {
    /// A row of the table.
    Table(&'static RuleFacts),
    /// An identifier of an open group, and what holds for all of that group.
    Open(&'static RuleFacts, Arc<str>),
}

/// A row of the table.
struct RuleFacts {
    category: RuleCategory,
    id: &'static str,
    severity: Severity,
    title: &'static str,
    help: &'static str,
}

/// A text that identifies no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rule")]
pub struct UnknownRule(String);

impl Rule {
    /// Every rule of the table, by identifier. The open groups have others besides.
    pub fn all() -> &'static [Self] {
        table::TABLE
    }

    /// The rule that a policy gives this name.
    ///
    /// # Errors
    /// The name is empty, or `policy/<name>` is more than one line of text, so that no waiver could name it.
    pub fn policy(name: &str) -> Result<Self, UnknownRule> {
        format!("policy/{name}").parse()
    }

    /// The identifier, such as `manifest/unknown-field`.
    pub fn id(&self) -> &str {
        match &self.0 {
            RuleOrigin::Table(facts) => facts.id,
            RuleOrigin::Open(_, id) => id,
        }
    }

    /// The identifier without its category: `unknown-field`.
    pub fn name(&self) -> &str {
        &self.id()[self.category().prefix().len() + 1..]
    }

    /// What it is about.
    pub fn category(&self) -> RuleCategory {
        self.facts().category
    }

    /// Whether it is about a cluster, and not about what stands in git.
    pub fn is_cluster(&self) -> bool {
        self.category() == RuleCategory::Cluster
    }

    /// What is wrong, in a sentence.
    pub fn title(&self) -> &'static str {
        self.facts().title
    }

    /// How bad it is, unless a finding says otherwise.
    pub fn severity(&self) -> Severity {
        self.facts().severity
    }

    /// What to do about it in general, for pages about rules and for SARIF. A finding has a help of its own, or none, and is
    /// printed without this one.
    pub fn help(&self) -> &'static str {
        self.facts().help
    }

    const fn known(facts: &'static RuleFacts) -> Self {
        Self(RuleOrigin::Table(facts))
    }

    fn facts(&self) -> &'static RuleFacts {
        match &self.0 {
            RuleOrigin::Table(facts) | RuleOrigin::Open(facts, _) => facts,
        }
    }
}

/// Reads an identifier: of the table, or of an open group.
impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(id: &str) -> Result<Self, UnknownRule> {
        if let Ok(row) = table::TABLE.binary_search_by(|rule| rule.id().cmp(id)) {
            return Ok(table::TABLE[row].clone());
        }
        let unknown = || UnknownRule(id.to_owned());
        let (prefix, name) = id.split_once('/').ok_or_else(unknown)?;
        let group = table::OPEN.iter().find(|group| group.category.prefix() == prefix).ok_or_else(unknown)?;
        let is_legal = match group.category {
            RuleCategory::Cluster => name.starts_with(|c: char| c.is_ascii_uppercase()) && is_alphabetic(name),
            _ => !name.is_empty() && format::line(id).is_ok(),
        };
        if is_legal { Ok(Self(RuleOrigin::Open(group, id.into()))) } else { Err(unknown()) }
    }
}

fn is_alphabetic(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.id(), f)
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Rule {}

impl PartialOrd for Rule {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rule {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id().cmp(other.id())
    }
}

impl Hash for Rule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
