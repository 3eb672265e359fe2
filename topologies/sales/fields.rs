//! A JSON object that is handed on with more fields than it came with.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// The fields of a JSON object in their order, each value as it was written: numbers keep all their digits.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    /// Takes the field `name` out and reads it; `None` where there is no such field, or it is something else.
    pub fn take<T: for<'de> Deserialize<'de>>(&mut self, name: &str) -> Option<T> {
        let place = self.0.iter().rposition(|(known, _)| known == name)?;
        serde_json::from_str(self.0.remove(place).1.get()).ok()
    }

    /// Takes the fields `name` away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_every_digit() {
        let text = r#"{"b":1.50,"a":{"z":[1, 2]},"c":null,"n":123456789012345678901234567890.0}"#;
        let fields: Fields = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&fields).unwrap(), text);
        assert!(serde_json::from_str::<Fields>("[1]").is_err());
    }

    #[test]
    fn a_field_can_be_taken_out_and_read_or_thrown_away() {
        let mut fields: Fields = serde_json::from_str(r#"{"a":1,"b":2,"a":3,"c":4}"#).unwrap();
        assert_eq!(fields.take::<i64>("c"), Some(4));
        assert_eq!(fields.take::<i64>("c"), None);
        assert_eq!(fields.take::<String>("b"), None);
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"a":1,"a":3}"#);
        fields.remove("a");
        assert_eq!(serde_json::to_string(&fields).unwrap(), "{}");
    }
}
