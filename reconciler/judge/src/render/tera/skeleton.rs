//! Rendered YAML with holes: parsed once for each way that a template can go, filled for every app.
//!
//! A value never goes through the YAML parser, so it can change no structure whatever it holds, and apps that differ only
//! in values share the parsed text. A hole that is a whole plain scalar keeps its value's type (`port: {{ p }}`); inside
//! quotes, or beside other text, it is text.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use dayfly_model::yaml::{self, YamlError};
use serde_json::{Map, Value};

use super::source::HOLE;

/// How many parsed texts a template's file keeps: each is another way through its ifs and loops.
const KEPT: usize = 64;

/// The documents of a text, with holes.
#[derive(Debug)]
pub struct Skeleton {
    documents: Vec<SkeletonNode>,
}

#[derive(Debug)]
enum SkeletonNode {
    Value(Value),
    Hole(usize),
    Text(Pieces),
    List(Vec<SkeletonNode>),
    Map(Vec<(Pieces, SkeletonNode)>),
}

/// A text around holes.
#[derive(Debug)]
struct Pieces(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Hole(usize),
}

/// The parsed texts of one file.
#[derive(Debug, Default)]
pub struct Skeletons(RwLock<HashMap<String, Arc<Skeleton>>>);

impl Skeletons {
    /// The text, parsed now or before.
    pub fn parse(&self, text: String) -> Result<Arc<Skeleton>, YamlError> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&text) {
            return Ok(known.clone());
        }
        let skeleton = Arc::new(Skeleton::parse(&text)?);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text, skeleton.clone());
        Ok(skeleton)
    }
}

impl Skeleton {
    fn parse(text: &str) -> Result<Self, YamlError> {
        let quoted = quoted_holes(text);
        let documents = yaml::objects(text, yaml::OBJECTS)?;
        Ok(Self { documents: documents.into_iter().map(|document| node(document, &quoted)).collect() })
    }

    /// The documents with these values in the holes. The error names a key that two holes made twice.
    pub fn fill(&self, holes: &[Value]) -> Result<Vec<Value>, String> {
        self.documents.iter().map(|document| document.fill(holes)).collect()
    }
}

impl SkeletonNode {
    fn fill(&self, holes: &[Value]) -> Result<Value, String> {
        Ok(match self {
            Self::Value(value) => value.clone(),
            Self::Hole(hole) => holes.get(*hole).cloned().unwrap_or_default(),
            Self::Text(pieces) => Value::String(pieces.fill(holes)),
            Self::List(items) => items.iter().map(|item| item.fill(holes)).collect::<Result<_, _>>()?,
            Self::Map(fields) => {
                let mut map = Map::with_capacity(fields.len());
                for (key, value) in fields {
                    let key = key.fill(holes);
                    let value = value.fill(holes)?;
                    if map.contains_key(&key) {
                        return Err(key);
                    }
                    map.insert(key, value);
                }
                Value::Object(map)
            }
        })
    }
}

impl Pieces {
    fn read(mut text: &str) -> Self {
        let [open, close] = HOLE;
        let mut pieces = Vec::new();
        while let Some((before, rest)) = text.split_once(open) {
            let Some((number, rest)) = rest.split_once(close) else { break };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Hole(number.parse().unwrap_or(usize::MAX)));
            text = rest;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        Self(pieces)
    }

    fn fill(&self, holes: &[Value]) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Hole(hole) => match holes.get(*hole) {
                    Some(Value::String(value)) => text.push_str(value),
                    Some(Value::Null) | None => {}
                    Some(value) => text.push_str(&value.to_string()),
                },
            }
        }
        text
    }
}

fn node(value: Value, quoted: &[usize]) -> SkeletonNode {
    match value {
        Value::String(text) if text.contains(HOLE[0]) => {
            let pieces = Pieces::read(&text);
            match pieces.0[..] {
                [Piece::Hole(hole)] if !quoted.contains(&hole) => SkeletonNode::Hole(hole),
                _ => SkeletonNode::Text(pieces),
            }
        }
        Value::Array(items) => match items.into_iter().map(|item| node(item, quoted)).collect::<Vec<_>>() {
            items if items.iter().all(|item| matches!(item, SkeletonNode::Value(_))) => {
                SkeletonNode::Value(items.into_iter().map(plain).collect())
            }
            items => SkeletonNode::List(items),
        },
        Value::Object(map) => {
            let fields: Vec<_> =
                map.into_iter().map(|(key, value)| (Pieces::read(&key), node(value, quoted))).collect();
            let constant = |(key, value): &(Pieces, SkeletonNode)| {
                matches!(value, SkeletonNode::Value(_)) && !key.0.iter().any(|piece| matches!(piece, Piece::Hole(_)))
            };
            if !fields.iter().all(constant) {
                return SkeletonNode::Map(fields);
            }
            SkeletonNode::Value(Value::Object(
                fields.into_iter().map(|(key, value)| (key.fill(&[]), plain(value))).collect(),
            ))
        }
        value => SkeletonNode::Value(value),
    }
}

fn plain(node: SkeletonNode) -> Value {
    match node {
        SkeletonNode::Value(value) => value,
        _ => Value::Null,
    }
}

/// The holes directly inside quotes.
fn quoted_holes(text: &str) -> Vec<usize> {
    let [open, close] = HOLE;
    text.match_indices(open)
        .filter_map(|(start, _)| {
            let end = start + text[start..].find(close)?;
            let before = text[..start].chars().next_back().filter(|c| ['"', '\''].contains(c))?;
            (text[end + close.len_utf8()..].starts_with(before))
                .then(|| text[start + open.len_utf8()..end].parse().ok())?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_keeps_its_type_where_it_stands_alone_and_is_text_elsewhere() {
        let text =
            "a: \u{e000}0\u{e001}\nb: \"\u{e000}1\u{e001}\"\nc: x-\u{e000}2\u{e001}\n\u{e000}3\u{e001}: [1]\nd: {e: 2}";
        let filled = Skeleton::parse(text).unwrap().fill(&[json!(80), json!(true), json!(7), json!("k: v")]).unwrap();
        assert_eq!(filled, [json!({"a": 80, "b": "true", "c": "x-7", "k: v": [1], "d": {"e": 2}})]);
    }

    #[test]
    fn two_holes_that_make_one_key_are_refused() {
        let skeleton = Skeleton::parse("\u{e000}0\u{e001}: 1\n\u{e000}1\u{e001}: 2").unwrap();
        assert_eq!(skeleton.fill(&[json!("a"), json!("a")]), Err("a".to_owned()));
    }
}
