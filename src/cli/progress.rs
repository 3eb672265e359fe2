//! The bar that shows a long restore, where somebody looks at it.

use indicatif::{ProgressBar, ProgressStyle};

use super::fleet::Fleet;

/// A restore of fewer records is over before anybody wonders.
const LONG: u64 = 100_000;

/// Shows a bar on the terminal while a long restore goes on. `indicatif` shows nothing where there is no terminal.
#[derive(Default)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    looks: u32,
}

impl Progress {
    /// Brings the bar up to date.
    pub(super) fn show(&mut self, fleet: &Fleet) {
        // The status moves a few times a second; looking more often would only cost.
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(5) {
            return;
        }
        let remaining = fleet.restore_remaining();
        match &self.bar {
            None if remaining >= LONG => self.bar = Some(bar(remaining)),
            None => {}
            Some(bar) => {
                // Another task may have begun in the meantime.
                bar.set_length(bar.length().unwrap_or(0).max(bar.position() + remaining));
                bar.set_position(bar.length().unwrap_or(0).saturating_sub(remaining));
                if remaining == 0 {
                    bar.finish_and_clear();
                    self.bar = None;
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(length: u64) -> ProgressBar {
    let template = "restoring {wide_bar} {human_pos}/{human_len} records, {per_sec}, {eta} to go";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}
