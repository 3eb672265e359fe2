//! What is found where.

use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::{Format, Readiness, Sources, limits, state};
use crate::runtime::{Status, TaskStatus, TaskTime};

/// All pages, behind the limits and the token.
pub(super) fn router(sources: Sources) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/topology", get(topology))
        .merge(state::router(&sources.queries))
        .fallback(unknown)
        .layer(middleware::from_fn_with_state(sources.clone(), admit))
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .with_state(sources)
}

/// Lets in who has the token, where there is one. `/health/live` is open to all who reach it: there is nothing to learn
/// from it, and a supervisor that cannot send a header must not restart a healthy process.
async fn admit(State(sources): State<Sources>, request: Request, next: Next) -> Response {
    let open = request.uri().path() == "/health/live";
    match &sources.token {
        Some(token) if !open && !token.admits(request.headers()) => {
            let challenge = [(WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, challenge, "a token is needed: Authorization: Bearer …\n").into_response()
        }
        _ => next.run(request).await,
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(limits::ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the answer took too long\n").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn index(State(sources): State<Sources>) -> Html<String> {
    let status = (sources.status)();
    let row = |(name, status): &(String, Status)| {
        let state = format!("{:?}", status.state).to_lowercase();
        format!("<li>{}: {state}</li>", escape(name))
    };
    let rows = status.iter().map(row).collect::<Vec<_>>().join("\n");
    let tasks_of = |(name, status): &(String, Status)| {
        let tasks: Vec<String> = status.tasks.iter().map(task).collect();
        format!("<tr><th colspan=\"5\">{}</th></tr>\n{}", escape(name), tasks.join("\n"))
    };
    let tasks = status.iter().map(tasks_of).collect::<Vec<_>>().join("\n");
    Html(include_str!("index.html").replace("{topologies}", &rows).replace("{tasks}", &tasks))
}

/// A row of the table of tasks.
fn task(task: &TaskStatus) -> String {
    let TaskTime { watermark, held_by, held_back } = &task.time;
    let held_by = match held_by {
        Some(by) if held_back.is_zero() => escape(by),
        Some(by) => format!("{}, by {} s", escape(by), held_back.as_secs()),
        None => "all is idle".to_owned(),
    };
    let cells = [
        escape(&task.name),
        escape(&task.state),
        task.lag.map_or_else(String::new, |lag| lag.to_string()),
        watermark.map_or_else(|| "not known yet".to_owned(), |watermark| watermark.to_string()),
        held_by,
    ];
    format!("<tr><td>{}</td></tr>", cells.join("</td><td>"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

async fn metrics(State(sources): State<Sources>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], sources.metrics.render())
}

/// The process answers: that is all it says.
async fn live() -> &'static str {
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
