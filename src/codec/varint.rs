//! Variable-length integers: seven bits a byte, the lowest first; the top bit says that more follow.

/// Appends `v` in one to ten bytes.
pub fn put_u64(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits are meant")]
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    out.push(v as u8);
}

/// Appends `v` such that numbers near 0 of either sign are short (zigzag).
pub fn put_i64(out: &mut Vec<u8>, v: i64) {
    put_u64(out, ((v << 1) ^ (v >> 63)).cast_unsigned());
}

/// Reads what [`put_u64`] wrote and moves `bytes` past it; `None` where it is cut off or longer than ten bytes.
pub fn get_u64(bytes: &mut &[u8]) -> Option<u64> {
    let mut v = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(first & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        v |= bits << shift;
        if first & 0x80 == 0 {
            return Some(v);
        }
    }
    None
}

/// Reads what [`put_i64`] wrote and moves `bytes` past it.
pub fn get_i64(bytes: &mut &[u8]) -> Option<i64> {
    let v = get_u64(bytes)?;
    Some((v >> 1).cast_signed() ^ -(v & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back() {
        for v in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_i64(&mut out, v);
            put_u64(&mut out, v.cast_unsigned());
            let mut bytes = out.as_slice();
            assert_eq!(get_i64(&mut bytes), Some(v));
            assert_eq!(get_u64(&mut bytes), Some(v.cast_unsigned()));
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_no_number() {
        assert_eq!(get_u64(&mut &[0x80][..]), None);
        assert_eq!(get_u64(&mut &[0xff; 11][..]), None);
        assert_eq!(get_u64(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]), None);
    }
}
