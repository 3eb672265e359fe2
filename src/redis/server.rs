//! A Redis server: where it is, and the connection to it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use redis::{Client, Connection, ConnectionAddr, IntoConnectionInfo, RedisError, Value};

use super::failure::{Failure, FailureKind};
use crate::error::{Error, ErrorKind, Result};

/// How long a connection, and how long an answer may take. Shorter than a group waits for a silent member.
const PATIENCE: Duration = Duration::from_secs(3);

/// A Redis server. Neither `Debug` nor an error shows the user or the password.
#[derive(Clone)]
pub struct RedisServer {
    client: Client,
    address: String,
}

impl RedisServer {
    /// The server at `url`: `redis://[USER][:PASSWORD@]HOST[:PORT][/DATABASE]`, or `unix:///PATH` for a socket. What
    /// a URL cannot hold is percent-encoded. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where it is none, or asks for TLS (`rediss://`), which is not there yet.
    pub fn new(url: &str) -> Result<Self> {
        let url = url.trim();
        let secure = url.starts_with("rediss:") || url.starts_with("valkeys:");
        if secure {
            return Err(Error::new(ErrorKind::Config, "the Redis URL asks for TLS, which is not there yet").remedy(
                "give redis:// with the address of a tunnel on this machine, such as stunnel, that speaks TLS",
            ));
        }
        // Why it is none is not told: the text might quote it.
        let client = url.into_connection_info().and_then(Client::open).map_err(|_| {
            Error::new(ErrorKind::Config, "the Redis URL is none (it is not shown: it may hold a password)").remedy(
                "give redis://HOST:PORT, or redis://USER:PASSWORD@HOST:PORT/DATABASE, other characters percent-encoded",
            )
        })?;
        let address = match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => "redis".to_owned(),
        };
        Ok(Self { client, address })
    }

    /// The server whose URL is in a file, as secrets are handed to containers.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the file cannot be read or holds no such URL.
    pub fn read(path: &Path) -> Result<Self> {
        let url = std::fs::read_to_string(path).map_err(|error| {
            Error::new(ErrorKind::Config, format!("cannot read the Redis URL from {}", path.display()))
                .caused_by(error)
                .remedy("check --redis-file")
        })?;
        Self::new(&url)
    }

    /// Where it is, without user and password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisServer").field(&self.address).finish()
    }
}

/// Where connections come from.
pub(super) trait Connect: Send + Sync {
    /// A connection that is logged in. Takes a bounded time.
    fn connect(&self) -> Result<Box<dyn Link>, Failure>;

    /// Where it leads to, for people.
    fn address(&self) -> &str;
}

/// A connection.
pub(super) trait Link: Send {
    /// Sends `count` packed commands and gives their answers, in order; fewer where the connection failed, and why.
    /// After a failure the connection is of no use any more.
    fn send(&mut self, packed: &[u8], count: usize) -> (Vec<Answer>, Option<Failure>);
}

/// What Redis answers to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A number: of a `PUBLISH`, how many have heard it.
    Number(i64),
    /// Anything else that is no error.
    Done,
    /// An error.
    Refused(Failure),
}

impl Connect for RedisServer {
    fn connect(&self) -> Result<Box<dyn Link>, Failure> {
        let connected = self.client.get_connection_with_timeout(PATIENCE).and_then(|connection| {
            connection.set_read_timeout(Some(PATIENCE))?;
            connection.set_write_timeout(Some(PATIENCE))?;
            Ok(connection)
        });
        match connected {
            Ok(connection) => Ok(Box::new(connection)),
            Err(error) => Err(failure(&error, FailureKind::Unreachable)),
        }
    }

    fn address(&self) -> &str {
        &self.address
    }
}

impl Link for Connection {
    fn send(&mut self, packed: &[u8], count: usize) -> (Vec<Answer>, Option<Failure>) {
        let mut answers = Vec::with_capacity(count);
        if let Err(error) = self.send_packed_command(packed) {
            return (answers, Some(failure(&error, FailureKind::Disconnected)));
        }
        while answers.len() < count {
            match self.recv_response() {
                Ok(value) => answers.push(answer(value)),
                Err(error) => return (answers, Some(failure(&error, FailureKind::Disconnected))),
            }
        }
        (answers, None)
    }
}

fn answer(value: Value) -> Answer {
    match value {
        Value::Int(number) => Answer::Number(number),
        Value::ServerError(error) => Answer::Refused(failure(&error.into(), FailureKind::Refused)),
        _ => Answer::Done,
    }
}

/// What an error of the client means; `otherwise` where it is one of the connection.
fn failure(error: &RedisError, otherwise: FailureKind) -> Failure {
    let kind = if error.is_timeout() {
        FailureKind::Timeout
    } else if error.kind() == redis::ErrorKind::AuthenticationFailed {
        FailureKind::Denied
    } else if let Some(code) = error.code() {
        FailureKind::of_code(code)
    } else {
        otherwise
    };
    let text = match (error.code(), error.detail()) {
        _ if kind == FailureKind::Timeout => "no answer in time".to_owned(),
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    Failure { kind, text }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let server = RedisServer::new("redis://me:hunter2@localhost:1/3").unwrap();
        assert_eq!(
            (server.address(), format!("{server:?}")),
            ("localhost:1", "RedisServer(\"localhost:1\")".to_owned())
        );
        for wrong in ["hunter2", "http://:hunter2@localhost", "redis://:hunter2@localhost/hunter2", "redis://:hunter2@"]
        {
            let error = RedisServer::new(wrong).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2") && shown.contains("the Redis URL is none"), "{shown}");
        }
        let refused = server.connect().err().unwrap().to_string();
        assert!(!refused.contains("hunter2") && refused.contains("(unreachable)"), "{refused}");
    }

    #[test]
    fn a_url_may_lie_in_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"redis://:secret@redis.example:7000\n").unwrap();
        assert_eq!(RedisServer::read(file.path()).unwrap().address(), "redis.example:7000");
        let error = RedisServer::read(Path::new("/nowhere/redis")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/redis") && error.contains("--redis-file"), "{error}");
    }

    /// A server that says `answers` to whatever comes, and then what `after` does.
    fn serving(answers: &'static [u8]) -> RedisServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = [0; 4096];
            // What the client says of itself when it connects.
            let _ = stream.read(&mut heard).unwrap();
            stream.write_all(b"+OK\r\n+OK\r\n").unwrap();
            let _ = stream.read(&mut heard).unwrap();
            stream.write_all(answers).unwrap();
        });
        RedisServer::new(&url).unwrap()
    }

    #[test]
    fn answers_are_told_one_by_one_up_to_where_the_connection_breaks() {
        let answers = b":2\r\n+OK\r\n-WRONGTYPE not a hash\r\n-NOPERM no\r\n-LOADING the data\r\n:0\r\n";
        let mut link = serving(answers).connect().unwrap();
        let (answers, failed) = link.send(b"PING\r\n", 7);
        let refused = |kind, text: &str| Answer::Refused(Failure { kind, text: text.to_owned() });
        assert_eq!(
            answers,
            [
                Answer::Number(2),
                Answer::Done,
                refused(FailureKind::Refused, "WRONGTYPE not a hash"),
                refused(FailureKind::Denied, "NOPERM no"),
                refused(FailureKind::Unavailable, "LOADING the data"),
                Answer::Number(0),
            ]
        );
        assert_eq!(failed.unwrap().kind, FailureKind::Disconnected);
    }

    #[test]
    fn a_server_that_says_nothing_is_not_waited_for_longer_than_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = RedisServer::new(&format!("redis://{}", listener.local_addr().unwrap())).unwrap();
        // The kernel takes the connection; nobody ever answers.
        let failed = server.connect().err().unwrap();
        assert_eq!(failed, Failure { kind: FailureKind::Timeout, text: "no answer in time".to_owned() });
    }
}
