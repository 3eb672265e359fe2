//! Whole numbers.

use super::{Codec, CodecError, Data, Key, Shown};

/// Big-endian, of the type's own width, as Kafka's `IntegerSerializer` and `LongSerializer` write them: the codec of `i32`,
/// `i64`, `u32` and `u64`. Bytes of another length are unreadable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Int;

/// As [`Int`], with the sign turned over so that the bytes sort as the numbers do: for keys that are read by range. Java's
/// serializers do not read it. An unsigned number's bytes are the same as with [`Int`].
///
/// ```
/// use millstream::{Codec, codec::int::OrderedInt};
/// let (mut less, mut more) = (Vec::new(), Vec::new());
/// OrderedInt.encode(&-1_i64, &mut less).unwrap();
/// OrderedInt.encode(&1_i64, &mut more).unwrap();
/// assert!(less < more);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderedInt;

macro_rules! int {
    ($($type:ty, $flip:expr);*) => {$(
        impl Codec<$type> for Int {
            fn encode(&self, value: &$type, out: &mut Vec<u8>) -> Result<(), CodecError> {
                out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }

            fn decode(&self, bytes: &[u8]) -> Result<$type, CodecError> {
                Ok(<$type>::from_be_bytes(whole(bytes, stringify!($type))?))
            }

            fn show(&self, bytes: &[u8]) -> Result<Shown, CodecError> {
                let number: $type = self.decode(bytes)?;
                Shown::of(&number)
            }

            fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
                let number: $type = number(text, stringify!($type))?;
                let mut out = Vec::new();
                self.encode(&number, &mut out).map(|()| out)
            }
        }

        impl Codec<$type> for OrderedInt {
            fn encode(&self, value: &$type, out: &mut Vec<u8>) -> Result<(), CodecError> {
                out.extend_from_slice(&(value ^ $flip).to_be_bytes());
                Ok(())
            }

            fn decode(&self, bytes: &[u8]) -> Result<$type, CodecError> {
                Ok(<$type>::from_be_bytes(whole(bytes, stringify!($type))?) ^ $flip)
            }

            fn show(&self, bytes: &[u8]) -> Result<Shown, CodecError> {
                let number: $type = self.decode(bytes)?;
                Shown::of(&number)
            }

            fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
                let number: $type = number(text, stringify!($type))?;
                let mut out = Vec::new();
                self.encode(&number, &mut out).map(|()| out)
            }
        }

        impl Data for $type {
            type Codec = Int;
        }

        impl Key for $type {}
    )*};
}

int!(i32, i32::MIN; i64, i64::MIN; u32, 0; u64, 0);

fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, CodecError> {
    text.parse().map_err(|_| CodecError::new(format!("{text:?} is no {what}")))
}

fn whole<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], CodecError> {
    let wrong = |_| CodecError::new(format!("an {what} has {N} bytes, and these are {}", bytes.len()));
    bytes.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_has_the_bytes_of_javas_serializer() {
        let mut out = Vec::new();
        Int.encode(&-2_i64, &mut out).unwrap();
        assert_eq!(out, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
        let back: i64 = Int.decode(&out).unwrap();
        assert_eq!(back, -2);
    }

    #[test]
    fn ordered_numbers_sort_by_their_bytes() {
        let numbers = [i64::MIN, -300, -1, 0, 1, 255, 256, i64::MAX];
        let bytes: Vec<Vec<u8>> = numbers
            .iter()
            .map(|number| {
                let mut out = Vec::new();
                OrderedInt.encode(number, &mut out).unwrap();
                let back: i64 = OrderedInt.decode(&out).unwrap();
                assert_eq!(back, *number);
                out
            })
            .collect();
        assert!(bytes.is_sorted());
    }

    #[test]
    fn a_number_of_another_width_is_unreadable() {
        let error = Codec::<i64>::decode(&Int, &[1, 2]).unwrap_err();
        assert_eq!(error.to_string(), "an i64 has 8 bytes, and these are 2");
    }
}
