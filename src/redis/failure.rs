//! How Redis fails.

use std::fmt;

/// What sort of failure it is: the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// There is no connection to be had.
    Unreachable,
    /// No answer within the time for it.
    Timeout,
    /// The connection broke.
    Disconnected,
    /// The user or the password is wrong, or the user may not do this.
    Denied,
    /// It is there, but cannot work now: it loads its data, or is a replica.
    Unavailable,
    /// It refuses a command, for instance since the key holds something else.
    Refused,
}

impl FailureKind {
    /// The label's value.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Disconnected => "disconnected",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }

    /// The kind of an error that Redis answers, by its first word.
    pub(super) fn of_code(code: &str) -> Self {
        match code {
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Self::Denied,
            "LOADING" | "BUSY" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS" | "OOM"
            | "MISCONF" => Self::Unavailable,
            _ => Self::Refused,
        }
    }

    /// What there is to do, where waiting will not help.
    fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Denied => Some("check user and password in its URL, and what the user may do (docs/redis.md)"),
            Self::Refused => Some("mend what is in its way: nothing goes on before it takes this command"),
            Self::Unreachable | Self::Timeout | Self::Disconnected | Self::Unavailable => None,
        }
    }
}

/// Why commands did not get their answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// What happened. It never holds the URL, in which there may be a password.
    pub(super) text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.kind.label())?;
        self.kind.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}
