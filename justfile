# What there is to do, each in one line: `just` lists it. Everything works without just as well.

_list:
  @just --list --unsorted

# The demos of all topologies, or of those named: in-memory broker, generators, and a view of them in the terminal
demo *NAMES:
  cargo run --release -- demo {{NAMES}}

# All tests; those that need a real broker say so where Java or Maven is missing
test *ARGS:
  cargo test {{ARGS}}

# All tests, and a broker that cannot be started is a failure
test-real *ARGS:
  CI=true cargo test {{ARGS}}

# Formatting, clippy, documentation
lint:
  cargo fmt --check
  cargo clippy --all-targets -- -D warnings
  RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --lib

# Everything that a change must pass, or only the steps that are named
ci *STEPS:
  .ci/run {{STEPS}}

# Running totals against Kafka Streams on one real broker: CPU, memory, speed
bench *ARGS:
  benches/compare {{ARGS}}

# Builds the peers that the comparison runs
peers:
  mvn -q -f benches/peers/kafka-streams/pom.xml package

# Plays fresh cases of Kafka Streams to our own topologies, from a seed on
fresh-cases SEED='1000':
  FRESH_SEED={{SEED}} .ci/run fresh-cases

# Makes the partitioner's reference vectors anew with the Java client
vectors:
  mvn -q -f tests/java/murmur2/pom.xml package
  java -cp 'tests/java/murmur2/target/murmur2-1.jar:tests/java/murmur2/target/libs/*' murmur2.Vectors tests/data/murmur2.tsv

# A real Kafka broker on port 9092, in the foreground
kafka *ARGS='--port 9092':
  scripts/kafka run {{ARGS}}
