//! The products of which few are left: a table, from which a product goes when it is restocked.
//!
//! Of the inventory records of a product the newest by event time says how many there are, in whichever order they are
//! read. A product that the shop does not list is not told, until it is listed.

use millstream::cli::{Declared, Report, Setting, Settings};
use millstream::{BadInput, Builder, Data, Json, NoKey, Reject, Result, Table, Topic, Topology};
use serde::{Deserialize, Serialize};

use crate::topologies::sales::generator::MIN_INVENTORY;
use crate::topologies::sales::{CivilTime, INVENTORIES_TOPIC, PRODUCTS_TOPIC};

/// The name it is run by.
pub const NAME: &str = "low-stock";
/// Where the products go of which few are left, by product.
pub const LOW_TOPIC: &str = "demo.low.stock";

const INVENTORIES: Topic<NoKey, Level> = Topic::new(INVENTORIES_TOPIC);
const PRODUCTS: Topic<NoKey, Listed> = Topic::new(PRODUCTS_TOPIC);
const LOW: Topic<String, LowStock> = Topic::new(LOW_TOPIC);

const LEVEL: Setting<u64> =
    Setting::new("level", MIN_INVENTORY.unsigned_abs(), "A product of which there are so many or fewer is low");

/// The settings that it has.
pub const SETTINGS: &[&dyn Declared] = &[&LEVEL];

/// What is shown at the end of a run.
pub const REPORT: Report = Report {
    topic: LOW_TOPIC,
    order_by: "level",
    columns: &["product_id", "product_name", "product_size", "level", "event_time"],
};

/// The newest inventory of each product, with the product, where it is low.
///
/// # Errors
/// When the declaration has a mistake.
pub fn topology(bad_input: BadInput, settings: &Settings) -> Result<Topology> {
    let low = settings.get(&LEVEL);
    let b = Builder::new(NAME);
    b.agree_on("level", low);
    let levels = newest(&b, INVENTORIES, bad_input.clone(), ["levels-by-product", "levels"]);
    let products = newest(&b, PRODUCTS, bad_input, ["products-by-id", "products"]);
    levels
        .join(&products, |product_id, level, product| LowStock::of(product_id, level, product))
        .filter(move |_, stock| u64::try_from(stock.level).is_ok_and(|level| level <= low) || stock.level < 0)
        .to(LOW);
    Ok(b.build()?)
}

/// The newest record of each product, by event time; of two of the same time the one that was read last.
fn newest<V: OfProduct>(
    b: &Builder,
    topic: Topic<NoKey, V>,
    bad_input: BadInput,
    [shuffled, named]: [&str; 2],
) -> Table<String, V>
where
    V::Codec: Default,
{
    b.source(topic)
        .event_time(|_, record| {
            record.product_id().map(|_| record.event_time().timestamp()).ok_or_else(Reject::null_key)
        })
        .on_bad_input(bad_input)
        .stream()
        .try_rekey(|_, record| record.product_id().map(str::to_owned).ok_or_else(Reject::null_key))
        .group_by_key()
        .named(shuffled)
        .reduce(|newest, other| {
            if other.event_time() >= newest.event_time() {
                *newest = other;
            }
        })
        .named(named)
}

/// What says at some time something of a product.
trait OfProduct: Data {
    /// The product; a null has no key to be grouped by.
    fn product_id(&self) -> Option<&str>;
    /// When.
    fn event_time(&self) -> CivilTime;
}

/// How many there are of a product.
#[expect(clippy::struct_field_names, reason = "the fields of the topic")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Level {
    event_time: CivilTime,
    product_id: Option<String>,
    new_level: i64,
}

impl Data for Level {
    type Codec = Json;
}

impl OfProduct for Level {
    fn product_id(&self) -> Option<&str> {
        self.product_id.as_deref()
    }

    fn event_time(&self) -> CivilTime {
        self.event_time
    }
}

/// What the shop lists a product as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    event_time: CivilTime,
    product_id: Option<String>,
    category: String,
    item: String,
    size: String,
}

impl Data for Listed {
    type Codec = Json;
}

impl OfProduct for Listed {
    fn product_id(&self) -> Option<&str> {
        self.product_id.as_deref()
    }

    fn event_time(&self) -> CivilTime {
        self.event_time
    }
}

/// A product of which few are left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowStock {
    /// Since when there are so many.
    pub event_time: CivilTime,
    /// The product.
    pub product_id: String,
    /// Its category.
    pub product_category: String,
    /// Its name.
    pub product_name: String,
    /// Its size.
    pub product_size: String,
    /// How many there are.
    pub level: i64,
}

impl Data for LowStock {
    type Codec = Json;
}

impl LowStock {
    fn of(product_id: &str, level: &Level, product: &Listed) -> Self {
        Self {
            event_time: level.event_time,
            product_id: product_id.to_owned(),
            product_category: product.category.clone(),
            product_name: product.item.clone(),
            product_size: product.size.clone(),
            level: level.new_level,
        }
    }
}

#[cfg(test)]
#[path = "low_stock_tests.rs"]
mod tests;
