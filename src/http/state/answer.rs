//! Answers, and what is said where there is none.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer in JSON.
pub(in crate::http) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => Problem::broken(format!("the answer cannot be written: {error}")).into_response(),
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::http) struct Problem {
    pub(in crate::http) code: StatusCode,
    pub(in crate::http) error: String,
}

impl Problem {
    /// The request is wrong.
    pub(in crate::http) fn wrong(error: impl Into<String>) -> Self {
        Self { code: StatusCode::BAD_REQUEST, error: error.into() }
    }

    /// There is no such thing.
    pub(in crate::http) fn missing(error: impl Into<String>) -> Self {
        Self { code: StatusCode::NOT_FOUND, error: error.into() }
    }

    /// Somebody else has it, and the request came from another process already.
    pub(super) fn misdirected(error: impl Into<String>) -> Self {
        Self { code: StatusCode::MISDIRECTED_REQUEST, error: error.into() }
    }

    /// Not now.
    pub(in crate::http) fn later(error: impl Into<String>) -> Self {
        Self { code: StatusCode::SERVICE_UNAVAILABLE, error: error.into() }
    }

    /// It should not have happened.
    pub(in crate::http) fn broken(error: impl Into<String>) -> Self {
        Self { code: StatusCode::INTERNAL_SERVER_ERROR, error: error.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        let mut response = json(&Body { error: self.error });
        *response.status_mut() = self.code;
        if self.code == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
