//! `dayfly new`: an app from a template.

use std::fs;

use dayfly_controller::error::Error;
use dayfly_git::{Base, Commit, Repository, Writer, working_tree};
use dayfly_judge::evaluate::{Desired, Evaluator};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Revision;
use dayfly_model::names::{AppName, TemplateRef};
use dayfly_model::platform::{Platform, Template};
use dayfly_model::snapshot::{FileEntry, Snapshot};
use dayfly_model::yaml;
use serde_json::{Map, Value, json};

use super::dialog::{Dialog, Question};
use super::{Context, Exit, proposed, usage_name};

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

/// A choice of the template: the first answer, on which the others depend.
type Chosen<'a> = (TemplateRef, &'a Template);

impl New {
    /// Asks, writes, checks, commits.
    pub fn run(self, context: &Context) -> Exit {
        let snapshot = working_tree(context.platform()?.directory())?;
        let platform = Platform::load(&snapshot, None);
        let mut dialog = Dialog::new(&context.output);
        let (name, manifest) = self.answers(context, &snapshot, &platform, &mut dialog)?;
        let path = format!("apps/{name}/app.yaml");
        let commit = self.write(context, &name, &path, yaml::emit(&manifest))?;
        let (action, tier) = ("create".to_owned(), manifest["spec"]["tier"].as_str().unwrap_or_default());
        let title = format!("{name}: start from {}", manifest["spec"]["template"].as_str().unwrap_or_default());
        proposed::Told { action, app: &name, tier, commit, branch: None, path, title: &title }.print(context)?;
        Ok(0)
    }

    /// The app's name and its manifest, which `check` admits. A person whose app it refuses answers again, and finds every
    /// answer kept.
    fn answers(
        &self,
        context: &Context,
        snapshot: &Snapshot,
        platform: &Platform,
        dialog: &mut Dialog<'_>,
    ) -> Result<(AppName, Value), Error> {
        let template = self.template(platform, dialog)?;
        let name = self.name(snapshot, dialog)?;
        let mut given = self.given(&template)?;
        let mut before = Value::Null;
        loop {
            let trial = Trial::new(context, snapshot, &name);
            let round = Round { template: &template, name: &name, given, before: &before, dialog, trial: &trial };
            let manifest = round.manifest(platform)?;
            match judge(context, snapshot, &name, &yaml::emit(&manifest)) {
                Ok(()) => return Ok((name, manifest)),
                Err(error) if !dialog.is_open() => return Err(error),
                Err(_) => dialog.say("The app is not admitted like this. Enter keeps what you answered:"),
            }
            (given, before) = (Map::new(), manifest);
        }
    }

    /// Writes the manifest, as a file or as a commit.
    fn write(&self, context: &Context, name: &AppName, path: &str, text: String) -> Result<Option<Revision>, Error> {
        let root = &context.global.directory;
        if self.commit {
            let repository = Repository::open(root)?;
            let tip = repository.tip()?;
            let message = format!("apps: start {name}\n\nDayfly-Action: create\nDayfly-App: {name}\n");
            let edits = vec![(path.to_owned(), Some(text.into_bytes()))];
            let commit = Commit { edits, message, time: context.now() };
            let revision = Writer::open(root)?.commit(&tip.branch, Base::Tip(tip.revision), &commit)?;
            context.output.note(format!("{path}: written and committed ({})", revision.short()));
            return Ok(Some(revision));
        }
        let file = root.join(path);
        let folder = file.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        fs::write(&file, text).map_err(Error::file(&file))?;
        context.output.note(format!("{path}: written. Next: git add {path} && git commit"));
        Ok(None)
    }

    fn template<'a>(&self, platform: &'a Platform, dialog: &mut Dialog<'_>) -> Result<Chosen<'a>, Error> {
        let known: Vec<_> =
            platform.templates.iter().filter_map(|(name, item)| Some((name, item.loaded.as_ref().ok()?))).collect();
        let names = known.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(", ");
        if self.template.is_none() {
            for (number, (name, template)) in known.iter().enumerate() {
                dialog.say(&format!("  {} {name}: {}", number + 1, template.title));
            }
        }
        let text = if dialog.is_open() { "Template, or its number".into() } else { format!("Template ({names})") };
        let question = Question::needed("--template", &text, self.template.clone());
        let found = dialog.ask(question, |answer| {
            let number = answer.parse::<usize>().ok().and_then(|number| known.get(number.checked_sub(1)?));
            let found = known.iter().find(|(name, _)| name.to_string() == answer).or(number);
            found.map(|(name, template)| ((*name).clone(), &***template)).ok_or_else(|| {
                Error::refused(
                    format!("{answer}: no such template under catalog/"),
                    format!("the templates are {names}"),
                )
            })
        })?;
        found.ok_or_else(|| Error::usage("--template is needed", "name one"))
    }

    fn name(&self, snapshot: &Snapshot, dialog: &mut Dialog<'_>) -> Result<AppName, Error> {
        let question = Question::needed("--name", "Name of the app", self.name.clone());
        let name = dialog.ask(question, |answer| {
            let name: AppName = usage_name(answer)?;
            if snapshot.names("apps/").any(|taken| taken == name.as_str()) {
                let fact = format!("apps/{name}/app.yaml: an app of that name stands already");
                return Err(Error::refused(fact, "choose another name"));
            }
            Ok(name)
        })?;
        name.ok_or_else(|| Error::usage("--name is needed", "name one"))
    }

    /// What `--set` gives: fields of every app, and parameters of the template.
    fn given(&self, (reference, template): &Chosen<'_>) -> Result<Map<String, Value>, Error> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), Value::from(value))),
            None => {
                Err(Error::usage(format!("--set {text}: no '=' in it"), "write it like --set owner=maya@example.com"))
            }
        };
        let given: Map<String, Value> = self.set.iter().map(pair).collect::<Result<_, _>>()?;
        let parameters = template.parameters["properties"].as_object();
        let is_known = |key: &str| {
            FIELDS.iter().any(|(field, _)| *field == key) || parameters.is_some_and(|known| known.contains_key(key))
        };
        let Some(unknown) = given.keys().find(|key| !is_known(key)) else { return Ok(given) };
        let parameters = parameters.into_iter().flat_map(|known| known.keys().cloned()).collect::<Vec<_>>().join(", ");
        Err(Error::usage(
            format!("--set {unknown}: neither a field nor a parameter of {reference}"),
            format!("the fields are {}; the parameters are {parameters}", FIELDS.map(|(field, _)| field).join(", ")),
        ))
    }
}

/// One round of questions. What was given counts first, then answers, then those of the round before, then defaults.
struct Round<'a, 'd> {
    template: &'a Chosen<'a>,
    name: &'a AppName,
    given: Map<String, Value>,
    before: &'a Value,
    dialog: &'a mut Dialog<'d>,
    trial: &'a Trial<'a>,
}

impl Round<'_, '_> {
    /// The manifest that comes of it.
    fn manifest(mut self, platform: &Platform) -> Result<Value, Error> {
        let mut spec = self.fields(platform)?;
        let parameters = self.parameters(&spec)?;
        if !parameters.is_empty() {
            spec.insert("parameters".into(), Value::Object(parameters));
        }
        Ok(whole(self.name, &spec))
    }

    /// The fields that every app has.
    fn fields(&mut self, platform: &Platform) -> Result<Map<String, Value>, Error> {
        let (reference, template) = self.template;
        let mut spec = Map::from_iter([("template".to_owned(), json!(reference.to_string()))]);
        for (field, text) in FIELDS {
            let default = match field {
                "tier" => template.tiers.first().map(ToString::to_string),
                "ttl" => default_ttl(platform, spec.get("tier").and_then(Value::as_str)),
                "dataClassification" => Some("internal".into()),
                _ => None,
            };
            let default = self.before["spec"][field].as_str().map(str::to_owned).or(default);
            let given = self.given.shift_remove(field).map(|value| shown(&value));
            let flag = format!("--set {field}=…");
            let question = Question { flag: &flag, text, given, default, optional: field == "purpose" };
            let (trial, is_open) = (self.trial, self.dialog.is_open());
            let value = self.dialog.ask(question, |answer| {
                let with = spec.clone().into_iter().chain([(field.to_owned(), json!(answer))]).collect();
                let judged = if is_open { trial.of(&with, &format!("spec.{field}")) } else { Ok(()) };
                judged.map(|()| json!(answer))
            })?;
            spec.extend(value.map(|value| (field.to_owned(), value)));
        }
        Ok(spec)
    }

    /// The template's parameters, by its schema.
    fn parameters(&mut self, spec: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let schema = &self.template.1.parameters;
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut parameters = Map::new();
        for (parameter, schema) in schema["properties"].as_object().into_iter().flatten() {
            let given = self.given.shift_remove(parameter).map(|value| shown(&value));
            let (trial, is_open) = (self.trial, self.dialog.is_open());
            let default = schema.get("default");
            if given.is_none() && default.is_some() && !is_open {
                continue;
            }
            let default = self.before.pointer(&format!("/spec/parameters/{parameter}")).or(default).map(shown);
            let (flag, text) = (format!("--set {parameter}=…"), question_of(parameter, schema));
            let optional = !required.iter().any(|name| name == parameter);
            let value = self.dialog.ask(Question { flag: &flag, text: &text, given, default, optional }, |answer| {
                let value = typed(answer, schema);
                let answered: Map<_, _> =
                    parameters.clone().into_iter().chain([(parameter.clone(), value.clone())]).collect();
                let with = spec.clone().into_iter().chain([("parameters".to_owned(), json!(answered))]).collect();
                let judged = if is_open { trial.of(&with, &format!("spec.parameters.{parameter}")) } else { Ok(()) };
                judged.map(|()| value)
            })?;
            parameters.extend(value.map(|value| (parameter.clone(), value)));
        }
        Ok(parameters)
    }
}

fn whole(name: &AppName, spec: &Map<String, Value>) -> Value {
    json!({ "apiVersion": "dayfly.dev/v1", "kind": "App", "metadata": { "name": name }, "spec": spec })
}

/// What a parameter's question says: its title or description, and the form of an answer.
fn question_of(parameter: &str, schema: &Value) -> String {
    let title = schema["title"].as_str().or(schema["description"].as_str()).unwrap_or(parameter);
    let options = schema["enum"].as_array().map(|options| options.iter().map(shown).collect::<Vec<_>>().join(", "));
    match (options, schema["type"].as_str()) {
        (Some(options), _) => format!("{title} ({options})"),
        (None, Some("array")) => format!("{title} (separated by commas)"),
        (None, Some("boolean")) => format!("{title} (yes or no)"),
        (None, Some("object")) => format!("{title} (as JSON)"),
        _ => title.to_owned(),
    }
}

/// A value as a person would type it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::Array(items) if items.iter().all(|item| item.as_str().is_some_and(|text| !text.contains(','))) => {
            items.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Text as the parameter's schema types it; the check that follows says what does not fit.
fn typed(text: &str, schema: &Value) -> Value {
    let read = serde_json::from_str(text).ok();
    match schema["type"].as_str() {
        Some("string") | None => json!(text),
        Some("array") => read.filter(Value::is_array).unwrap_or_else(|| {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(|item| typed(item, &schema["items"])).collect()
        }),
        Some("boolean") => match text.to_lowercase().as_str() {
            "yes" | "y" => json!(true),
            "no" | "n" => json!(false),
            _ => read.unwrap_or_else(|| json!(text)),
        },
        _ => read.unwrap_or_else(|| json!(text)),
    }
}

fn default_ttl(platform: &Platform, tier: Option<&str>) -> Option<String> {
    let environment = platform.environments.get(&tier?.parse().ok()?)?.loaded.as_ref().ok()?;
    Some(format!("{}d", (environment.ttl.default.as_hours() / 24).max(1)))
}

/// Tries an answer before the others are known.
struct Trial<'a> {
    context: &'a Context,
    /// The platform without its other apps: they are no part of the question.
    snapshot: Snapshot,
    name: &'a AppName,
}

impl<'a> Trial<'a> {
    fn new(context: &'a Context, snapshot: &Snapshot, name: &'a AppName) -> Self {
        Self { context, snapshot: snapshot.with_folders_of(&Snapshot::default(), &["apps/"]), name }
    }

    /// What `check` would say about this field. What is not answered yet has a stand-in.
    fn of(&self, spec: &Map<String, Value>, field: &str) -> Result<(), Error> {
        let mut spec = spec.clone();
        for (name, stand_in) in [("ttl", "1h"), ("costCenter", "CC-0"), ("owner", "a@example.com"), ("team", "team")] {
            spec.entry(name).or_insert_with(|| json!(stand_in));
        }
        let found = judged(self.context, &self.snapshot, self.name, &yaml::emit(&whole(self.name, &spec))).0;
        let is_about = |found: &Diagnostic| {
            let rest = found.message.strip_prefix(field);
            found.is_error() && rest.is_some_and(|rest| rest.starts_with([':', '.', '[']))
        };
        let Some(wrong) = found.into_iter().find(is_about) else { return Ok(()) };
        Err(Error::refused(wrong.message, wrong.help.unwrap_or_else(|| "give another value".into())))
    }
}

/// What `check` finds wrong with an app that would stand there, and whether it is admitted.
fn judged(context: &Context, snapshot: &Snapshot, name: &AppName, text: &str) -> (Vec<Diagnostic>, bool) {
    let path = format!("apps/{name}/app.yaml");
    let with = snapshot.patched(None, [(path, Some(FileEntry::file(text.as_bytes())))]);
    let platform = Platform::load(&with, None);
    let evaluation = Evaluator::default().evaluate(&Desired { tip: &platform, approved: None }, context.now());
    let Some(evaluated) = evaluation.instances.get(name) else { return (Vec::new(), false) };
    (evaluated.diagnostics().cloned().collect(), evaluated.admitted().is_some())
}

/// Refuses an app that `check` would refuse.
fn judge(context: &Context, snapshot: &Snapshot, name: &AppName, text: &str) -> Result<(), Error> {
    let (found, is_admitted) = judged(context, snapshot, name, text);
    context.output.diagnostics(&found);
    if is_admitted {
        return Ok(());
    }
    Err(Error::refused(format!("{name}: nothing was written"), "give other values with --set"))
}

#[cfg(test)]
mod tests;
