//! A folder of Tera sources, checked and compiled once for all apps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dayfly_model::diagnostic::{Diagnostic, Position};
use dayfly_model::platform::app::Egress;
use dayfly_model::platform::{Environment, Instance};
use dayfly_model::rule::Rule;
use serde::Serialize;
use serde_json::Value;
use tera::{Context, ErrorKind, Tera};

use super::meter::{self, Stop};
use super::skeleton::Skeletons;
use super::source::Source;

/// The files of one folder at most, and their bytes together.
const MAX_FILES: usize = 100;
const MAX_BYTES: usize = 1 << 20;

/// Whose folder it is, and so which names its files see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `catalog/<template>/v<major>/resources/`
    Template,
    /// `environments/<tier>/resources/`
    Environment,
    /// `environments/<tier>/shared/`
    Shared,
}

/// A compiled folder, or what is wrong with it.
pub struct Compiled {
    /// The files that are rendered on their own, in the order of their paths.
    pub files: Vec<File>,
    /// What is wrong; nothing can be rendered then.
    pub found: Vec<Diagnostic>,
    tera: Tera,
    sources: HashMap<String, (Arc<str>, Source)>,
}

/// A file that is rendered on its own.
pub struct File {
    /// From the repository's root.
    pub path: String,
    /// As it was written.
    pub text: Arc<str>,
    skeletons: Skeletons,
}

impl File {
    /// Where the first line that starts with this stands; the whole file if none does.
    pub fn line(&self, start: &str) -> Position {
        let line = self.text.lines().position(|line| line.trim_start().starts_with(start));
        match line {
            Some(index) => {
                let indent = self.text.lines().nth(index).map_or(0, |line| line.len() - line.trim_start().len());
                Position { line: index as u32 + 1, column: indent as u32 + 1 }
            }
            None => Position::default(),
        }
    }
}

impl Compiled {
    /// Reads and compiles the files of a folder (`catalog/x/v1/resources/`).
    pub fn new(folder: &str, files: &BTreeMap<String, Arc<str>>, scope: Scope, schema: Option<&Value>) -> Self {
        let mut compiled = Self { files: vec![], found: vec![], tera: meter::tera(), sources: HashMap::new() };
        if files.len() > MAX_FILES || files.values().map(|text| text.len()).sum::<usize>() > MAX_BYTES {
            let message = format!("the folder has more than {MAX_FILES} files or 1 MiB");
            compiled
                .found
                .push(Diagnostic::new(Rule::RENDER_LIMIT, folder, message).help("Split the template in two."));
            return compiled;
        }
        for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".yaml") || path.ends_with(".yml")) {
            match Source::read(path, text) {
                Ok(source) => {
                    compiled.sources.insert(path.clone(), (text.clone(), source));
                }
                Err(found) => compiled.found.push(found),
            }
            if !path.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
                compiled.files.push(File { path: path.clone(), text: text.clone(), skeletons: Skeletons::default() });
            }
        }
        compiled.check_names(scope, schema);
        compiled.compile(folder);
        compiled
    }

    /// Whether any file names this.
    pub fn uses(&self, root: &str) -> bool {
        self.sources.values().any(|(_, source)| source.names.iter().any(|name| name.root == root))
    }

    /// Renders one file to its documents.
    pub fn render(&self, file: &File, context: &Context) -> Result<Vec<Value>, Diagnostic> {
        let mut output = Capped(Vec::with_capacity(file.text.len() * 2));
        let rendered = self.tera.render_to(&file.path, context, &mut output);
        let holes = meter::take_holes();
        rendered.map_err(|error| self.fault(&file.path, &error))?;
        let text = String::from_utf8(output.0)
            .map_err(|_| Diagnostic::new(Rule::RENDER_UTF_8, &file.path, "what the file renders is no UTF-8"))?;
        let skeleton = file.skeletons.parse(text).map_err(|error| {
            // The place is one of the rendered text, not of the file.
            let line = error.position.line;
            let message =
                format!("what the file renders is not the YAML of objects: {} (its line {line})", error.message);
            Diagnostic { help: error.help, ..Diagnostic::new(error.rule, &file.path, message) }
        })?;
        skeleton.fill(&holes).map_err(|key| {
            let found =
                Diagnostic::new(Rule::YAML_DUPLICATE_KEY, &file.path, format!("the key {key:?} is rendered twice"));
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
    fn check_names(&mut self, scope: Scope, schema: Option<&Value>) {
        let declared: BTreeSet<_> = self.sources.values().flat_map(|(_, source)| source.declared.iter()).collect();
        let known = roots(scope);
        let mut found = Vec::new();
        for (path, (_, source)) in &self.sources {
            for name in source.names.iter().filter(|name| !declared.contains(&name.root)) {
                let fields = match (name.root.as_str(), &name.field) {
                    ("params", Some(_)) if known.contains(&"params") => schema.and_then(properties),
                    ("app", Some(_)) if known.contains(&"app") => {
                        Some(APP.iter().map(|field| (*field).to_owned()).collect())
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
            // Several reports in one text: the first line says what, and names the file below.
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

/// The properties of a parameters' schema, if it says that there are no others.
fn properties(schema: &Value) -> Option<Vec<String>> {
    let closed =
        schema["additionalProperties"].as_bool() == Some(false) || schema.get("additionalProperties").is_none();
    closed.then(|| schema["properties"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default())
}

const APP: &[&str] =
    &["name", "team", "owner", "ownerLogin", "costCenter", "purpose", "dataClassification", "template", "version"];

fn roots(scope: Scope) -> &'static [&'static str] {
    const ALL: &[&str] = &[
        "app",
        "connectors",
        "egress",
        "files",
        "host",
        "hostnames",
        "namespace",
        "runtime",
        "secrets",
        "suspend",
        "tier",
        "params",
    ];
    match scope {
        Scope::Template => ALL,
        Scope::Environment => &ALL[..ALL.len() - 1],
        Scope::Shared => &["tier"],
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppView<'a> {
    name: &'a str,
    team: &'a str,
    owner: &'a str,
    owner_login: Option<&'a str>,
    cost_center: &'a str,
    purpose: Option<&'a str>,
    data_classification: dayfly_model::platform::app::DataClassification,
    template: String,
    version: String,
}

#[derive(Serialize)]
struct EgressView<'a> {
    cidr: Option<&'a str>,
    hostname: Option<&'a str>,
    port: u16,
}

/// What an app's files see, and its size in bytes.
pub fn context(instance: &Instance, with_files: bool) -> (Context, usize) {
    let (app, template) = (&instance.app, &instance.template);
    let mut context = Context::new();
    context.insert(
        "app",
        &AppView {
            name: app.name.as_str(),
            team: &app.team,
            owner: &app.owner,
            owner_login: app.owner_login.as_deref(),
            cost_center: &app.cost_center,
            purpose: app.purpose.as_deref(),
            data_classification: app.data_classification,
            template: template.reference.to_string(),
            version: template.version.to_string(),
        },
    );
    let absent = properties(&template.parameters).unwrap_or_default();
    let absent = absent.iter().filter(|name| !instance.parameters.contains_key(*name)).map(|name| (name, &Value::Null));
    let params: BTreeMap<_, _> = instance.parameters.iter().chain(absent).collect();
    context.insert("params", &params);
    context.insert("tier", instance.key.tier.as_str());
    context.insert("namespace", &instance.namespace);
    context.insert("host", &instance.host);
    context.insert("runtime", &instance.runtime);
    context.insert("suspend", &app.suspend);
    context.insert("connectors", &app.connectors);
    context.insert("secrets", &template.secrets);
    context.insert("egress", &app.egress.iter().map(egress).collect::<Vec<_>>());
    context.insert("hostnames", &instance.environment.egress_hostnames);
    if with_files {
        let text = |bytes: &Arc<[u8]>| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let files: BTreeMap<_, _> = app.files.iter().filter_map(|(path, bytes)| Some((path, text(bytes)?))).collect();
        context.insert("files", &files);
    }
    let files = if with_files { app.files.values().map(|bytes| bytes.len()).sum() } else { 0 };
    let size = context.get("params").map_or(0, meter::size_of) + app.egress.len() * 64 + files + 512;
    (context, size + app.purpose.as_ref().map_or(0, String::len))
}

/// What the files of `shared/` see.
pub fn shared_context(environment: &Environment) -> Context {
    let mut context = Context::new();
    context.insert("tier", environment.tier.as_str());
    context
}

fn egress(egress: &Egress) -> EgressView<'_> {
    match egress {
        Egress::Cidr { cidr, port } => EgressView { cidr: Some(cidr), hostname: None, port: *port },
        Egress::Hostname { hostname, port } => EgressView { cidr: None, hostname: Some(hostname), port: *port },
    }
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
