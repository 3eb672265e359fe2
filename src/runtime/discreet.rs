//! What an error says of a record, without what is in it: keys and values may be secret, and the page shows what was refused
//! to whoever may look at it. The whole text is in the headers of the dead letter, beside the record itself.

use crate::operators::DropReason;

/// The sorts of values that serde names before it shows one.
const SORTS: &[&str] = &[
    "null",
    "unit value",
    "boolean",
    "integer",
    "floating point",
    "number",
    "character",
    "string",
    "byte array",
    "Option value",
    "newtype struct",
    "sequence",
    "map",
    "enum",
    "unit variant",
    "newtype variant",
    "tuple variant",
    "struct variant",
];

/// What a JSON reader says that shows nothing of what it reads.
const PLAIN: &[&str] = &[
    "EOF while parsing",
    "expected value",
    "expected ident",
    "expected `",
    "trailing",
    "key must be a string",
    "control character",
    "invalid escape",
    "invalid number",
    "number out of range",
    "invalid unicode",
    "lone leading",
    "recursion limit",
    "unknown field",
    "unknown variant",
    "duplicate field",
    "invalid length",
];

/// The message without anything of the record; `None` where there is nothing more to say than the reason.
pub(super) fn told(reason: DropReason, operator: Option<&str>, message: &str) -> Option<String> {
    match (reason, operator) {
        (DropReason::Unreadable, None) => Some(unreadable(message)),
        // Sizes and limits, and the broker's own words.
        (DropReason::TooLarge | DropReason::Refused, Some("sink")) => Some(message.to_owned()),
        // What a user's function says may hold anything.
        _ => None,
    }
}

fn unreadable(message: &str) -> String {
    let what = ["the key", "the value"].into_iter().find(|what| message.starts_with(what)).unwrap_or("the record");
    let error = message.split_once("cannot be read: ").map_or(message, |(_, error)| error);
    let error = error.strip_prefix("not the JSON expected: ").unwrap_or(error);
    let (said, place) = match error.rsplit_once(" at line ") {
        Some((said, place)) if place.bytes().all(|byte| byte.is_ascii_digit() || b" column".contains(&byte)) => {
            (said, format!(" at line {place}"))
        }
        _ => (error, String::new()),
    };
    match plainly(said) {
        Some(said) => format!("{what} cannot be read: {said}{place}"),
        None if place.is_empty() => format!("{what} cannot be read"),
        None => format!("{what} cannot be read{place}"),
    }
}

/// What a codec says, as far as it is known to show nothing: a type that was expected, a field that is missing.
fn plainly(said: &str) -> Option<String> {
    if let Some(field) = said.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return Some(format!("missing field `{field}`"));
    }
    if let Some(byte) = said.strip_prefix("not UTF-8 after byte ") {
        return byte.bytes().all(|byte| byte.is_ascii_digit()).then(|| said.to_owned());
    }
    for wrong in ["invalid type: ", "invalid value: "] {
        let Some(rest) = said.strip_prefix(wrong) else { continue };
        let sort = SORTS.iter().find(|sort| rest.starts_with(**sort))?;
        // What is expected is the reader's own text, and comes last.
        let expected = rest.rsplit_once(", expected ").map(|(_, expected)| format!(", expected {expected}"));
        return Some(format!("{wrong}{sort}{}", expected.unwrap_or_default()));
    }
    let plain = PLAIN.iter().find(|plain| said.starts_with(**plain))?;
    Some(plain.trim_end_matches(" `").to_owned())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::codec::{Codec, Json};

    #[derive(Debug, Deserialize, serde::Serialize, Clone, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Card {
        number: u32,
        kind: Kind,
    }

    #[derive(Debug, Deserialize, serde::Serialize, Clone, PartialEq)]
    enum Kind {
        Debit,
    }

    fn told_of(text: &str) -> String {
        let error = serde_json::from_str::<Card>(text).expect_err("it is none");
        let message = format!("the value cannot be read: not the JSON expected: {error}");
        told(DropReason::Unreadable, None, &message).expect("it says something")
    }

    #[test]
    fn what_cannot_be_read_is_told_without_what_was_read() {
        let expected = [
            (
                r#"{"number": "4111, expected u8", "kind": "Debit"}"#,
                "invalid type: string, expected u32 at line 1 column 30",
            ),
            (r#"{"number": -4111, "kind": "Debit"}"#, "invalid value: integer, expected u32"),
            (r#"{"kind": "Debit"}"#, "missing field `number` at line 1 column 17"),
            (r#"{"number": 1, "4111": 1}"#, "unknown field at line 1"),
            (r#"{"number": 1, "kind": "4111"}"#, "unknown variant at line 1"),
            (r#"{"number": 4111"#, "EOF while parsing at line 1"),
            ("[4111,", "cannot be read"),
            ("4111 at line 9", "cannot be read"),
        ];
        for (text, part) in expected {
            let told = told_of(text);
            assert!(told.starts_with("the value cannot be read") && told.contains(part), "{text}: {told}");
            assert!(!told.contains("4111") && !told.contains("u8"), "{text}: {told}");
        }
    }

    #[test]
    fn what_a_codec_of_somebody_else_says_is_not_told() {
        let message = "the key cannot be read: the field price is not a number: \"4111\"";
        assert_eq!(told(DropReason::Unreadable, None, message).as_deref(), Some("the key cannot be read"));
        let error = Codec::<u32>::decode(&Json, b"\xff4111").expect_err("no JSON");
        let told = told(DropReason::Unreadable, None, &format!("the value cannot be read: {error}"));
        assert!(told.as_deref().is_some_and(|told| !told.contains("4111")), "{told:?}");
    }

    #[test]
    fn what_a_users_function_says_is_not_told() {
        assert_eq!(told(DropReason::Rejected, Some("check"), "card 4111 is blocked"), None);
        assert_eq!(told(DropReason::Unreadable, Some("check"), "card 4111 is blocked"), None);
        assert_eq!(told(DropReason::Refused, Some("sink"), "too large").as_deref(), Some("too large"));
    }
}
