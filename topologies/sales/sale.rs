//! A purchase as the topologies read it: what they add up, and where they hand it on, the whole of it.

use std::sync::Arc;

use millstream::{Codec, CodecError, Data, Json};
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

use super::CivilTime;

/// What is added up of a purchase. Its other fields are passed over: they may be missing, or be anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sale {
    /// When it was bought.
    pub transaction_time: CivilTime,
    /// What was bought. A null has no key to be grouped by.
    pub product_id: Option<String>,
    /// How many.
    pub quantity: i64,
    /// What was paid.
    #[serde(with = "arbitrary_precision")]
    pub total_purchase: Decimal,
}

impl Data for Sale {
    type Codec = Json;
}

/// A purchase of which every field is kept, those that no topology knows as well: the text that it came as, handed on as
/// it is. That is cheaper than to read all fields and write them again, and nothing of it can get lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What is added up of it.
    pub sale: Sale,
    text: Arc<str>,
}

impl Receipt {
    /// The purchase as it came: a JSON object.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Data for Receipt {
    type Codec = ReceiptCodec;
}

/// Reads the JSON object of a purchase, and writes it as it was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReceiptCodec;

impl Codec<Receipt> for ReceiptCodec {
    fn encode(&self, value: &Receipt, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.text.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Receipt, CodecError> {
        let not_json = |error: &dyn std::fmt::Display| CodecError::new(format!("not the JSON expected: {error}"));
        let text = std::str::from_utf8(bytes).map_err(|error| not_json(&error))?;
        // An array would be read as the fields in their order, and has no names to hand on.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(CodecError::new("a purchase is a JSON object, and this is none"));
        }
        let sale = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        Ok(Receipt { sale, text: text.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOLD: &str = r#"{"transaction_time": "2022-08-31 08:00:34.721802", "product_id": "SF07", "till": {"n": 1.50},
        "price": "dear", "quantity": 2, "total_purchase": 15.960}"#;

    #[test]
    fn a_receipt_keeps_every_letter_and_reads_what_is_added_up() {
        let receipt = ReceiptCodec.decode(SOLD.as_bytes()).unwrap();
        assert_eq!((receipt.sale.product_id.as_deref(), receipt.sale.quantity), (Some("SF07"), 2));
        assert_eq!(receipt.sale.total_purchase.to_string(), "15.960");
        let mut out = Vec::new();
        ReceiptCodec.encode(&receipt, &mut out).unwrap();
        assert_eq!(out, SOLD.as_bytes());
    }

    #[test]
    fn what_is_no_purchase_is_refused() {
        let broken = [SOLD.as_bytes()[..SOLD.len() / 2].to_vec(), vec![b'{', 0xff, b'}'], b"[1]".to_vec(), Vec::new()];
        for bytes in broken {
            assert!(ReceiptCodec.decode(&bytes).is_err(), "{bytes:?}");
        }
        let array = br#"["2022-08-31 08:00:34","SF07",2,15.96]"#;
        assert!(ReceiptCodec.decode(array).unwrap_err().to_string().contains("JSON object"));
        let without_total = br#"{"transaction_time":"2022-08-31 08:00:34","product_id":"SF07","quantity":2}"#;
        assert!(ReceiptCodec.decode(without_total).unwrap_err().to_string().contains("total_purchase"));
    }
}
