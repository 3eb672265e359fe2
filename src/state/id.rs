//! Which rows of a task's tree belong to which store: all keys of a store begin with the same four bytes.

use crate::broker::partitioner::murmur2;

/// The four bytes that all keys of a store begin with: murmur2 of its name, the high byte first.
///
/// They come from the name and not from a place in a list, so that a store added or taken away moves no other. Two names
/// with the same bytes are refused when a task's state is leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId([u8; Self::LEN]);

impl StoreId {
    /// How many bytes it has.
    pub const LEN: usize = 4;
    /// Not given to any store, so that every store's keys have an end.
    pub(super) const END: Self = Self([0xff; Self::LEN]);

    /// The id of the store called `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(murmur2(name.as_bytes()).to_be_bytes())
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; Self::LEN] {
        self.0
    }

    /// The whole key of the row with these key bytes.
    #[must_use]
    pub fn key(self, key: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(Self::LEN + key.len());
        whole.extend_from_slice(&self.0);
        whole.extend_from_slice(key);
        whole
    }

    /// The first whole key that lies after all of this store.
    #[must_use]
    pub fn end(self) -> Vec<u8> {
        u32::from_be_bytes(self.0).saturating_add(1).to_be_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_store_lies_between_its_id_and_its_end() {
        let id = StoreId::of("totals");
        for key in [&[][..], &[0], &[0xff; 40]] {
            assert!(id.key(key)[..] >= id.bytes()[..]);
            assert!(id.key(key) < id.end());
        }
    }
}
