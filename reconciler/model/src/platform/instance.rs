//! An app in its tier: the checks that need app, template and environment together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::app::{Egress, Lifetime};
use super::check::{SchemaRules, list, suggestion};
use super::environment::EgressHostnames;
use super::format::duration_text;
use super::naming::Placement;
use super::template::TemplateStatus;
use super::{App, Environment, Instance, Item, Platform, Template, parameters};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::{AppName, InstanceKey};
use crate::rule::Rule;

impl Platform {
    /// An app with its template and environment, its parameters complete and valid.
    ///
    /// # Errors
    /// Everything that is wrong with the app, sorted.
    pub fn instance(&self, name: &AppName) -> Result<Instance, Diagnostics> {
        let Some(item) = self.apps.get(name) else { return Err(vec![self.unknown_app(name)].into()) };
        let app = item.loaded.as_ref().map_err(Arc::clone)?;
        let mut checks = Checks { app, found: Vec::new() };
        let template = checks.template(self);
        let environment = checks.environment(self);
        let placement = self.placements.get(name);
        if let (Some(template), Some(environment)) = (template, environment) {
            checks.pair(template, environment);
        }
        let values = template.map(|template| checks.parameters(template));
        let conflict = self.conflicts.get(name).cloned();
        checks.found.extend(conflict);
        let (namespace, host) = placement.map(|placement| checks.place(placement)).unwrap_or_default();
        let (mut errors, warnings): (Vec<_>, Vec<_>) = checks.found.into_iter().partition(Diagnostic::is_error);
        match (template, environment, values, namespace) {
            (Some(template), Some(environment), Some(parameters), Some(namespace)) if errors.is_empty() => {
                Ok(Instance {
                    key: InstanceKey { app: name.clone(), tier: app.tier.clone() },
                    app: app.clone(),
                    template: template.clone(),
                    environment: environment.clone(),
                    parameters,
                    namespace,
                    host,
                    runtime: app.runtime.clone().or_else(|| template.runtimes.first().cloned()).unwrap_or_default(),
                    warnings: item.warnings.iter().cloned().chain(warnings).collect(),
                })
            }
            _ => {
                errors.sort();
                Err(errors.into())
            }
        }
    }

    /// Everything found outside instances: the platform's own findings and those of all items, in no particular order.
    pub fn findings(&self) -> impl Iterator<Item = &Diagnostic> {
        let own = self.diagnostics.iter().chain(self.policies.findings());
        own.chain(self.apps.values().flat_map(Item::findings))
            .chain(self.templates.values().flat_map(Item::findings))
            .chain(self.environments.values().flat_map(Item::findings))
            .chain(self.waivers.values().flat_map(Item::findings))
    }

    /// The waivers that could be read.
    pub fn readable_waivers(&self) -> impl Iterator<Item = &Arc<super::Waiver>> {
        self.waivers.values().filter_map(Item::get)
    }

    /// Why an app may not live where it would, if another one does.
    pub fn conflict(&self, name: &AppName) -> Option<&Diagnostic> {
        self.conflicts.get(name)
    }

    fn unknown_app(&self, name: &AppName) -> Diagnostic {
        let unknown = Diagnostic::new(Rule::APP_UNKNOWN, format!("apps/{name}"), "is absent").about(name);
        match suggestion(name.as_str(), self.apps.keys().map(AppName::as_str)) {
            Some(near) => unknown.help(format!("Did you mean `{near}`?")),
            None => unknown.help("`dayfly status` lists the apps."),
        }
    }

    /// Renders where each readable app lives, and finds those that would live in one place.
    pub(super) fn place(&mut self, old: &BTreeMap<AppName, Arc<Placement>>) {
        for (name, item) in &self.apps {
            let Some(app) = item.get() else { continue };
            let Some(environment) = self.environments.get(&app.tier).and_then(Item::get) else { continue };
            let placement = match old.get(name).filter(|placement| placement.is_of(app, environment)) {
                Some(same) => same.clone(),
                None => Arc::new(Placement::of(app, environment)),
            };
            self.placements.insert(name.clone(), placement);
        }
        self.conflicts = conflicts(&self.placements);
    }
}

impl Instance {
    /// That the template's last day is over.
    pub fn past_sunset(&self, now: Timestamp) -> Option<Diagnostic> {
        let last = self.template.status.ended(now)?;
        let message = format!("{} ended on {last}, and nothing may use it any more", self.app.template);
        let found = self.app.spans.finding(Rule::APP_TEMPLATE_RETIRED, "spec.template", message);
        Some(found.about(&self.app.name).help("Choose another template; what runs goes on unchanged."))
    }
}

/// Apps whose namespace another app has on the same cluster. Where their tiers differ, the higher tier's app keeps it, so
/// that nobody takes a promoted app down by naming a new one after it.
fn conflicts(placements: &BTreeMap<AppName, Arc<Placement>>) -> BTreeMap<AppName, Diagnostic> {
    let home = |placement| {
        let Placement { environment, namespace, .. } = Arc::as_ref(placement);
        Some(((&environment.cluster, namespace.as_ref().ok()?), placement))
    };
    let mut homes: Vec<_> = placements.values().filter_map(home).collect();
    homes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut conflicts = BTreeMap::new();
    for living in homes.chunk_by(|a, b| a.0 == b.0).filter(|living| living.len() > 1) {
        let namespace = living[0].0.1;
        let living: Vec<_> = living.iter().map(|(_, placement)| *placement).collect();
        let highest = living.iter().map(|placement| placement.environment.order).max();
        let unique = living.iter().filter(|placement| Some(placement.environment.order) == highest).count() == 1;
        for placement in &living {
            if unique && Some(placement.environment.order) == highest {
                continue;
            }
            let app = &placement.app;
            let others = living.iter().map(|other| other.app.name.as_str()).filter(|other| *other != app.name.as_str());
            let others: Vec<_> = others.take(12).collect();
            let message = format!("the namespace {namespace} is that of {} as well", list(others.into_iter()));
            let taken = app.spans.finding(Rule::APP_NAMESPACE_TAKEN, "metadata.name", message).about(&app.name);
            conflicts.insert(app.name.clone(), taken.help("Choose another name for the app and its folder."));
        }
    }
    conflicts
}

/// The checks of one app, and what they found.
struct Checks<'a> {
    app: &'a App,
    found: Vec<Diagnostic>,
}

impl Checks<'_> {
    /// Notes what is wrong with a field.
    fn note(&mut self, rule: Rule, field: &str, message: impl fmt::Display, help: impl Into<String>) {
        let found = self.app.spans.finding(rule, field, message);
        self.found.push(found.about(&self.app.name).help(help));
    }

    fn template<'p>(&mut self, platform: &'p Platform) -> Option<&'p Arc<Template>> {
        let wanted = &self.app.template;
        match platform.templates.get(wanted).map(Item::get) {
            Some(Some(template)) => Some(template),
            Some(None) => {
                let help = format!("See the errors of catalog/{wanted}.");
                self.note(Rule::APP_TEMPLATE, "spec.template", format!("{wanted} cannot be read"), help);
                None
            }
            None => {
                let names: Vec<_> = platform.templates.keys().map(ToString::to_string).collect();
                let help = choices(&wanted.to_string(), &names);
                self.note(Rule::APP_TEMPLATE, "spec.template", format!("{wanted} does not exist"), help);
                None
            }
        }
    }

    fn environment<'p>(&mut self, platform: &'p Platform) -> Option<&'p Arc<Environment>> {
        let wanted = &self.app.tier;
        match platform.environments.get(wanted).map(Item::get) {
            Some(Some(environment)) => Some(environment),
            Some(None) => {
                let help = format!("See the errors of environments/{wanted}.");
                self.note(Rule::APP_TIER, "spec.tier", format!("{wanted} cannot be read"), help);
                None
            }
            None => {
                let names: Vec<_> = platform.environments.keys().map(ToString::to_string).collect();
                let help = choices(wanted.as_str(), &names);
                self.note(Rule::APP_TIER, "spec.tier", format!("{wanted} does not exist"), help);
                None
            }
        }
    }

    /// What the template offers, and what the environment allows.
    fn pair(&mut self, template: &Template, environment: &Environment) {
        let (app, wanted, tier) = (self.app, &template.reference, &environment.tier);
        if !template.tiers.contains(tier) {
            let help = format!("It runs in {}.", list(template.tiers.iter().map(|tier| tier.as_str())));
            self.note(Rule::APP_TIER, "spec.tier", format!("{wanted} does not run in {tier}"), help);
        }
        self.status(template);
        if let Lifetime::Ttl(ttl) = app.lifetime
            && ttl > environment.ttl.max
        {
            let [ttl, max] = [ttl, environment.ttl.max].map(duration_text);
            let help = format!("Write `ttl: {max}` or less; `dayfly renew` extends it later.");
            self.note(Rule::APP_TTL, "spec.ttl", format!("{ttl} is longer than {tier} allows (max {max})"), help);
        }
        for (index, connector) in app.connectors.iter().enumerate() {
            if !template.connectors.contains(connector) {
                let message = format!("{wanted} does not offer {}", super::format::quoted(connector));
                let help = choices(connector, &template.connectors);
                self.note(Rule::APP_CONNECTOR, &format!("spec.connectors[{index}]"), message, help);
            }
        }
        if let Some(runtime) = app.runtime.as_ref().filter(|runtime| !template.runtimes.contains(runtime)) {
            let help = choices(runtime, &template.runtimes);
            self.note(Rule::APP_RUNTIME, "spec.runtime", format!("{wanted} does not offer {runtime}"), help);
        }
        for (index, egress) in app.egress.iter().enumerate() {
            if let Egress::Hostname { hostname, port } = egress
                && environment.egress_hostnames == EgressHostnames::None
            {
                let message = format!("{hostname} is a host name, and {tier} filters only address ranges");
                let help = format!("Write the range of its addresses, such as 203.0.113.0/24:{port}.");
                self.note(Rule::APP_EGRESS, &format!("spec.egress[{index}]"), message, help);
            }
        }
    }

    fn status(&mut self, template: &Template) {
        let wanted = &template.reference;
        match template.status {
            TemplateStatus::Stable => {}
            TemplateStatus::Retired => {
                let message = format!("{wanted} is retired, and nothing may use it any more");
                self.note(Rule::APP_TEMPLATE_RETIRED, "spec.template", message, "Choose another template.");
            }
            TemplateStatus::Deprecated { sunset } => {
                let until = sunset.map(|date| format!(" and ends on {date}")).unwrap_or_default();
                let message = format!("{wanted} is deprecated{until}");
                let help = "Move to another template in time.";
                self.note(Rule::APP_TEMPLATE_DEPRECATED, "spec.template", message, help);
            }
        }
    }

    fn parameters(&mut self, template: &Template) -> serde_json::Map<String, serde_json::Value> {
        let values = parameters::complete(&self.app.parameters, template.checker.schema());
        let value = serde_json::Value::Object(values);
        let field = |inside: &str| {
            let dot = if inside.is_empty() || inside.starts_with('[') { "" } else { "." };
            Some(format!("spec.parameters{dot}{inside}"))
        };
        let found = template.checker.violations(&value, &SchemaRules::PARAMETER, field, &self.app.spans);
        let name = &self.app.name;
        self.found.extend(found.into_iter().map(|diagnostic| diagnostic.about(name)));
        match value {
            serde_json::Value::Object(values) => values,
            _ => serde_json::Map::new(),
        }
    }

    fn place(&mut self, placement: &Placement) -> (Option<String>, Option<String>) {
        let help = "Shorten the app's name, or ask those who keep the environment.";
        if let Err(message) = &placement.namespace {
            self.note(Rule::APP_NAMESPACE, "metadata.name", message.clone(), help);
        }
        if let Err(message) = &placement.host {
            self.note(Rule::APP_HOST, "metadata.name", message.clone(), help);
        }
        (placement.namespace.clone().ok(), placement.host.clone().ok().flatten())
    }
}

/// What was probably meant, and what there is.
fn choices(wanted: &str, names: &[String]) -> String {
    if names.is_empty() {
        return "There is none yet.".into();
    }
    let all = list(names.iter().map(String::as_str));
    match suggestion(wanted, names.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean `{near}`? There is {all}."),
        None => format!("There is {all}."),
    }
}
