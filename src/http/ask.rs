//! Asks a process whether it is well, as a supervisor in a container without a shell or `curl` does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::access::Token;
use super::state::peer;
use crate::error::{Error, ErrorKind, Result};

/// What a process is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether it lives.
    Live,
    /// Whether it processes records: it has its partitions, and their state is restored.
    Ready,
    /// What its topologies do, and what of it is stuck and why: an [`Observation`](crate::watch::Observation) as JSON.
    Why,
}

/// Asks the process whose listener was given `address`, on this machine. Gives what it says.
///
/// # Errors
/// When it does not answer, or not well; the error holds what it says.
pub fn health(address: SocketAddr, token: Option<&Token>, question: Question) -> Result<String> {
    let address = reachable(address).to_string();
    let path = match question {
        Question::Live => "/health/live",
        Question::Ready => "/health/ready",
        Question::Why => "/live/status",
    };
    let broken = |error: std::io::Error| Error::new(ErrorKind::Internal, "cannot ask").caused_by(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let answer = runtime.block_on(peer::ask(&address, path, token.map(Token::header)));
    let (status, body) = answer.map_err(|why| Error::new(ErrorKind::Config, why))?;
    let said = String::from_utf8_lossy(&body).trim().to_owned();
    if status.is_success() {
        return Ok(said);
    }
    Err(Error::new(ErrorKind::Config, format!("the process at {address} answers {status}: {said}")))
}

/// What listens at every address is reached at loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_at_loopback() {
        for (given, asked) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:80", "192.0.2.1:80")]
        {
            assert_eq!(reachable(given.parse().unwrap()).to_string(), asked);
        }
    }
}
