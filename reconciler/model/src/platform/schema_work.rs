//! How much work a JSON Schema can make, counted before it is compiled: a schema of a few lines that names itself twice a
//! level keeps a validator busy for years.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// At most so many rules a schema may have once its references are written out.
const MOST_RULES: u64 = 10_000;
/// At most so many schemas lie between the root and the innermost, references among them.
const MOST_LEVELS: usize = 64;
/// What a regular expression counts: compiling it takes time and memory.
const PATTERN: u64 = 100;

/// Keywords whose value is a schema.
const ONE: [&str; 12] = [
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is a list of schemas; `items` was one once.
const LISTS: [&str; 5] = ["allOf", "anyOf", "items", "oneOf", "prefixItems"];
/// Keywords whose value is a mapping from names to schemas.
const MAPS: [&str; 4] = ["dependencies", "dependentSchemas", "patternProperties", "properties"];
/// References of which nobody knows before where they lead.
const DYNAMIC: [&str; 4] = ["$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef"];

/// Why a schema is refused: where (a JSON pointer), and the fact.
pub(super) type Refusal = (String, String);

/// How many rules a schema has once its references are written out: no value is compared with more for each of its parts.
///
/// # Errors
/// Where it has too many, leads back to itself, or leads on where nobody can follow beforehand.
pub(super) fn rules(schema: &Value) -> Result<u64, Refusal> {
    let mut walk = Walk { root: schema, known: HashMap::new(), open: HashSet::new() };
    match walk.of(schema, "", 0)? {
        rules if rules > MOST_RULES => {
            let rules = if rules == u64::MAX { "endless".into() } else { rules.to_string() };
            Err((String::new(), format!("has {rules} rules once its references are written out, at most {MOST_RULES}")))
        }
        rules => Ok(rules),
    }
}

/// The number of values in a value, itself among them.
pub(super) fn values(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(values).sum::<u64>(),
        Value::Object(map) => 1 + map.values().map(values).sum::<u64>(),
        _ => 1,
    }
}

struct Walk<'s> {
    root: &'s Value,
    /// The schemas that were counted, by their address.
    known: HashMap<*const Value, u64>,
    /// The schemas that are being counted.
    open: HashSet<*const Value>,
}

impl<'s> Walk<'s> {
    fn of(&mut self, schema: &'s Value, at: &str, level: usize) -> Result<u64, Refusal> {
        let Some(map) = schema.as_object() else { return Ok(1) };
        let address = std::ptr::from_ref(schema);
        if let Some(rules) = self.known.get(&address) {
            return Ok(*rules);
        }
        let refused = |fact: &str| (at.to_owned(), fact.to_owned());
        if !self.open.insert(address) {
            return Err(refused("leads back to itself"));
        }
        if level > MOST_LEVELS {
            return Err(refused("leads through too many other schemas"));
        }
        let mut rules = 1_u64;
        for (keyword, value) in map {
            let inner = format!("{at}/{keyword}");
            let own = match (keyword.as_str(), value) {
                (dynamic, _) if DYNAMIC.contains(&dynamic) => return Err((inner, "is not possible here".into())),
                ("$ref", Value::String(target)) => {
                    let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
                    let found = found.ok_or_else(|| (inner.clone(), format!("{target} leads to no schema")))?;
                    self.of(found, &inner, level + 1)?
                }
                ("pattern", _) => PATTERN,
                ("enum" | "required", Value::Array(items)) => items.len() as u64,
                (list, Value::Array(items)) if LISTS.contains(&list) => {
                    self.sum(items.iter().enumerate(), &inner, level)?
                }
                (names, Value::Object(inside)) if MAPS.contains(&names) => {
                    let patterns = if names == "patternProperties" { PATTERN * inside.len() as u64 } else { 0 };
                    patterns.saturating_add(self.sum(inside, &inner, level)?)
                }
                (one, value) if ONE.contains(&one) => self.of(value, &inner, level + 1)?,
                _ => 1,
            };
            rules = rules.saturating_add(own);
        }
        self.open.remove(&address);
        self.known.insert(address, rules);
        Ok(rules)
    }

    fn sum<N: ToString>(
        &mut self,
        schemas: impl IntoIterator<Item = (N, &'s Value)>,
        at: &str,
        level: usize,
    ) -> Result<u64, Refusal> {
        schemas.into_iter().try_fold(0_u64, |sum, (name, schema)| {
            let at = format!("{at}/{}", name.to_string());
            Ok(sum.saturating_add(self.of(schema, &at, level + 1)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Spans;
    use super::super::check::{Checker, SchemaRules};
    use super::*;
    use serde_json::{Map, json};

    /// Definitions of which each holds the next one as `make` says.
    fn chain(length: usize, make: impl Fn(Value) -> Value) -> Value {
        let next = |number: usize| json!({"$ref": format!("#/$defs/d{}", number + 1)});
        let mut definitions: Map<String, Value> =
            (0..length).map(|number| (format!("d{number}"), make(next(number)))).collect();
        definitions.insert(format!("d{length}"), json!({"type": "string"}));
        json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": definitions})
    }

    fn fact(schema: &Value) -> String {
        let (at, fact) = rules(schema).unwrap_err();
        format!("{at} {fact}")
    }

    #[test]
    fn references_that_double_at_every_level_are_refused_in_no_time() {
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let schema = chain(25, |next| json!({keyword: [next.clone(), next]}));
            assert!(fact(&schema).contains("rules once its references are written out"), "{keyword}");
        }
        for keywords in
            [["if", "then"], ["not", "else"], ["items", "contains"], ["propertyNames", "additionalProperties"]]
        {
            let schema = chain(25, |next| json!({keywords[0]: next.clone(), keywords[1]: next}));
            assert!(fact(&schema).contains("rules once"), "{keywords:?}");
        }
        let schema = chain(25, |next| json!({"properties": {"a": next.clone(), "b": next}}));
        assert!(fact(&schema).contains("rules once"));
        let schema = chain(25, |next| json!({"dependentSchemas": {"a": next.clone(), "b": next}}));
        assert!(fact(&schema).contains("rules once"));
        assert_eq!(rules(&chain(10, |next| json!({"allOf": [next]}))), Ok(26));
    }

    #[test]
    fn a_schema_that_leads_back_to_itself_is_refused_and_one_that_is_named_twice_is_not() {
        let itself = [
            json!({"$ref": "#"}),
            json!({"properties": {"a": {"$ref": "#"}}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}}),
            json!({"allOf": [{"$ref": "#/allOf/0"}]}),
        ];
        for schema in itself {
            assert!(fact(&schema).ends_with("leads back to itself"), "{schema}");
        }
        let twice = json!({"properties": {"a": {"$ref": "#/$defs/d"}, "b": {"$ref": "#/$defs/d"}}, "$defs": {"d": {}}});
        assert!(rules(&twice).is_ok());
    }

    #[test]
    fn what_nobody_can_follow_beforehand_is_refused() {
        assert_eq!(fact(&json!({"items": {"$ref": "#/$defs/none"}})), "/items/$ref #/$defs/none leads to no schema");
        for keyword in DYNAMIC {
            assert_eq!(fact(&json!({keyword: "a"})), format!("/{keyword} is not possible here"));
        }
        assert!(fact(&chain(70, |next| next)).ends_with("leads through too many other schemas"));
    }

    /// What is said of a list of so many wrong items, of which each may have any of so many forms.
    fn said(forms: usize, items: usize) -> Vec<String> {
        let forms: Vec<_> = (0..forms).map(|number| json!({"const": number})).collect();
        let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"anyOf": forms}}}});
        let checker = Checker::new(schema).unwrap();
        let wrong = json!({"a": vec!["wrong"; items]});
        let field = |path: &str| Some(path.to_owned());
        let found = checker.violations(&wrong, &SchemaRules::PARAMETER, field, &Spans::default());
        found.into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn a_value_that_takes_too_many_comparisons_is_refused_and_one_that_takes_many_is_explained_once() {
        let refused = "the file: has 4002 values, too many for 2005 rules";
        assert_eq!(said(1000, 4000), [refused]);
        assert_eq!(said(400, 2000), ["a[0]: \"wrong\" has none of the possible forms"]);
        assert_eq!(said(10, 20).len(), 20);
    }

    #[test]
    fn a_name_that_looks_like_a_keyword_is_a_name() {
        let schema = json!({"properties": {"$ref": {"type": "string"}, "allOf": {"type": "string"}, "$anchor": {}},
            "default": {"$ref": "#"}, "enum": [{"$ref": "#"}], "const": {"$anchor": 1}});
        assert!(rules(&schema).is_ok());
    }

    #[test]
    fn patterns_and_long_lists_of_values_count() {
        let patterns: Map<String, Value> = (0..100).map(|number| (format!("^{number}$"), json!({}))).collect();
        assert!(fact(&json!({"patternProperties": patterns})).contains("rules once"));
        let options: Vec<_> = (0..10_001).collect();
        assert!(fact(&json!({"enum": options})).contains("rules once"));
    }
}
