//! `top`: the values with the largest scores.

use super::Reject;
use super::aggregate::Fold;
use crate::codec::{Codec, CodecError, Data, varint};

/// Values, the one with the largest score first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top<V>(Vec<V>);

impl<V> Top<V> {
    /// The values, the largest first.
    #[must_use]
    pub fn into_vec(self) -> Vec<V> {
        self.0
    }

    /// The values, the largest first.
    #[must_use]
    pub fn as_slice(&self) -> &[V] {
        &self.0
    }

    fn add<S: Ord>(&mut self, value: V, most: usize, score: impl Fn(&V) -> S) {
        let own = score(&value);
        let at = self.0.partition_point(|other| score(other) >= own);
        if at < most {
            self.0.insert(at, value);
            self.0.truncate(most);
        }
    }

    /// Adds the values of another.
    pub(crate) fn merge<S: Ord>(&mut self, other: Self, most: usize, score: impl Fn(&V) -> S) {
        other.0.into_iter().for_each(|value| self.add(value, most, &score));
    }
}

/// The codec of [`Top`]: each value behind its length.
#[derive(Clone, Copy, Debug, Default)]
pub struct TopCodec;

impl<V: Data> Codec<Top<V>> for TopCodec {
    fn encode(&self, value: &Top<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let (codec, mut bytes) = (V::Codec::default(), Vec::new());
        for value in &value.0 {
            bytes.clear();
            codec.encode(value, &mut bytes)?;
            varint::write_u64(bytes.len() as u64, out);
            out.extend_from_slice(&bytes);
        }
        Ok(())
    }

    fn decode(&self, mut bytes: &[u8]) -> Result<Top<V>, CodecError> {
        let cut = || CodecError::new("a damaged list of values");
        let (codec, mut values) = (V::Codec::default(), Vec::new());
        while !bytes.is_empty() {
            let length =
                varint::read_u64(&mut bytes).ok().and_then(|length| usize::try_from(length).ok()).ok_or_else(cut)?;
            let (value, rest) = bytes.split_at_checked(length).ok_or_else(cut)?;
            values.push(codec.decode(value)?);
            bytes = rest;
        }
        Ok(Top(values))
    }
}

impl<V: Data> Data for Top<V> {
    type Codec = TopCodec;
}

/// Keeps the `most` values with the largest scores. Of equal scores the first to come stays first.
pub struct TopOf<F> {
    most: usize,
    score: F,
}

impl<F> TopOf<F> {
    /// The `most` largest by `score`.
    pub const fn new(most: usize, score: F) -> Self {
        Self { most, score }
    }
}

impl<K, V, S: Ord, F: Fn(&V) -> S + Send + Sync + 'static> Fold<K, V, Top<V>> for TopOf<F> {
    fn first(&self, key: &K, value: V) -> Result<Top<V>, Reject> {
        let mut top = Top(Vec::new());
        self.next(key, &mut top, value).map(|()| top)
    }

    fn next(&self, _: &K, so_far: &mut Top<V>, value: V) -> Result<(), Reject> {
        so_far.add(value, self.most, &self.score);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_of_equals_the_first() {
        let mut top = Top(Vec::new());
        for value in ["b2", "a1", "c3", "d2", "e0", "f3"] {
            top.add(value.to_owned(), 3, |value: &String| value.as_bytes()[1]);
        }
        assert_eq!(top.as_slice(), ["c3", "f3", "b2"]);
        let mut bytes = Vec::new();
        TopCodec.encode(&top, &mut bytes).unwrap();
        assert_eq!(TopCodec.decode(&bytes), Ok(top));
    }
}
