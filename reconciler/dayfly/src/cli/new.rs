//! `dayfly new`: an app from a template.

use std::fs;
use std::io::{BufRead, IsTerminal};

use dayfly_core::evaluate::{Desired, Evaluator};
use dayfly_core::names::{AppName, TemplateRef};
use dayfly_core::platform::{Platform, Template};
use dayfly_core::snapshot::{Entry, Snapshot};
use dayfly_core::yaml;
use serde_json::{Map, Value, json};

use super::{Context, Exit, usage_name};
use crate::error::Error;
use crate::git::{Commit, Repository, Writer, working_tree};

/// Start an app from a template
#[derive(clap::Args)]
pub struct New {
    /// The template, such as simple-survey/v1
    #[arg(long)]
    template: Option<String>,
    /// The app's name: lower case letters, digits and '-'
    #[arg(long)]
    name: Option<String>,
    /// A field of the app or a parameter of the template, such as owner=maya@example.com or title="Lunch poll"
    #[arg(long = "set", value_name = "K=V")]
    set: Vec<String>,
    /// Commit it
    #[arg(long)]
    commit: bool,
}

/// The fields that every app has, in their order in the manifest, with the question that asks for each.
const FIELDS: [(&str, &str); 7] = [
    ("tier", "Tier"),
    ("ttl", "How long it lives (such as 14d)"),
    ("costCenter", "Cost center"),
    ("owner", "Owner (a person's email address)"),
    ("team", "Team"),
    ("purpose", "Purpose, in a sentence"),
    ("dataClassification", "Data (public, internal, confidential, restricted)"),
];

impl New {
    /// Asks, writes, checks, commits.
    pub fn run(self, context: &Context) -> Exit {
        let root = &context.global.directory;
        let snapshot = working_tree(root)?;
        let platform = Platform::load(&snapshot, None);
        let mut ask = Asker { context, is_terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal() };
        let template = self.template(&platform, &mut ask)?;
        let name: AppName = usage_name(&ask.for_value(self.name.clone(), "--name", "Name of the app", None)?)?;
        let path = format!("apps/{name}/app.yaml");
        if snapshot.names("apps/").any(|taken| taken == name.as_str()) {
            return Err(Error::refused(format!("{path}: an app of that name stands already"), "choose another name"));
        }
        let manifest = self.manifest(&platform, &template, &name, &mut ask)?;
        let text = yaml::emit(&manifest);
        judge(context, &snapshot, &name, &path, &text)?;
        if self.commit {
            let repository = Repository::open(root)?;
            let tip = repository.tip()?;
            let message = format!("apps: start {name}\n\nDayfly-Action: create\nDayfly-App: {name}\n");
            let edits = [(path.clone(), Some(text.into_bytes()))];
            let commit = Commit {
                branch: &tip.branch,
                parent: Some(tip.revision),
                is_new_branch: false,
                edits: &edits,
                message: &message,
                time: context.now(),
            };
            let revision = Writer::open(root)?.commit(&commit)?;
            context.output.note(format!("{path}: written and committed ({})", revision.short()));
        } else {
            let file = root.join(&path);
            let folder = file.parent().unwrap_or(root);
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
            fs::write(&file, text).map_err(Error::file(&file))?;
            context.output.note(format!("{path}: written. Next: git add {path} && git commit"));
        }
        Ok(0)
    }

    fn template<'a>(&self, platform: &'a Platform, ask: &mut Asker<'_>) -> Result<(TemplateRef, &'a Template), Error> {
        let known: Vec<_> =
            platform.templates.iter().filter_map(|(name, item)| Some((name, item.loaded.as_ref().ok()?))).collect();
        let names = known.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(", ");
        let asked = ask.for_value(self.template.clone(), "--template", &format!("Template ({names})"), None)?;
        let found = known.into_iter().find(|(name, _)| name.to_string() == asked);
        let (name, template) = found.ok_or_else(|| {
            Error::refused(format!("{asked}: no such template under catalog/"), format!("the templates are {names}"))
        })?;
        Ok((name.clone(), template))
    }

    /// The manifest: `--set` first, then answers, then defaults; parameters by the template's schema.
    fn manifest(
        &self,
        platform: &Platform,
        (reference, template): &(TemplateRef, &Template),
        name: &AppName,
        ask: &mut Asker<'_>,
    ) -> Result<Value, Error> {
        let mut given = self.given()?;
        let mut spec = Map::from_iter([("template".to_owned(), json!(reference.to_string()))]);
        for (field, question) in FIELDS {
            let set = given.shift_remove(field);
            let default = match field {
                "tier" => template.tiers.first().map(ToString::to_string),
                "ttl" => default_ttl(platform, spec.get("tier").and_then(Value::as_str)),
                "dataClassification" => Some("internal".into()),
                _ => None,
            };
            let is_optional = field == "purpose";
            let value = if is_optional && !ask.is_terminal && set.is_none() {
                continue;
            } else {
                ask.for_value(set, &format!("--set {field}=…"), question, default)?
            };
            spec.insert(field.into(), json!(value));
        }
        let mut parameters = Map::new();
        let known = template.parameters["properties"].as_object().cloned().unwrap_or_default();
        for (parameter, schema) in &known {
            let set = given.shift_remove(parameter);
            let default = schema.get("default");
            if set.is_none() && default.is_some() && !ask.is_terminal {
                continue;
            }
            let title = schema["title"].as_str().unwrap_or(parameter);
            let text = default.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            let answer = ask.for_value(set, &format!("--set {parameter}=…"), title, text)?;
            parameters.insert(parameter.clone(), typed(&answer, schema));
        }
        if let Some(unknown) = given.keys().next() {
            let parameters = known.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(Error::usage(
                format!("--set {unknown}: neither a field nor a parameter of {reference}"),
                format!(
                    "the fields are {}; the parameters are {parameters}",
                    FIELDS.map(|(field, _)| field).join(", ")
                ),
            ));
        }
        if !parameters.is_empty() {
            spec.insert("parameters".into(), Value::Object(parameters));
        }
        Ok(json!({ "apiVersion": "dayfly.dev/v1", "kind": "App", "metadata": { "name": name }, "spec": spec }))
    }

    fn given(&self) -> Result<Map<String, Value>, Error> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), Value::from(value))),
            None => {
                Err(Error::usage(format!("--set {text}: no '=' in it"), "write it like --set owner=maya@example.com"))
            }
        };
        self.set.iter().map(pair).collect()
    }
}

/// Text as the parameter's schema types it; the check that follows says what does not fit.
fn typed(text: &str, schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("string") | None => json!(text),
        _ => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}

fn default_ttl(platform: &Platform, tier: Option<&str>) -> Option<String> {
    let environment = platform.environments.get(&tier?.parse().ok()?)?.loaded.as_ref().ok()?;
    Some(format!("{}d", (environment.ttl.default.as_hours() / 24).max(1)))
}

/// Refuses an app that `check` would refuse.
fn judge(context: &Context, snapshot: &Snapshot, name: &AppName, path: &str, text: &str) -> Result<(), Error> {
    let with = snapshot.patched(None, [(path.to_owned(), Some(Entry::file(text.as_bytes())))]);
    let platform = Platform::load(&with, None);
    let evaluation = Evaluator::default().evaluate(&Desired { tip: &platform, approved: None }, context.now());
    let evaluated = evaluation.instances.get(name);
    context.output.diagnostics(evaluated.into_iter().flat_map(|evaluated| evaluated.diagnostics()));
    if evaluated.is_some_and(|evaluated| evaluated.admitted().is_some()) {
        return Ok(());
    }
    Err(Error::refused(format!("{name}: nothing was written"), "give other values with --set"))
}

/// Asks a person on a terminal; elsewhere what is absent is an error that names the flag.
struct Asker<'a> {
    context: &'a Context,
    is_terminal: bool,
}

impl Asker<'_> {
    fn for_value(
        &mut self,
        given: Option<impl Into<Value>>,
        flag: &str,
        question: &str,
        default: Option<String>,
    ) -> Result<String, Error> {
        if let Some(given) = given {
            let given: Value = given.into();
            return Ok(given.as_str().map_or_else(|| given.to_string(), str::to_owned));
        }
        if !self.is_terminal {
            return default.ok_or_else(|| Error::usage(format!("{flag} is needed"), format!("it answers: {question}")));
        }
        loop {
            let hint = default.as_deref().map(|default| format!(" [{default}]")).unwrap_or_default();
            self.context.output.prompt(&format!("{question}{hint}: "));
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line).map_err(Error::file("standard input"))?;
            match (line.trim(), &default) {
                ("", Some(default)) => return Ok(default.clone()),
                ("", None) if read == 0 => {
                    return Err(Error::usage(format!("{flag} is needed"), format!("it answers: {question}")));
                }
                ("", None) => {}
                (answer, _) => return Ok(answer.to_owned()),
            }
        }
    }
}
