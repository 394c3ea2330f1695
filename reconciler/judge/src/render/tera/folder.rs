//! A folder of Tera sources, checked and compiled once for all apps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::rule::Rule;
use serde_json::Value;
use tera::{Context, ErrorKind, Tera};

use super::context;
use super::meter::{self, Stop};
use super::skeleton::Skeletons;
use super::source::TeraSource;
use crate::render::rendered::{FolderOwner, RenderedFile, SourceFile};

/// The files of one folder at most, and their bytes together.
const MAX_FILES: usize = 100;
const MAX_BYTES: usize = 1 << 20;

/// A compiled folder, or what is wrong with it.
pub struct TeraFolder {
    /// Those that are rendered on their own, in the order of their paths.
    files: Vec<TeraFile>,
    /// What is wrong; nothing can be rendered then.
    found: Vec<Diagnostic>,
    tera: Tera,
    sources: HashMap<String, (Arc<str>, TeraSource)>,
}

/// A file that is rendered on its own.
struct TeraFile {
    source: SourceFile,
    skeletons: Skeletons,
}

impl TeraFolder {
    /// Reads and compiles the files of a folder (`catalog/x/v1/resources/`).
    pub fn new(folder: &str, files: &BTreeMap<String, Arc<str>>, owner: FolderOwner, schema: Option<&Value>) -> Self {
        let mut compiled = Self { files: vec![], found: vec![], tera: meter::tera(), sources: HashMap::new() };
        if files.len() > MAX_FILES || files.values().map(|text| text.len()).sum::<usize>() > MAX_BYTES {
            let message = format!("the folder has more than {MAX_FILES} files or 1 MiB");
            let found = Diagnostic::new(Rule::RENDER_LIMIT, folder, message);
            compiled.found.push(found.help("Split the template in two."));
            return compiled;
        }
        for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".yaml") || path.ends_with(".yml")) {
            match TeraSource::read(path, text) {
                Ok(source) => {
                    compiled.sources.insert(path.clone(), (text.clone(), source));
                }
                Err(found) => compiled.found.push(found),
            }
            if !path.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
                let source = SourceFile { path: path.as_str().into(), text: text.clone() };
                compiled.files.push(TeraFile { source, skeletons: Skeletons::default() });
            }
        }
        compiled.check_names(owner, schema);
        compiled.compile(folder);
        compiled
    }

    /// Whether any file names this.
    pub fn uses(&self, root: &str) -> bool {
        self.sources.values().any(|(_, source)| source.names.iter().any(|name| name.root == root))
    }

    /// Renders its files one after the other. Once the limit of work is reached, the others are not rendered.
    pub fn render(&self, context: &Context, mut is_at_limit: bool) -> Vec<Result<RenderedFile, Diagnostic>> {
        let mut rendered: Vec<_> = self.found.iter().cloned().map(Err).collect();
        for file in self.files.iter().filter(|_| self.found.is_empty()) {
            if is_at_limit {
                break;
            }
            let documents = self.documents(file, context);
            is_at_limit = documents.as_ref().is_err_and(is_limit);
            rendered.push(documents.map(|documents| RenderedFile { source: file.source.clone(), documents }));
        }
        rendered
    }

    fn documents(&self, file: &TeraFile, context: &Context) -> Result<Vec<Value>, Diagnostic> {
        let SourceFile { path, text } = &file.source;
        let path = &**path;
        let mut output = Capped(Vec::with_capacity(text.len() * 2));
        let rendered = self.tera.render_to(path, context, &mut output);
        let holes = meter::take_holes();
        rendered.map_err(|error| self.fault(path, &error))?;
        let text = String::from_utf8(output.0)
            .map_err(|_| Diagnostic::new(Rule::RENDER_UTF_8, path, "what the file renders is no UTF-8"))?;
        let skeleton = file.skeletons.parse(text).map_err(|error| {
            // The place is one of the rendered text, not of the file.
            let line = error.position.line;
            let message =
                format!("what the file renders is not the YAML of objects: {} (its line {line})", error.message);
            Diagnostic { help: error.help, ..Diagnostic::new(error.rule, path, message) }
        })?;
        skeleton.fill(&holes).map_err(|key| {
            let message = format!("the key {key:?} is rendered twice");
            let found = Diagnostic::new(Rule::YAML_DUPLICATE_KEY, path, message);
            found.help("Two values make the same key: give them different ones.")
        })
    }

    fn compile(&mut self, folder: &str) {
        if !self.found.is_empty() {
            return;
        }
        let mut tera = meter::tera();
        let files: BTreeMap<_, _> = self.sources.iter().map(|(path, (_, source))| (path, &source.rewritten)).collect();
        let added = tera.set_fallback_prefixes([folder.to_owned()]).and_then(|()| tera.add_raw_templates(files));
        match added {
            Ok(()) => self.tera = tera,
            Err(error) => self.found.push(self.fault(folder, &error)),
        }
    }

    /// Every name that is used is one that exists: also in a condition, where Tera would take it for false.
    fn check_names(&mut self, owner: FolderOwner, schema: Option<&Value>) {
        let declared: BTreeSet<_> = self.sources.values().flat_map(|(_, source)| source.declared.iter()).collect();
        let known = context::names(owner);
        let mut found = Vec::new();
        for (path, (_, source)) in &self.sources {
            for name in source.names.iter().filter(|name| !declared.contains(&name.root)) {
                let fields = match (name.root.as_str(), &name.field) {
                    ("params", Some(_)) if known.contains(&"params") => schema.and_then(context::properties),
                    ("app", Some(_)) if known.contains(&"app") => {
                        Some(context::APP_FIELDS.iter().map(|field| (*field).to_owned()).collect())
                    }
                    _ => None,
                };
                let (subject, names) = match (fields, &name.field) {
                    (Some(fields), Some(field)) if !fields.contains(field) => {
                        (format!("{}.{field}", name.root), fields)
                    }
                    _ if !known.contains(&name.root.as_str()) => {
                        (name.root.clone(), known.iter().map(|name| (*name).to_owned()).collect())
                    }
                    _ => continue,
                };
                let found_here = Diagnostic::new(Rule::RENDER_UNDEFINED, path, format!("{subject} is not defined"));
                found.push(found_here.at(name.position).help(format!("Defined here: {}.", names.join(", "))));
            }
        }
        found.sort();
        self.found.extend(found);
    }

    /// An error of Tera or of the meter, as a finding in the file as it was written.
    fn fault(&self, path: &str, error: &tera::Error) -> Diagnostic {
        let stop = meter::stopped();
        let (ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report)) = error.kind() else {
            return self.general(path, error);
        };
        let Some((text, source)) = self.sources.get(report.filename()) else {
            return Diagnostic::new(Rule::RENDER_TERA, path, report.message());
        };
        let at = report.span().range.start;
        let (subject, start) = source.expression(text, at).unwrap_or(("the value", source.original(text, at)));
        // The meter speaks of the whole expression, Tera of a part.
        let position = if stop.is_some() { start } else { source.original(text, at) };
        let (rule, message, help) = match stop {
            Some(Stop::Work) => (Rule::RENDER_LIMIT, report.message().to_owned(), "Loop over less, or over it once."),
            Some(Stop::Text) => {
                (Rule::RENDER_LIMIT, report.message().to_owned(), "Build no text by repeating another one.")
            }
            Some(Stop::Undefined) => (
                Rule::RENDER_UNDEFINED,
                format!("{subject} is not defined"),
                "Use `| default(value=…)` where it may be absent.",
            ),
            Some(Stop::Shape) => {
                let help = "Write a list or a map with a loop, or as a text with `| json`.";
                (Rule::RENDER_SHAPE, format!("{subject} {}", report.message()), help)
            }
            None if matches!(error.kind(), ErrorKind::SyntaxError(_)) => {
                (Rule::RENDER_SYNTAX, report.message().to_owned(), "Correct the template; its language is Tera.")
            }
            None if report.message().contains("not defined") => (
                Rule::RENDER_UNDEFINED,
                report.message().to_owned(),
                "Use `| default(value=…)` where it may be absent.",
            ),
            None => (Rule::RENDER_FAILED, report.message().to_owned(), "Correct the template or the app's parameters."),
        };
        Diagnostic::new(rule, report.filename(), message).at(position).help(help)
    }

    /// An error without a place.
    fn general(&self, path: &str, error: &tera::Error) -> Diagnostic {
        match error.kind() {
            ErrorKind::CircularInclude { tpl, include_chain } => {
                let message = format!("the file includes itself: {}", include_chain.join(" -> "));
                Diagnostic::new(Rule::RENDER_INCLUDE, tpl, message).help("Remove one of these includes.")
            }
            ErrorKind::Io(_) => {
                let found = Diagnostic::new(Rule::RENDER_LIMIT, path, "the file renders more than 4 MiB");
                found.help("Loop over less, or over it once.")
            }
            // Tera puts several reports in one text. The first line says what is wrong.
            kind => {
                let text = kind.to_string();
                let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
                match line.strip_prefix("Unknown template ") {
                    Some(name) => {
                        let message = format!("{name} is included, and no such file is in the folder");
                        let found = Diagnostic::new(Rule::RENDER_INCLUDE, path, message);
                        found.help("Name a file of this folder, such as {% include \"_labels.yaml\" %}.")
                    }
                    None => Diagnostic::new(Rule::RENDER_TERA, path, line)
                        .help("Correct the template; its language is Tera."),
                }
            }
        }
    }
}

/// Whether a rendering ends with this.
pub fn is_limit(found: &Diagnostic) -> bool {
    found.rule == Rule::RENDER_LIMIT
}

/// A buffer that refuses to grow beyond what one file may render.
struct Capped(Vec<u8>);

impl std::io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > meter::MAX_OUTPUT {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
