//! Which tasks of this process can be asked for their committed state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::state::CommittedReader;
use crate::topology::TaskId;

/// The states of the running tasks, as far as others may read them.
#[derive(Debug, Default)]
pub(crate) struct Serving(Mutex<BTreeMap<TaskId, Arc<Held>>>);

/// A state, until its task goes. Whoever reads a page holds the lock: a state that is given up is not read any more, and
/// can be closed or moved.
#[derive(Debug)]
pub(crate) struct Held(RwLock<Option<CommittedReader>>);

impl Serving {
    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Arc<Held>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task is complete as of its last commit: it may be asked.
    pub(crate) fn serve(&self, task: TaskId, reader: CommittedReader) {
        self.tasks().insert(task, Arc::new(Held(RwLock::new(Some(reader)))));
    }

    /// The task goes. Waits for a page that is being read.
    pub(crate) fn withdraw(&self, task: TaskId) {
        let held = self.tasks().remove(&task);
        if let Some(held) = held {
            held.0.write().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// The state of a task, if it may be asked now.
    pub(crate) fn find(&self, task: TaskId) -> Option<Arc<Held>> {
        self.tasks().get(&task).map(Arc::clone)
    }
}

impl Held {
    /// Reads a page; `None` where the task has gone.
    pub(crate) fn read<T>(&self, page: impl FnOnce(&CommittedReader) -> T) -> Option<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(page)
    }
}
