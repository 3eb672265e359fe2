//! The owner of all local state of an application in a process: who may open it, and who works with it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::applier::Applier;
use super::handover::{Limits, Shared};
use super::home::Home;
use super::memory::MemoryDisks;
use super::sled::{OpenFailure, SledDisk};
use super::{Disk, MemoryDisk, StateOptions, StoreId, TaskState};
use crate::error::{Error, ErrorKind, Result};

/// How many bytes wait for a simulated disk: few, so that it lags behind, but not far.
const SMALL_BATCH: usize = 256;

/// The local state of one application in this process. Clones are handles of the same registry.
///
/// Tasks move between threads; their state stays here, open, and is leased to whoever runs the task.
#[derive(Clone, Debug)]
pub struct States(Arc<Registry>);

struct Registry {
    application: String,
    instance: String,
    home: Option<Home>,
    disks: Option<MemoryDisks>,
    applier: Option<Applier>,
    tasks: Mutex<Tasks>,
    lost: AtomicU64,
}

#[derive(Default)]
struct Tasks {
    open: HashMap<String, Arc<Shared>>,
    leased: HashSet<String>,
    closed: bool,
}

impl States {
    /// Takes the place of `application`'s state for this process.
    ///
    /// # Errors
    /// When another process has it, or the directory cannot be used.
    pub fn open(options: StateOptions, application: &str) -> Result<Self> {
        let (home, disks) = match options {
            StateOptions::Memory => (None, None),
            StateOptions::Directory(directory) => (Some(Home::take(&directory, application)?), None),
            StateOptions::Disks(disks) => (None, Some(disks)),
        };
        let instance = match &home {
            Some(home) => home.instance()?,
            None => super::home::random_id(),
        };
        let mut failure = None;
        let registry = Arc::new_cyclic(|registry: &Weak<Registry>| {
            let registry = registry.clone();
            let all = move || registry.upgrade().map_or_else(Vec::new, |registry| registry.all());
            let applier = home.as_ref().map(|_| Applier::start(all)).transpose();
            let applier = applier.unwrap_or_else(|error| {
                failure = Some(error);
                None
            });
            let (application, tasks, lost) = (application.to_owned(), Mutex::default(), AtomicU64::new(0));
            Registry { application, instance, home, disks, applier, tasks, lost }
        });
        match failure {
            Some(error) => {
                let message = "the thread that writes the local state could not be started";
                Err(Error::new(ErrorKind::State, message).caused_by(error))
            }
            None => Ok(Self(registry)),
        }
    }

    /// The id of this process, which it keeps over restarts where it has a directory.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.0.instance
    }

    /// The state of `task`, with these stores, for the calling thread alone; `None` while another thread has it: ask
    /// again. It goes back when its last handle is dropped, and stays open.
    ///
    /// # Errors
    /// When it cannot be opened. State that is damaged is no error: it is moved aside, and the task starts with none.
    pub fn lease(&self, task: &str, stores: &[&str]) -> Result<Option<TaskState>> {
        check_ids(stores)?;
        {
            let mut tasks = self.0.tasks();
            if tasks.closed {
                return Err(Error::new(ErrorKind::State, "the local state has been closed"));
            }
            if !tasks.leased.insert(task.to_owned()) {
                return Ok(None);
            }
        }
        // From here on the lease gives the task back, on every way out.
        let lease = Lease { registry: Arc::clone(&self.0), task: task.to_owned() };
        let shared = self.0.opened(task)?;
        Ok(Some(TaskState::leased(shared, lease)))
    }

    /// Throws the state of `task` away, which nobody may have leased: it does not fit its changelogs, as `why` says.
    ///
    /// # Errors
    /// When it is leased, or its directory cannot be moved.
    pub fn discard(&self, task: &str, why: &str) -> Result<()> {
        let mut tasks = self.0.tasks();
        if tasks.leased.contains(task) {
            let message = format!("the state of task {task} is in use and cannot be thrown away");
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let open = tasks.open.remove(task);
        // Before the directory is moved: closing writes to it.
        drop(open);
        self.0.move_aside(task, why)
    }

    /// How many times state was found damaged and moved aside, since the process began.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// True where a task's disk has failed: see [`TaskState::degraded`].
    #[must_use]
    pub fn degraded(&self) -> bool {
        self.0.all().iter().any(|state| state.degraded())
    }

    /// Writes all committed state to disk and closes it. Nothing can be leased any more.
    ///
    /// # Errors
    /// When the state of a task could not be written; that of the others was.
    pub fn close(&self) -> Result<()> {
        self.0.tasks().closed = true;
        if let Some(applier) = &self.0.applier {
            applier.stop();
        }
        let results: Vec<Result<()>> = self.0.all().iter().map(|state| state.flush()).collect();
        self.0.tasks().open.clear();
        results.into_iter().collect()
    }
}

fn check_ids(stores: &[&str]) -> Result<()> {
    let mut seen = HashMap::new();
    for store in stores {
        let id = StoreId::of(store);
        let message = match seen.insert(id, store) {
            Some(other) => format!("the stores {other} and {store} cannot be told apart on disk"),
            None if id == StoreId::END => format!("the store {store} has a name that cannot be kept on disk"),
            None => continue,
        };
        return Err(Error::new(ErrorKind::Topology, message).remedy("rename one of the task's stores"));
    }
    Ok(())
}

impl Registry {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Arc<Shared>> {
        self.tasks().open.values().map(Arc::clone).collect()
    }

    /// The state of a task that has been reserved for the caller.
    fn opened(&self, task: &str) -> Result<Arc<Shared>> {
        let spoiled = {
            let mut tasks = self.tasks();
            match tasks.open.get(task) {
                Some(open) if open.spoiled() => tasks.open.remove(task),
                Some(open) => return Ok(Arc::clone(open)),
                None => None,
            }
        };
        if let Some(spoiled) = spoiled {
            drop(spoiled);
            self.move_aside(task, "it could not be read")?;
        }
        let shared = Arc::new(self.open(task)?);
        self.tasks().open.insert(task.to_owned(), Arc::clone(&shared));
        Ok(shared)
    }

    fn open(&self, task: &str) -> Result<Shared> {
        let mut limits = Limits::default();
        let disk: Box<dyn Disk> = match (&self.home, &self.disks) {
            (Some(home), _) => Box::new(self.open_or_replace(task, &home.path_of(task))?),
            (None, Some(disks)) => {
                limits.apply = SMALL_BATCH;
                Box::new(disks.of(task))
            }
            (None, None) => Box::new(MemoryDisk::new()),
        };
        let stand = disk.stand()?.unwrap_or_default();
        let applier = self.applier.as_ref().map(|applier| applier.sender.clone());
        Ok(Shared::new(task, disk, stand, limits, applier))
    }

    fn open_or_replace(&self, task: &str, path: &Path) -> Result<SledDisk> {
        let mut moved = false;
        loop {
            match SledDisk::open(path, &self.application, task) {
                Ok(disk) => return Ok(disk),
                Err(OpenFailure::Refused(error)) => return Err(error),
                Err(OpenFailure::Lost(why)) if !moved => self.move_aside(task, &why)?,
                Err(OpenFailure::Lost(why)) => {
                    let message = format!("a new local state of task {task} cannot be opened either: {why}");
                    return Err(Error::new(ErrorKind::State, message).remedy("check the disk"));
                }
            }
            moved = true;
        }
    }

    fn move_aside(&self, task: &str, why: &str) -> Result<()> {
        if let Some(disks) = &self.disks {
            disks.clear(task);
        }
        let Some(home) = &self.home else { return Ok(()) };
        let to = home.move_aside(task)?;
        self.lost.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            task,
            why,
            moved_to = %to.display(),
            "the local state is not usable and was moved aside; it is restored from the changelogs"
        );
        Ok(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(applier) = &self.applier {
            applier.stop();
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("States").field("application", &self.application).finish_non_exhaustive()
    }
}

/// That a task is somebody's; gives it back when it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    registry: Arc<Registry>,
    task: String,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut tasks = self.registry.tasks();
        if let Some(open) = tasks.open.get(&self.task) {
            open.abort();
        }
        tasks.leased.remove(&self.task);
    }
}
