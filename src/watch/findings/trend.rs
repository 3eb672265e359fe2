//! Whether something grows or shrinks.

use std::time::Duration;

/// By how much a second the values change, as the straight line through them has it. `None` of fewer than three.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn slope(values: impl Iterator<Item = (Duration, u64)>) -> Option<f64> {
    let values: Vec<(f64, f64)> = values.map(|(at, value)| (at.as_secs_f64(), value as f64)).collect();
    if values.len() < 3 {
        return None;
    }
    let count = values.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| values.iter().map(of).sum::<f64>() / count;
    let (middle, level) = (mean(|(at, _)| *at), mean(|(_, value)| *value));
    let along: f64 = values.iter().map(|(at, value)| (at - middle) * (value - level)).sum();
    let spread: f64 = values.iter().map(|(at, _)| (at - middle).powi(2)).sum();
    (spread > 0.0).then(|| along / spread)
}

/// How long it takes until `left` is gone at this slope. `None` where it does not become less, or not within a month.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn until_gone(left: u64, slope: f64) -> Option<Duration> {
    let seconds = left as f64 / -slope;
    (slope < 0.0 && seconds < 30.0 * 86_400.0).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[u64]) -> Option<f64> {
        slope(values.iter().enumerate().map(|(second, value)| (Duration::from_secs(second as u64), *value)))
    }

    #[test]
    fn a_slope_is_that_of_the_line_through_the_values() {
        assert_eq!(line(&[10, 20, 30, 40]), Some(10.0));
        assert_eq!(line(&[7, 7, 7]), Some(0.0));
        assert_eq!(line(&[7, 8]), None);
        let falling = line(&[100, 80, 90, 60, 70]).expect("enough");
        assert!((falling + 8.0).abs() < 1e-9, "{falling}");
    }

    #[test]
    fn what_does_not_become_less_is_never_gone() {
        assert_eq!(until_gone(100, -10.0), Some(Duration::from_secs(10)));
        assert_eq!(until_gone(100, 0.0), None);
        assert_eq!(until_gone(u64::MAX, -1.0), None);
    }
}
