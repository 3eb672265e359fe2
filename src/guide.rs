//! The programs in the guide and in the README, compiled and run as documentation tests. A page is not part of the
//! documentation by that.

macro_rules! pages {
    ($($name:ident: $page:literal),* $(,)?) => {$(
        #[doc = include_str!(concat!("../", $page))]
        struct $name;
    )*};
}

pages! {
    Readme: "README.md",
    FirstTopology: "docs/guide/first-topology.md",
    Time: "docs/guide/time.md",
    State: "docs/guide/state.md",
    ExactlyOnce: "docs/guide/exactly-once.md",
    Testing: "docs/guide/testing.md",
    Operating: "docs/guide/operating.md",
    FromKafkaStreams: "docs/guide/from-kafka-streams.md",
}
