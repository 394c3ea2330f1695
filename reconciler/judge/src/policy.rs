//! Judges what was rendered by the policies of `policies/*.rego`: only what they admit can be planned.
//!
//! # What a policy is
//!
//! A package `dayfly.<name>` in Rego v1, with a set `deny`, or `warn`, or both:
//!
//! ```rego
//! package dayfly.images
//!
//! deny contains {"rule": "image-tag", "object": c.object, "msg": "...", "help": "..."} if { ... }
//! ```
//!
//! `rule` and `msg` are needed. `object` is what it is about, `field` the field of `app.yaml` to point at, `help` the next
//! step. `warn` denies too where the environment's `enforcement` says so. Packages `dayfly.lib.<name>` hold what others
//! share. `*_test.rego` holds tests, for [`PolicySet::test`]. What `input` is, `policy/input.rs` says.
//!
//! # It fails closed
//!
//! An undefined `deny`, an error, a builtin's failure, too many steps and too much time, a result of another shape: each
//! denies, and says which policy it was. A set that does not compile as a whole is none, and neither is one that reads what
//! `input` never has: that would hold for nobody and forbid nothing. What a verdict depends on is in `input`: builtins that
//! fetch, roll dice or read a clock are refused. Policies see typed containers, so a text `"false"` is no permission.

mod calls;
mod guard;
pub mod input;
mod reads;
mod run;
mod strict;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dayfly_model::diagnostic::{Diagnostic, Diagnostics, Position};
use dayfly_model::digest::Digest;
use dayfly_model::kinds::Kinds;
use dayfly_model::object::Object;
use dayfly_model::platform::environment::Enforcement;
use dayfly_model::platform::{Instance, Waiver};
use dayfly_model::rule::Rule;
use jiff::Timestamp;
use regorus::rvm::Program;
use serde_json::Value;

use crate::cost::MonthlyCost;
use crate::render::Manifests;

/// A compiled set of policies.
#[derive(Debug)]
pub struct PolicySet {
    program: Arc<Program>,
    builtins: strict::Builtins,
    entry_points: Vec<EntryPoint>,
    sources: Vec<(String, Arc<str>)>,
}

/// One `deny` or `warn`.
#[derive(Debug)]
struct EntryPoint {
    /// `data.dayfly.images.deny`
    path: String,
    warns: bool,
}

/// What the policies say of an instance.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It may run.
    Admitted {
        /// The proof.
        admitted: Admitted,
        /// What somebody should look at.
        warnings: Diagnostics,
    },
    /// It may not.
    Denied {
        /// Why, at least one.
        violations: Diagnostics,
        /// What somebody should look at besides.
        warnings: Diagnostics,
    },
}

/// Manifests that the policies let through. There is no other way to make one.
#[derive(Debug, Clone)]
pub struct Admitted {
    manifests: Arc<Manifests>,
}

impl Admitted {
    /// What may run.
    pub fn manifests(&self) -> &Arc<Manifests> {
        &self.manifests
    }

    /// The same without what lets traffic in: less than what was admitted, and nothing else.
    pub fn without_routes(&self, kinds: &Kinds) -> Self {
        Self { manifests: Arc::new(self.manifests.without_routes(kinds)) }
    }

    /// Makes it small, to be kept for long.
    pub fn seal(&self) -> Sealed {
        let values: Vec<_> = self.manifests.objects.iter().map(Object::value).collect();
        Sealed {
            // A value of these types is always JSON.
            json: serde_json::to_vec(&values).unwrap_or_default().into(),
            digest: self.manifests.digest,
        }
    }

    /// Admits anything.
    #[cfg(test)]
    fn for_tests(manifests: Arc<Manifests>) -> Self {
        Self { manifests }
    }
}

/// What was admitted, as text: it takes a tenth of the memory, for the many apps that nothing happens to.
#[derive(Clone)]
pub struct Sealed {
    json: Box<[u8]>,
    digest: Digest,
}

impl Sealed {
    /// The digest of all its objects.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What was admitted.
    ///
    /// # Errors
    /// It does not read back as it was: then nobody knows what may run.
    pub fn open(&self) -> Result<Admitted, Diagnostic> {
        let values: Vec<Value> = serde_json::from_slice(&self.json).map_err(|error| unsound(&error.to_string()))?;
        let objects: Result<Vec<_>, _> = values.into_iter().map(Object::new).collect();
        let manifests = Manifests::in_order(objects.map_err(|error| unsound(&error))?);
        match manifests.digest == self.digest {
            true => Ok(Admitted { manifests: Arc::new(manifests) }),
            false => Err(unsound("its digest is another one")),
        }
    }
}

/// The debug form shows no content, since that may be secret.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.digest.short())
    }
}

fn unsound(why: &str) -> Diagnostic {
    let found = Diagnostic::new(Rule::POLICY_UNSOUND, "", format!("what was admitted does not read back: {why}"));
    found.help("this is a defect of Dayfly; what runs goes on unchanged")
}

/// How one test of a policy went.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TestResult {
    /// `dayfly.images_test.test_no_tag_is_refused`
    pub name: String,
    /// The file, from the repository's root.
    pub path: String,
    /// Where it begins.
    pub position: Position,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl PolicySet {
    /// Compiles all `.rego` files, by path from the repository's root; those that end in `_test.rego` are kept for
    /// [`Self::test`].
    ///
    /// # Errors
    /// Everything found in any file: then there is no set at all.
    pub fn compile(sources: &BTreeMap<String, Arc<str>>) -> Result<Self, Diagnostics> {
        run::compile(sources).map_err(Into::into)
    }

    /// Judges an instance and what it was rendered to. Policies see no clock; only waivers depend on `now`, as they end.
    pub fn decide<'a>(
        &self,
        instance: &Instance,
        manifests: Arc<Manifests>,
        cost: &MonthlyCost,
        waivers: impl IntoIterator<Item = &'a Arc<Waiver>>,
        now: Timestamp,
    ) -> Decision {
        let mut found = input::malformed(&manifests);
        let input = input::of(instance, &manifests, cost);
        found.extend(run::execute(self, input));
        let waivers: Vec<_> = waivers.into_iter().collect();
        let (mut violations, mut warnings) = (Vec::new(), Vec::new());
        for finding in found {
            let denies = !finding.warns || instance.environment.enforcement == Enforcement::Deny;
            let diagnostic = finding.diagnostic(instance);
            match waived(&diagnostic, instance, &waivers, now) {
                Waived::Yes(note) => warnings.push(note),
                Waived::No(diagnostic) if denies => violations.push(diagnostic),
                Waived::No(diagnostic) => warnings.push(diagnostic.as_warning()),
            }
        }
        violations.sort();
        violations.dedup();
        warnings.sort();
        warnings.dedup();
        match violations.is_empty() {
            true => Decision::Admitted { admitted: Admitted { manifests }, warnings: warnings.into() },
            false => Decision::Denied { violations: violations.into(), warnings: warnings.into() },
        }
    }

    /// Runs the `test_…` rules of the `*_test.rego` files.
    ///
    /// # Errors
    /// A test file that does not compile.
    pub fn test(&self) -> Result<Vec<TestResult>, Diagnostics> {
        run::test(&self.sources).map_err(Into::into)
    }
}

/// One element of `deny` or `warn`, or of what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    warns: bool,
    rule: Rule,
    object: Option<String>,
    field: Option<String>,
    message: String,
    help: Option<String>,
}

impl Finding {
    fn new(rule: Rule, message: impl Into<String>) -> Self {
        Self { warns: false, rule, object: None, field: None, message: message.into(), help: None }
    }

    /// As a finding in the app's manifest.
    fn diagnostic(self, instance: &Instance) -> Diagnostic {
        let spans = &instance.app.spans;
        let message = match self.object {
            Some(object) => format!("{object} {}", self.message),
            None => self.message,
        };
        let found = Diagnostic::new(self.rule, &*spans.path, message);
        let position = spans.position(self.field.as_deref().unwrap_or("spec.template"));
        Diagnostic { help: self.help, ..found.at(position).about(&instance.app.name) }
    }
}

enum Waived {
    Yes(Diagnostic),
    No(Diagnostic),
}

/// Whether a waiver lifts a finding. One that would, but for its end or its approver, says so in the help.
fn waived(found: &Diagnostic, instance: &Instance, waivers: &[&Arc<Waiver>], now: Timestamp) -> Waived {
    let mut found = found.clone();
    for waiver in waivers.iter().filter(|waiver| waiver.concerns(&found.rule, &instance.key)) {
        let roles: Vec<_> = instance.environment.approvals.iter().map(|approval| approval.role.as_str()).collect();
        let note = if !roles.is_empty() && !roles.contains(&waiver.approver.as_str()) {
            format!(
                "The waiver {} has no effect: its approver {} is no role of this tier.",
                waiver.name, waiver.approver
            )
        } else if !waiver.covers(&found.rule, &instance.key, now) {
            format!("The waiver {} ended at {}.", waiver.name, waiver.expires)
        } else {
            let message = format!("{} (waived until {}: {})", found.message, waiver.expires, waiver.reason);
            return Waived::Yes(Diagnostic { message, help: None, ..found }.as_warning());
        };
        found.help = Some(found.help.map_or(note.clone(), |help| format!("{help} {note}")));
    }
    Waived::No(found)
}
