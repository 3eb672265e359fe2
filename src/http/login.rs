//! The token, given once with a browser: a form, and the session that it begins.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, State};
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::guard::Gate;

const PAGE: &str = include_str!("page/login.html");

/// The pages of the login.
pub(super) fn router<S>(gate: Arc<Gate>) -> Router<S> {
    Router::new()
        .route("/login", get(form).post(login))
        .route("/logout", post(logout))
        .route("/session", get(session))
        .with_state(gate)
}

#[derive(Deserialize)]
struct Given {
    token: String,
}

/// The form; where nobody needs to log in, the page itself.
async fn form(State(gate): State<Arc<Gate>>) -> Response {
    if gate.token.is_none() {
        return see("/").into_response();
    }
    page(StatusCode::OK, "")
}

fn page(code: StatusCode, said: &str) -> Response {
    (code, Html(PAGE.replace("{said}", said))).into_response()
}

fn see(path: &'static str) -> (StatusCode, [(axum::http::HeaderName, &'static str); 1]) {
    (StatusCode::SEE_OTHER, [(LOCATION, path)])
}

async fn login(
    State(gate): State<Arc<Gate>>,
    Extension(from): Extension<SocketAddr>,
    headers: HeaderMap,
    given: Result<Form<Given>, FormRejection>,
) -> Response {
    let Some(token) = &gate.token else { return see("/").into_response() };
    let Ok(Form(Given { token: given })) = given else {
        return page(StatusCode::BAD_REQUEST, "The form has no token.");
    };
    if let Some(wait) = gate.sessions.must_wait(from.ip()) {
        let seconds = wait.as_secs().max(1);
        let said = format!("Too many wrong tokens from your address: try again in {seconds} seconds.");
        return ([(RETRY_AFTER, seconds.to_string())], page(StatusCode::TOO_MANY_REQUESTS, &said)).into_response();
    }
    if !token.is(&given) {
        gate.sessions.failed(from.ip());
        tracing::warn!(%from, "a wrong token was given at the login");
        return page(StatusCode::UNAUTHORIZED, "That is not the token.");
    }
    let proxied =
        headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    let cookie = gate.sessions.begin(proxied);
    ([(SET_COOKIE, cookie)], see("/")).into_response()
}

async fn logout(State(gate): State<Arc<Gate>>, headers: HeaderMap) -> Response {
    let cookie = gate.sessions.end(&headers);
    ([(SET_COOKIE, cookie)], see("/login")).into_response()
}

/// Whether somebody has logged in, and so can log out.
#[derive(Serialize)]
struct Standing {
    token: bool,
    session: bool,
}

async fn session(State(gate): State<Arc<Gate>>, headers: HeaderMap) -> Json<Standing> {
    Json(Standing { token: gate.token.is_some(), session: gate.sessions.admits(&headers) })
}
