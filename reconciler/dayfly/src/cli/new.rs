//! `dayfly new`: an app from a template.

mod questions;

use dayfly_controller::error::Error;
use dayfly_git::working_tree;
use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use dayfly_model::platform::Platform;
use dayfly_model::snapshot::Snapshot;
use serde_json::{Map, Value};

use self::questions::{ChosenTemplate, FIELDS, QuestionRound};
use super::context::CommandContext;
use super::dialog::{Dialog, Question};
use super::{CommandResult, proposed};
use crate::operations::new_app::AppTrial;
use crate::operations::{names, new_app};

/// Start an app from a template
#[derive(clap::Args)]
pub struct NewArgs {
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

impl NewArgs {
    /// Asks, writes, checks, commits.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let snapshot = working_tree(context.platform()?.directory())?;
        let platform = Platform::load(&snapshot, None);
        let mut dialog = Dialog::new(&context.printer);
        let (name, manifest) = self.answers(context, &snapshot, &platform, &mut dialog)?;
        let path = format!("apps/{name}/app.yaml");
        let commit = self.write(context, &name, &path, &manifest)?;
        let (action, tier) = ("create".to_owned(), manifest["spec"]["tier"].as_str().unwrap_or_default());
        let title = format!("{name}: start from {}", manifest["spec"]["template"].as_str().unwrap_or_default());
        proposed::ProposalReport { action, app: &name, tier, commit, branch: None, path, title: &title }
            .print(context)?;
        Ok(0)
    }

    /// The app's name and its manifest, which `check` admits. A person whose app it refuses answers again, and finds every
    /// answer kept.
    fn answers(
        &self,
        context: &CommandContext,
        snapshot: &Snapshot,
        platform: &Platform,
        dialog: &mut Dialog<'_>,
    ) -> Result<(AppName, Value), Error> {
        let template = self.template(platform, dialog)?;
        let name = self.name(snapshot, dialog)?;
        let mut given = self.given(&template)?;
        let mut before = Value::Null;
        let trial = AppTrial::new(snapshot, &name, context.now());
        loop {
            let round =
                QuestionRound { template: &template, name: &name, given, before: &before, dialog, trial: &trial };
            let manifest = round.manifest(platform)?;
            let judged = trial.app(&manifest);
            context.printer.diagnostics(&judged.diagnostics);
            if judged.is_admitted {
                return Ok((name, manifest));
            }
            if !dialog.is_open() {
                let fact = format!("{name}: nothing was written");
                return Err(Error::refused(fact, "give other values with --set"));
            }
            dialog.say("The app is not admitted like this. Enter keeps what you answered:");
            (given, before) = (Map::new(), manifest);
        }
    }

    /// Writes the manifest, as a file or as a commit.
    fn write(
        &self,
        context: &CommandContext,
        name: &AppName,
        path: &str,
        manifest: &Value,
    ) -> Result<Option<Revision>, Error> {
        let (printer, root) = (&context.printer, &context.global.directory);
        if !self.commit {
            new_app::write(root, path, manifest)?;
            printer.note(format!("{path}: written. Next: git add {path} && git commit"));
            return Ok(None);
        }
        let revision = new_app::commit(root, name, path, manifest, context.now())?;
        printer.note(format!("{path}: written and committed ({})", revision.short()));
        Ok(Some(revision))
    }

    fn template<'a>(&self, platform: &'a Platform, dialog: &mut Dialog<'_>) -> Result<ChosenTemplate<'a>, Error> {
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
            let name: AppName = names::parsed(answer)?;
            if snapshot.names("apps/").any(|taken| taken == name.as_str()) {
                let fact = format!("apps/{name}/app.yaml: an app of that name stands already");
                return Err(Error::refused(fact, "choose another name"));
            }
            Ok(name)
        })?;
        name.ok_or_else(|| Error::usage("--name is needed", "name one"))
    }

    /// What `--set` gives: fields of every app, and parameters of the template.
    fn given(&self, (reference, template): &ChosenTemplate<'_>) -> Result<Map<String, Value>, Error> {
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

#[cfg(test)]
mod tests;
