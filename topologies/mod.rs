//! The workloads that the binary runs, one a file or folder, and what their producers have in common.

pub mod civil;
pub mod clickstream;
pub mod clickstream_referrers;
pub mod devices;
pub mod faults;
#[cfg(test)]
mod golden;
pub mod low_stock;
pub mod purchases_enriched;
pub mod running_totals;
pub mod sales;
pub mod sales_windows;
pub mod sensor_report;
pub mod sensors;
pub mod top_products;
pub mod writing;

use millstream::cli::{Catalog, Demo, GeneratorEntry, TopologyEntry};

use clickstream::ClickGenerator;
use devices::DevicesGenerator;
use sales::SalesGenerator;
use sensor_report::SensorReportGenerator;
use sensors::SensorsGenerator;

/// What the binary has to offer.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a list")]
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
                report: None,
                redis: &[],
            },
            TopologyEntry {
                name: running_totals::UNCOMBINED_NAME,
                about: "The same without combining before the shuffle, to see what that saves",
                build: |bad_input, _| running_totals::uncombined(bad_input),
                settings: &[],
                inputs: &[sales::PURCHASES_TOPIC],
                outputs: &[running_totals::TOTALS_TOPIC],
                report: None,
                redis: &[],
            },
            TopologyEntry {
                name: purchases_enriched::NAME,
                about: "Each purchase with its product as it stood when it was bought",
                build: purchases_enriched::topology,
                settings: purchases_enriched::SETTINGS,
                inputs: &[sales::PRODUCTS_TOPIC, sales::PURCHASES_TOPIC],
                outputs: &[purchases_enriched::ENRICHED_TOPIC],
                report: None,
                redis: &[],
            },
            TopologyEntry {
                name: sales_windows::NAME,
                about: "What each product sells in every ten minutes, the best of them, and what came too late",
                build: |bad_input, _| sales_windows::topology(bad_input),
                settings: &[],
                inputs: &[sales::PURCHASES_TOPIC],
                outputs: &[sales_windows::WINDOWS_TOPIC, sales_windows::TOP_TOPIC, sales_windows::LATE_TOPIC],
                report: None,
                redis: &[],
            },
            TopologyEntry {
                name: sensors::topology::NAME,
                about: "Each reading once, those that alert, and averages of ten seconds",
                build: |bad_input, _| sensors::topology(bad_input),
                settings: &[],
                inputs: &[sensors::SENSORS_TOPIC],
                outputs: &[sensors::DISTINCT_TOPIC, sensors::ALERTS_TOPIC, sensors::AVERAGES_TOPIC],
                report: None,
                redis: &[],
            },
            TopologyEntry {
                name: clickstream_referrers::NAME,
                about: "Clicks by referrer, and the referrers of each resource, over the last seconds",
                build: clickstream_referrers::topology,
                settings: clickstream_referrers::SETTINGS,
                inputs: &[clickstream::CLICKSTREAM_TOPIC],
                outputs: &[clickstream_referrers::REFERRERS_TOPIC, clickstream_referrers::TOP_TOPIC],
                report: None,
                redis: &[clickstream_referrers::ticker],
            },
            TopologyEntry {
                name: devices::counts::NAME,
                about: "How often each device was hot, every five seconds",
                build: |bad_input, _| devices::counts::topology(bad_input),
                settings: &[],
                inputs: &[devices::DEVICES_TOPIC],
                outputs: &[devices::COUNTS_TOPIC],
                report: None,
                redis: &[],
            },
            TopologyEntry {
                name: top_products::NAME,
                about: "The products that have sold best so far, ranked",
                build: top_products::topology,
                settings: top_products::SETTINGS,
                inputs: &[sales::PURCHASES_TOPIC],
                outputs: &[top_products::TOP_TOPIC],
                report: Some(top_products::REPORT),
                redis: &[],
            },
            TopologyEntry {
                name: low_stock::NAME,
                about: "The products of which few are left",
                build: low_stock::topology,
                settings: low_stock::SETTINGS,
                inputs: &[sales::INVENTORIES_TOPIC, sales::PRODUCTS_TOPIC],
                outputs: &[low_stock::LOW_TOPIC],
                report: Some(low_stock::REPORT),
                redis: &[],
            },
            TopologyEntry {
                name: sensor_report::NAME,
                about: "Each message with its sensor, place and maker; counts; averages of half an hour",
                build: sensor_report::topology,
                settings: sensor_report::SETTINGS,
                inputs: &[
                    sensor_report::MESSAGES_TOPIC,
                    sensor_report::SENSORS_TOPIC,
                    sensor_report::LOCATIONS_TOPIC,
                    sensor_report::MANUFACTURERS_TOPIC,
                    sensor_report::HISTORY_TOPIC,
                ],
                outputs: &[sensor_report::DETAIL_TOPIC, sensor_report::COUNT_TOPIC, sensor_report::AVERAGE_TOPIC],
                report: None,
                redis: &[],
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
            GeneratorEntry {
                name: "sensors",
                about: "Twenty sensors, which send some readings twice",
                make: |options| Ok(Box::new(SensorsGenerator::new(options)?)),
            },
            GeneratorEntry {
                name: "devices",
                about: "Twelve devices that send lines of text",
                make: |options| Ok(Box::new(DevicesGenerator::new(options)?)),
            },
            GeneratorEntry {
                name: sensor_report::NAME,
                about: "Thirty sensors with their places, makers and histories, and what they send",
                make: |options| Ok(Box::new(SensorReportGenerator::new(options)?)),
            },
        ],
        demos: demos(),
    }
}

/// What can be watched without Kafka, in the order in which it is shown.
fn demos() -> Vec<Demo> {
    vec![
        Demo {
            topology: running_totals::NAME,
            generator: "sales",
            topic: running_totals::TOTALS_TOPIC,
            rank_by: "sales",
            columns: &["transactions", "quantities"],
            rate: 50.0,
            speed: 1.0,
        },
        Demo {
            topology: sales_windows::NAME,
            generator: "sales",
            topic: sales_windows::WINDOWS_TOPIC,
            rank_by: "sales",
            columns: &["window_end", "transactions", "quantities"],
            rate: 50.0,
            speed: 120.0,
        },
        Demo {
            topology: purchases_enriched::NAME,
            generator: "sales",
            topic: purchases_enriched::ENRICHED_TOPIC,
            rank_by: "product_price",
            columns: &["product_name", "product_cogs", "purchase_quantity", "total_purchase"],
            rate: 50.0,
            speed: 1.0,
        },
        Demo {
            topology: top_products::NAME,
            generator: "sales",
            topic: top_products::TOP_TOPIC,
            rank_by: "sales",
            columns: &["product_id", "quantities"],
            rate: 50.0,
            speed: 1.0,
        },
        Demo {
            topology: low_stock::NAME,
            generator: "sales",
            topic: low_stock::LOW_TOPIC,
            rank_by: "level",
            columns: &["product_name", "product_size", "event_time"],
            rate: 50.0,
            speed: 1.0,
        },
        Demo {
            topology: clickstream_referrers::NAME,
            generator: "clickstream",
            topic: clickstream_referrers::REFERRERS_TOPIC,
            rank_by: "count",
            columns: &["time"],
            rate: 30.0,
            speed: 1.0,
        },
        Demo {
            topology: sensors::topology::NAME,
            generator: "sensors",
            topic: sensors::AVERAGES_TOPIC,
            rank_by: "avgMeasuredTemp",
            columns: &["windowEnd", "count", "avgAmbientTemp"],
            rate: 60.0,
            speed: 5.0,
        },
        Demo {
            topology: devices::counts::NAME,
            generator: "devices",
            topic: devices::COUNTS_TOPIC,
            rank_by: "count",
            columns: &["window_end"],
            rate: 30.0,
            speed: 5.0,
        },
        Demo {
            topology: sensor_report::NAME,
            generator: sensor_report::NAME,
            topic: sensor_report::COUNT_TOPIC,
            rank_by: "count",
            columns: &[],
            rate: 30.0,
            speed: 1.0,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream::BadInput;
    use millstream::cli::Settings;
    use millstream::generate::{Faults, Options};

    fn sorted(mut topics: Vec<&str>) -> Vec<&str> {
        topics.sort_unstable();
        topics
    }

    #[test]
    fn every_topology_is_called_and_reads_and_writes_as_the_catalog_says() {
        for entry in catalog().topologies {
            let topology = (entry.build)(BadInput::Fail, &Settings::default()).unwrap();
            assert_eq!(topology.name(), entry.name);
            assert_eq!(sorted(topology.sources()), sorted(entry.inputs.to_vec()), "{}", entry.name);
            assert_eq!(sorted(topology.sinks()), sorted(entry.outputs.to_vec()), "{}", entry.name);
        }
    }

    #[test]
    fn every_output_to_redis_delivers_what_its_topology_writes() {
        let with: Vec<_> = catalog().topologies.into_iter().filter(|entry| !entry.redis.is_empty()).collect();
        assert!(!with.is_empty());
        for entry in with {
            for sink in entry.redis {
                let sink = sink().unwrap();
                assert!(entry.outputs.contains(&sink.topic()), "{}: {sink:?}", entry.name);
            }
        }
    }

    #[test]
    fn every_demo_shows_what_its_topology_makes_of_what_its_generator_writes() {
        let catalog = catalog();
        for demo in &catalog.demos {
            let topology = catalog.topologies.iter().find(|entry| entry.name == demo.topology).unwrap();
            let generator = catalog.generators.iter().find(|entry| entry.name == demo.generator).unwrap();
            let start = millstream::Timestamp::default();
            let options = Options { seed: 1, start, rate: 1.0, faults: Faults::NONE, changes: 0.0 };
            let generator = (generator.make)(options).unwrap();
            assert!(topology.inputs.iter().all(|topic| generator.topics().contains(topic)), "{}", demo.topology);
            assert!(topology.outputs.contains(&demo.topic), "{}", demo.topology);
            assert!(demo.rate > 0.0 && demo.speed >= 1.0, "{}", demo.topology);
        }
    }
}
