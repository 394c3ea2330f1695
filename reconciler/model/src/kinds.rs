//! The Kubernetes kinds that Dayfly knows: how they are addressed, and in which wave they are applied.

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
}

/// Every kind that may be rendered. Absent on purpose: Secret (its values would stand in git), Pod (nothing restarts it).
pub const KINDS: &[Kind] = &[
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

/// The kind of that group and name.
pub fn find(group: &str, kind: &str) -> Option<&'static Kind> {
    // The kind first: it tells most of them apart by its length.
    KINDS.iter().find(|known| known.kind == kind && known.group == group)
}

/// The wave of an object; what is unknown goes with the workloads.
pub fn wave(key: &ObjectKey) -> Wave {
    find(&key.group, &key.kind).map_or(Wave::Workload, |kind| kind.wave)
}
