//! Where an app lives: its namespace and its host, filled into the environment's texts.

use std::sync::Arc;

use super::format::{dns_label, hostname, quoted};
use super::read::visible;
use super::{App, Environment};
use crate::names::{AppName, TierName};

/// An environment's two texts, with their placeholders found.
#[derive(Debug)]
pub(crate) struct Names {
    namespace: Pattern,
    host: Option<Pattern>,
}

/// What a placeholder can stand for.
pub(crate) struct NameValues<'a> {
    pub app: &'a AppName,
    pub tier: &'a TierName,
    pub team: &'a str,
    pub cost_center: &'a str,
}

/// A text with placeholders such as `{{ app }}` or `{{ cost_center | lower }}`.
#[derive(Debug)]
struct Pattern(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Value { of: Variable, is_lower: bool },
}

#[derive(Debug, Clone, Copy)]
enum Variable {
    App,
    Tier,
    Team,
    CostCenter,
}

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
        let values =
            NameValues { app: &app.name, tier: &environment.tier, team: &app.team, cost_center: &app.cost_center };
        Self {
            app: app.clone(),
            environment: environment.clone(),
            namespace: environment.names.namespace(&values),
            host: environment.names.host(&values),
        }
    }

    /// Whether it is that app in that environment, neither changed.
    pub fn is_of(&self, app: &Arc<App>, environment: &Arc<Environment>) -> bool {
        Arc::ptr_eq(&self.app, app) && Arc::ptr_eq(&self.environment, environment)
    }
}

impl Names {
    /// Finds the placeholders. The error names the field and says what is wrong.
    pub fn new(namespace: &str, host: Option<&str>) -> Result<Self, (&'static str, String)> {
        let of = |field, text| Pattern::parse(text).map_err(|why| (field, why));
        let host = host.map(|text| of("spec.host", text)).transpose()?;
        Ok(Self { namespace: of("spec.namespace", namespace)?, host })
    }

    /// The namespace: a DNS label that is not Kubernetes' and not Dayfly's own.
    pub fn namespace(&self, values: &NameValues<'_>) -> Result<String, String> {
        let name = self.namespace.fill(values);
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
    pub fn host(&self, values: &NameValues<'_>) -> Result<Option<String>, String> {
        let Some(name) = self.host.as_ref().map(|host| host.fill(values)) else { return Ok(None) };
        if hostname(&name) { Ok(Some(name)) } else { Err(format!("the host {} is no host name", quoted(&name))) }
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").ok_or("has `{{` without `}}`")?;
            parts.extend([Part::Text(before.to_owned()), Part::parse(inside.trim())?]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let has_mark =
            |part: &Part| matches!(part, Part::Text(text) if ["{%", "{#", "}}"].iter().any(|mark| text.contains(mark)));
        if parts.iter().any(has_mark) {
            return Err("has template syntax, and only values such as {{ app }} are possible".into());
        }
        Ok(Self(parts))
    }

    fn fill(&self, values: &NameValues<'_>) -> String {
        self.0.iter().map(|part| part.fill(values)).collect()
    }
}

impl Part {
    fn parse(inside: &str) -> Result<Self, String> {
        let (name, filter) =
            inside.split_once('|').map_or((inside, None), |(name, filter)| (name.trim(), Some(filter.trim())));
        let of = match name {
            "app" => Variable::App,
            "tier" => Variable::Tier,
            "team" => Variable::Team,
            "cost_center" => Variable::CostCenter,
            _ => {
                let known = "{{ app }}, {{ tier }}, {{ team }} and {{ cost_center }}";
                return Err(format!("has {{{{ {} }}}}, and only {known} are possible", visible(inside)));
            }
        };
        match filter {
            None => Ok(Self::Value { of, is_lower: false }),
            Some("lower") => Ok(Self::Value { of, is_lower: true }),
            Some(other) => Err(format!("has the filter {}, and only `lower` is possible", quoted(other))),
        }
    }

    fn fill(&self, values: &NameValues<'_>) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Value { of, is_lower } => {
                let value = match of {
                    Variable::App => values.app.as_str(),
                    Variable::Tier => values.tier.as_str(),
                    Variable::Team => values.team,
                    Variable::CostCenter => values.cost_center,
                };
                if *is_lower { value.to_lowercase() } else { value.to_owned() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let (app, tier) = ("poll".parse().unwrap(), "pilot".parse().unwrap());
        let values = NameValues { app: &app, tier: &tier, team: "people-ops", cost_center: "CC-7" };
        Pattern::parse(text).map(|pattern| pattern.fill(&values))
    }

    #[test]
    fn placeholders_are_filled_and_everything_else_is_text() {
        for (text, expected) in [
            ("{{ app }}-{{tier}}", "poll-pilot"),
            ("{{ team }}.{{ cost_center | lower }}.example.com", "people-ops.cc-7.example.com"),
            ("plain", "plain"),
        ] {
            assert_eq!(filled(text).unwrap(), expected);
        }
    }

    #[test]
    fn template_syntax_beyond_values_is_refused() {
        for text in [
            "{{ app",
            "app }}",
            "{% if app %}x{% endif %}",
            "{# x #}",
            "{{ now() }}",
            "{{ app | upper }}",
            "{{ owner }}",
        ] {
            assert!(filled(text).is_err(), "{text}");
        }
    }
}
