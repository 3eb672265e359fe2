//! The default partitioner against Kafka's own: vectors that the Java client made (`tests/java/murmur2`).

use millstream::broker::partitioner::{murmur2, partition_of};

const VECTORS: &str = include_str!("../data/murmur2.tsv");

#[test]
fn ten_thousand_keys_hash_and_partition_as_in_the_java_client() {
    let mut lines = VECTORS.lines();
    let counts: Vec<u32> = lines.next().unwrap().split('\t').skip(2).map(|count| count.parse().unwrap()).collect();
    assert_eq!(counts, [1, 3, 4, 7, 12, 64]);

    let mut checked = 0;
    for line in lines {
        let mut fields = line.split('\t');
        let key = bytes(fields.next().unwrap());
        let hash: i32 = fields.next().unwrap().parse().unwrap();
        assert_eq!(murmur2(&key).cast_signed(), hash, "the hash of {key:02x?}");
        for &count in &counts {
            let partition: u32 = fields.next().unwrap().parse().unwrap();
            assert_eq!(partition_of(&key, count), partition, "the partition of {key:02x?} among {count}");
        }
        checked += 1;
    }
    assert_eq!(checked, 10_000);
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("the vectors' keys are in hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}
