//! What the right table's task keeps: who subscribes to which right row, and how far changes of right rows have gone round.

use super::{damaged, encoded, put, take};
use crate::codec::varint::{read_i64, read_u64, write_i64, write_u64};
use crate::codec::{Codec, CodecError, Data, Key};
use crate::time::Timestamp;

/// What a row of the store is under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Slot<K> {
    /// A change of the right row with this foreign key, by its bytes, is going round.
    Round(Vec<u8>),
    /// A left row, under the bytes of its foreign key and its own key: those of one foreign key lie side by side.
    Subscriber(Vec<u8>, K),
}

/// A row of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<V> {
    /// How far a change has gone round.
    Round(Round),
    /// A left row as of a version.
    Subscriber(u64, V),
}

/// How far a change of a right row has gone round, by the bytes of the left keys. A further change of the row begins a
/// round where the one before has got to, not at the beginning: a row that changes all the time would otherwise never get
/// to its last subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// The first that has not been told.
    pub at: Vec<u8>,
    /// Where this part of the round ends, before these bytes; `None` is the last subscriber.
    pub to: Option<Vec<u8>>,
    /// Where there is a second part: it goes from the first subscriber to before these bytes.
    pub then: Option<Vec<u8>>,
    /// Time must not get beyond this before the round is done.
    pub since: Timestamp,
    /// The time of the change.
    pub timestamp: Timestamp,
    /// How far the change lay behind its source.
    pub behind: u64,
}

impl Round {
    /// The right row has changed again: all are to be told once more.
    pub fn begin_again(&mut self, since: Timestamp, timestamp: Timestamp, behind: u64) {
        let at = std::mem::take(&mut self.at);
        let then = (!at.is_empty()).then(|| at.clone());
        *self = Self { at, to: None, then, since, timestamp, behind };
    }

    /// It has got to `next`, or to the end of its part. False where it is done.
    pub fn got_to(&mut self, next: Option<Vec<u8>>) -> bool {
        match (next, self.then.take()) {
            (Some(next), then) => (self.at, self.then) = (next, then),
            (None, Some(then)) => (self.at, self.to) = (Vec::new(), Some(then)),
            (None, None) => return false,
        }
        true
    }
}

const ROUND: u8 = 0;
const SUBSCRIBER: u8 = 1;

/// The bytes that the keys of all rounds begin with.
pub const ROUNDS: [u8; 1] = [ROUND];

/// The bytes that the keys of all subscribers of a foreign key begin with.
#[must_use]
pub fn subscribers(foreign: &[u8]) -> Vec<u8> {
    let mut bytes = vec![SUBSCRIBER];
    put(foreign, &mut bytes);
    bytes
}

/// The codec of [`Slot`] and [`Kept`]: a byte that says which. A foreign key's bytes stand behind their length, so that
/// those of one are never the beginning of another's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowCodec;

impl<K: Key> Codec<Slot<K>> for RowCodec {
    fn encode(&self, slot: &Slot<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match slot {
            Slot::Round(foreign) => {
                out.push(ROUND);
                out.extend_from_slice(foreign);
                Ok(())
            }
            Slot::Subscriber(foreign, key) => {
                out.push(SUBSCRIBER);
                put(foreign, out);
                K::Codec::default().encode(key, out)
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Slot<K>, CodecError> {
        match bytes.split_first() {
            Some((&ROUND, foreign)) => Ok(Slot::Round(foreign.to_vec())),
            Some((&SUBSCRIBER, mut rest)) => {
                let foreign = take(&mut rest)?.to_vec();
                Ok(Slot::Subscriber(foreign, K::Codec::default().decode(rest)?))
            }
            _ => Err(damaged()),
        }
    }
}

impl<V: Data> Codec<Kept<V>> for RowCodec {
    fn encode(&self, kept: &Kept<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match kept {
            Kept::Round(Round { at, to, then, since, timestamp, behind }) => {
                out.push(ROUND);
                out.push(u8::from(to.is_some()) | u8::from(then.is_some()) << 1);
                write_i64(since.millis(), out);
                write_i64(timestamp.millis(), out);
                write_u64(*behind, out);
                [Some(at), to.as_ref(), then.as_ref()].into_iter().flatten().for_each(|bytes| put(bytes, out));
                Ok(())
            }
            Kept::Subscriber(version, value) => {
                out.push(SUBSCRIBER);
                write_u64(*version, out);
                out.extend(encoded(value)?);
                Ok(())
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Kept<V>, CodecError> {
        match bytes.split_first() {
            Some((&ROUND, rest)) => {
                let (which, mut rest) = rest.split_first().ok_or_else(damaged)?;
                let since = Timestamp::from_millis(read_i64(&mut rest)?);
                let timestamp = Timestamp::from_millis(read_i64(&mut rest)?);
                let behind = read_u64(&mut rest)?;
                let at = take(&mut rest)?.to_vec();
                let mut optional = |there: bool| there.then(|| take(&mut rest).map(<[u8]>::to_vec)).transpose();
                let (to, then) = (optional(which & 1 != 0)?, optional(which & 2 != 0)?);
                Ok(Kept::Round(Round { at, to, then, since, timestamp, behind }))
            }
            Some((&SUBSCRIBER, mut rest)) => {
                let version = read_u64(&mut rest)?;
                Ok(Kept::Subscriber(version, V::Codec::default().decode(rest)?))
            }
            _ => Err(damaged()),
        }
    }
}

impl<K: Key> Data for Slot<K> {
    type Codec = RowCodec;
}

impl<K: Key> Key for Slot<K> {}

impl<V: Data> Data for Kept<V> {
    type Codec = RowCodec;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_these_bytes_and_come_back() {
        let (since, timestamp) = (Timestamp::from_millis(3), Timestamp::from_millis(4));
        let then = Some(b"b".to_vec());
        let round = Round { at: b"a".to_vec(), to: None, then, since, timestamp, behind: 2 };
        for (kept, bytes) in [
            (Kept::Round(round.clone()), &b"\x00\x02\x06\x08\x02\x01a\x01b"[..]),
            (Kept::Round(Round { to: round.then.clone(), then: None, ..round }), b"\x00\x01\x06\x08\x02\x01a\x01b"),
            (Kept::Subscriber(7, "v".to_owned()), b"\x01\x07v"),
        ] {
            assert_eq!(encoded(&kept).unwrap(), bytes);
            assert_eq!(RowCodec.decode(bytes), Ok(kept));
        }
        for (slot, bytes) in [
            (Slot::Round(b"fk".to_vec()), &b"\x00fk"[..]),
            (Slot::Subscriber(b"fk".to_vec(), "k".to_owned()), b"\x01\x02fkk"),
        ] {
            assert_eq!(encoded(&slot).unwrap(), bytes);
            assert_eq!(RowCodec.decode(bytes), Ok(slot));
        }
        assert!(bytes_of("fkk").starts_with(&subscribers(b"fk")) && !bytes_of("fkk").starts_with(&subscribers(b"f")));
    }

    fn bytes_of(foreign_and_key: &str) -> Vec<u8> {
        let (foreign, key) = foreign_and_key.split_at(2);
        encoded(&Slot::Subscriber(foreign.into(), key.to_owned())).unwrap()
    }

    #[test]
    fn a_round_that_begins_again_goes_on_where_it_is_and_tells_every_one_after_the_change() {
        let all: Vec<u8> = (0..9).collect();
        for (first, second) in (0..9).flat_map(|first| (0..12).map(move |second| (first, second))) {
            let (at, never) = (Vec::new(), Timestamp::MIN);
            let mut round = Round { at, to: None, then: None, since: never, timestamp: never, behind: 0 };
            let (mut told, mut steps) = (Vec::<u8>::new(), 0);
            loop {
                if steps == first || steps == first + second {
                    round.begin_again(never, never, 0);
                    told.clear();
                }
                let next = all.iter().find(|key| [**key].as_slice() >= round.at.as_slice());
                let next = next.filter(|key| round.to.as_ref().is_none_or(|to| [**key].as_slice() < to.as_slice()));
                told.extend(next);
                let more = next.map(|key| vec![*key, 0]);
                if !round.got_to(more) && steps >= first + second {
                    break;
                }
                steps += 1;
                assert!(steps < 60, "it comes to an end");
            }
            told.sort_unstable();
            assert_eq!(told, all, "changed after {first} and {second} steps");
        }
    }
}
