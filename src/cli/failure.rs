//! Why a command ended badly, and the exit code for it.

use std::{fmt, io};

use crate::error::{Error, ErrorKind};

/// Why a command ended badly.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// What it asked for did not work.
    Error(Error),
    /// A plan changes something that is there, or leaves it behind.
    Differs(String),
}

impl Failure {
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Error(_) => 1,
            Self::Differs(_) => 3,
        }
    }

    /// A topology refuses to be built: with settings that it cannot work by, the command line is wrong.
    pub(super) fn of_build(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Config => Self::Usage(error.to_string()),
            _ => Self::Error(error),
        }
    }

    /// Standard output could not be written.
    pub(super) fn output(error: io::Error) -> Self {
        Self::Error(Error::new(ErrorKind::Config, "cannot write to standard output").caused_by(error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Differs(message) => f.write_str(message),
            Self::Error(error) => error.fmt(f),
        }
    }
}

/// Writes to standard output. A reader that has gone (`| head`) is no error: it had what it wanted.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    use io::Write as _;
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::output(error)),
        _ => Ok(()),
    }
}
