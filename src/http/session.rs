//! Who has logged in with a browser: sessions, each a random number in a cookie. The token itself stays with its owner.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use rand::RngCore as _;

use super::access::same;
use crate::time::Clock;

/// How long a session lasts, used or not.
pub(super) const LIFE: Duration = Duration::from_hours(12);
/// How many there are at once: one more ends the oldest.
const MOST: usize = 64;
/// How often an address may give a wrong token, and in which time.
const TRIES: u32 = 5;
const TRIES_IN: Duration = Duration::from_mins(1);
/// How many addresses are remembered that have given a wrong token: one more, and the oldest is forgotten.
const ADDRESSES: usize = 1_024;

/// The sessions of one listener.
pub(super) struct Sessions {
    clock: Arc<dyn Clock>,
    cookie: String,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sessions: VecDeque<Session>,
    failures: VecDeque<Failures>,
}

struct Session {
    id: String,
    begun: Duration,
}

struct Failures {
    of: IpAddr,
    count: u32,
    since: Duration,
}

impl Sessions {
    /// Those of the listener at this port: cookies know hosts but no ports, and another process may listen at the next one.
    pub(super) fn new(clock: Arc<dyn Clock>, port: u16) -> Self {
        Self { clock, cookie: format!("millstream-{port}"), inner: Mutex::default() }
    }

    /// Begins one, and gives its cookie; `secure` where the browser must not send it over a plain connection.
    pub(super) fn begin(&self, secure: bool) -> String {
        let mut random = [0; 32];
        rand::rng().fill_bytes(&mut random);
        let id = random.iter().fold(String::new(), |mut id, byte| {
            // Writing to a string does not fail.
            let _ = write!(id, "{byte:02x}");
            id
        });
        let cookie = self.set(&id, LIFE, secure);
        let mut inner = self.inner();
        if inner.sessions.len() >= MOST {
            inner.sessions.pop_front();
        }
        inner.sessions.push_back(Session { id, begun: self.clock.elapsed() });
        cookie
    }

    /// Ends the one that a request comes from, and gives the cookie that makes the browser forget it.
    pub(super) fn end(&self, headers: &HeaderMap) -> String {
        let given = self.given(headers).map(str::to_owned);
        self.inner().sessions.retain(|session| given.as_ref().is_none_or(|id| *id != session.id));
        self.set("", Duration::ZERO, false)
    }

    /// True where a request comes from one that lasts still.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(given) = self.given(headers) else { return false };
        let mut inner = self.inner();
        inner.sessions.retain(|session| self.clock.elapsed().saturating_sub(session.begun) < LIFE);
        // All are compared, whichever it is.
        inner.sessions.iter().fold(false, |found, session| found | same(given.as_bytes(), session.id.as_bytes()))
    }

    /// How long an address has to wait that has given too many wrong tokens; `None` where it may try.
    pub(super) fn must_wait(&self, from: IpAddr) -> Option<Duration> {
        let inner = self.inner();
        let failures = inner.failures.iter().find(|failures| failures.of == from)?;
        let over = self.clock.elapsed().saturating_sub(failures.since);
        (failures.count >= TRIES && over < TRIES_IN).then(|| TRIES_IN.saturating_sub(over))
    }

    /// An address has given a wrong token.
    pub(super) fn failed(&self, from: IpAddr) {
        let now = self.clock.elapsed();
        let mut inner = self.inner();
        inner.failures.retain(|failures| now.saturating_sub(failures.since) < TRIES_IN);
        if let Some(failures) = inner.failures.iter_mut().find(|failures| failures.of == from) {
            failures.count += 1;
            return;
        }
        if inner.failures.len() >= ADDRESSES {
            inner.failures.pop_front();
        }
        inner.failures.push_back(Failures { of: from, count: 1, since: now });
    }

    fn set(&self, id: &str, life: Duration, secure: bool) -> String {
        let secure = if secure { "; Secure" } else { "" };
        let (cookie, seconds) = (&self.cookie, life.as_secs());
        format!("{cookie}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
    }

    fn given<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.cookie).map(|(_, id)| id)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::time::ManualClock;

    fn sessions() -> (Arc<ManualClock>, Sessions) {
        let clock = Arc::new(ManualClock::new(crate::Timestamp::from_millis(0)));
        (Arc::clone(&clock), Sessions::new(clock, 8080))
    }

    fn with(cookie: &str) -> HeaderMap {
        let sent = format!("other=1; {}", cookie.split(';').next().unwrap());
        HeaderMap::from_iter([(COOKIE, sent.parse().unwrap())])
    }

    #[test]
    fn a_session_lasts_until_it_is_ended_or_its_time_is_over() {
        let (clock, sessions) = sessions();
        let (one, two) = (sessions.begin(false), sessions.begin(true));
        assert!(one.contains("; HttpOnly; SameSite=Strict") && !one.contains("Secure"), "{one}");
        assert!(two.ends_with("; Secure"));
        assert!(sessions.admits(&with(&one)) && sessions.admits(&with(&two)));
        sessions.end(&with(&one));
        assert!(!sessions.admits(&with(&one)) && sessions.admits(&with(&two)));
        clock.advance(LIFE);
        assert!(!sessions.admits(&with(&two)));
    }

    #[test]
    fn no_cookie_and_a_wrong_one_are_no_session() {
        let (_, sessions) = sessions();
        assert!(!sessions.admits(&HeaderMap::new()));
        sessions.begin(false);
        assert!(!sessions.admits(&with("millstream-8080=")));
        assert!(!sessions.admits(&with(&format!("millstream-8080={}", "0".repeat(64)))));
    }

    #[test]
    fn there_are_only_so_many_sessions() {
        let (_, sessions) = sessions();
        let first = sessions.begin(false);
        let all: Vec<_> = (0..MOST).map(|_| sessions.begin(false)).collect();
        assert!(!sessions.admits(&with(&first)));
        assert!(all.iter().all(|cookie| sessions.admits(&with(cookie))));
    }

    #[test]
    fn an_address_that_has_given_wrong_tokens_has_to_wait_and_no_other() {
        let (clock, sessions) = sessions();
        let [bad, good] = [1, 2].map(|last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last)));
        for _ in 0..TRIES {
            assert_eq!(sessions.must_wait(bad), None);
            sessions.failed(bad);
        }
        assert_eq!(sessions.must_wait(bad), Some(TRIES_IN));
        assert_eq!(sessions.must_wait(good), None);
        clock.advance(TRIES_IN);
        assert_eq!(sessions.must_wait(bad), None);
    }

    #[test]
    fn so_many_addresses_are_remembered_and_no_more() {
        let (_, sessions) = sessions();
        for n in 0..10_000_u32 {
            sessions.failed(IpAddr::from(Ipv4Addr::from_bits(n)));
        }
        assert_eq!(sessions.inner().failures.len(), ADDRESSES);
    }
}
