//! Who may ask: a bearer token.

use std::fmt;
use std::path::Path;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};

use crate::error::{Error, ErrorKind, Result};

/// A secret that a request has to bring along. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token.
    ///
    /// # Errors
    /// When it is empty or could not stand in a header.
    pub fn new(secret: &str) -> Result<Self> {
        let secret = secret.trim();
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::new(
                ErrorKind::Config,
                "the HTTP token is empty or has characters that a header cannot hold",
            )
            .remedy("use a line of letters and digits, as `openssl rand -hex 32` gives"));
        }
        Ok(Self(secret.to_owned()))
    }

    /// The token in a file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no token.
    pub fn read(path: &Path) -> Result<Self> {
        let secret = std::fs::read_to_string(path).map_err(|error| {
            Error::new(ErrorKind::Config, format!("cannot read the HTTP token from {}", path.display()))
                .caused_by(error)
                .remedy("check --http-token-file")
        })?;
        Self::new(&secret)
    }

    /// True where it could be guessed by trying.
    pub(crate) fn is_short(&self) -> bool {
        self.0.len() < 16
    }

    /// What a request brings it along in.
    pub(super) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).expect("only graphic characters");
        value.set_sensitive(true);
        value
    }

    /// True where the request brings it along.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
        match given.split_at_checked(7) {
            Some((scheme, secret)) => scheme.eq_ignore_ascii_case(b"bearer ") && same(secret, self.0.as_bytes()),
            None => false,
        }
    }
}

impl Token {
    /// True where this is the secret, as somebody has typed it.
    pub(super) fn is(&self, secret: &str) -> bool {
        same(secret.trim().as_bytes(), self.0.as_bytes())
    }
}

/// Compares without telling by its time how much was right. The length may be told.
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    let difference = left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_whole_token_admits() {
        let token = Token::new("secret\n").unwrap();
        assert!(token.admits(&with("Bearer secret")));
        assert!(token.admits(&with("bearer secret")));
        for wrong in ["Bearer secre", "Bearer secrets", "Bearer ", "Bearer", "Basic secret", "secret"] {
            assert!(!token.admits(&with(wrong)), "{wrong}");
        }
        assert!(!token.admits(&HeaderMap::new()));
    }

    #[test]
    fn a_token_is_never_shown() {
        assert_eq!(format!("{:?}", Token::new("secret").unwrap()), "Token(…)");
    }

    #[test]
    fn an_empty_token_is_refused() {
        assert!(Token::new(" \n").is_err());
    }
}
