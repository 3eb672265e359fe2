//! Kafka's `range` assignor.

use crate::record::TopicPartition;

/// Gives each of `members` members, in order, its partitions: per topic a contiguous range, the first members one more
/// where it does not divide evenly. Topics with equal partition counts give equal numbers to the same member.
pub(super) fn range<'a>(topics: impl Iterator<Item = (&'a str, u32)>, members: usize) -> Vec<Vec<TopicPartition>> {
    let mut assignment = vec![Vec::new(); members];
    let count = u32::try_from(members).unwrap_or(u32::MAX);
    for (topic, partitions) in topics {
        let (each, extra) = (partitions / count.max(1), partitions % count.max(1));
        let mut next = 0;
        for (member, rank) in assignment.iter_mut().zip(0..) {
            let upto = next + each + u32::from(rank < extra);
            member.extend((next..upto).map(|partition| TopicPartition::new(topic, partition)));
            next = upto;
        }
    }
    assignment
}
