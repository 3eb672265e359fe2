//! Records that wait in a store, in order of their time and, of equal times, of their arrival.

use crate::codec::frame::{Frame, FrameEncoder, FrameRecord};
use crate::codec::{Codec, CodecError, Data, Key, varint};
use crate::record::Headers;
use crate::time::Timestamp;

/// What a row is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// How many records have come so far.
    Arrivals,
    /// A record, by its time and its arrival.
    At(Timestamp, u64),
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held<K, V> {
    /// The row of [`Place::Arrivals`].
    Arrivals(u64),
    /// A record that waits.
    Record {
        /// Its key.
        key: K,
        /// Its value.
        value: V,
        /// How far it lay behind its source partition.
        behind: u64,
        /// Its headers.
        headers: Headers,
    },
}

/// The codec of [`Place`] and [`Held`]: a byte that says which. Places sort as the records go; a record is written as the
/// only one of a [`Frame`].
#[derive(Clone, Copy, Debug, Default)]
pub struct HeldCodec;

const ARRIVALS: u8 = 1;
const RECORD: u8 = 2;

fn damaged() -> CodecError {
    CodecError::new("damaged: no record that waits")
}

/// The bytes that the records from `from` on lie after, and those that they end before.
pub(super) fn range(from: Timestamp) -> (Vec<u8>, Vec<u8>) {
    (std::iter::once(RECORD).chain(ordered(from)).collect(), vec![RECORD + 1])
}

fn ordered(time: Timestamp) -> [u8; 8] {
    (time.millis() ^ i64::MIN).to_be_bytes()
}

impl Codec<Place> for HeldCodec {
    fn encode(&self, value: &Place, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match value {
            Place::Arrivals => out.push(ARRIVALS),
            Place::At(time, arrival) => {
                out.push(RECORD);
                out.extend_from_slice(&ordered(*time));
                out.extend_from_slice(&arrival.to_be_bytes());
            }
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Place, CodecError> {
        match bytes.split_first() {
            Some((&ARRIVALS, [])) => Ok(Place::Arrivals),
            Some((&RECORD, rest)) => {
                let (time, arrival) = rest.split_first_chunk().ok_or_else(damaged)?;
                let arrival: [u8; 8] = arrival.try_into().map_err(|_| damaged())?;
                let time = Timestamp::from_millis(i64::from_be_bytes(*time) ^ i64::MIN);
                Ok(Place::At(time, u64::from_be_bytes(arrival)))
            }
            _ => Err(damaged()),
        }
    }
}

impl<K: Key, V: Data> Codec<Held<K, V>> for HeldCodec {
    fn encode(&self, value: &Held<K, V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match value {
            Held::Arrivals(count) => {
                out.push(ARRIVALS);
                varint::write_u64(*count, out);
            }
            Held::Record { key, value, behind, headers } => {
                let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
                K::Codec::default().encode(key, &mut key_bytes)?;
                V::Codec::default().encode(value, &mut value_bytes)?;
                let (key, value, headers) = (Some(&key_bytes[..]), Some(&value_bytes[..]), headers.clone());
                let (timestamp, behind) = (Timestamp::from_millis(0), *behind);
                let mut frame = FrameEncoder::default();
                frame.push(&FrameRecord { timestamp, behind, key, value, headers });
                out.push(RECORD);
                frame.finish(&[], out);
            }
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Held<K, V>, CodecError> {
        match bytes.split_first() {
            Some((&ARRIVALS, mut rest)) => Ok(Held::Arrivals(varint::read_u64(&mut rest)?)),
            Some((&RECORD, frame)) => {
                let record = Frame::read(frame)?.records().next().ok_or_else(damaged)??;
                let FrameRecord { key: Some(key), value: Some(value), behind, headers, .. } = record else {
                    return Err(damaged());
                };
                let (key, value) = (K::Codec::default().decode(key)?, V::Codec::default().decode(value)?);
                Ok(Held::Record { key, value, behind, headers })
            }
            _ => Err(damaged()),
        }
    }
}

impl Data for Place {
    type Codec = HeldCodec;
}

impl Key for Place {}

impl<K: Key, V: Data> Data for Held<K, V> {
    type Codec = HeldCodec;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_wait_come_back_from_their_bytes() {
        let mut headers = Headers::NONE;
        headers.push("trace", Some(vec![7]));
        headers.push("null", None);
        let record = Held::Record { key: "k".to_owned(), value: "v".to_owned(), behind: 300, headers };
        for held in [Held::Arrivals(1 << 40), record] {
            let mut bytes = Vec::new();
            HeldCodec.encode(&held, &mut bytes).unwrap();
            assert_eq!(Codec::<Held<String, String>>::decode(&HeldCodec, &bytes).unwrap(), held);
            let cut = Codec::<Held<String, String>>::decode(&HeldCodec, &bytes[..bytes.len() - 1]);
            assert!(cut.is_err());
        }
    }

    #[test]
    fn a_record_that_waits_has_these_bytes() {
        let held = Held::Record { key: "k".to_owned(), value: "v".to_owned(), behind: 3, headers: Headers::NONE };
        let mut bytes = Vec::new();
        HeldCodec.encode(&held, &mut bytes).unwrap();
        assert_eq!(bytes, [2, 1, 0, 3, 2, b'k', 0, 2, b'v', 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn places_sort_by_time_and_arrival() {
        let at = |time, arrival| Place::At(Timestamp::from_millis(time), arrival);
        let places = [Place::Arrivals, at(-1, 9), at(0, 1), at(0, 256), at(1, 0)];
        let bytes = places.map(|place| {
            let mut bytes = Vec::new();
            HeldCodec.encode(&place, &mut bytes).unwrap();
            assert_eq!(Codec::<Place>::decode(&HeldCodec, &bytes).unwrap(), place);
            bytes
        });
        assert!(bytes.is_sorted());
        let (from, to) = range(Timestamp::from_millis(0));
        assert_eq!(
            bytes.iter().map(|of| (&from..&to).contains(&of)).collect::<Vec<_>>(),
            [false, false, true, true, true]
        );
    }
}
