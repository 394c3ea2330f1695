//! The inventories of all clusters as they were last read or written, and which of them have to be read again.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_cluster::ClusterError;
use dayfly_model::names::AppName;
use dayfly_model::scope::{Location, Scope};
use dayfly_plan::inventory::{Inventory, InventoryError, LastPass};

use crate::fleet::{Fleet, ProbeAnswer};
use crate::options::Options;

/// What is where. All of it can be read again.
#[derive(Default)]
pub(crate) struct Inventories {
    /// By the cluster's id, then by scope.
    read: BTreeMap<String, BTreeMap<Scope, Inventory>>,
    /// What somebody else wrote, or what cannot be read. Until it was read again, nothing of it is touched.
    stale: BTreeSet<Location>,
    /// Counts what was read from clusters: whoever checked the inventories of one generation has to check the next.
    generation: u64,
}

/// What a scope was last brought to, as its inventory says.
pub(crate) struct Running {
    pub scope: Scope,
    pub last: LastPass,
}

/// Whether an inventory is neither stored nor names anything.
fn is_nothing(inventory: &Inventory) -> bool {
    inventory.resource_version().is_none() && inventory.is_empty()
}

impl Inventories {
    pub fn get(&self, location: &Location) -> Option<&Inventory> {
        self.read.get(&location.cluster)?.get(&location.scope)
    }

    /// The inventories of a cluster.
    pub fn on<'a>(&'a self, cluster: &str) -> impl Iterator<Item = &'a Inventory> + use<'a> {
        self.read.get(cluster).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether any cluster has something of an app.
    pub fn has_app(&self, app: &AppName) -> bool {
        self.read.values().flat_map(BTreeMap::keys).any(|scope| scope.app() == Some(app))
    }

    /// What runs anywhere.
    pub fn running(&self) -> Vec<Running> {
        let all = self.read.values().flat_map(BTreeMap::values);
        all.map(|inventory| Running { scope: inventory.scope().clone(), last: inventory.last().clone() }).collect()
    }

    /// Grows with everything that is read from a cluster.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Records what a plan left. An inventory that was deleted with everything in it is forgotten.
    pub fn record(&mut self, location: &Location, inventory: Inventory) {
        let on_cluster = self.read.entry(location.cluster.clone()).or_default();
        match is_nothing(&inventory) {
            true => on_cluster.remove(&location.scope),
            false => on_cluster.insert(location.scope.clone(), inventory),
        };
    }

    /// Whether a location has to be read again before anything is done to it.
    pub fn is_stale(&self, location: &Location) -> bool {
        self.stale.contains(location)
    }

    /// Asks for a location to be read again: another replica may have written it.
    pub fn mark_stale(&mut self, location: Location) {
        self.stale.insert(location);
    }

    /// Records all inventories of a cluster. Those that cannot be read are stale where their scope belongs there; the others
    /// are returned: they belong to no scope on that cluster.
    pub fn record_probe(&mut self, answer: ProbeAnswer, is_home: impl Fn(&Scope) -> bool) -> Vec<InventoryError> {
        let cluster = answer.cluster.id().to_owned();
        let mut foreign = Vec::new();
        for error in answer.broken {
            match error.name.parse::<Scope>() {
                Ok(scope) if is_home(&scope) => drop(self.stale.insert(Location { cluster: cluster.clone(), scope })),
                _ => foreign.push(error),
            }
        }
        let read = answer.inventories.into_iter().map(|inventory| (inventory.scope().clone(), inventory));
        self.read.entry(cluster).or_default().extend(read);
        self.generation += 1;
        foreign
    }

    /// Reads again what is stale and asked for. Returns what was read, and what could not be: what cannot be read is not
    /// absent, so nothing of it is changed or deleted.
    pub async fn reread(&mut self, fleet: &Fleet, options: &Options) -> (Vec<Scope>, Vec<(Scope, ClusterError)>) {
        let (mut read, mut failed) = (Vec::new(), Vec::new());
        for location in self.stale.clone() {
            if !options.includes_scope(&location.scope) {
                continue;
            }
            let Some(cluster) = fleet.cluster(&location.cluster) else { continue };
            match cluster.inventory(&location.scope).await {
                Ok(inventory) => {
                    self.stale.remove(&location);
                    self.record(&location, inventory);
                    self.generation += 1;
                    read.push(location.scope);
                }
                Err(error) => {
                    self.read.entry(location.cluster).or_default().remove(&location.scope);
                    failed.push((location.scope, error));
                }
            }
        }
        (read, failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(scope: &str) -> Location {
        Location { cluster: "id".into(), scope: scope.parse().unwrap() }
    }

    fn stored(scope: &str) -> Inventory {
        let mut inventory = Inventory::new(scope.parse().unwrap());
        inventory.stored_as(Some("7".into()));
        inventory
    }

    #[test]
    fn an_inventory_that_was_deleted_is_forgotten() {
        let mut inventories = Inventories::default();
        inventories.record(&location("poll.sandbox"), stored("poll.sandbox"));
        assert!(inventories.get(&location("poll.sandbox")).is_some() && inventories.has_app(&"poll".parse().unwrap()));
        inventories.record(&location("poll.sandbox"), Inventory::new("poll.sandbox".parse().unwrap()));
        assert!(inventories.get(&location("poll.sandbox")).is_none() && inventories.running().is_empty());
    }

    #[test]
    fn what_dayfly_writes_itself_begins_no_new_generation() {
        let mut inventories = Inventories::default();
        inventories.record(&location("poll.sandbox"), stored("poll.sandbox"));
        inventories.mark_stale(location("survey.sandbox"));
        assert_eq!((inventories.generation(), inventories.is_stale(&location("survey.sandbox"))), (0, true));
        assert!(!inventories.is_stale(&location("poll.sandbox")));
    }
}
