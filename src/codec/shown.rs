//! What bytes say, for people and programs outside: JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::CodecError;

/// A value as JSON, for whoever asks for state from outside. Numbers keep all their digits.
#[derive(Clone, Debug)]
pub struct Shown(Box<RawValue>);

impl Shown {
    /// Bytes that are JSON already, as they are.
    ///
    /// # Errors
    /// When they are not JSON.
    pub fn json(bytes: &[u8]) -> Result<Self, CodecError> {
        serde_json::from_slice(bytes).map(Self).map_err(|error| CodecError::new(format!("not JSON: {error}")))
    }

    /// What serde makes of a value.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, CodecError> {
        let raw = serde_json::value::to_raw_value(value);
        raw.map(Self).map_err(|error| CodecError::new(format!("cannot be written as JSON: {error}")))
    }

    /// Bytes that say nothing to us: `{"base64": "…"}`.
    ///
    /// # Errors
    /// Never in practice: a text can always be written.
    pub fn bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::of(&serde_json::json!({ "base64": STANDARD.encode(bytes) }))
    }

    /// The JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The bytes that [`Shown::bytes`] shows, from their base64.
pub(super) fn of_base64(text: &str) -> Result<Vec<u8>, CodecError> {
    STANDARD.decode(text).map_err(|error| CodecError::new(format!("not base64: {error}")))
}

#[cfg(test)]
mod tests {
    use super::super::{Bytes, Codec, Int, Json, Text};
    use crate::window::{SessionWindowed, Window, Windowed};

    fn shown<T>(codec: &impl Codec<T>, value: &T) -> String {
        let mut bytes = Vec::new();
        codec.encode(value, &mut bytes).unwrap();
        codec.show(&bytes).unwrap().text().to_owned()
    }

    /// The bytes of a value, and those of the text that it is asked for by.
    fn asked<T>(codec: &impl Codec<T>, value: &T, text: &str) {
        let mut bytes = Vec::new();
        codec.encode(value, &mut bytes).unwrap();
        assert_eq!(codec.parse(text), Ok(bytes), "{text}");
    }

    #[test]
    fn a_decimal_keeps_every_digit() {
        let bytes = br#"{"sales":12345678901234567890.10}"#;
        assert_eq!(Codec::<serde_json::Value>::show(&Json, bytes).unwrap().text().as_bytes(), bytes);
    }

    #[test]
    fn keys_are_asked_for_by_what_json_shows_of_them() {
        assert_eq!(shown(&Text, &"a \"b\"".to_owned()), r#""a \"b\"""#);
        asked(&Text, &"a \"b\"".to_owned(), "a \"b\"");
        assert_eq!(shown(&Int, &-7_i64), "-7");
        asked(&Int, &-7_i64, "-7");
        assert_eq!(shown(&Bytes, &vec![0xff, 0]), r#"{"base64":"/wA="}"#);
        asked(&Bytes, &vec![0xff, 0], "/wA=");
        asked(&Json, &("a".to_owned(), 1_u8), r#"[ "a", 1 ]"#);
        asked(&Json, &"plain".to_owned(), "plain");
    }

    #[test]
    fn a_windowed_key_is_shown_with_its_window_and_asked_for_likewise() {
        let key = Windowed::new("a".to_owned(), Window::of_millis(1, 258));
        let text = shown(&SessionWindowed, &key);
        assert_eq!(text, r#"{"key":"a","window_start":1,"window_end":258}"#);
        asked(&SessionWindowed, &key, &text);
    }

    #[test]
    fn a_text_that_is_no_key_is_refused() {
        assert!(Codec::<i64>::parse(&Int, "seven").is_err());
        assert!(Codec::<(String, u8)>::parse(&Json, "a").is_err());
        assert!(Codec::<Vec<u8>>::parse(&Bytes, "?").is_err());
        assert!(Codec::<Windowed<String>>::parse(&SessionWindowed, "a").is_err());
    }

    #[test]
    fn bytes_that_are_not_of_the_format_are_refused() {
        assert!(Codec::<i64>::show(&Int, &[1, 2]).is_err());
        assert!(Codec::<String>::show(&Text, &[0xff]).is_err());
        assert!(Codec::<u8>::show(&Json, b"{").is_err());
    }
}
