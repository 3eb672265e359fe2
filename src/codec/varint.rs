//! Integers of variable length: LEB128, and zigzag for signed ones. Small numbers take one byte, the largest ten.
//!
//! There is one way to write each number: reading refuses padded forms and whatever does not fit 64 bits, so that equal
//! numbers always have equal bytes.

use super::CodecError;

/// The most bytes that a number takes.
pub const MAX_LEN: usize = 10;

/// Appends `number`, seven bits a byte, the lowest first.
pub fn write_u64(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Appends `number` so that small magnitudes of either sign are short.
pub fn write_i64(number: i64, out: &mut Vec<u8>) {
    write_u64(zigzag(number), out);
}

/// Takes a number from the front of `bytes`.
///
/// # Errors
/// When the bytes end within the number, it does not fit 64 bits, or it is not written in the shortest way.
pub fn read_u64(bytes: &mut &[u8]) -> Result<u64, CodecError> {
    let mut number = 0;
    for (place, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if place == MAX_LEN - 1 && bits > 1 {
            return Err(CodecError::new("a number of variable length is larger than 64 bits"));
        }
        number |= bits << (7 * place);
        if byte & 0x80 == 0 {
            if byte == 0 && place > 0 {
                return Err(CodecError::new("a number of variable length is padded with zeros"));
            }
            *bytes = &bytes[place + 1..];
            return Ok(number);
        }
    }
    Err(CodecError::new(if bytes.len() < MAX_LEN {
        "the bytes end within a number of variable length"
    } else {
        "a number of variable length is larger than 64 bits"
    }))
}

/// Takes a number that [`write_i64`] wrote from the front of `bytes`.
///
/// # Errors
/// As [`read_u64`].
pub fn read_i64(bytes: &mut &[u8]) -> Result<i64, CodecError> {
    read_u64(bytes).map(unzigzag)
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back() {
        let corners = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX]);
        for number in corners {
            let mut bytes = Vec::new();
            write_u64(number, &mut bytes);
            write_i64(number.cast_signed(), &mut bytes);
            let mut rest = &bytes[..];
            assert_eq!(read_u64(&mut rest), Ok(number));
            assert_eq!(read_i64(&mut rest), Ok(number.cast_signed()));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn small_magnitudes_are_short() {
        for number in -64..64 {
            let mut bytes = Vec::new();
            write_i64(number, &mut bytes);
            assert_eq!(bytes.len(), 1, "{number}");
        }
    }

    #[test]
    fn cut_padded_and_oversized_numbers_are_refused() {
        let mut long = [0xff; MAX_LEN];
        long[MAX_LEN - 1] = 0x02;
        for bad in [&[][..], &[0x80], &[0x80, 0x00], &long, &[0xff; 11]] {
            assert!(read_u64(&mut &*bad).is_err(), "{bad:?}");
        }
    }
}
