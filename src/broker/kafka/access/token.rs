//! Tokens for `OAUTHBEARER`: where they come from, and how one is shared by all clients.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::time::{Clock, SystemClock, Timestamp};

/// How long a source that has failed is left alone: librdkafka's clients ask each by itself, every ten seconds.
const PAUSE: Duration = Duration::from_secs(5);

/// What a client shows the brokers instead of a password. `Debug` shows no token.
#[derive(Clone)]
pub struct Token {
    /// The token itself.
    pub value: String,
    /// Who shows it, for librdkafka's own use: the brokers read the token.
    pub principal: String,
    /// Until when it is good.
    pub expires: Timestamp,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("principal", &self.principal)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Makes tokens.
pub trait TokenSource: Send + Sync + 'static {
    /// A new token. It is called on threads of librdkafka's, one call at a time, and may wait some seconds; a client that is
    /// closed waits for it.
    ///
    /// # Errors
    /// A text that says why there is none and what to do. It is logged: it must hold no secret.
    fn token(&self) -> Result<Token, String>;
}

/// A source, with its last token: all clients of a process share it, and none gets one that has less than half of its time
/// left. librdkafka asks again when four fifths of what was left are over.
pub(in crate::broker::kafka) struct Keeper {
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<(Timestamp, Result<Token, String>)>>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Keeper {
    pub(super) fn new(source: Arc<dyn TokenSource>) -> Self {
        Self { source, clock: Arc::new(SystemClock::new()), last: Mutex::default() }
    }

    /// A token that is good for a while.
    pub(in crate::broker::kafka) fn token(&self) -> Result<Token, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.wall();
        if let Some((since, kept)) = &*last
            && is_fresh(*since, kept, now)
        {
            return kept.clone();
        }
        // A panic must not reach librdkafka, which is on the stack below.
        let made = catch_unwind(AssertUnwindSafe(|| self.source.token()));
        let made = made.unwrap_or_else(|_| Err("the source of tokens panicked".to_owned()));
        let made = made.and_then(|token| {
            if token.expires > now { Ok(token) } else { Err(format!("the token expired at {}", token.expires)) }
        });
        match &made {
            Ok(token) => tracing::debug!(principal = token.principal, expires = %token.expires, "a new token"),
            Err(why) => tracing::warn!("no token to show to the brokers: {why}"),
        }
        *last = Some((now, made.clone()));
        made
    }
}

fn is_fresh(since: Timestamp, kept: &Result<Token, String>, now: Timestamp) -> bool {
    match kept {
        Ok(token) => now >= since && now.millis_since(since) < token.expires.millis_since(since) / 2,
        Err(_) => now >= since && now < since.plus(PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// Tokens of a quarter of an hour, numbered; every third call fails, the fourth panics.
    struct Numbered(Arc<Hand>, AtomicUsize);

    impl TokenSource for Numbered {
        fn token(&self) -> Result<Token, String> {
            let number = self.1.fetch_add(1, Ordering::Relaxed);
            assert_ne!(number, 3, "as told");
            if number == 2 {
                return Err("no role".into());
            }
            let expires = self.0.wall().plus(Duration::from_mins(15));
            Ok(Token { value: format!("secret-{number}"), principal: "p".into(), expires })
        }
    }

    fn keeper() -> (Keeper, Arc<Hand>) {
        let hand = Arc::new(Hand::default());
        let source = Arc::new(Numbered(Arc::clone(&hand), AtomicUsize::new(0)));
        (Keeper { source, clock: Arc::clone(&hand) as Arc<dyn Clock>, last: Mutex::default() }, hand)
    }

    #[test]
    fn a_token_is_shared_until_half_of_its_time_is_over() {
        let (keeper, hand) = keeper();
        let value = || keeper.token().map(|token| token.value);
        let at = |minutes: i64| hand.0.store(minutes * 60_000, Ordering::Relaxed);
        assert_eq!(value().unwrap(), "secret-0");
        at(7);
        assert_eq!(value().unwrap(), "secret-0");
        at(8);
        assert_eq!(value().unwrap(), "secret-1");
    }

    #[test]
    fn a_source_that_has_failed_is_left_alone_for_a_moment() {
        let (keeper, hand) = keeper();
        let at = |seconds: i64| hand.0.store(seconds * 1_000, Ordering::Relaxed);
        keeper.token().unwrap();
        at(600);
        keeper.token().unwrap();
        at(1_200);
        assert_eq!(keeper.token().unwrap_err(), "no role");
        at(1_204);
        assert_eq!(keeper.token().unwrap_err(), "no role");
        at(1_205);
        assert_eq!(keeper.token().unwrap_err(), "the source of tokens panicked");
        at(1_210);
        assert_eq!(keeper.token().unwrap().value, "secret-4");
    }

    #[test]
    fn no_token_is_shown() {
        let (keeper, _) = keeper();
        let shown = format!("{:?} {keeper:?}", keeper.token());
        assert!(shown.contains("expires") && !shown.contains("secret"), "{shown}");
    }
}
