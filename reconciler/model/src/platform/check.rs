//! A JSON Schema as judge of manifests and parameters: every violation in plain words, at its line and column.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::LocationSegment;
use jsonschema::{JsonType, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::Spans;
use super::format::{self, TextFormat, quoted};
use super::schema_work;
use crate::diagnostic::Diagnostic;
use crate::rule::Rule;

/// At most so many violations of one file are reported.
const MOST: usize = 100;
/// At most so many comparisons are made, of a rule with a part of a value.
const MOST_COMPARISONS: u64 = 2_000_000;
/// Where more are made, only the first violation is explained: what holds no form of many takes memory for each of them.
const MOST_EXPLAINED: u64 = 200_000;
/// How many bytes a compiled regular expression may take.
const PATTERN_BYTES: usize = 1 << 20;

/// The rules that violations of a schema break, by what the schema judges.
pub(crate) struct SchemaRules {
    /// None where what is absent is nothing wrong.
    required: Option<Rule>,
    unknown_field: Rule,
    wrong_type: Rule,
    value: Rule,
}

impl SchemaRules {
    /// For manifests.
    pub const MANIFEST: Self = Self {
        required: Some(Rule::MANIFEST_REQUIRED),
        unknown_field: Rule::MANIFEST_UNKNOWN_FIELD,
        wrong_type: Rule::MANIFEST_TYPE,
        value: Rule::MANIFEST_VALUE,
    };

    /// For what an app sets of its template's parameters.
    pub const PARAMETER: Self = Self {
        required: Some(Rule::PARAMETER_REQUIRED),
        unknown_field: Rule::PARAMETER_UNKNOWN_FIELD,
        wrong_type: Rule::PARAMETER_TYPE,
        value: Rule::PARAMETER_VALUE,
    };

    /// For the defaults of a template's parameters. An app may add what a default leaves out.
    pub const DEFAULT: Self = Self {
        required: None,
        unknown_field: Rule::TEMPLATE_UNKNOWN_FIELD,
        wrong_type: Rule::TEMPLATE_TYPE,
        value: Rule::TEMPLATE_VALUE,
    };
}

/// A compiled schema. Formats of manifests are known; nothing is fetched.
#[derive(Debug)]
pub(crate) struct Checker {
    schema: Value,
    validator: Validator,
    /// How many rules it has once its references are written out.
    rules: u64,
}

impl Checker {
    /// Compiles a schema. The error says what is wrong with it, and where (a JSON pointer).
    pub fn new(schema: Value) -> Result<Self, (String, String)> {
        let rules = schema_work::rules(&schema)?;
        // The plain engine takes a time that grows with the text alone.
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let options = jsonschema::options().with_pattern_options(patterns);
        let mut options = options.should_validate_formats(true).offline();
        for format in format::FORMATS {
            options = options.with_format(format.name, |text| (format.check)(text).is_ok());
        }
        match options.build(&schema) {
            Ok(validator) => Ok(Self { schema, validator, rules }),
            Err(error) => Err((error.instance_path().to_string(), format!("is no JSON Schema: {error}"))),
        }
    }

    /// The schema.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// All violations by a value, sorted by place. `field` names a part of the value as the file has it (empty for the whole
    /// file), given its path inside the value, empty for all of it. What it names None is not reported.
    pub fn violations(
        &self,
        value: &Value,
        rules: &SchemaRules,
        field: impl Fn(&str) -> Option<String>,
        spans: &Spans,
    ) -> Vec<Diagnostic> {
        let comparisons = self.rules.saturating_mul(schema_work::values(value));
        if comparisons > MOST_COMPARISONS {
            let whole = field("").unwrap_or_default();
            let fact = format!("has {} values, too many for {} rules", schema_work::values(value), self.rules);
            let found = spans.finding(rules.value.clone(), if whole.is_empty() { "the file" } else { &whole }, fact);
            return vec![found.help("Leave some out, or keep them in a file of their own that the template reads.")];
        }
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let mut found = Vec::new();
        if comparisons > MOST_EXPLAINED {
            let first = self.validator.validate(value).err();
            first.iter().for_each(|error| self.explain(error, rules, &field, spans, &mut found));
        } else {
            for error in self.validator.iter_errors(value).take(MOST) {
                self.explain(&error, rules, &field, spans, &mut found);
            }
        }
        found.sort_by(|a, b| (a.position, &a.message).cmp(&(b.position, &b.message)));
        found.dedup();
        found
    }

    fn explain(
        &self,
        error: &ValidationError<'_>,
        rules: &SchemaRules,
        field: &impl Fn(&str) -> Option<String>,
        spans: &Spans,
        found: &mut Vec<Diagnostic>,
    ) {
        let path = path_of(error);
        let near = error.schema_path().as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
        let schema = self.schema.pointer(near).unwrap_or(&Value::Null);
        let inner = |name: &str| field(&if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") });
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                for name in unexpected.iter().take(MOST) {
                    let (Some(field), Some(text)) = (inner(name), inner(&shown(name))) else { continue };
                    let unknown = spans.finding(rules.unknown_field.clone(), &text, "is an unknown field");
                    found.push(unknown.at(spans.key(&field)).help(known_fields(schema, name)));
                }
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let (Some(rule), Some(around), Some(absent)) = (&rules.required, field(&path), inner(name)) else {
                    return;
                };
                let absent = spans.finding(rule.clone(), &absent, "is required, and absent").at(spans.key(&around));
                found.push(absent.help(line_to_add(name, &schema["properties"][name])));
            }
            kind => {
                let Some(field) = field(&path) else { return };
                let (rule, message, help) = violation(kind, error.instance(), schema, rules);
                let subject = if field.is_empty() { "the file" } else { &field };
                let mut diagnostic = spans.finding(rule.clone(), subject, message).at(spans.position(&field));
                let form = || schema["format"].as_str().and_then(format::find).map(|it| format!("Write {}.", it.what));
                diagnostic.help = help.or_else(|| description(schema)).or_else(form);
                found.push(diagnostic);
            }
        }
    }
}

/// One violation in words: its rule, the fact, the next step.
fn violation<'r>(
    kind: &Kind,
    value: &Value,
    schema: &Value,
    rules: &'r SchemaRules,
) -> (&'r Rule, String, Option<String>) {
    let help = match kind {
        Kind::Type { kind } => {
            let (fact, step) = wrong_type(kind, value, schema["format"].as_str().and_then(format::find));
            return (&rules.wrong_type, fact, step);
        }
        Kind::Enum { options } => nearest(value, options),
        Kind::Constant { expected_value } => Some(format!("Write {} instead.", brief(expected_value))),
        Kind::UniqueItems => Some("Keep one of the two.".into()),
        _ => None,
    };
    (&rules.value, fact(kind, value), help)
}

/// What is wrong with a value of the right type.
fn fact(kind: &Kind, value: &Value) -> String {
    let it = brief(value);
    match kind {
        Kind::Format { format: name } => {
            let known = format::find(name).and_then(|format| (format.check)(value.as_str()?).err());
            known.unwrap_or_else(|| format!("{it} is no {name}"))
        }
        Kind::Enum { options } => one_of(value, options.as_array().map_or(&[][..], Vec::as_slice)),
        Kind::Constant { expected_value } => format!("{it} must be {}", brief(expected_value)),
        Kind::MaxLength { limit } => too_many(value, *limit, "characters"),
        Kind::MaxItems { limit } => too_many(value, *limit, "items"),
        Kind::MaxProperties { limit } => too_many(value, *limit, "fields"),
        Kind::MinLength { limit } => too_few(value, *limit, "characters"),
        Kind::MinItems { limit } => too_few(value, *limit, "items"),
        Kind::MinProperties { limit } => too_few(value, *limit, "fields"),
        Kind::Maximum { limit } => format!("{it} is too much (max {limit})"),
        Kind::Minimum { limit } => format!("{it} is too little (min {limit})"),
        Kind::ExclusiveMaximum { limit } => format!("{it} is too much (less than {limit})"),
        Kind::ExclusiveMinimum { limit } => format!("{it} is too little (more than {limit})"),
        Kind::MultipleOf { multiple_of } => format!("{it} is no multiple of {multiple_of}"),
        Kind::Pattern { pattern } => format!("{it} does not match the pattern {pattern}"),
        Kind::UniqueItems => "an item stands in the list twice".into(),
        Kind::PropertyNames { error } => format!("a field's name is refused: {error}"),
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => format!("{it} has none of the possible forms"),
        Kind::OneOfMultipleValid { .. } => format!("{it} has more than one of the possible forms"),
        Kind::FalseSchema => "is not possible here".into(),
        other => format!("{it} is refused by `{}`", other.keyword()),
    }
}

/// A value of the wrong type: the fact and the next step.
fn wrong_type(kind: &TypeKind, value: &Value, format: Option<&TextFormat>) -> (String, Option<String>) {
    let wanted = format.map_or_else(|| types(kind), |format| format.what.to_owned());
    let it = brief(value);
    if value.is_null() {
        return (format!("has no value, and must be {wanted}"), Some("Give a value, or remove the line.".into()));
    }
    let fits = |format: &TextFormat| (format.check)(&value.to_string()).is_ok();
    let text = matches!(kind, TypeKind::Single(JsonType::String)) && format.is_none_or(fits);
    let quotes = text && (value.is_number() || value.is_boolean());
    let step = quotes.then(|| format!("Put it in quotes: \"{value}\"."));
    match format {
        Some(_) => (format!("{it} is not {wanted}"), step),
        None => (format!("{it} is {}, and must be {wanted}", type_of(value)), step),
    }
}

/// The part of the value that an error is about, such as `spec.egress[0]`; empty for all of it.
fn path_of(error: &ValidationError<'_>) -> String {
    let mut path = String::new();
    for segment in error.instance_path().segments() {
        match segment {
            LocationSegment::Property(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&name);
            }
            LocationSegment::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// A field's name as it stands, or quoted where that would mislead.
fn shown(name: &str) -> String {
    if name.chars().any(format::hidden) || name.len() > 60 { quoted(name) } else { name.to_owned() }
}

/// `Did you mean owner?`, or all fields there are.
fn known_fields(schema: &Value, unknown: &str) -> String {
    let names: Vec<_> = schema["properties"].as_object().into_iter().flat_map(|map| map.keys()).collect();
    match suggestion(unknown, names.iter().map(|name| name.as_str())) {
        Some(near) => format!("Did you mean `{near}`?"),
        None if names.is_empty() => "Remove it: there is nothing to set here.".into(),
        None => format!("Remove it. Possible here: {}.", list(names.iter().map(|name| name.as_str()))),
    }
}

/// The name that was probably meant.
pub fn suggestion<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let scored = known.map(|name| (strsim::jaro_winkler(&unknown, &name.to_lowercase()), name));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// `a, b and c`; after twelve, how many more.
pub(crate) fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let mut names: Vec<_> = names.take(12).map(str::to_owned).collect();
    if count > 12 {
        names.push(format!("{} more", count - 12));
    }
    match names.pop() {
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
        None => "nothing".into(),
    }
}

/// A schema's description, or its title.
fn description(schema: &Value) -> Option<String> {
    let text = schema["description"].as_str().or_else(|| schema["title"].as_str())?;
    Some(text.replace('\n', " "))
}

/// The line that is absent: its value where only one is possible, else what it is for.
fn line_to_add(name: &str, schema: &Value) -> String {
    let only = schema["enum"].as_array().filter(|options| options.len() == 1).map(|options| &options[0]);
    match schema.get("const").or(only).and_then(Value::as_str) {
        Some(only) => format!("Add the line `{name}: {only}`."),
        None => {
            let purpose = description(schema).map(|text| format!(": {text}"));
            format!("Add the line `{name}: …`{}", purpose.unwrap_or_default())
        }
    }
}

fn one_of(value: &Value, options: &[Value]) -> String {
    let options: Vec<_> =
        options.iter().map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_owned)).collect();
    format!("{} is not one of {}", brief(value), list(options.iter().map(String::as_str)))
}

fn nearest(value: &Value, options: &Value) -> Option<String> {
    let options = options.as_array()?.iter().filter_map(Value::as_str);
    suggestion(value.as_str()?, options).map(|near| format!("Did you mean `{near}`?"))
}

fn too_many(value: &Value, limit: u64, what: &str) -> String {
    format!("has {} {what}, at most {limit} {} possible", count(value), if limit == 1 { "is" } else { "are" })
}

fn too_few(value: &Value, limit: u64, what: &str) -> String {
    match count(value) {
        0 => "is empty".into(),
        count => format!("has {count} {what}, at least {limit} are needed"),
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    }
}

/// A value in short: texts quoted, mappings and lists not shown.
pub(crate) fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) => "this list".into(),
        Value::Object(_) => "this mapping".into(),
        other => other.to_string(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn types(kind: &TypeKind) -> String {
    let name = |json: JsonType| match json {
        JsonType::Null => "nothing",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "text",
        JsonType::Array => "a list",
        JsonType::Object => "a mapping",
    };
    match kind {
        TypeKind::Single(json) => name(*json).into(),
        TypeKind::Multiple(set) => set.iter().map(name).collect::<Vec<_>>().join(" or "),
    }
}
