//! What a member of a group was given to read, in the bytes that the members' leader shares out: a version, and for each
//! topic its name and its partitions (Kafka's `ConsumerProtocolAssignment`; later versions only append).

use crate::record::TopicPartition;

/// The partitions in an assignment; nothing where there is none yet. What is damaged counts as nothing: it is the group's
/// to mend.
pub(in crate::broker::kafka) fn partitions(bytes: &[u8]) -> Vec<TopicPartition> {
    read(bytes).unwrap_or_default()
}

fn read(bytes: &[u8]) -> Option<Vec<TopicPartition>> {
    let mut bytes = bytes;
    let _version: [u8; 2] = take(&mut bytes)?;
    let mut found = Vec::new();
    for _ in 0..count(&mut bytes)? {
        let length = usize::try_from(i16::from_be_bytes(take(&mut bytes)?)).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        let name = std::str::from_utf8(name).ok()?;
        for _ in 0..count(&mut bytes)? {
            found.push(TopicPartition::new(name, u32::try_from(i32::from_be_bytes(take(&mut bytes)?)).ok()?));
        }
    }
    Some(found)
}

fn count(bytes: &mut &[u8]) -> Option<i32> {
    take(bytes).map(i32::from_be_bytes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 0, topic `in` with the partitions 1 and 4, topic `by-key` with partition 4, no data of the user's.
    const BYTES: &[u8] =
        b"\0\0\0\0\0\x02\0\x02in\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\x06by-key\0\0\0\x01\0\0\0\x04\xff\xff\xff\xff";

    #[test]
    fn an_assignment_is_read_as_the_protocol_has_it() {
        let expected = [("in", 1), ("in", 4), ("by-key", 4)].map(|(topic, at)| TopicPartition::new(topic, at));
        assert_eq!(partitions(BYTES), expected);
    }

    #[test]
    fn what_is_cut_or_damaged_is_nothing() {
        // The last four bytes are not looked at.
        for length in 0..BYTES.len() - 4 {
            assert!(partitions(&BYTES[..length]).is_empty(), "{length} bytes");
        }
        assert!(partitions(b"\0\0\x7f\xff\xff\xff").is_empty());
    }
}
