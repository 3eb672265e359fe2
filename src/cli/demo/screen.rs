//! Where the demo is shown: on the terminal, or line by line where standard output is none.

use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::plain;
use super::view::{Snapshot, draw};
use crate::cli::failure::{Failure, print};
use crate::cli::signals::Stop;
use crate::error::{Error, ErrorKind};

/// How long a picture stands.
const FRAME: Duration = Duration::from_millis(100);
/// How often a line is printed.
const LINE: Duration = Duration::from_secs(1);

/// Where the demo is shown. Dropping it gives the terminal back as it was; so does a panic.
pub(super) enum Surface {
    Screen(Box<DefaultTerminal>),
    Lines { next: Duration },
}

impl Surface {
    /// Where there is no screen, the first line is `welcome`.
    pub(super) fn new(screen: bool, welcome: &str) -> Result<Self, Failure> {
        if !screen {
            print(welcome)?;
            return Ok(Self::Lines { next: LINE });
        }
        // It also sees to it that a panic gives the terminal back.
        ratatui::try_init().map(|terminal| Self::Screen(Box::new(terminal))).map_err(|error| broken(&error).into())
    }

    /// Shows a snapshot and waits until it is time for the next; true where the user wants to leave.
    pub(super) fn show(&mut self, snapshot: &Snapshot<'_>, stop: &Stop) -> Result<bool, Failure> {
        match self {
            Self::Screen(terminal) => {
                terminal.draw(|frame| draw(frame, snapshot)).map_err(|error| broken(&error))?;
                leaves().map_err(|error| broken(&error).into())
            }
            Self::Lines { next } => {
                if snapshot.elapsed >= *next {
                    *next += LINE;
                    print(&plain::line(snapshot))?;
                }
                stop.wait(FRAME);
                Ok(false)
            }
        }
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        if matches!(self, Self::Screen(_)) {
            ratatui::restore();
        }
    }
}

fn broken(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("cannot draw on this terminal: {error}"))
        .remedy("send the output to a file or a pipe for plain lines")
}

/// Waits for a key, for as long as a picture stands; true for q, Escape and Ctrl-C, which is no signal in this mode.
fn leaves() -> std::io::Result<bool> {
    if !event::poll(FRAME)? {
        return Ok(false);
    }
    let Event::Key(key) = event::read()? else { return Ok(false) };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(key.kind == KeyEventKind::Press && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)))
}
