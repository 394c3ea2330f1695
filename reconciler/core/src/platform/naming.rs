//! Where an app lives: its namespace and its host, rendered from the environment's texts.

use std::fmt;
use std::sync::Arc;

use tera::{Context, Tera};

use super::format::{dns_label, hostname, quoted};
use super::{App, Environment};
use crate::names::{AppName, TierName};

/// An environment's two texts, compiled.
pub(crate) struct Names(Tera);

/// Where an app lives, or why it cannot.
#[derive(Debug)]
pub(crate) struct Placement {
    pub app: Arc<App>,
    pub environment: Arc<Environment>,
    pub namespace: Result<String, String>,
    pub host: Result<Option<String>, String>,
}

impl Placement {
    pub fn of(app: &Arc<App>, environment: &Arc<Environment>) -> Self {
        let context = context(&app.name, &environment.tier, &app.team, &app.cost_center);
        Self {
            app: app.clone(),
            environment: environment.clone(),
            namespace: environment.names.namespace(&context),
            host: environment.names.host(&context),
        }
    }

    /// Whether it is that app in that environment, neither changed.
    pub fn is_of(&self, app: &Arc<App>, environment: &Arc<Environment>) -> bool {
        Arc::ptr_eq(&self.app, app) && Arc::ptr_eq(&self.environment, environment)
    }
}

/// What the texts can use.
pub(crate) fn context(app: &AppName, tier: &TierName, team: &str, cost_center: &str) -> Context {
    let mut context = Context::new();
    context.insert("app", app.as_str());
    context.insert("tier", tier.as_str());
    context.insert("team", team);
    context.insert("cost_center", cost_center);
    context
}

impl Names {
    /// Compiles the texts. The error names the field and says what is wrong.
    pub fn new(namespace: &str, host: Option<&str>) -> Result<Self, (&'static str, String)> {
        let mut tera = Tera::new();
        for (name, field, text) in [("namespace", "spec.namespace", Some(namespace)), ("host", "spec.host", host)] {
            let Some(text) = text else { continue };
            if text.contains("{%") {
                return Err((field, "has `{%`, and only values such as {{ app }} are possible".into()));
            }
            tera.add_raw_template(name, text).map_err(|error| (field, format!("cannot be read: {}", line(&error))))?;
        }
        Ok(Self(tera))
    }

    /// The namespace: a DNS label that is not Kubernetes' and not Dayfly's own.
    pub fn namespace(&self, context: &Context) -> Result<String, String> {
        let name = self.render("namespace", context)?;
        if !dns_label(&name) {
            let rule = "lower case letters, digits and '-', at most 63 characters";
            return Err(format!("the namespace {} is not possible ({rule})", quoted(&name)));
        }
        if name == "default" || name.starts_with("kube-") || name.starts_with("dayfly-") {
            return Err(format!("the namespace {name} is reserved (default, kube-* and dayfly-* are)"));
        }
        Ok(name)
    }

    /// The host, if the environment has one.
    pub fn host(&self, context: &Context) -> Result<Option<String>, String> {
        if !self.0.contains_template("host") {
            return Ok(None);
        }
        let name = self.render("host", context)?;
        if hostname(&name) { Ok(Some(name)) } else { Err(format!("the host {} is no host name", quoted(&name))) }
    }

    fn render(&self, name: &str, context: &Context) -> Result<String, String> {
        self.0.render(name, context).map_err(|error| format!("the {name} cannot be rendered: {}", line(&error)))
    }
}

/// A Tera error's innermost fact, in one line.
fn line(error: &tera::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string().lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it is no Tera text").to_owned()
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}
