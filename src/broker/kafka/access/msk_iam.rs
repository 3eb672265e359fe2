//! Tokens for Amazon MSK's IAM: a signed URL, made with the process's own AWS credentials and good for a quarter of an hour.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_msk_iam_sasl_signer::generate_auth_token_from_credentials_provider as sign_with;
use tokio::runtime::{Builder, Runtime};

use super::token::{Token, TokenSource};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// How long a token may take: where credentials come from may be away, and a client that is closed waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Answer = Result<Token, String>;

/// Has tokens signed on a thread of its own, since the signer is asynchronous and librdkafka's threads are not. The thread
/// ends with this.
pub(super) struct MskIam {
    region: String,
    ask: Mutex<Sender<Sender<Answer>>>,
}

impl MskIam {
    pub(super) fn new(region: String) -> Result<Self> {
        let cannot =
            |error| Error::new(ErrorKind::Internal, "the thread that signs tokens cannot start").caused_by(error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let (ask, asked) = channel();
        let of = region.clone();
        let thread = std::thread::Builder::new().name("msk-iam".to_owned());
        thread.spawn(move || serve(&runtime, &of, &asked)).map_err(cannot)?;
        Ok(Self { region, ask: Mutex::new(ask) })
    }
}

impl TokenSource for MskIam {
    fn token(&self) -> Answer {
        let (answer, answered) = channel();
        let ask = self.ask.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        // Where the thread is gone the answer's other end is gone too.
        let _ = ask.send(answer);
        let found = answered.recv_timeout(PATIENCE);
        let found = found.unwrap_or_else(|_| Err(format!("AWS credentials were not there within {PATIENCE:?}")));
        found.map_err(|why| {
            format!(
                "{why}; give this process a role that may connect to the cluster in {} (EKS: a service account with a role, \
                 ECS: a task role, EC2: an instance profile; elsewhere AWS_PROFILE or AWS_ACCESS_KEY_ID), and see that the \
                 endpoint that hands out its credentials can be reached",
                self.region
            )
        })
    }
}

fn serve(runtime: &Runtime, region: &str, asked: &Receiver<Sender<Answer>>) {
    let mut provider = None;
    while let Ok(answer) = asked.recv() {
        let token = runtime.block_on(async {
            let provider = match &mut provider {
                Some(provider) => provider,
                empty => empty.insert(chain(region).await?),
            };
            let credentials = provider.provide_credentials().await;
            sign(region, credentials.map_err(|error| said(&error))?).await
        });
        // Nobody waits any more where it took too long.
        let _ = answer.send(token);
    }
}

/// AWS's usual order: the environment, profiles, a web identity, the container's endpoint, the instance's.
async fn chain(region: &str) -> Result<SharedCredentialsProvider, String> {
    let loading = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.to_owned()));
    loading.load().await.credentials_provider().ok_or_else(|| "no source of AWS credentials is set up".to_owned())
}

async fn sign(region: &str, credentials: Credentials) -> Answer {
    // A token is refused as soon as the credentials are that signed it.
    let ends = credentials.expiry().and_then(|end| end.duration_since(UNIX_EPOCH).ok());
    let ends =
        ends.map_or(Timestamp::MAX, |end| Timestamp::from_millis(i64::try_from(end.as_millis()).unwrap_or(i64::MAX)));
    let provider = SharedCredentialsProvider::new(credentials);
    let signed = sign_with(Region::new(region.to_owned()), provider).await;
    let (value, expires) = signed.map_err(|error| said(&error))?;
    Ok(Token { value, principal: "msk-iam".to_owned(), expires: Timestamp::from_millis(expires).min(ends) })
}

/// An error with all its causes: AWS's outermost ones say little.
fn said(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::time::{Clock, SystemClock};

    fn signed(credentials: Credentials) -> Token {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(sign("eu-west-1", credentials)).expect("signed without a network")
    }

    fn credentials(expiry: Option<std::time::SystemTime>) -> Credentials {
        Credentials::new("AKIDEXAMPLE", "not-a-secret", Some("session/+=".into()), expiry, "test")
    }

    #[test]
    fn a_token_is_a_signed_url_that_allows_to_connect_for_a_quarter_of_an_hour() {
        let before = SystemClock::new().wall();
        let token = signed(credentials(None));
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(&token.value).expect("base64")).expect("text");
        let (address, query) = url.split_once('?').expect("a query");
        assert_eq!(address, "https://kafka.eu-west-1.amazonaws.com/");
        let field = |name: &str| {
            let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("no {name} in {query}"))
        };
        assert_eq!(field("Action"), "kafka-cluster%3AConnect");
        assert_eq!(field("X-Amz-Algorithm"), "AWS4-HMAC-SHA256");
        assert_eq!(field("X-Amz-Expires"), "900");
        assert_eq!(field("X-Amz-SignedHeaders"), "host");
        assert_eq!(field("X-Amz-Security-Token"), "session%2F%2B%3D");
        assert!(field("X-Amz-Credential").starts_with("AKIDEXAMPLE%2F"), "{query}");
        assert!(field("X-Amz-Credential").ends_with("%2Feu-west-1%2Fkafka-cluster%2Faws4_request"), "{query}");
        let signature = field("X-Amz-Signature");
        assert!(signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit()), "{signature}");
        assert!(!url.contains("not-a-secret"));
        // The signature's own time has no fractions of a second.
        let lasts = token.expires.millis_since(before);
        assert!((898_000..=960_000).contains(&lasts), "{lasts} ms");
    }

    #[test]
    fn a_token_ends_with_the_credentials_that_signed_it() {
        let soon = SystemClock::new().wall().plus(Duration::from_mins(3));
        let expiry = UNIX_EPOCH + Duration::from_millis(u64::try_from(soon.millis()).expect("after 1970"));
        assert_eq!(signed(credentials(Some(expiry))).expires, soon);
    }

    #[test]
    fn without_credentials_the_error_says_what_to_do() {
        // Nothing of this machine's: the test may run where there are credentials.
        let source = MskIam::new("eu-west-1".to_owned()).expect("a thread");
        let (ask, asked) = channel::<Sender<Answer>>();
        *source.ask.lock().expect("a lock") = ask;
        let thread = std::thread::spawn(move || {
            let answer = asked.recv().expect("asked");
            answer.send(Err("no providers in chain provided credentials".into())).expect("waited for");
        });
        let error = source.token().expect_err("no credentials");
        thread.join().expect("joined");
        assert!(
            error.contains("provided credentials") && error.contains("eu-west-1") && error.contains("role"),
            "{error}"
        );
    }
}
