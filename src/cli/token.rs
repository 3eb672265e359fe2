//! Where the token of the HTTP listener comes from.

use std::path::Path;

use crate::error::Result;
use crate::http::Token;

/// The variable that may hold it.
const VARIABLE: &str = "MILLSTREAM_HTTP_TOKEN";

/// The token in the file that is named, or else in the environment, or none.
pub(super) fn find(file: Option<&Path>) -> Result<Option<Token>> {
    let token = read(file)?;
    if token.as_ref().is_some_and(Token::is_short) {
        tracing::warn!("the HTTP token is so short that it can be guessed; make one with `openssl rand -hex 32`");
    }
    Ok(token)
}

fn read(file: Option<&Path>) -> Result<Option<Token>> {
    match (file, std::env::var(VARIABLE)) {
        (Some(path), _) => Token::read(path).map(Some),
        (None, Ok(secret)) => Token::new(&secret).map(Some),
        (None, Err(_)) => Ok(None),
    }
}
