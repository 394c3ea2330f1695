//! Refuses a policy that reads of `input` what is never there. To Rego that is undefined, so a slip of the pen such as
//! `container.privilegd` would forbid nothing.
//!
//! Followed are names from `input` on: through `some … in`, `every`, `:=` and `=`, within one rule. What a function is
//! given, what a comprehension makes and what stands under a `with` is not followed, and not refused.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dayfly_model::diagnostic::{Diagnostic, Position};
use dayfly_model::platform::suggestion;
use dayfly_model::rule::Rule;
use regorus::Value as Rego;
use regorus::unstable::{self as rego, Expr, Literal, LiteralStmt, Query, Ref, RuleAssign, RuleHead, Span};
use serde_json::{Value, json};

/// What [`super::input`] makes: a map has these fields and no others, a list these items, a text stands for what has no
/// fields, null for what may have any.
pub(super) static INPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "app": {
            "name": "", "team": "", "owner": "", "costCenter": "", "purpose": "", "dataClassification": "",
            "template": "", "version": "", "runtime": "", "connectors": [""],
            "egress": [{"cidr": "", "hostname": "", "port": ""}],
            "suspend": "", "parameters": null,
        },
        "template": {"connectors": [""], "secrets": [""]},
        "environment": {
            "tier": "", "order": "", "namespace": "", "budget": {"perApp": ""}, "hostnames": "",
        },
        "objects": [null],
        "keys": [""],
        "pods": [{
            "object": "", "hostNetwork": "", "hostPID": "", "hostIPC": "", "serviceAccountToken": "",
            "volumes": [{"name": "", "type": ""}], "sysctls": "",
        }],
        "containers": [{
            "object": "", "list": "", "name": "",
            "image": {"text": "", "registry": "", "repository": "", "tag": "", "digest": ""},
            "privileged": "", "runAsNonRoot": "", "runAsUser": "", "allowPrivilegeEscalation": "",
            "readOnlyRootFilesystem": "", "added": [""], "dropped": [""], "seccomp": "", "hostPorts": [""],
            "requests": {"cpu": "", "memory": ""}, "limits": {"cpu": "", "memory": ""},
        }],
        "cost": {"low": "", "high": "", "currency": ""},
    })
});

/// What a name or a reference stands for; none where nobody knows.
type InputShape = Option<&'static Value>;

/// Everything that a rule reads and that is never there.
pub fn check(rule: &rego::Rule) -> Vec<Diagnostic> {
    let mut reader = RuleReader::default();
    reader.rule(rule);
    // The head is read once for each body.
    reader.found.sort();
    reader.found.dedup();
    reader.found
}

/// Reads a rule from its head to its end. In Rego a name is bound before it is used.
#[derive(Default)]
struct RuleReader {
    /// What names stand for here.
    names: BTreeMap<String, InputShape>,
    found: Vec<Diagnostic>,
}

impl RuleReader {
    fn rule(&mut self, rule: &rego::Rule) {
        let rego::Rule::Spec { head, bodies, .. } = rule else { return };
        if let RuleHead::Func { args, .. } = head {
            args.iter().for_each(|argument| self.bind(argument, None));
        }
        if bodies.is_empty() {
            self.head(head);
        }
        for body in bodies {
            self.within(|reader| {
                reader.query(&body.query);
                reader.assign(body.assign.as_ref());
                reader.head(head)
            });
        }
    }

    /// Reads what a rule makes, with the names that its body bound.
    fn head(&mut self, head: &RuleHead) -> InputShape {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.read(refr);
                self.assign(assign.as_ref())
            }
            RuleHead::Set { refr, key, .. } => {
                self.read(refr);
                self.all(key)
            }
            RuleHead::Func { assign, .. } => self.assign(assign.as_ref()),
        }
    }

    /// Reads a scope: the names that are bound in it are unknown after it.
    fn within(&mut self, read: impl FnOnce(&mut Self) -> InputShape) -> InputShape {
        let outer = self.names.clone();
        let shape = read(self);
        self.names = outer;
        shape
    }

    fn assign(&mut self, assign: Option<&RuleAssign>) -> InputShape {
        self.all(assign.map(|assign| &assign.value))
    }

    fn query(&mut self, query: &Query) {
        query.stmts.iter().filter(|statement| statement.with_mods.is_empty()).for_each(|it| self.statement(it));
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                let item = self.read(collection).and_then(item);
                key.iter().for_each(|key| self.bind(key, None));
                self.bind(value, item);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                self.read(expr);
            }
            Literal::Every { key, value, domain, query, .. } => {
                let item = self.read(domain).and_then(item);
                self.within(|reader| {
                    key.iter().for_each(|key| reader.bind_name(key.text(), None));
                    reader.bind_name(value.text(), item);
                    reader.query(query);
                    None
                });
            }
        }
    }

    /// Reads an expression and all in it. Returns what it stands for.
    fn read(&mut self, expr: &Ref<Expr>) -> InputShape {
        match expr.as_ref() {
            Expr::Var { span, .. } if span.text() == "input" => Some(&INPUT),
            Expr::Var { span, .. } => self.names.get(span.text()).copied().flatten(),
            Expr::RefDot { refr, field: (span, _), .. } => {
                let of = self.read(refr)?;
                self.step(of, refr.span(), span, span.text())
            }
            Expr::RefBrack { refr, index, .. } => {
                let of = self.read(refr);
                self.read(index);
                match index.as_ref() {
                    Expr::String { span, value: Rego::String(name), .. } => self.step(of?, refr.span(), span, name),
                    _ => item(of?),
                }
            }
            Expr::AssignExpr { lhs, rhs, .. } => {
                let shape = self.read(rhs);
                self.bind(lhs, shape);
                None
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } | Expr::Call { params: items, .. } => self.all(items),
            Expr::Object { fields, .. } => self.all(fields.iter().flat_map(|(_, key, value)| [key, value])),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => self.within(|reader| {
                reader.query(query);
                reader.all([term])
            }),
            Expr::ObjectCompr { key, value, query, .. } => self.within(|reader| {
                reader.query(query);
                reader.all([key, value])
            }),
            Expr::UnaryExpr { expr, .. } => self.all([expr]),
            Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
                self.all([lhs, rhs])
            }
            Expr::Membership { key, value, collection, .. } => self.all(key.iter().chain([value, collection])),
            _ => None,
        }
    }

    fn all<'a>(&mut self, exprs: impl IntoIterator<Item = &'a Ref<Expr>>) -> InputShape {
        for expr in exprs {
            self.read(expr);
        }
        None
    }

    /// A field of something; one that it never has is found.
    fn step(&mut self, of: &'static Value, owner: &Span, at: &Span, name: &str) -> InputShape {
        if of.is_null() || of.is_array() {
            return None;
        }
        let known = of.as_object();
        let field = known.and_then(|fields| fields.get(name));
        if field.is_none() {
            let message = format!("{} has no {name}, so what depends on it never holds", owner.text());
            let fields = || known.into_iter().flatten().map(|(name, _)| name.as_str());
            let help = match suggestion(name, fields()) {
                Some(near) => format!("Did you mean `{near}`?"),
                None if known.is_some() => format!("There is {}.", fields().collect::<Vec<_>>().join(", ")),
                None => "It is a plain value.".into(),
            };
            let found = Diagnostic::new(Rule::POLICY_INPUT, at.source.get_path().as_str(), message);
            self.found.push(found.at(Position::of(at.source.contents(), at.start as usize)).help(help));
        }
        field
    }

    /// Takes note of what a name stands for, and reads what is no name.
    fn bind(&mut self, name: &Ref<Expr>, shape: InputShape) {
        match name.as_ref() {
            Expr::Var { span, .. } => self.bind_name(span.text(), shape),
            _ => {
                self.read(name);
            }
        }
    }

    fn bind_name(&mut self, name: &str, shape: InputShape) {
        self.names.insert(name.to_owned(), shape);
    }
}

/// What a list has.
fn item(of: &'static Value) -> InputShape {
    of.as_array().and_then(|items| items.first())
}
