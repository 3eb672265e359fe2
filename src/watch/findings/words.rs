//! How numbers and times are written in findings.

use std::time::Duration;

/// A count with its thousands apart: `12,345`.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things that are called `one` if there is one of them: `1 record`, `12,345 records`.
pub(super) fn some(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {one}{plural}", number(count))
}

/// A rate, as exactly as it says something: `0.4`, `12`, `3,400`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people; a rate is not negative")]
pub(super) fn rate(a_second: f64) -> String {
    if a_second < 10.0 { format!("{a_second:.1}") } else { number(a_second.round() as u64) }
}

/// A time in its largest unit: `45 s`, `3 min`, `2 h`, `4 days`.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", number(seconds / 86_400)),
    }
}

/// A text as the beginning of a sentence.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([some(1, "record"), some(2, "record")], ["1 record", "2 records"]);
        assert_eq!([0.42, 9.96, 3_400.4].map(rate), ["0.4", "10.0", "3,400"]);
        let spans = [45, 119, 180, 7_199, 86_400, 400_000].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["45 s", "119 s", "3 min", "119 min", "24 h", "4 days"]);
        assert_eq!(capital("the topic is gone"), "The topic is gone");
    }
}
