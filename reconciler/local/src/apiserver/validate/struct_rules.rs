//! Which rules concern several fields of a type at once, as a table.

use super::{ValidationReport, amounts, autoscaling, kinds, networks, pods, schedules, volumes};
use crate::apiserver::object::JsonObject;

/// Checks the fields of a struct, which is at a path.
type StructRule = fn(&JsonObject, &str, &mut ValidationReport);

/// The rules by the name of the type.
const RULES: [(&str, StructRule); 56] = [
    ("apps.v1.DaemonSetSpec", kinds::workload),
    ("apps.v1.DeploymentSpec", kinds::workload),
    ("apps.v1.DeploymentStrategy", kinds::deployment_strategy),
    ("apps.v1.ReplicaSetSpec", kinds::workload),
    ("apps.v1.StatefulSetSpec", kinds::workload),
    ("autoscaling.v2.ContainerResourceMetricSource", autoscaling::resource),
    ("autoscaling.v2.ExternalMetricSource", autoscaling::other),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", autoscaling::autoscaler),
    ("autoscaling.v2.MetricSpec", autoscaling::metric),
    ("autoscaling.v2.MetricTarget", autoscaling::target),
    ("autoscaling.v2.ObjectMetricSource", autoscaling::other),
    ("autoscaling.v2.PodsMetricSource", autoscaling::pods),
    ("autoscaling.v2.ResourceMetricSource", autoscaling::resource),
    ("batch.v1.CronJobSpec", schedules::cron_job),
    ("batch.v1.JobSpec", kinds::job),
    ("core.v1.ConfigMap", kinds::data),
    ("core.v1.ConfigMapEnvSource", pods::env_source),
    ("core.v1.ConfigMapKeySelector", pods::key_of),
    ("core.v1.ConfigMapVolumeSource", volumes::config_map),
    ("core.v1.Container", pods::container),
    ("core.v1.ContainerPort", pods::port),
    ("core.v1.DownwardAPIVolumeFile", volumes::file),
    ("core.v1.DownwardAPIVolumeSource", volumes::files),
    ("core.v1.EnvFromSource", pods::env_from),
    ("core.v1.EnvVar", pods::env),
    ("core.v1.ExecAction", pods::command),
    ("core.v1.HostPathVolumeSource", volumes::host_path),
    ("core.v1.KeyToPath", volumes::file),
    ("core.v1.LifecycleHandler", pods::lifecycle),
    ("core.v1.PersistentVolumeClaimSpec", kinds::claim),
    ("core.v1.PodSpec", pods::pod),
    ("core.v1.Probe", pods::probe),
    ("core.v1.ProjectedVolumeSource", volumes::files),
    ("core.v1.ResourceQuotaSpec", amounts::quota),
    ("core.v1.ResourceRequirements", amounts::resources),
    ("core.v1.Secret", kinds::data),
    ("core.v1.SecretEnvSource", pods::env_source),
    ("core.v1.SecretKeySelector", pods::key_of),
    ("core.v1.SecretVolumeSource", volumes::secret),
    ("core.v1.ServicePort", networks::service_port),
    ("core.v1.ServiceSpec", networks::service),
    ("core.v1.VolumeMount", volumes::mount),
    ("meta.v1.LabelSelector", kinds::label_selector),
    ("meta.v1.ObjectMeta", kinds::metadata),
    ("networking.v1.HTTPIngressPath", networks::ingress_path),
    ("networking.v1.IPBlock", networks::ip_block),
    ("networking.v1.IngressServiceBackend", networks::ingress_backend),
    ("networking.v1.IngressSpec", networks::ingress),
    ("networking.v1.NetworkPolicyPeer", networks::peer),
    ("networking.v1.NetworkPolicyPort", networks::policy_port),
    ("networking.v1.NetworkPolicySpec", networks::policy),
    ("policy.v1.PodDisruptionBudgetSpec", kinds::disruption_budget),
    ("rbac.v1.ClusterRoleBinding", kinds::cluster_role_binding),
    ("rbac.v1.PolicyRule", kinds::policy_rule),
    ("rbac.v1.RoleRef", kinds::role_ref),
    ("rbac.v1.Subject", kinds::subject),
];

pub(super) fn rule_of(type_name: &str) -> Option<StructRule> {
    RULES.iter().find(|(name, _)| *name == type_name).map(|(_, rule)| *rule)
}
