//! What is found where.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::guard::{self, Gate};
use super::live::Live;
use super::{Format, Readiness, Sources, assets, limits, live, login, state};

/// What a page may load: what comes from here, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// All pages, behind the limits and the token.
pub(super) fn router(sources: Sources, gate: Gate, shown: Live) -> Router {
    let gate = Arc::new(gate);
    Router::new()
        .merge(assets::router())
        .merge(login::router(Arc::clone(&gate)))
        .merge(live::router(shown))
        .route("/metrics", get(metrics))
        .route("/health/live", get(lives))
        .route("/health/ready", get(ready))
        .route("/topology", get(topology))
        .merge(state::router(&sources.queries))
        .fallback(unknown)
        .layer(middleware::from_fn_with_state(gate, guard::admit))
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .with_state(sources)
}

async fn in_time(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(limits::ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the answer took too long\n").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // With none at all a browser would not say of a form where it comes from, and the login refuse it.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn metrics(State(sources): State<Sources>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], sources.metrics.render())
}

/// The process answers: that is all it says.
async fn lives() -> &'static str {
    "live\n"
}

async fn ready(State(sources): State<Sources>) -> (StatusCode, Json<Readiness>) {
    let readiness = Readiness::of(&(sources.status)());
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness))
}

#[derive(Deserialize)]
struct TopologyQuery {
    #[serde(default)]
    format: Format,
}

async fn topology(State(sources): State<Sources>, query: Result<Query<TopologyQuery>, QueryRejection>) -> Response {
    let Ok(Query(TopologyQuery { format })) = query else {
        return (StatusCode::BAD_REQUEST, "format is text, mermaid or json\n").into_response();
    };
    let content = match format {
        Format::Json => "application/json",
        Format::Text | Format::Mermaid => "text/plain; charset=utf-8",
    };
    ([(CONTENT_TYPE, content)], (sources.topologies)(format)).into_response()
}

async fn unknown() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, "there is nothing here; / lists what there is\n")
}
