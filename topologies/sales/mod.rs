//! The smoothie shop: its products, its purchases, its stock, and a generator of all three.

pub mod exact;
pub mod fields;
pub mod generator;
pub mod history;
mod odds;
pub mod products;
pub mod sale;
pub mod types;

pub use generator::SalesGenerator;
pub use sale::{Receipt, Sale};
pub use types::{Inventory, Product, Purchase};

pub use super::civil::CivilTime;

/// The products, written once.
pub const PRODUCTS_TOPIC: &str = "demo.products";
/// The purchases, one a line item.
pub const PURCHASES_TOPIC: &str = "demo.purchases";
/// The stock levels, one whenever a product is restocked.
pub const INVENTORIES_TOPIC: &str = "demo.inventories";
