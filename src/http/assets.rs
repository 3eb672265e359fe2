//! The files of the page, which the program carries in itself.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A file.
struct Asset {
    name: &'static str,
    content: &'static str,
    bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PAGE: &str = "text/html; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

macro_rules! asset {
    ($name:literal, $content:expr) => {
        Asset { name: $name, content: $content, bytes: include_bytes!(concat!("page/assets/", $name)) }
    };
}

/// What is served under `/assets/`; a file that is added to the directory is added here.
const ASSETS: &[Asset] = &[
    asset!("ask.js", SCRIPT),
    asset!("chart-choice.js", SCRIPT),
    asset!("chart-draw.js", SCRIPT),
    asset!("chart-fields.js", SCRIPT),
    asset!("chart-series.js", SCRIPT),
    asset!("chart.css", STYLE),
    asset!("dom.js", SCRIPT),
    asset!("findings.js", SCRIPT),
    asset!("format.js", SCRIPT),
    asset!("graph-details.js", SCRIPT),
    asset!("graph-draw.js", SCRIPT),
    asset!("graph-figures.js", SCRIPT),
    asset!("graph-layers.js", SCRIPT),
    asset!("graph-layout.js", SCRIPT),
    asset!("graph-model.js", SCRIPT),
    asset!("graph-table.js", SCRIPT),
    asset!("graph-zoom.js", SCRIPT),
    asset!("graph.css", STYLE),
    asset!("history.js", SCRIPT),
    asset!("icon.svg", PICTURE),
    asset!("icons.js", SCRIPT),
    asset!("json.js", SCRIPT),
    asset!("layout.css", STYLE),
    asset!("live.js", SCRIPT),
    asset!("main.js", SCRIPT),
    asset!("parts.css", STYLE),
    asset!("pause.js", SCRIPT),
    asset!("plot.js", SCRIPT),
    asset!("records-table.js", SCRIPT),
    asset!("router.js", SCRIPT),
    asset!("session.js", SCRIPT),
    asset!("sparkline.js", SCRIPT),
    asset!("state-query.js", SCRIPT),
    asset!("theme-early.js", SCRIPT),
    asset!("theme.css", STYLE),
    asset!("theme.js", SCRIPT),
    asset!("topic-stream.js", SCRIPT),
    asset!("view-charts.js", SCRIPT),
    asset!("view-graph.js", SCRIPT),
    asset!("view-history.js", SCRIPT),
    asset!("view-overview.js", SCRIPT),
    asset!("view-refused.js", SCRIPT),
    asset!("view-state.js", SCRIPT),
    asset!("view-tasks.js", SCRIPT),
];

const INDEX: &str = include_str!("page/assets/index.html");

/// The library for charts, compressed by the build script.
const CHARTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plotly.js.gz"));
/// Its version, with which it may be kept for ever.
const CHARTS_VERSION: &str = include_str!(concat!(env!("OUT_DIR"), "/plotly.version"));
const CHARTS_PATH: &str = "/assets/plotly.js";

/// The page and its files.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(index)).route(CHARTS_PATH, get(charts)).route("/assets/{name}", get(asset))
}

/// The page. The address of the library is given its version here, so that nobody keeps another one.
async fn index(headers: HeaderMap) -> Response {
    let versioned = format!("{CHARTS_PATH}?v={CHARTS_VERSION}");
    let page = INDEX.replace(CHARTS_PATH, &versioned);
    let tag = tag(page.as_bytes());
    checked(&headers, &tag, PAGE, page)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => checked(&headers, &tag(asset.bytes), asset.content, asset.bytes),
        None => (StatusCode::NOT_FOUND, "the page has no such file\n").into_response(),
    }
}

/// A file that the browser keeps, and asks for each time whether it is still the same.
fn checked(headers: &HeaderMap, tag: &str, content: &'static str, body: impl IntoResponse) -> Response {
    let head = [(ETAG, tag.to_owned()), (CACHE_CONTROL, "no-cache".to_owned())];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known == tag) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, [(CONTENT_TYPE, content)], body).into_response()
}

async fn charts(request: Request) -> Response {
    let headers = request.headers();
    // Whoever says nothing takes what comes; it is there in one form only.
    let refuses = headers.get(ACCEPT_ENCODING).is_some_and(|takes| {
        let takes = takes.to_str().unwrap_or_default();
        !takes.split(',').any(|one| matches!(one.split(';').next().map(str::trim), Some("gzip" | "*")))
    });
    if refuses {
        return (StatusCode::NOT_ACCEPTABLE, "it is compressed: say Accept-Encoding: gzip\n").into_response();
    }
    let named = request.uri().query().is_some_and(|query| query.strip_prefix("v=") == Some(CHARTS_VERSION));
    let mut response = checked(headers, &format!("\"{CHARTS_VERSION}\""), SCRIPT, CHARTS);
    let keep = if named { "private, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// Another one for other bytes.
fn tag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_library_is_whole_and_of_the_version_that_it_says() {
        let mut library = String::new();
        flate2::read::GzDecoder::new(CHARTS).read_to_string(&mut library).unwrap();
        assert!(library.contains(&format!("plotly.js v{CHARTS_VERSION}")), "{CHARTS_VERSION}");
        assert!(library.contains("extendTraces") && library.contains("newPlot"));
        assert!(!library.contains("MathJax_Main") && !library.contains("<script"), "only the one library");
        assert!(library.len() > 4_000_000, "{} bytes", library.len());
    }

    #[test]
    fn every_file_of_the_directory_is_in_the_table() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page/assets");
        for file in std::fs::read_dir(directory).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(name == "index.html" || ASSETS.iter().any(|asset| asset.name == name), "{name}");
        }
    }
}
