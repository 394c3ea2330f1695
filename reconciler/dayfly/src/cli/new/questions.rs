//! The questions of `dayfly new`: the fields of every app, then the parameters of the template.

use dayfly_controller::error::Error;
use dayfly_model::names::{AppName, TemplateRef};
use dayfly_model::platform::{Platform, Template};
use serde_json::{Map, Value, json};

use super::super::dialog::{Dialog, Question};
use crate::operations::new_app::{AppTrial, app_manifest};

/// The fields that every app has, in their order in the manifest, with the question that asks for each.
pub const FIELDS: [(&str, &str); 7] = [
    ("tier", "Tier"),
    ("ttl", "How long it lives (such as 14d)"),
    ("costCenter", "Cost center"),
    ("owner", "Owner (a person's email address)"),
    ("team", "Team"),
    ("purpose", "Purpose, in a sentence"),
    ("dataClassification", "Data (public, internal, confidential, restricted)"),
];

/// A choice of the template: the first answer, on which the others depend.
pub type ChosenTemplate<'a> = (TemplateRef, &'a Template);

/// One round of questions. What was given counts first, then answers, then those of the round before, then defaults.
pub struct QuestionRound<'a, 'd> {
    pub template: &'a ChosenTemplate<'a>,
    pub name: &'a AppName,
    pub given: Map<String, Value>,
    pub before: &'a Value,
    pub dialog: &'a mut Dialog<'d>,
    pub trial: &'a AppTrial<'a>,
}

impl QuestionRound<'_, '_> {
    /// The manifest that comes of it.
    pub fn manifest(mut self, platform: &Platform) -> Result<Value, Error> {
        let mut spec = self.fields(platform)?;
        let parameters = self.parameters(&spec)?;
        if !parameters.is_empty() {
            spec.insert("parameters".into(), Value::Object(parameters));
        }
        Ok(app_manifest(self.name, &spec))
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
                let judged = if is_open { trial.field(&with, &format!("spec.{field}")) } else { Ok(()) };
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
                let judged = if is_open { trial.field(&with, &format!("spec.parameters.{parameter}")) } else { Ok(()) };
                judged.map(|()| value)
            })?;
            parameters.extend(value.map(|value| (parameter.clone(), value)));
        }
        Ok(parameters)
    }
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
