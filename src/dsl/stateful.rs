//! The store of an operator, while its task is made.

use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::codec::{Data, Key};
use crate::operators::Emission;
use crate::operators::changelog::Changelog;
use crate::operators::expiry::Expiry;
use crate::operators::stores::{SharedStore, StoreHandle};
use crate::operators::table_out::{Standing, TableOut};
use crate::operators::timed::Timed;
use crate::operators::versions::{History, Kept, SharedHistory, Slot};
use crate::operators::view::View;
use crate::operators::{Change, Out};
use crate::state::{Store, StoreOptions};
use crate::topology::Wiring;
use crate::topology::graph::{Graph, Node, NodeId, NodeKind};

/// Makes the store of node `id` and hands it to the task.
pub(super) fn store<K: Key, V: Data>(
    wiring: &mut Wiring<'_>,
    id: NodeId,
    keep_before: bool,
) -> (SharedStore<K, V>, Changelog) {
    let store = open(wiring, id, keep_before);
    let changelog = hand_over(wiring, id, &store);
    (store, Changelog::new(changelog, wiring.partition()))
}

fn open<K: Key, V: Data>(wiring: &Wiring<'_>, id: NodeId, keep_before: bool) -> SharedStore<K, V> {
    let name = wiring.name(id).to_string();
    let options = StoreOptions { name, keep_before, cache_bytes: wiring.options().cache_bytes };
    SharedStore::new(Store::new(options, wiring.state().clone()))
}

fn hand_over<K: Key, V: Data>(wiring: &mut Wiring<'_>, id: NodeId, store: &SharedStore<K, V>) -> Arc<str> {
    let (name, changelog) = (wiring.name(id), wiring.changelog(id));
    wiring.add_store(Box::new(StoreHandle::new(name, Arc::clone(&changelog), store.clone())));
    changelog
}

/// Declares a store beside that of `owner`, whose operator makes it.
#[track_caller]
pub(super) fn beside<K, V>(graph: &mut Graph, owner: NodeId, label: &'static str) -> NodeId {
    graph.add(Node {
        kind: NodeKind::Stateful { emission: None, keeps_before: false },
        label,
        named: None,
        key_type: std::any::type_name::<K>(),
        value_type: std::any::type_name::<V>(),
        location: Location::caller(),
        parents: vec![owner],
        placed_by: None,
        wire: Box::new(|_| ()),
    })
}

/// How others look rows up in a table, made anew for each task.
pub(super) type ViewOf<K, V> = Arc<dyn Fn(&mut Wiring<'_>) -> View<K, V> + Send + Sync>;

/// Where a table's store and those who look rows up in it find each other while a task is wired. They are wired first,
/// since they lie downstream; the table's own operator takes the store, so that the next task gets another.
pub(super) struct StoreSlot<K: Key, V: Data> {
    node: NodeId,
    store: Arc<Mutex<Option<SharedStore<K, V>>>>,
}

impl<K: Key, V: Data> Clone for StoreSlot<K, V> {
    fn clone(&self) -> Self {
        Self { node: self.node, store: Arc::clone(&self.store) }
    }
}

impl<K: Key, V: Data> StoreSlot<K, V> {
    /// The slot of the table that `node` keeps.
    pub(super) fn of(node: NodeId) -> Self {
        Self { node, store: Arc::default() }
    }

    /// How others look rows up.
    pub(super) fn view(&self) -> ViewOf<K, V> {
        let slot = self.clone();
        Arc::new(move |wiring| View::Stored {
            store: slot.share(wiring),
            held_back: wiring.updates(slot.node).0 == Emission::EachCommit,
        })
    }

    fn share(&self, wiring: &Wiring<'_>) -> SharedStore<K, V> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.get_or_insert_with(|| open(wiring, self.node, wiring.updates(self.node).1)).clone()
    }

    /// Takes the store for the table's own operator and hands it to the task.
    pub(super) fn stand(&self, wiring: &mut Wiring<'_>) -> Standing<K, V> {
        let store = self.share(wiring);
        self.store.lock().unwrap_or_else(PoisonError::into_inner).take();
        let changelog = hand_over(wiring, self.node, &store);
        let (emission, keeps_before) = wiring.updates(self.node);
        let (name, partition) = (wiring.name(self.node), wiring.partition());
        Standing { name, store, changelog, partition, emission, keeps_before }
    }

    /// As [`stand`](Self::stand), with the table's updates on their way out, whose rows end where they are to.
    pub(super) fn table(&self, wiring: &mut Wiring<'_>, out: Out<K, Change<V>>) -> TableOut<K, V> {
        let expiry = self.expiry(wiring);
        TableOut::new(self.stand(wiring), out).expiring(expiry)
    }

    fn expiry(&self, wiring: &mut Wiring<'_>) -> Option<Expiry<K>> {
        let (node, after) = wiring.expiry(self.node)?;
        let (timers, changelog) = store(wiring, node, false);
        Some(Expiry::new(after, Timed::new(timers, changelog)))
    }
}

/// As [`StoreSlot`], of a table that keeps its versions.
pub(super) struct HistorySlot<K: Key, V: Data> {
    node: NodeId,
    keep: Duration,
    shared: Arc<Mutex<Option<Shared<K, V>>>>,
}

type Shared<K, V> = (SharedStore<Slot<K>, Kept<V>>, SharedHistory<K, V>);

impl<K: Key, V: Data> Clone for HistorySlot<K, V> {
    fn clone(&self) -> Self {
        Self { node: self.node, keep: self.keep, shared: Arc::clone(&self.shared) }
    }
}

impl<K: Key, V: Data> HistorySlot<K, V> {
    /// The slot of the table that `node` keeps, each version for `keep` after it was replaced.
    pub(super) fn of(node: NodeId, keep: Duration) -> Self {
        Self { node, keep, shared: Arc::default() }
    }

    /// The versions, for one that looks them up.
    pub(super) fn share(&self, wiring: &Wiring<'_>) -> SharedHistory<K, V> {
        self.both(wiring).1
    }

    fn both(&self, wiring: &Wiring<'_>) -> Shared<K, V> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, history) = shared.get_or_insert_with(|| {
            let store = open(wiring, self.node, false);
            (store.clone(), SharedHistory::new(History::new(store, self.keep)))
        });
        (store.clone(), history.clone())
    }

    /// Takes the versions for the table's own operator and hands their store to the task.
    pub(super) fn stand(&self, wiring: &mut Wiring<'_>) -> (SharedHistory<K, V>, Changelog) {
        let (store, history) = self.both(wiring);
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).take();
        let changelog = hand_over(wiring, self.node, &store);
        (history, Changelog::new(changelog, wiring.partition()))
    }
}
