//! What a key on the demo's screen asks for.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What whoever looks on wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    Stay,
    /// The next demo; after the last the first.
    Next,
    /// The one before; before the first the last.
    Previous,
    /// The one of this place.
    Show(usize),
    /// To leave.
    Leave,
}

impl Wish {
    /// Waits for a key, for as long as a picture stands.
    pub(super) fn within(time: Duration) -> std::io::Result<Self> {
        if !event::poll(time)? {
            return Ok(Self::Stay);
        }
        match event::read()? {
            Event::Key(key) => Ok(Self::of(key)),
            _ => Ok(Self::Stay),
        }
    }

    /// Ctrl-C is no signal while the screen is drawn.
    fn of(key: KeyEvent) -> Self {
        if key.kind == KeyEventKind::Release {
            return Self::Stay;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Self::Leave,
            KeyCode::Char('q') | KeyCode::Esc => Self::Leave,
            KeyCode::Tab | KeyCode::Right | KeyCode::Down => Self::Next,
            KeyCode::BackTab | KeyCode::Left | KeyCode::Up => Self::Previous,
            KeyCode::Char(digit) => match digit.to_digit(10) {
                Some(number @ 1..) => Self::Show(number as usize - 1),
                _ => Self::Stay,
            },
            _ => Self::Stay,
        }
    }

    /// The place that is shown then, of so many.
    pub(super) fn go(self, shown: usize, of: usize) -> usize {
        match self {
            Self::Next => (shown + 1) % of.max(1),
            Self::Previous => (shown + of.saturating_sub(1)) % of.max(1),
            Self::Show(place) if place < of => place,
            Self::Show(_) | Self::Stay | Self::Leave => shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: KeyCode, modifiers: KeyModifiers) -> Wish {
        Wish::of(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn tab_arrows_and_numbers_choose_and_q_leaves() {
        let plain = |code| of(code, KeyModifiers::NONE);
        assert_eq!((plain(KeyCode::Tab), plain(KeyCode::Right)), (Wish::Next, Wish::Next));
        assert_eq!((plain(KeyCode::BackTab), plain(KeyCode::Left)), (Wish::Previous, Wish::Previous));
        assert_eq!((plain(KeyCode::Char('1')), plain(KeyCode::Char('9'))), (Wish::Show(0), Wish::Show(8)));
        assert_eq!((plain(KeyCode::Char('0')), plain(KeyCode::Char('c'))), (Wish::Stay, Wish::Stay));
        assert_eq!((plain(KeyCode::Char('q')), plain(KeyCode::Esc)), (Wish::Leave, Wish::Leave));
        assert_eq!(of(KeyCode::Char('c'), KeyModifiers::CONTROL), Wish::Leave);
    }

    #[test]
    fn the_places_go_round_and_one_that_is_not_there_changes_nothing() {
        assert_eq!((Wish::Next.go(1, 3), Wish::Next.go(2, 3)), (2, 0));
        assert_eq!((Wish::Previous.go(1, 3), Wish::Previous.go(0, 3)), (0, 2));
        assert_eq!((Wish::Show(2).go(0, 3), Wish::Show(3).go(1, 3), Wish::Stay.go(1, 3)), (2, 1, 1));
        assert_eq!((Wish::Next.go(0, 1), Wish::Previous.go(0, 1)), (0, 0));
    }
}
