//! What is let in: requests of our own page and of programs, with the token where there is one.
//!
//! A browser sends requests for any page that is open in it. Those of a foreign page are told by `Sec-Fetch-Site` or
//! `Origin`; a foreign name that was made to point here, by `Host`; and what changes something needs a header that no
//! foreign page can send.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, HOST, LOCATION, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Token;
use super::session::Sessions;

/// What a request brings along that changes something.
pub(super) const CHANGES: HeaderName = HeaderName::from_static("x-millstream");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who is let in.
pub(super) struct Gate {
    pub(super) token: Option<Token>,
    pub(super) sessions: Sessions,
    /// The host by which other processes know this one.
    pub(super) advertised: Option<String>,
}

/// Lets in what may come in. `/health/live` is open to all who reach it: there is nothing to learn from it, and a
/// supervisor that cannot send a header must not restart a healthy process.
pub(super) async fn admit(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == "/health/live" {
        return next.run(request).await;
    }
    let (headers, is_door) = (request.headers(), matches!(path, "/login" | "/logout"));
    if gate.token.is_none() && !gate.names_us(headers) {
        let why = "this listener has no token and so answers to names of its own machine only: ask for it as localhost \
                   or 127.0.0.1\n";
        return (StatusCode::MISDIRECTED_REQUEST, why).into_response();
    }
    if !is_own_site(headers) {
        return (StatusCode::FORBIDDEN, "the request comes from another site's page\n").into_response();
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !is_door && headers.get(CHANGES).is_none_or(|value| value != "1") {
        return (StatusCode::FORBIDDEN, "a request that changes something needs the header x-millstream: 1\n")
            .into_response();
    }
    if let Some(token) = gate.token.as_ref().filter(|_| !is_door) {
        if gate.sessions.admits(headers) {
            // Other processes are asked with it, as with that of a program.
            request.headers_mut().insert(AUTHORIZATION, token.header());
        } else if !token.admits(headers) {
            return refuse(reads && wants_html(headers));
        }
    }
    next.run(request).await
}

/// A browser is sent to the login.
fn refuse(browser: bool) -> Response {
    if browser {
        return (StatusCode::SEE_OTHER, [(LOCATION, "/login")]).into_response();
    }
    let challenge = [(WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "a token is needed: Authorization: Bearer …\n").into_response()
}

fn wants_html(headers: &HeaderMap) -> bool {
    text(headers, &ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

impl Gate {
    /// True where the name that was asked for is one of this machine, which no foreign page can give itself.
    fn names_us(&self, headers: &HeaderMap) -> bool {
        let Some(host) = text(headers, &HOST) else { return true };
        self.advertised.as_deref() == Some(host) || is_loopback(host)
    }
}

fn is_loopback(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let name = v6.map_or_else(|| host.rsplit_once(':').map_or(host, |(name, _)| name), |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// False where a browser says that another site's page has sent it. Following a link to here is no page's request.
fn is_own_site(headers: &HeaderMap) -> bool {
    match (text(headers, &FETCH_SITE), text(headers, &ORIGIN)) {
        (Some("same-origin" | "none"), _) | (None, None) => true,
        (Some(_), _) => text(headers, &FETCH_MODE) == Some("navigate") && headers.get(ORIGIN).is_none(),
        (None, Some(origin)) => {
            let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
            [&FORWARDED_HOST, &HOST].into_iter().any(|name| text(headers, name) == Some(authority))
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_names_of_this_machine_are_ours() {
        for own in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.1.2.3", "[::1]:8080", "[::1]"] {
            assert!(is_loopback(own), "{own}");
        }
        for other in ["evil.example", "evil.example:8080", "10.0.0.1:80", "localhost.evil.example", "[::2]:80", ""] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn what_another_site_sends_is_told_by_what_the_browser_says() {
        let host = ("host", "shop:80");
        for own in [
            &[][..],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://shop")],
            &[("sec-fetch-site", "none")],
            &[host, ("origin", "http://shop:80")],
            &[("x-forwarded-host", "shop.example"), ("origin", "https://shop.example")],
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
        ] {
            assert!(is_own_site(&headers(own)), "{own:?}");
        }
        for other in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")],
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("origin", "http://evil")],
            &[host, ("origin", "http://evil")],
            &[host, ("origin", "null")],
        ] {
            assert!(!is_own_site(&headers(other)), "{other:?}");
        }
    }
}
