//! Renders an app in its tier: an engine makes documents of the template's and the environment's files, and what is done to
//! all documents makes objects of them, whatever the engine. The only engine so far is [Tera](self::tera).
//!
//! Dayfly adds the labels and annotations of its conventions to every object and pod template (they win over a template's
//! own, except for `app.kubernetes.io/component`), and the namespace where it is absent. A template's objects have a kind
//! that templates may have and live in the app's namespace; an environment's may also be that Namespace; cluster-scoped
//! kinds stand in `shared/`. A suspended app has no running pods, and keeps everything else.

mod finish;
mod rendered;
pub mod tera;

use std::collections::HashMap;
use std::sync::Arc;

use dayfly_model::diagnostic::{Diagnostic, Diagnostics};
use dayfly_model::digest::Digest;
use dayfly_model::kinds::{Kinds, Wave};
use dayfly_model::object::{Object, ObjectKey};
use dayfly_model::platform::{Environment, Instance};
use dayfly_model::rule::Rule;
use finish::ObjectConventions;
use rendered::{FolderOwner, RenderedFile};

use self::tera::TeraRun;

/// The objects of one app in one tier, or of one tier's `shared/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifests {
    /// In the order of their wave, then of their key. Each key stands once.
    pub objects: Vec<Object>,
    /// Equal digests, equal objects.
    pub digest: Digest,
}

impl Manifests {
    /// Orders the objects by the waves of their kinds.
    ///
    /// # Errors
    /// A key that stands twice.
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
        let others = self.objects.iter().filter(|object| kinds.wave(object.key()) != Wave::Route);
        Self::in_order(others.cloned().collect())
    }
}

/// Renders an app in its tier.
///
/// # Errors
/// Findings about the template's or the environment's files, each naming the app: `render/syntax`, `render/undefined`,
/// `render/limit`, `render/kind`, `render/namespace`, `render/duplicate`, `yaml/…` and others.
pub fn render(instance: &Instance) -> Result<Manifests, Diagnostics> {
    let (template, environment) = (tera::of_template(&instance.template), tera::of_environment(&instance.environment));
    let mut run = TeraRun::of_app(instance, &[&template, &environment]);
    let mut sink = Sink::new(ObjectConventions::of_app(instance));
    sink.add(run.render(&template), FolderOwner::Template);
    if sink.is_empty() {
        let path = format!("catalog/{}", instance.template.reference);
        let found = Diagnostic::new(Rule::RENDER_EMPTY, path, "the template renders no object");
        let help = "An app that needs nothing is retired, not emptied: check the template's conditions.";
        sink.found.push(found.help(help));
    }
    sink.add(run.render(&environment), FolderOwner::Environment);
    sink.finish().map_err(|found| found.into_iter().map(|found| found.about(&instance.app.name)).collect())
}

/// Renders a tier's shared objects: `environments/<tier>/shared/`.
///
/// # Errors
/// As [`render`], about no app.
pub fn render_shared(environment: &Environment) -> Result<Manifests, Diagnostics> {
    let mut sink = Sink::new(ObjectConventions::of_shared(environment));
    sink.add(TeraRun::of_shared(environment).render(&tera::of_shared(environment)), FolderOwner::Shared);
    sink.finish().map_err(Into::into)
}

/// Collects objects and findings.
struct Sink {
    conventions: ObjectConventions,
    /// Each with the file that rendered it.
    objects: Vec<(Object, Arc<str>)>,
    found: Vec<Diagnostic>,
}

impl Sink {
    fn new(conventions: ObjectConventions) -> Self {
        Self { conventions, objects: vec![], found: vec![] }
    }

    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.found.is_empty()
    }

    /// Makes objects of what an engine rendered.
    fn add(&mut self, files: Vec<Result<RenderedFile, Diagnostic>>, owner: FolderOwner) {
        for file in files {
            let RenderedFile { source, documents } = match file {
                Ok(file) => file,
                Err(found) => {
                    self.found.push(found);
                    continue;
                }
            };
            for document in documents {
                match self.conventions.object(document, owner, &source) {
                    Ok(object) => self.objects.push((object, source.path.clone())),
                    Err(found) => self.found.push(found),
                }
            }
        }
    }

    fn finish(mut self) -> Result<Manifests, Vec<Diagnostic>> {
        let mut first: HashMap<&ObjectKey, &Arc<str>> = HashMap::with_capacity(self.objects.len());
        for (object, path) in &self.objects {
            if let Some(earlier) = first.insert(object.key(), path) {
                let message = match earlier == path {
                    true => format!("{} is rendered twice", object.key()),
                    false => format!("{} is rendered by {earlier} too", object.key()),
                };
                let found = Diagnostic::new(Rule::RENDER_DUPLICATE, &**path, message);
                self.found.push(found.help("Give one of them another name, or remove it."));
            }
        }
        if !self.found.is_empty() {
            return Err(self.found);
        }
        let objects = self.objects.into_iter().map(|(object, _)| object).collect();
        Manifests::new(objects, &self.conventions.kinds).map_err(|key| {
            vec![Diagnostic::new(Rule::RENDER_DUPLICATE, key.to_string(), "the object is rendered twice")]
        })
    }
}

#[cfg(test)]
mod tests;
