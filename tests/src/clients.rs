//! Clients of a cluster that are not Dayfly's own.

use std::path::Path;

use kube::api::{ApiResource, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client};

/// How a kubeconfig's context is reached; without a name, its current context.
pub async fn config(kubeconfig: &Path, context: Option<&str>) -> kube::Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()
}

/// A client of a kubeconfig's context.
pub async fn client(kubeconfig: &Path, context: &str) -> Client {
    Client::try_from(config(kubeconfig, Some(context)).await).unwrap()
}

/// The objects of a kind: of one namespace, or of the whole cluster.
pub fn api(client: &Client, api_version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}
