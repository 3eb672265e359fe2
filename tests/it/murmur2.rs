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
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
