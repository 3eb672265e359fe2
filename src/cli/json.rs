//! JSON text without what does not matter in it. It is never parsed into values, so that a number keeps all its digits
//! and an object the order of its fields.

/// Valid JSON without the white space between its tokens: it then stands on one line.
pub(super) fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for letter in json.chars() {
        if !quoted && matches!(letter, ' ' | '\t' | '\r' | '\n') {
            continue;
        }
        quoted ^= letter == '"' && !escaped;
        escaped = quoted && letter == '\\' && !escaped;
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_space_between_tokens_goes() {
        assert_eq!(compact("{ \"a b\" : [ 1.50 ,\n 2 ] }"), "{\"a b\":[1.50,2]}");
        assert_eq!(compact(r#" "a \" b \\" "#), r#""a \" b \\""#);
        assert_eq!(compact(r#"[ "\\" , " " ]"#), r#"["\\"," "]"#);
    }
}
