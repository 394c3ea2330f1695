//! Shows what a plan would change, by dry runs, and what else a deletion takes with it.

use dayfly_model::kinds::{Kind, Wave};
use dayfly_model::object::ObjectKey;
use dayfly_plan::diff::unified;
use dayfly_plan::plan::{ChangeAction, ChangeReason, ObjectChange, Plan};
use futures::StreamExt as _;
use serde_json::Value;

use super::apply::{AT_ONCE, Precondition};
use super::request::Request;
use super::{Cluster, ClusterError, ClusterErrorKind};

/// One change as people see it before it happens.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// What would happen.
    pub action: ChangeAction,
    /// To what.
    pub key: ObjectKey,
    /// Why.
    pub reason: ChangeReason,
    /// A unified diff of YAML, secrets masked; empty if nothing that matters changes.
    pub diff: String,
}

/// Kinds that an app's namespace holds and that Dayfly never renders; the deletion of the namespace takes them along.
const ALSO: [Kind; 2] = [also("Secret", "secrets"), also("Pod", "pods")];

const fn also(kind: &'static str, plural: &'static str) -> Kind {
    Kind { group: "", version: "v1", kind, plural, namespaced: true, wave: Wave::Config, in_templates: false }
}

static ALSO_TABLE: &[Kind] = &ALSO;

impl Cluster {
    /// What every change of a plan would do, in its order, by dry runs on the API server; and what could not be tried.
    pub async fn preview(&self, plan: &Plan) -> (Vec<DryRun>, Vec<ClusterError>) {
        let tries = plan.changes().map(|change| self.preview_change(plan, change));
        let results: Vec<_> = futures::stream::iter(tries).buffered(AT_ONCE).collect().await;
        let (mut previews, mut errors) = (vec![], vec![]);
        for result in results {
            match result {
                Ok(preview) => previews.push(preview),
                Err(error) => errors.push(error),
            }
        }
        (previews, errors)
    }

    async fn preview_change(&self, plan: &Plan, change: &ObjectChange) -> Result<DryRun, ClusterError> {
        let key = change.key();
        let before = match change.action() {
            ChangeAction::Create => None,
            _ => self.find(key).await?.map(|(_, object)| object),
        };
        let after = match (change.desired(), change.action(), change.uid()) {
            (None, _, _) => None,
            (Some(object), ChangeAction::Update, Some(uid)) => {
                let request = self.apply_request(plan.scope(), object, Precondition::Uid(uid), plan.force())?;
                Some(self.call(request.with("dryRun", "All")).await?.body)
            }
            (Some(object), ChangeAction::Create, _) => {
                let request = self.apply_request(plan.scope(), object, Precondition::Absent, false)?;
                match self.call(request.with("dryRun", "All")).await {
                    Ok(answer) => Some(answer.body),
                    // Its namespace comes with the same plan, so the server cannot try it yet.
                    Err(error)
                        if matches!(error.kind, ClusterErrorKind::NamespaceMissing | ClusterErrorKind::NotFound) =>
                    {
                        Some((**object.value()).clone())
                    }
                    Err(error) if matches!(error.kind, ClusterErrorKind::Moved(_) | ClusterErrorKind::Owned(_)) => {
                        let owners = self.find(key).await?.map(|(live, _)| live.owners()).unwrap_or_default();
                        return Err(self.error(key.to_string(), ClusterErrorKind::Foreign(owners)));
                    }
                    Err(error) => return Err(error),
                }
            }
            // The server refuses to try what is immutable; the object itself is what will stand there.
            (Some(object), _, _) => Some((**object.value()).clone()),
        };
        let diff = unified(key, before.as_ref(), after.as_ref());
        Ok(DryRun { action: change.action(), key: key.clone(), reason: change.reason(), diff })
    }

    /// What lives in a namespace: everything of the kinds that apps have, volumes and secrets included, but not what
    /// belongs to another object there or comes with every namespace. Precondition names travel.
    pub async fn contents(&self, namespace: &str) -> Result<Vec<ObjectKey>, ClusterError> {
        let mut found = vec![];
        for kind in self.store().kinds.iter().filter(|kind| kind.namespaced).chain(ALSO_TABLE) {
            let request = Request::list(kind, Some(namespace)).metadata_only();
            let listed = self.pages(request, |object| found.extend(content(kind, namespace, object))).await;
            match listed {
                Err(error) if !matches!(error.kind, ClusterErrorKind::KindMissing(_) | ClusterErrorKind::NotFound) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

fn content(kind: &Kind, namespace: &str, object: &Value) -> Option<ObjectKey> {
    let meta = &object["metadata"];
    let name = meta["name"].as_str()?;
    let owned = meta["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
    let given = matches!((kind.kind, name), ("ServiceAccount", "default") | ("ConfigMap", "kube-root-ca.crt"));
    (!owned && !given).then(|| ObjectKey {
        group: kind.group.to_owned(),
        kind: kind.kind.to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    })
}
