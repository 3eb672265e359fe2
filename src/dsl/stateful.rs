//! The store of an operator, while its task is made.

use std::sync::Arc;

use crate::codec::{Data, Key};
use crate::operators::changelog::Changelog;
use crate::operators::stores::{SharedStore, StoreHandle};
use crate::state::{Store, StoreOptions};
use crate::topology::Wiring;
use crate::topology::graph::NodeId;

/// Makes the store of node `id` and hands it to the task.
pub(super) fn store<K: Key, V: Data>(
    wiring: &mut Wiring<'_>,
    id: NodeId,
    keep_before: bool,
) -> (SharedStore<K, V>, Changelog) {
    let (name, changelog) = (wiring.name(id), wiring.changelog(id));
    let options = StoreOptions { name: name.to_string(), keep_before, cache_bytes: wiring.options().cache_bytes };
    let store = SharedStore::new(Store::new(options, wiring.state().clone()));
    wiring.add_store(Box::new(StoreHandle::new(name, Arc::clone(&changelog), store.clone())));
    (store, Changelog::new(changelog, wiring.partition()))
}
