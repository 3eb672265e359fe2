//! What the tests of this module share: a key and a value type with plain codecs, and a disk that can be broken.

use std::sync::atomic::{AtomicBool, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Disk, MemoryDisk, Stand};
use crate::codec::{Codec, CodecError, Data, Key};
use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Text(pub(super) String);

#[derive(Default)]
pub(super) struct TextCodec;

impl Codec<Text> for TextCodec {
    fn encode(&self, value: &Text, out: &mut Vec<u8>) -> Result<(), CodecError> {
        if value.0 == "unwritable" {
            return Err(CodecError::new("the text cannot be written"));
        }
        out.extend_from_slice(value.0.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Text, CodecError> {
        let text = std::str::from_utf8(bytes).map_err(|error| CodecError::new(error.to_string()))?;
        Ok(Text(text.to_owned()))
    }
}

impl Data for Text {
    type Codec = TextCodec;
}

impl Key for Text {}

pub(super) fn text(text: impl Into<String>) -> Text {
    Text(text.into())
}

/// The generator of a seed; prints the seed, so that a failing test says it.
pub(super) fn seeded(seed: u64) -> ChaCha8Rng {
    println!("seed {seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

/// A disk that fails to write while it is told to.
#[derive(Default)]
pub(super) struct Faulty {
    pub(super) disk: MemoryDisk,
    pub(super) full: AtomicBool,
}

impl Disk for &'static Faulty {
    fn stand(&self) -> Result<Option<Stand>> {
        self.disk.stand()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.disk.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, into: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        self.disk.scan(from, to, limit, into)
    }

    fn apply(&self, rows: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>, stand: &Stand) -> Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::State, "the disk is full"));
        }
        self.disk.apply(rows, stand)
    }

    fn size(&self) -> u64 {
        self.disk.size()
    }
}
