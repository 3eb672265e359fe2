//! Where the demos are shown: on the terminal, or line by line where standard output is none.

use std::time::Duration;

use ratatui::DefaultTerminal;

use super::keys::Wish;
use super::plain;
use super::view::{Snapshot, draw};
use crate::cli::failure::{Failure, print};
use crate::cli::signals::Stop;
use crate::error::{Error, ErrorKind};

/// How long a picture stands.
const FRAME: Duration = Duration::from_millis(100);
/// How many short waits make up as long a one.
const LOOKS: u32 = 5;
/// How often a line is printed.
const LINE: Duration = Duration::from_secs(1);

/// Where the demos are shown. Dropping it gives the terminal back as it was; so does a panic.
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

    /// Shows the demo at `shown` and waits until it is time to look again; gives what is wanted then. Lines show one after
    /// the other by themselves.
    pub(super) fn show<'a>(
        &mut self,
        snapshot: &impl Fn(usize) -> Snapshot<'a>,
        shown: usize,
        stop: &Stop,
    ) -> Result<Wish, Failure> {
        let snapshot = snapshot(shown);
        match self {
            Self::Screen(terminal) => {
                terminal.draw(|frame| draw(frame, &snapshot)).map_err(|error| broken(&error))?;
                Wish::within(FRAME).map_err(|error| broken(&error).into())
            }
            Self::Lines { next } => {
                let due = snapshot.around.elapsed >= *next;
                if due {
                    *next += LINE;
                    print(&plain::line(&snapshot))?;
                }
                for _ in 0..LOOKS {
                    stop.wait(FRAME);
                }
                Ok(if due { Wish::Next } else { Wish::Stay })
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
