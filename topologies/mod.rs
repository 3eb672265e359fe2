//! The workloads that the binary runs, one a file or folder, and what their producers have in common.

pub mod civil;
pub mod clickstream;
pub mod clickstream_referrers;
pub mod faults;
pub mod running_totals;
pub mod sales;
pub mod sales_windows;
pub mod writing;

use millstream::cli::{Catalog, Demo, GeneratorEntry, TopologyEntry};

use clickstream::ClickGenerator;
use sales::SalesGenerator;

/// What the binary has to offer.
#[must_use]
pub fn catalog() -> Catalog {
    Catalog {
        topologies: vec![
            TopologyEntry {
                name: running_totals::NAME,
                about: "What each product has sold so far",
                build: |bad_input, _| running_totals::topology(bad_input),
                settings: &[],
                inputs: &[sales::PURCHASES_TOPIC],
                outputs: &[running_totals::TOTALS_TOPIC],
            },
            TopologyEntry {
                name: running_totals::UNCOMBINED_NAME,
                about: "The same without combining before the shuffle, to see what that saves",
                build: |bad_input, _| running_totals::uncombined(bad_input),
                settings: &[],
                inputs: &[sales::PURCHASES_TOPIC],
                outputs: &[running_totals::TOTALS_TOPIC],
            },
            TopologyEntry {
                name: sales_windows::NAME,
                about: "What each product sells in every ten minutes, the best of them, and what came too late",
                build: |bad_input, _| sales_windows::topology(bad_input),
                settings: &[],
                inputs: &[sales::PURCHASES_TOPIC],
                outputs: &[sales_windows::WINDOWS_TOPIC, sales_windows::TOP_TOPIC, sales_windows::LATE_TOPIC],
            },
            TopologyEntry {
                name: clickstream_referrers::NAME,
                about: "Clicks by referrer, and the referrers of each resource, over the last seconds",
                build: clickstream_referrers::topology,
                settings: clickstream_referrers::SETTINGS,
                inputs: &[clickstream::CLICKSTREAM_TOPIC],
                outputs: &[clickstream_referrers::REFERRERS_TOPIC, clickstream_referrers::TOP_TOPIC],
            },
        ],
        generators: vec![
            GeneratorEntry {
                name: "sales",
                about: "A smoothie shop: products, purchases and stock",
                make: |options| Ok(Box::new(SalesGenerator::new(options)?)),
            },
            GeneratorEntry {
                name: "clickstream",
                about: "A website: clicks from six referrers whose shares go up and down",
                make: |options| Ok(Box::new(ClickGenerator::new(options)?)),
            },
        ],
        demo: Demo {
            topology: running_totals::NAME,
            generator: "sales",
            topic: running_totals::TOTALS_TOPIC,
            rank_by: "sales",
            columns: &["transactions", "quantities"],
        },
    }
}
