//! The lock file of `plan` and `run`.

use std::path::Path;

use super::failure::Failure;
use crate::error::{Error, ErrorKind};
use crate::topology::Topology;
use crate::topology::lock::Lock;

/// Where the lock file is, unless it is said.
pub(super) const FILE: &str = "millstream.lock";

/// Makes sure that the topologies are what the lock file says.
pub(super) fn check(file: &Path, topologies: &[Topology]) -> Result<(), Failure> {
    let names: Vec<&str> = topologies.iter().map(Topology::name).collect();
    let remedy = format!(
        "look at what that means with `millstream plan {} --lock {}` (and the same --set), and accept it with --write",
        names.join(" "),
        file.display()
    );
    let lock = Lock::read(file)?.ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("there is no lock file {}", file.display())).remedy(&remedy)
    })?;
    let checked = topologies.iter().try_for_each(|topology| lock.check(topology));
    checked.map_err(|error| error.remedy(&remedy).into())
}
