//! The table of the shop's products.

use millstream::{Error, ErrorKind, Result};

use super::{CivilTime, Product};

const TABLE: &str = include_str!("products.csv");

/// All products, as entered at `event_time`, in the order of their cumulative weight.
///
/// # Errors
/// When the table that is built in has a mistake.
pub fn products(event_time: CivilTime) -> Result<Vec<Product>> {
    let lines = TABLE.lines().enumerate().skip(1);
    lines
        .map(|(number, line)| {
            product(event_time, line).ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("line {} of products.csv is no product: {line}", number + 1))
            })
        })
        .collect()
}

fn product(event_time: CivilTime, line: &str) -> Option<Product> {
    let fields: [&str; 12] = line.split(',').collect::<Vec<_>>().try_into().ok()?;
    let [product_id, category, item, size, cogs, price, level, fruit, veggies, nuts, caffeine, propensity] = fields;
    Some(Product {
        event_time,
        product_id: product_id.into(),
        category: category.into(),
        item: item.into(),
        size: size.into(),
        cogs: cogs.parse().ok()?,
        price: price.parse().ok()?,
        inventory_level: level.parse().ok()?,
        contains_fruit: fruit.parse().ok()?,
        contains_veggies: veggies.parse().ok()?,
        contains_nuts: nuts.parse().ok()?,
        contains_caffeine: caffeine.parse().ok()?,
        propensity_to_buy: propensity.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_27_products_whose_weights_rise_to_200() {
        let products = products(CivilTime::default()).unwrap();
        assert_eq!(products.len(), 27);
        assert!(products.is_sorted_by(|left, right| left.propensity_to_buy < right.propensity_to_buy));
        assert_eq!(products[26].propensity_to_buy, 200);
        assert_eq!(products[7].item, "Rockin’ Raspberry");
    }
}
