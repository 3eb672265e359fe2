//! A stand-in for the topology, with its public shape.

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
