//! Reads and writes inventories, each write on condition that nobody else wrote meanwhile.

use dayfly_model::kinds::Kind;
use dayfly_model::scope::SYSTEM_NAMESPACE;
use dayfly_model::scope::Scope;
use dayfly_plan::inventory::{Inventory, InventoryError, SELECTOR};
use serde_json::{Value, json};

use super::request::Request;
use super::{Cluster, ClusterError, ClusterErrorKind};

impl Cluster {
    /// All inventories of the cluster, and those that cannot be read; the latter are not empty ones.
    pub async fn inventories(&self) -> Result<(Vec<Inventory>, Vec<InventoryError>), ClusterError> {
        let (mut read, mut broken) = (vec![], vec![]);
        let request = Request::list(self.kind("ConfigMap")?, Some(SYSTEM_NAMESPACE)).with("labelSelector", SELECTOR);
        self.pages(request, |object| match Inventory::from_config_map(object) {
            Ok(inventory) => read.push(inventory),
            Err(error) => broken.push(error),
        })
        .await?;
        read.iter().for_each(|inventory| self.store().register(inventory.scope()));
        Ok((read, broken))
    }

    /// The inventory of a scope; a new one if the cluster has none.
    pub async fn inventory(&self, scope: &Scope) -> Result<Inventory, ClusterError> {
        self.store().register(scope);
        let request = Request::get(self.kind("ConfigMap")?, Some(SYSTEM_NAMESPACE), &scope.to_string());
        match self.call(request).await {
            Ok(answer) => {
                Inventory::from_config_map(&answer.body).map_err(|error| self.error(scope.to_string(), error.into()))
            }
            Err(error) if matches!(error.kind, ClusterErrorKind::NotFound | ClusterErrorKind::NamespaceMissing) => {
                Ok(Inventory::new(scope.clone()))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes an inventory, if the cluster still has the version that was read. An empty one that never was written
    /// needs no ConfigMap.
    pub(super) async fn store_inventory(&self, inventory: &mut Inventory) -> Result<(), ClusterError> {
        self.store().register(inventory.scope());
        let kind = self.kind("ConfigMap")?;
        let name = inventory.scope().to_string();
        let answer = if inventory.resource_version().is_some() {
            self.call(Request::update(kind, Some(SYSTEM_NAMESPACE), &name, inventory.to_config_map())).await
        } else {
            self.create_inventory(kind, inventory.to_config_map()).await
        };
        let body = answer.map_err(|error| match error.kind {
            ClusterErrorKind::Moved(_) | ClusterErrorKind::NotFound => {
                let why = "another Dayfly wrote the inventory, or it was changed by hand";
                self.error(format!("ConfigMap/{SYSTEM_NAMESPACE}/{name}"), ClusterErrorKind::Moved(why.into()))
            }
            _ => error,
        })?;
        inventory.stored_as(body.body.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned));
        Ok(())
    }

    async fn create_inventory(&self, kind: &'static Kind, object: Value) -> Result<super::call::Answer, ClusterError> {
        match self.call(Request::create(kind, Some(SYSTEM_NAMESPACE), object.clone())).await {
            Err(error) if matches!(error.kind, ClusterErrorKind::NamespaceMissing | ClusterErrorKind::NotFound) => {
                self.create_namespace().await?;
                self.call(Request::create(kind, Some(SYSTEM_NAMESPACE), object)).await
            }
            answer => answer,
        }
    }

    async fn create_namespace(&self) -> Result<(), ClusterError> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}});
        match self.call(Request::create(self.kind("Namespace")?, None, object)).await {
            // Somebody else was faster.
            Err(error) if !matches!(error.kind, ClusterErrorKind::Moved(_)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes the ConfigMap of an inventory that has no entries left, if the cluster still has the version that was read.
    pub(super) async fn delete_inventory(&self, inventory: &mut Inventory) -> Result<(), ClusterError> {
        let Some(version) = inventory.resource_version() else { return Ok(()) };
        let options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": version}});
        let name = inventory.scope().to_string();
        match self.call(Request::delete(self.kind("ConfigMap")?, Some(SYSTEM_NAMESPACE), &name, options)).await {
            Err(error) if !matches!(error.kind, ClusterErrorKind::NotFound) => Err(error),
            _ => {
                inventory.stored_as(None);
                Ok(())
            }
        }
    }

    /// A kind of the core group that the table always has.
    pub(super) fn kind(&self, name: &str) -> Result<&'static Kind, ClusterError> {
        let kind = self.store().kinds.find("", name);
        kind.ok_or_else(|| self.error(name, ClusterErrorKind::KindMissing(name.to_owned())))
    }
}
