//! The Kubernetes kinds that Dayfly works with: how they are addressed, and in which wave they are applied.

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::object::ObjectKey;

/// When an object is applied. A wave starts when the one before is healthy; pruning goes the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wave {
    /// Namespaces and custom resource definitions: what others live in.
    Ground,
    /// Configuration, identity, quotas and limits.
    Config,
    /// What runs.
    Workload,
    /// What lets traffic in.
    Route,
}

/// The waves in the order in which they are applied.
pub const WAVES: [Wave; 4] = [Wave::Ground, Wave::Config, Wave::Workload, Wave::Route];

/// A kind, as the API server addresses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version that Dayfly reads and writes.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The resource's name in URLs.
    pub plural: &'static str,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
    /// When it is applied.
    pub wave: Wave,
    /// Whether a template may render it, in its app's own namespace. The others belong to environments.
    pub in_templates: bool,
}

const fn kind(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    wave: Wave,
) -> Kind {
    Kind { group, version, kind, plural, namespaced: true, wave, in_templates: true }
}

impl Kind {
    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self.in_templates = false;
        self
    }

    const fn of_environments(mut self) -> Self {
        self.in_templates = false;
        self
    }

    /// The order in which kinds are searched: their length tells most of them apart.
    fn search(&self, group: &str, kind: &str) -> Ordering {
        let length = self.kind.len().cmp(&kind.len());
        length.then_with(|| self.kind.cmp(kind)).then_with(|| self.group.cmp(group))
    }
}

/// The kinds that Dayfly knows by itself. Absent on purpose: Secret (its values would stand in git), Pod (nothing restarts
/// it).
static BUILTIN: [Kind; 20] = [
    kind("", "v1", "Namespace", "namespaces", Wave::Ground).cluster(),
    kind("", "v1", "ResourceQuota", "resourcequotas", Wave::Config).of_environments(),
    kind("", "v1", "LimitRange", "limitranges", Wave::Config).of_environments(),
    kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", Wave::Config).of_environments(),
    kind("", "v1", "ServiceAccount", "serviceaccounts", Wave::Config),
    kind("rbac.authorization.k8s.io", "v1", "Role", "roles", Wave::Config).of_environments(),
    kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", Wave::Config).of_environments(),
    kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", Wave::Config).cluster(),
    kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", Wave::Config).cluster(),
    kind("", "v1", "ConfigMap", "configmaps", Wave::Config),
    kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", Wave::Config),
    kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", Wave::Config),
    kind("apps", "v1", "Deployment", "deployments", Wave::Workload),
    kind("apps", "v1", "StatefulSet", "statefulsets", Wave::Workload),
    kind("apps", "v1", "DaemonSet", "daemonsets", Wave::Workload).of_environments(),
    kind("batch", "v1", "Job", "jobs", Wave::Workload),
    kind("batch", "v1", "CronJob", "cronjobs", Wave::Workload),
    kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", Wave::Workload),
    kind("", "v1", "Service", "services", Wave::Workload),
    kind("networking.k8s.io", "v1", "Ingress", "ingresses", Wave::Route),
];

/// The kinds that can be rendered, planned, applied and watched: the built-in ones, and custom ones that joined them. Cheap to
/// clone.
#[derive(Clone)]
pub struct Kinds(Arc<Lists>);

#[derive(Clone)]
struct Lists {
    /// In the order in which they joined.
    joined: Vec<&'static Kind>,
    /// In the order of [`Kind::search`].
    sorted: Vec<&'static Kind>,
}

/// Why a kind cannot join: there is one of its name and group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kind {kind} of {} is there already", group_in_words(.group))]
pub struct DuplicateKind {
    group: &'static str,
    kind: &'static str,
}

fn group_in_words(group: &str) -> &str {
    if group.is_empty() { "the core group" } else { group }
}

impl Kinds {
    /// The kinds that Dayfly knows by itself.
    pub fn builtin() -> Self {
        static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
            let joined: Vec<_> = BUILTIN.iter().collect();
            let mut sorted = joined.clone();
            sorted.sort_by(|a, b| a.search(b.group, b.kind));
            Kinds(Arc::new(Lists { joined, sorted }))
        });
        KINDS.clone()
    }

    /// The same kinds and a custom one.
    ///
    /// # Errors
    /// There is one of that name and group, in whatever version.
    pub fn with(&self, kind: &'static Kind) -> Result<Self, DuplicateKind> {
        let mut lists = Lists::clone(&self.0);
        match self.position(kind.group, kind.kind) {
            Ok(_) => return Err(DuplicateKind { group: kind.group, kind: kind.kind }),
            Err(position) => lists.sorted.insert(position, kind),
        }
        lists.joined.push(kind);
        Ok(Self(Arc::new(lists)))
    }

    /// The kind of that group and name.
    pub fn find(&self, group: &str, kind: &str) -> Option<&'static Kind> {
        self.position(group, kind).ok().map(|position| self.0.sorted[position])
    }

    /// The wave of an object; what is unknown goes with the workloads.
    pub fn wave(&self, key: &ObjectKey) -> Wave {
        self.find(&key.group, &key.kind).map_or(Wave::Workload, |kind| kind.wave)
    }

    /// All of them, in the order in which they joined.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'static Kind> {
        self.0.joined.iter().copied()
    }

    fn position(&self, group: &str, kind: &str) -> Result<usize, usize> {
        self.0.sorted.binary_search_by(|known| known.search(group, kind))
    }
}

impl Default for Kinds {
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|kind| kind.kind)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static HTTP_ROUTE: Kind = kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", Wave::Route);

    #[test]
    fn every_builtin_kind_is_found_by_group_and_name() {
        let kinds = Kinds::builtin();
        for kind in &BUILTIN {
            assert_eq!(kinds.find(kind.group, kind.kind), Some(kind));
        }
        for (group, kind) in [("", "Secret"), ("", "Pod"), ("extensions", "Ingress"), ("", ""), ("apps", "deployment")]
        {
            assert_eq!(kinds.find(group, kind), None, "{kind}");
        }
        assert!(kinds.iter().eq(&BUILTIN));
    }

    #[test]
    fn a_custom_kind_joins_and_has_its_wave() {
        let kinds = Kinds::builtin().with(&HTTP_ROUTE).unwrap();
        let key = ObjectKey {
            group: HTTP_ROUTE.group.into(),
            kind: "HTTPRoute".into(),
            namespace: Some("survey".into()),
            name: "web".into(),
        };
        assert_eq!((kinds.find(&key.group, &key.kind), kinds.wave(&key)), (Some(&HTTP_ROUTE), Wave::Route));
        assert_eq!(kinds.iter().last(), Some(&HTTP_ROUTE));
        for kind in &BUILTIN {
            assert_eq!(kinds.find(kind.group, kind.kind), Some(kind));
        }
        // Those who did not ask for it do not see it.
        assert_eq!(Kinds::builtin().find(&key.group, &key.kind), None);
        assert_eq!(Kinds::builtin().wave(&key), Wave::Workload);
    }

    #[test]
    fn a_second_kind_of_one_name_and_group_is_refused() {
        static OTHER: Kind = kind("gateway.networking.k8s.io", "v2", "HTTPRoute", "routes", Wave::Config);
        static SERVICE: Kind = kind("", "v2", "Service", "services", Wave::Config);
        static NAMESAKE: Kind = kind("example.com", "v1", "HTTPRoute", "httproutes", Wave::Config);
        let kinds = Kinds::builtin().with(&HTTP_ROUTE).unwrap();
        let refused = |kind| kinds.with(kind).unwrap_err().to_string();
        assert_eq!(refused(&OTHER), "the kind HTTPRoute of gateway.networking.k8s.io is there already");
        assert_eq!(refused(&SERVICE), "the kind Service of the core group is there already");
        assert!(kinds.with(&NAMESAKE).is_ok());
    }
}
