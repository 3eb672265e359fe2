//! Limits, so that no client can hold the process up.

use std::time::Duration;

/// How many connections at once; more wait in the kernel's queue.
pub(super) const CONNECTIONS: usize = 128;
/// How many streams of events at once, beside them; more are refused.
pub(super) const STREAMS: usize = 1_200;
/// How many files the rest of the process may have open meanwhile: the broker's connections, the local state.
const FILES_BESIDE: u64 = 512;
/// How long a connection may neither send nor take a byte. Longer than the usual scrape interval of a minute.
pub(super) const IDLE: Duration = Duration::from_secs(75);
/// How many threads may read state, or wait for the broker, at once.
pub(super) const BLOCKING: usize = 8;
/// How long one answer may take. A stream of events has been answered once it begins.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How much of a body is read: a form, or the name of a topology.
pub(super) const BODY_BYTES: usize = 16 * 1024;
/// How much of a request's head is read, and how much of an answer is taken before the socket has taken what was before it.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;
/// How much of a stream of events the kernel keeps for a client that does not read.
pub(super) const STREAM_SOCKET_BYTES: usize = 32 * 1024;
/// How long connections have to end at the stop.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Has the kernel allow as many open files as these limits need, or says what is missing.
pub(super) fn open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let needed = (CONNECTIONS + STREAMS) as u64 + FILES_BESIDE;
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
        if enough(current) {
            return;
        }
        let wanted = maximum.map_or(needed, |maximum| maximum.min(needed));
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        if raised.is_err() || !enough(Some(wanted)) {
            tracing::warn!(
                needed,
                allowed = if raised.is_ok() { Some(wanted) } else { current },
                "this process may open fewer files than the HTTP listener's limits ask for: raise it with ulimit -n, or \
                 LimitNOFILE of systemd, if many are to watch"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn the_soft_limit_of_open_files_is_raised_as_far_as_it_may() {
        use rustix::process::{Resource, getrlimit};
        open_files();
        let limit = getrlimit(Resource::Nofile);
        let needed = (CONNECTIONS + STREAMS) as u64 + FILES_BESIDE;
        assert!(limit.current.is_none_or(|current| current >= limit.maximum.unwrap_or(needed).min(needed)));
    }
}
