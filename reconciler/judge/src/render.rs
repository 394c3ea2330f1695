//! Renders an app in its tier: the template's and the environment's files, as Tera over the app's values, to objects.
//!
//! # What a template sees
//!
//! | name | what it is |
//! |---|---|
//! | `app.name`, `.team`, `.owner`, `.ownerLogin`, `.costCenter`, `.purpose`, `.dataClassification`, `.template`, `.version` | the manifest; what is absent is null |
//! | `params` | the app's parameters with the template's defaults; what is absent is null. Not in `environments/` |
//! | `tier`, `namespace`, `host`, `runtime`, `suspend` | where and how it runs |
//! | `connectors`, `secrets` | lists of names |
//! | `egress` | a list of `{cidr, hostname, port}`, one of the first two null |
//! | `hostnames` | what the tier can filter by name: `none`, `cilium`, `gke`, `proxy` |
//! | `files` | the app's other files: path to text |
//!
//! `environments/<tier>/shared/` sees `tier` alone. A file whose name starts with `_` is rendered only where another one
//! includes it: `{% include "_labels.yaml" %}`.
//!
//! # What it may do
//!
//! `if`, `for`, `set`, `include`, `raw`, the filters [`FILTERS`] and the functions [`FUNCTIONS`]. There is no clock,
//! environment variable, file, network or chance, so a rendering depends on one commit alone. A name that nothing defines
//! is an error, in a condition too. Endless work stops: see `render/source.rs` for how.
//!
//! **A value never changes the structure of the YAML it is put into**: the text that is parsed has holes where values
//! belong, and they are filled afterwards. So quotes are needed only to make a text of a number (`value: "{{ n }}"`), and
//! `name: {{ app.name }}-config` works.
//!
//! # What comes of it
//!
//! Dayfly adds the labels and annotations of its conventions to every object and pod template (they win over a template's
//! own, except for `app.kubernetes.io/component`), and the namespace where it is absent. A template's objects have a kind
//! that templates may have and stay in the app's namespace; an environment's may also be that Namespace; cluster-scoped
//! kinds stand in `shared/`. A suspended app has no running pods, and everything else stays.

mod compiled;
mod finish;
mod meter;
mod skeleton;
mod source;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use compiled::{Compiled, Scope};
use dayfly_model::diagnostic::{Diagnostic, Diagnostics};
use dayfly_model::digest::Digest;
use dayfly_model::kinds::{Kinds, Wave};
use dayfly_model::object::{Object, ObjectKey};
use dayfly_model::platform::{Environment, Instance, Template};
use dayfly_model::rule::Rule;
use finish::{From, Home};
use serde_json::Value;
pub use source::{FILTERS, FUNCTIONS};

/// The objects of one app in one tier, or of one tier's `shared/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifests {
    /// In the order of their wave, then of their key. Each key stands once.
    pub objects: Vec<Object>,
    /// Equal digests, equal objects.
    pub digest: Digest,
}

impl Manifests {
    /// Orders the objects by the waves of their kinds. The error is a key that stands twice.
    pub fn new(objects: Vec<Object>, kinds: &Kinds) -> Result<Self, ObjectKey> {
        let mut waves: Vec<_> = objects.into_iter().map(|object| (kinds.wave(object.key()), object)).collect();
        waves.sort_by(|(wave, a), (other, b)| (wave, a.key()).cmp(&(other, b.key())));
        let objects: Vec<_> = waves.into_iter().map(|(_, object)| object).collect();
        if let Some(pair) = objects.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            return Err(pair[0].key().clone());
        }
        Ok(Self::in_order(objects))
    }

    /// Objects that are in order and stand once.
    pub(crate) fn in_order(objects: Vec<Object>) -> Self {
        let digests: Vec<_> = objects.iter().map(Object::digest).collect();
        let digest = Digest::of_parts(digests.iter().map(|digest| digest.as_bytes().as_slice()));
        Self { objects, digest }
    }

    /// The same without what lets traffic in.
    pub(crate) fn without_routes(&self, kinds: &Kinds) -> Self {
        let stays = |object: &&Object| kinds.wave(object.key()) != Wave::Route;
        Self::in_order(self.objects.iter().filter(stays).cloned().collect())
    }
}

/// Renders an app in its tier.
///
/// # Errors
/// Findings about the template's or the environment's files, each naming the app: `render/syntax`, `render/undefined`,
/// `render/limit`, `render/kind`, `render/namespace`, `render/duplicate`, `yaml/…` and others.
pub fn render(instance: &Instance) -> Result<Manifests, Diagnostics> {
    let home = Home::of(instance);
    let template = of_template(&instance.template);
    let environment = of_environment(&instance.environment);
    let context = compiled::context(instance, template.uses("files") || environment.uses("files"));
    let mut sink = Sink::default();
    meter::start(context.1);
    sink.files(&template, &context.0, &home, From::Template);
    if sink.found.is_empty() && sink.objects.is_empty() {
        let path = format!("catalog/{}", instance.template.reference);
        let found = Diagnostic::new(Rule::RENDER_EMPTY, path, "the template renders no object");
        sink.found
            .push(found.help("An app that needs nothing is retired, not emptied: check the template's conditions."));
    }
    sink.files(&environment, &context.0, &home, From::Environment);
    sink.finish(&home).map_err(|found| found.into_iter().map(|found| found.about(&instance.app.name)).collect())
}

/// Renders what stands once in a tier: `environments/<tier>/shared/`.
///
/// # Errors
/// As [`render`], about no app.
pub fn render_shared(environment: &Environment) -> Result<Manifests, Diagnostics> {
    let home = Home::shared(environment);
    let mut sink = Sink::default();
    meter::start(0);
    sink.files(&of_shared(environment), &compiled::shared_context(environment), &home, From::Shared);
    sink.finish(&home).map_err(Into::into)
}

/// Collects objects and findings.
#[derive(Default)]
struct Sink {
    objects: Vec<(Object, String)>,
    found: Vec<Diagnostic>,
}

impl Sink {
    fn files(&mut self, compiled: &Compiled, context: &tera::Context, home: &Home, from: From) {
        self.found.extend(compiled.found.iter().cloned());
        for file in compiled.files.iter().filter(|_| compiled.found.is_empty()) {
            if self.found.iter().any(|found| found.rule == Rule::RENDER_LIMIT) {
                return; // Nothing is left for the others.
            }
            match compiled.render(file, context) {
                Ok(values) => {
                    for value in values {
                        match finish::object(value, home, from, file) {
                            Ok(object) => self.objects.push((object, file.path.clone())),
                            Err(found) => self.found.push(found),
                        }
                    }
                }
                Err(found) => self.found.push(found),
            }
        }
    }

    fn finish(mut self, home: &Home) -> Result<Manifests, Vec<Diagnostic>> {
        let mut first: HashMap<&ObjectKey, &str> = HashMap::with_capacity(self.objects.len());
        for (object, path) in &self.objects {
            if let Some(earlier) = first.insert(object.key(), path) {
                let message = match earlier == path {
                    true => format!("{} is rendered twice", object.key()),
                    false => format!("{} is rendered by {earlier} too", object.key()),
                };
                let found = Diagnostic::new(Rule::RENDER_DUPLICATE, path, message);
                self.found.push(found.help("Give one of them another name, or remove it."));
            }
        }
        if !self.found.is_empty() {
            return Err(self.found);
        }
        let objects = self.objects.into_iter().map(|(object, _)| object).collect();
        Manifests::new(objects, &home.kinds).map_err(|key| {
            vec![Diagnostic::new(Rule::RENDER_DUPLICATE, key.to_string(), "the object is rendered twice")]
        })
    }
}

/// How many compiled folders are kept.
const KEPT: usize = 512;

/// Compiled folders by their path and the digest of what they were compiled from: a cache of a pure function, and safe to lose.
static COMPILED: LazyLock<RwLock<Folders>> = LazyLock::new(RwLock::default);

type Folders = HashMap<(String, Digest), Arc<Compiled>>;
type Files = BTreeMap<String, Arc<str>>;

fn of_template(template: &Template) -> Arc<Compiled> {
    let folder = format!("catalog/{}/resources/", template.reference);
    cached(folder, template.digest, &template.resources, Scope::Template, Some(&template.parameters))
}

fn of_environment(environment: &Environment) -> Arc<Compiled> {
    let folder = format!("environments/{}/resources/", environment.tier);
    cached(folder, environment.digest, &environment.resources, Scope::Environment, None)
}

fn of_shared(environment: &Environment) -> Arc<Compiled> {
    let folder = format!("environments/{}/shared/", environment.tier);
    cached(folder, environment.digest, &environment.shared, Scope::Shared, None)
}

fn cached(folder: String, digest: Digest, files: &Files, scope: Scope, schema: Option<&Value>) -> Arc<Compiled> {
    let key = (folder, digest);
    if let Some(known) = COMPILED.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return known.clone();
    }
    let compiled = Arc::new(Compiled::new(&key.0, files, scope, schema));
    let mut kept = COMPILED.write().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.entry(key).or_insert(compiled).clone()
}

#[cfg(test)]
mod tests;
