//! A stand-in for the topology, with its public shape.

/// When aggregations hand their results on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Emission {
    /// The newest of each key, at each commit.
    #[default]
    EachCommit,
    /// Every one.
    EachUpdate,
}

/// A declared topology.
#[derive(Clone, Debug)]
pub struct Topology {
    name: String,
}

impl Topology {
    /// A topology that does nothing.
    #[must_use]
    pub fn empty(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It, as text.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("topology {}\n", self.name)
    }
}
