//! All of the crate's `unsafe`: thin safe wrappers over librdkafka's C functions, with no rules of their own.
//!
//! The C interface is used instead of rdkafka's own consumers and producers for three reasons: their flush and commit
//! wait 100 ms each time, their "end of partition" names neither topic nor offset, and closing them cannot be bounded.
//!
//! Two rules hold everywhere here and are what the reasons at the `unsafe` blocks lean on:
//!
//! - a handle (`rd_kafka_t`) lives as long as its [`Client`], and everything made from it keeps that client in an `Arc`;
//! - a callback gets the client's [`Callbacks`] as its opaque pointer, which the client keeps alive until after the
//!   handle is destroyed. Callbacks never panic on purpose: a panic there ends the process.
#![expect(unsafe_code, reason = "librdkafka is a C library; this module is the one that talks to it")]

pub(super) mod admin;
#[cfg(feature = "cli")]
pub(super) mod arenas;
pub(super) mod consumer;
pub(super) mod list;
mod oauth;
pub(super) mod producer;
pub(super) mod queue;

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::bindings as sys;
pub(super) use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::types::RDKafkaRespErr;

use self::list::PartitionList;
use self::producer::Reports;
use super::access::Keeper;
use crate::record::TopicPartition;

/// What librdkafka said about a call that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The code.
    pub(super) code: Code,
    /// Its own words.
    pub(super) text: String,
    /// The client is of no more use.
    pub(super) fatal: bool,
    /// The same call may succeed later.
    pub(super) retriable: bool,
    /// The transaction must be aborted.
    pub(super) abortable: bool,
}

impl Failure {
    /// A failure that is known by its code alone.
    pub(super) fn of(code: Code) -> Self {
        Self { code, text: code.to_string(), fatal: false, retriable: is_transient(code), abortable: false }
    }
}

/// True for what passes without anybody's doing: a coordinator or a leader on the move, a connection being made again.
pub(super) fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::WaitingForCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotController
            | Code::UnstableOffsetCommit
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::BrokerDestroy
            | Code::DestroyBroker
            | Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::ReplicaNotAvailable
            | Code::OffsetNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::KafkaStorageError
            | Code::ThrottlingQuotaExceeded
    )
}

/// What the group's coordinator did with the assignment.
#[derive(Debug)]
pub(super) enum Rebalance {
    Assigned(Vec<TopicPartition>),
    Revoked,
    Lost,
}

/// What the callbacks of one client leave behind for the thread that owns it.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    rebalances: Mutex<VecDeque<Rebalance>>,
    reports: Mutex<Reports>,
    /// A connection broke or a request timed out since this was last cleared.
    troubled: AtomicBool,
    /// The end of a transaction was asked for and not answered since this was last cleared: the request may still arrive.
    straggler: AtomicBool,
    /// Where tokens come from, if the client goes by tokens.
    tokens: Option<Arc<Keeper>>,
    /// A broker has answered.
    admitted: AtomicBool,
    /// What last kept the client from talking to a broker.
    obstacle: Mutex<Option<Failure>>,
}

impl Callbacks {
    /// A refusal explains more than a connection that breaks after it.
    fn note_obstacle(&self, failure: Failure) {
        let mut known = locked(&self.obstacle);
        if known.as_ref().is_none_or(|known| !is_refusal(known.code) || is_refusal(failure.code)) {
            *known = Some(failure);
        }
    }
}

/// True where a broker, or what this process shows it, says no: trying again will hardly help.
pub(super) fn is_refusal(code: Code) -> bool {
    matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL | Code::UnsupportedSASLMechanism)
}

/// A lock whose holder panicked is still good: every value here is whole between two statements.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Consumer or producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Consumer,
    Producer,
}

/// Why librdkafka refused a setting or a set of them.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no such setting.
    Unknown(String),
    /// The setting's value will not do; librdkafka's words may quote it.
    Invalid(String, String),
    /// The settings do not fit together.
    Together(String),
}

/// librdkafka's settings, before a client is made from them.
pub(super) struct Settings(*mut sys::rd_kafka_conf_t);

impl Settings {
    pub(super) fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Refused> {
        // SAFETY: allocates; freed by drop, or taken over by rd_kafka_new.
        let settings = Self(unsafe { sys::rd_kafka_conf_new() });
        for (name, value) in pairs {
            settings.set(name, value)?;
        }
        Ok(settings)
    }

    fn set(&self, name: &str, value: &str) -> Result<(), Refused> {
        let mut text = ErrorText::default();
        let invalid = |text: &str| Refused::Invalid(name.to_owned(), text.to_owned());
        let c_name = CString::new(name).map_err(|_| Refused::Unknown(name.to_owned()))?;
        let c_value = CString::new(value).map_err(|_| invalid("it holds a NUL byte"))?;
        // SAFETY: both strings end with NUL and live through the call, which copies them; the buffer is as long as said.
        let result =
            unsafe { sys::rd_kafka_conf_set(self.0, c_name.as_ptr(), c_value.as_ptr(), text.as_mut_ptr(), text.len()) };
        match result {
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => Err(Refused::Unknown(name.to_owned())),
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => Err(invalid(&text.read())),
        }
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: not null, so rd_kafka_new has not taken it over.
            unsafe { sys::rd_kafka_conf_destroy(self.0) };
        }
    }
}

/// A librdkafka client.
#[derive(Debug)]
pub(super) struct Client {
    raw: *mut sys::rd_kafka_t,
    callbacks: Arc<Callbacks>,
}

// SAFETY: librdkafka's handles may be used from any thread at the same time; the callbacks' state is behind locks.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Makes a client; it connects by itself, in the background.
    pub(super) fn new(role: Role, mut settings: Settings, tokens: Option<Arc<Keeper>>) -> Result<Self, Refused> {
        let refreshes = tokens.is_some();
        let callbacks = Arc::new(Callbacks { tokens, ..Callbacks::default() });
        let opaque = Arc::as_ptr(&callbacks).cast_mut().cast::<c_void>();
        let mut text = ErrorText::default();
        let kind = match role {
            Role::Consumer => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            Role::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        };
        // SAFETY: the settings are alive; the callbacks have the types that C asks for, and the opaque pointer is good
        // until the client is dropped. rd_kafka_new takes the settings over only where it succeeds.
        let raw = unsafe {
            sys::rd_kafka_conf_set_opaque(settings.0, opaque);
            sys::rd_kafka_conf_set_log_cb(settings.0, Some(on_log));
            sys::rd_kafka_conf_set_error_cb(settings.0, Some(on_error));
            sys::rd_kafka_conf_enable_sasl_queue(settings.0, 1);
            if refreshes {
                sys::rd_kafka_conf_set_oauthbearer_token_refresh_cb(settings.0, Some(oauth::on_refresh));
            }
            match role {
                Role::Consumer => sys::rd_kafka_conf_set_rebalance_cb(settings.0, Some(on_rebalance)),
                Role::Producer => {
                    sys::rd_kafka_conf_set_dr_msg_cb(settings.0, Some(producer::on_delivery));
                    let name = c"millstream".as_ptr();
                    sys::rd_kafka_conf_interceptor_add_on_new(settings.0, name, Some(on_new_producer), opaque);
                }
            }
            sys::rd_kafka_new(kind, settings.0, text.as_mut_ptr(), text.len())
        };
        if raw.is_null() {
            return Err(Refused::Together(text.read()));
        }
        settings.0 = std::ptr::null_mut();
        let client = Self { raw, callbacks };
        // Refreshes of tokens get a thread of the client's own: its other queues are served only when something is asked for,
        // which may be later than a token lasts. Without tokens there is nothing to serve, and this says so.
        // SAFETY: the handle is alive.
        match unsafe { outcome(sys::rd_kafka_sasl_background_callbacks_enable(raw)) } {
            Err(failure) if refreshes => Err(Refused::Together(failure.text)),
            _ => Ok(client),
        }
    }

    /// The error after which the client is of no more use, if there was one.
    pub(super) fn fatal(&self) -> Option<Failure> {
        let mut text = ErrorText::default();
        // SAFETY: the handle is alive; the buffer is as long as said.
        let code = unsafe { sys::rd_kafka_fatal_error(self.raw, text.as_mut_ptr(), text.len()) };
        let code = Code::from(code);
        (code != Code::NoError).then(|| Failure {
            code,
            text: text.read(),
            fatal: true,
            retriable: false,
            abortable: false,
        })
    }

    /// Notes that a broker has answered: what kept the client from that is over.
    pub(super) fn admit(&self) {
        self.callbacks.admitted.store(true, Ordering::Release);
        locked(&self.callbacks.obstacle).take();
    }

    fn is_admitted(&self) -> bool {
        self.callbacks.admitted.load(Ordering::Acquire)
    }

    /// What keeps the client from talking to any broker, as far as it is known and none has answered since. Callbacks run in
    /// here: it is for clients that nobody else serves.
    pub(super) fn obstacle(&self) -> Option<Failure> {
        // SAFETY: the handle is alive.
        unsafe { sys::rd_kafka_poll(self.raw, 0) };
        locked(&self.callbacks.obstacle).clone()
    }

    /// Whether a connection broke or a request timed out since this was last asked.
    pub(super) fn take_trouble(&self) -> bool {
        self.callbacks.troubled.swap(false, Ordering::AcqRel)
    }

    /// Whether, since this was last asked, a transaction's end was asked for and not answered. librdkafka asks again by
    /// itself and does not tell.
    pub(super) fn take_straggler(&self) -> bool {
        self.callbacks.straggler.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: everything made from the handle keeps this client in an Arc, so nothing of it is left. The flag keeps
        // an unclosed consumer from waiting for its group without a bound.
        unsafe { sys::rd_kafka_destroy_flags(self.raw, sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
    }
}

/// A buffer for librdkafka's words about an error.
struct ErrorText([u8; 512]);

impl Default for ErrorText {
    fn default() -> Self {
        Self([0; 512])
    }
}

impl ErrorText {
    fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr().cast()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self) -> String {
        CStr::from_bytes_until_nul(&self.0).map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
    }
}

/// A C string as text; empty where it is null.
///
/// # Safety
/// `text` is null or ends with NUL and lives through the call.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the contract above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Takes an error object apart and frees it.
///
/// # Safety
/// `error` is null or an error object that nobody else frees.
unsafe fn outcome(error: *mut sys::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: not null, and ours by the contract above.
    unsafe {
        let failure = Failure {
            code: sys::rd_kafka_error_code(error).into(),
            text: text_of(sys::rd_kafka_error_string(error)),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            abortable: sys::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(failure)
    }
}

/// A bare code as a result.
fn checked(code: RDKafkaRespErr) -> Result<(), Failure> {
    match Code::from(code) {
        Code::NoError => Ok(()),
        code => Err(Failure::of(code)),
    }
}

/// librdkafka's words into our log. It is called from librdkafka's own threads.
unsafe extern "C" fn on_log(
    client: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // SAFETY: librdkafka hands over good strings for the length of the call; the client may be null early on.
    let (name, facility, text) = unsafe {
        let name = if client.is_null() { String::new() } else { text_of(sys::rd_kafka_name(client)) };
        (name, text_of(facility), text_of(text))
    };
    let level = match facility.as_str() {
        // A user's setting that one kind of client has no use for, and faults that librdkafka retries by itself.
        "CONFWARN" | "GETPID" | "METADATAUPDATE" | "REQTMOUT" => 7,
        // These come back from the call as an error as well, and may be expected there.
        "TXNERR" | "FATAL" => 6,
        "FAIL" => 4, // Why there is no connection, which a call's timeout does not tell.
        _ => level,
    };
    match level {
        0..=3 => tracing::error!(target: "librdkafka", client = name, facility, "{text}"),
        4 => tracing::warn!(target: "librdkafka", client = name, facility, "{text}"),
        5 | 6 => tracing::info!(target: "librdkafka", client = name, facility, "{text}"),
        _ => tracing::debug!(target: "librdkafka", client = name, facility, "{text}"),
    }
}

/// An error that belongs to no call. librdkafka retries by itself; a fatal one shows in [`Client::fatal`].
unsafe extern "C" fn on_error(_client: *mut sys::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: the opaque pointer is the client's Callbacks; the reason is a good string for the length of the call.
    let (callbacks, reason) = unsafe { (&*opaque.cast::<Callbacks>(), text_of(reason)) };
    callbacks.troubled.store(true, Ordering::Release);
    let known = RDKafkaRespErr::try_from(code).map(Code::from);
    let name = known.map_or_else(|_| code.to_string(), |code| format!("{code:?}"));
    tracing::debug!(target: "librdkafka", error = name, "{reason}");
    // That all brokers are down says less than why the last one is.
    if let Ok(code) = known
        && code != Code::AllBrokersDown
    {
        callbacks.note_obstacle(Failure { text: reason, ..Failure::of(code) });
    }
}

/// Hangs [`on_response`] on a new producer: librdkafka takes it at this moment only.
unsafe extern "C" fn on_new_producer(
    client: *mut sys::rd_kafka_t,
    _settings: *const sys::rd_kafka_conf_t,
    opaque: *mut c_void,
    _text: *mut c_char,
    _len: usize,
) -> RDKafkaRespErr {
    // SAFETY: the handle is being made and good; the opaque pointer is the client's Callbacks.
    unsafe {
        let name = c"millstream".as_ptr();
        sys::rd_kafka_interceptor_add_on_response_received(client, name, Some(on_response), opaque)
    }
}

/// Notes an end of a transaction that was not answered. It is called from librdkafka's own threads.
unsafe extern "C" fn on_response(
    _client: *mut sys::rd_kafka_t,
    _socket: c_int,
    _broker: *const c_char,
    _broker_id: i32,
    api: i16,
    _version: i16,
    _correlation: i32,
    _size: usize,
    _round_trip: i64,
    code: RDKafkaRespErr,
    opaque: *mut c_void,
) -> RDKafkaRespErr {
    const END_TXN: i16 = 26;
    if api == END_TXN && Code::from(code) != Code::NoError {
        // SAFETY: the opaque pointer is the client's Callbacks.
        unsafe { &*opaque.cast::<Callbacks>() }.straggler.store(true, Ordering::Release);
    }
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// Notes what the coordinator wants; [`consumer`] answers it later, on the owner's word.
unsafe extern "C" fn on_rebalance(
    client: *mut sys::rd_kafka_t,
    code: RDKafkaRespErr,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque pointer is the client's Callbacks, the handle is alive since it calls us.
    let (callbacks, lost) = unsafe { (&*opaque.cast::<Callbacks>(), sys::rd_kafka_assignment_lost(client) != 0) };
    let event = match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
            // SAFETY: the list is librdkafka's and good for the length of the call.
            Rebalance::Assigned(unsafe { PartitionList::names(partitions) })
        }
        _ if lost => Rebalance::Lost,
        _ => Rebalance::Revoked,
    };
    locked(&callbacks.rebalances).push_back(event);
}
