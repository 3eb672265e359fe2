//! The transactional producer of a stream thread, and how its failures are read.
//!
//! **Recycling.** librdkafka ends transactions with the first version of `EndTxn` and tries it again on its own when an
//! answer is late. A straggler of those could end a *later* transaction of the same producer. So after an end of
//! transaction that was not clean (an error or a broken connection since its begin, or slower than half of
//! `socket.timeout.ms`) the producer is thrown away before the next one begins: its successor under the same
//! transactional id has a higher epoch, and the broker refuses the straggler.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::errors::{error, error_at, is_authorization, is_fenced, is_membership, is_missing, is_of_the_record};
use super::native::consumer::GroupMetadata;
use super::native::list::PartitionList;
use super::native::producer::{Origin, Refused, Topic};
use super::native::{Client, Code, Failure, Role};
use super::settings::Properties;
use crate::broker::{CommitFailure, MemberOptions, Outgoing, Partitioning, Refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};
use crate::time::{Clock, SystemClock};

/// More fences than this within [`FENCE_WINDOW`] mean another owner of the transactional id, not a late transaction.
const FENCES: usize = 3;
const FENCE_WINDOW: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Producer {
    /// `None` after a recycling that failed halfway.
    connection: Option<Connection>,
    properties: Properties,
    options: MemberOptions,
    clock: SystemClock,
    /// A transaction has begun and not ended.
    open: bool,
    /// Why the running transaction cannot be committed any more.
    poisoned: Option<(Error, Vec<Refusal>)>,
    /// The last end of a transaction was not clean.
    recycle_due: bool,
    fences: Vec<Duration>,
}

#[derive(Debug)]
struct Connection {
    /// Before the client: a topic goes before what it was made from.
    topics: HashMap<Arc<str>, Topic>,
    client: Arc<Client>,
}

impl Connection {
    fn topic(&mut self, name: &Arc<str>) -> Option<&Topic> {
        if !self.topics.contains_key(name) {
            let topic = Topic::new(&self.client, name)?;
            self.topics.insert(Arc::clone(name), topic);
        }
        self.topics.get(name)
    }
}

impl Producer {
    /// Makes the producer and, with a transactional id, ends whatever its predecessor left open.
    pub(super) fn new(properties: &Properties, options: &MemberOptions) -> Result<Self> {
        let mut producer = Self {
            connection: None,
            properties: properties.clone(),
            options: options.clone(),
            clock: SystemClock::new(),
            open: false,
            poisoned: None,
            recycle_due: false,
            fences: Vec::new(),
        };
        producer.recycle()?;
        Ok(producer)
    }

    fn transactional(&self) -> bool {
        self.options.guarantee == crate::broker::Guarantee::ExactlyOnce
    }

    /// How long one call is tried again: a coordinator on the move needs a while, a dead cluster is an error.
    fn patience(&self) -> Duration {
        self.options.transaction_timeout.saturating_mul(2).max(Duration::from_secs(30))
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let transaction = self.options.transaction_timeout.as_millis();
        // librdkafka asks for this order: socket before message, message not after transaction.
        let socket = (transaction.saturating_sub(100)).clamp(10, 15_000);
        let mut settings = vec![
            ("client.id", self.options.client_id.clone()),
            ("enable.idempotence", "true".to_owned()),
            ("message.timeout.ms", transaction.to_string()),
        ];
        let defaults = [
            ("linger.ms", "5".to_owned()),
            ("queue.buffering.max.kbytes", "4096".to_owned()),
            ("queue.buffering.max.messages", "500000".to_owned()),
            ("socket.timeout.ms", socket.to_string()),
        ];
        settings.extend(defaults.into_iter().filter(|(name, _)| !self.properties.sets(name)));
        if self.transactional() {
            settings.push(("transactional.id", self.options.transactional_id.clone()));
            settings.push(("transaction.timeout.ms", transaction.to_string()));
        }
        settings
    }

    /// A new producer in place of the old one, under the same transactional id.
    pub(super) fn recycle(&mut self) -> Result<()> {
        let started = self.clock.elapsed();
        let again = self.connection.is_some();
        // The old one goes first: its own retries must have stopped before the new epoch begins.
        if let Some(old) = self.connection.take() {
            old.client.purge();
        }
        self.open = false;
        self.poisoned = None;
        let client = Arc::new(self.properties.client(Role::Producer, &self.settings())?);
        if self.transactional() {
            let doing = format!("taking the transactional id {} over", self.options.transactional_id);
            self.retried(started, |timeout| client.init_transactions(timeout))
                .map_err(|failure| error(&doing, &failure))?;
        }
        client.take_trouble();
        self.connection = Some(Connection { topics: HashMap::new(), client });
        self.recycle_due = false;
        if again {
            let took = self.clock.elapsed().saturating_sub(started);
            tracing::info!(
                transactional_id = self.options.transactional_id,
                ?took,
                "the producer was replaced by a new one"
            );
        }
        Ok(())
    }

    /// Calls until it succeeds, fails for good, or patience is over. The arguments must be the same each time.
    fn retried(&self, since: Duration, mut call: impl FnMut(Duration) -> Result<(), Failure>) -> Result<(), Failure> {
        loop {
            let left = (since + self.patience()).saturating_sub(self.clock.elapsed());
            match call(left.max(Duration::from_millis(100))) {
                Err(failure) if failure.retriable && !left.is_zero() => {
                    tracing::debug!("tried again: {}", failure.text);
                    // Some retriable errors come back at once: the broker's own pace of trying again.
                    std::thread::sleep(Duration::from_millis(20));
                }
                result => return result,
            }
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, CommitFailure> {
        self.connection.as_mut().ok_or_else(|| {
            let text = "the producer could not be replaced and there is none";
            CommitFailure::Unknown(Error::new(ErrorKind::Broker, text))
        })
    }

    fn begin(&mut self) -> Result<(), CommitFailure> {
        if self.open {
            return Ok(());
        }
        if self.recycle_due || self.connection.is_none() {
            tracing::info!("the last transaction's end was not clean: a new producer begins the next one");
            // What was committed is committed; nothing has begun yet.
            self.recycle().map_err(|error| CommitFailure::Abort(error, Vec::new()))?;
        }
        if self.transactional() {
            let begun = self.connection()?.client.begin();
            begun.map_err(|failure| self.before_the_end("beginning a transaction", &failure))?;
        }
        self.open = true;
        Ok(())
    }

    pub(super) fn send(&mut self, task: u32, records: &Outgoing) -> Result<(), CommitFailure> {
        if records.is_empty() {
            return Ok(());
        }
        self.begin()?;
        for record in records.iter() {
            let Partitioning::Fixed(partition) = record.partitioning else {
                let text = "a record was sent without a partition";
                return Err(CommitFailure::Fatal(Error::new(ErrorKind::Internal, text)));
            };
            let name = records.topic_name(record.topic);
            let origin = Origin { task, input: record.input };
            loop {
                let connection = self.connection()?;
                let client = Arc::clone(&connection.client);
                let Some(topic) = connection.topic(name) else {
                    let text = format!("there can be no topic called {name:?}");
                    return Err(CommitFailure::Fatal(Error::new(ErrorKind::Topic, text)));
                };
                match topic.produce(partition, &record, origin) {
                    Ok(()) => break,
                    // Every record leaves the queue within message.timeout.ms, written or not.
                    Err(failure) if failure.code == Code::QueueFull => {
                        client.serve_reports(Duration::from_millis(100));
                    }
                    Err(failure) => {
                        let at = TopicPartition::new(Arc::clone(name), partition);
                        return Err(self.not_taken(failure, origin, at));
                    }
                }
            }
        }
        Ok(())
    }

    /// A record that librdkafka itself did not take. It does not count that against the transaction; we do.
    fn not_taken(&mut self, failure: Failure, origin: Origin, at: TopicPartition) -> CommitFailure {
        let state = matches!(failure.code, Code::State | Code::Fatal) || is_fenced(failure.code);
        if state {
            return self.before_the_end("sending a record", &failure);
        }
        let refused = Refused { origin, failure, at };
        self.unwritten(&refused, std::slice::from_ref(&refused))
    }

    /// Waits until everything is written; an error names what was not.
    fn flush(&mut self) -> Result<(), CommitFailure> {
        let deadline = self.clock.elapsed() + self.patience();
        let client = Arc::clone(&self.connection()?.client);
        while client.flush(Duration::from_secs(1)).is_err() {
            if self.clock.elapsed() > deadline {
                let text = "the records could not be written in time";
                return Err(CommitFailure::Abort(Error::new(ErrorKind::Broker, text), Vec::new()));
            }
        }
        if let Some((error, refusals)) = self.poisoned.clone() {
            return Err(CommitFailure::Abort(error, refusals));
        }
        let unwritten = client.take_refused();
        let Some(first) = unwritten.first() else { return Ok(()) };
        Err(match client.fatal() {
            Some(fatal) => self.before_the_end("writing the records", &fatal),
            None => self.unwritten(first, &unwritten),
        })
    }

    /// Records that were not written, `first` before the others: only those that are at fault themselves are refusals.
    fn unwritten(&mut self, first: &Refused, all: &[Refused]) -> CommitFailure {
        let hopeless = |code| is_authorization(code) || is_missing(code);
        if let Some(hopeless) = all.iter().find(|one| hopeless(one.failure.code)) {
            let error = refusal(hopeless).error;
            self.poisoned = Some((error.clone(), Vec::new()));
            return CommitFailure::Fatal(error);
        }
        let refusals = refusals(all);
        let error = match refusals.first() {
            Some(refusal) => refusal.error.clone(),
            None => error_at("writing a record", &first.failure, &first.at, None),
        };
        self.poisoned = Some((error.clone(), refusals.clone()));
        CommitFailure::Abort(error, refusals)
    }

    /// Commits the records sent and these offsets in one transaction.
    pub(super) fn commit(
        &mut self,
        offsets: &PartitionList,
        group: &GroupMetadata,
    ) -> Result<Vec<(TopicPartition, Offset)>, CommitFailure> {
        self.begin()?;
        self.flush()?;
        let client = Arc::clone(&self.connection()?.client);
        let started = self.clock.elapsed();
        self.retried(started, |timeout| client.send_offsets(offsets, group, timeout))
            .map_err(|failure| self.before_the_end("adding the offsets to the transaction", &failure))?;
        let ending = self.clock.elapsed();
        let ended = self.retried(ending, |_| client.commit_transaction());
        let straggler = self.note_end(&client, ending);
        ended.map_err(|failure| self.at_the_end(&failure, straggler))?;
        self.open = false;
        Ok(self.connection()?.ends())
    }

    /// Waits until everything is written, outside of transactions.
    pub(super) fn write(&mut self) -> Result<Vec<(TopicPartition, Offset)>, CommitFailure> {
        self.flush()?;
        self.open = false;
        Ok(self.connection()?.ends())
    }

    /// Judges how clean the end was, for the next transaction's sake. True where the request for it may still arrive.
    fn note_end(&mut self, client: &Client, started: Duration) -> bool {
        let socket_timeout = self.options.transaction_timeout.min(Duration::from_secs(15));
        let slow = self.clock.elapsed().saturating_sub(started) > socket_timeout / 2;
        let straggler = client.take_straggler();
        self.recycle_due = client.take_trouble() || straggler || slow;
        straggler
    }

    /// A failure before the end of the transaction was asked for: nothing is committed.
    fn before_the_end(&mut self, doing: &str, failure: &Failure) -> CommitFailure {
        let fatal = self.connection.as_ref().and_then(|connection| connection.client.fatal());
        let failure = fatal.as_ref().unwrap_or(failure);
        let error = error(&self.naming_topics(doing, failure.code), failure);
        tracing::warn!(transactional_id = self.options.transactional_id, "the transaction failed: {error}");
        self.poisoned = Some((error.clone(), Vec::new()));
        if is_membership(failure.code) {
            CommitFailure::Lost(error)
        } else if is_authorization(failure.code) {
            CommitFailure::Fatal(error)
        } else if is_fenced(failure.code) && self.fenced_too_often() {
            CommitFailure::Fatal(
                error.remedy("another process uses the same transactional id: give each its own instance"),
            )
        } else {
            CommitFailure::Abort(error, Vec::new())
        }
    }

    /// A failure of the transaction's end: it may have been committed all the same.
    fn at_the_end(&mut self, failure: &Failure, straggler: bool) -> CommitFailure {
        // Abortable is what librdkafka says also where it asked for the end, heard nothing, and failed since.
        if failure.abortable && !failure.fatal && !straggler {
            let refusals: Vec<Refusal> = self
                .connection
                .as_ref()
                .map(|connection| refusals(&connection.client.take_refused()))
                .unwrap_or_default();
            let error = error(&self.naming_topics("committing the transaction", failure.code), failure);
            tracing::warn!(transactional_id = self.options.transactional_id, "the transaction failed: {error}");
            return if is_membership(failure.code) {
                CommitFailure::Lost(error)
            } else {
                CommitFailure::Abort(error, refusals)
            };
        }
        let error = error("committing the transaction, whose outcome is not known", failure);
        tracing::warn!(transactional_id = self.options.transactional_id, "{error}");
        if is_authorization(failure.code) || (is_fenced(failure.code) && self.fenced_too_often()) {
            CommitFailure::Fatal(error)
        } else {
            CommitFailure::Unknown(error)
        }
    }

    /// What was being done, with the topics that are written where a right to one of them is missing: a refusal to take a topic
    /// into a transaction does not say which.
    fn naming_topics(&self, doing: &str, code: Code) -> String {
        let written = self.connection.iter().flat_map(|connection| connection.topics.keys());
        let mut names: Vec<&str> = written.map(|name| &**name).collect();
        if code != Code::TopicAuthorizationFailed || names.is_empty() {
            return doing.to_owned();
        }
        names.sort_unstable();
        format!("{doing}, which writes to {}", names.join(", "))
    }

    fn fenced_too_often(&mut self) -> bool {
        let now = self.clock.elapsed();
        self.fences.retain(|at| now.saturating_sub(*at) < FENCE_WINDOW);
        self.fences.push(now);
        self.fences.len() >= FENCES
    }

    pub(super) fn abort(&mut self) -> Result<()> {
        if !self.open && self.poisoned.is_none() {
            return Ok(());
        }
        let Some(connection) = &self.connection else { return self.recycle() };
        let client = Arc::clone(&connection.client);
        self.open = false;
        self.poisoned = None;
        if !self.transactional() {
            client.purge();
            let flushed = client.flush(Duration::from_secs(10));
            client.take_refused();
            return flushed.map_err(|failure| error("dropping what was not written yet", &failure));
        }
        let started = self.clock.elapsed();
        let aborted = match client.fatal() {
            Some(fatal) => Err(fatal),
            None => self.retried(started, |_| client.abort_transaction()),
        };
        client.take_refused();
        if let Err(failure) = aborted {
            // The next owner of the transactional id ends what this one could not: we are that owner.
            tracing::info!("the transaction could not be aborted ({}): a new producer does it", failure.text);
            return self.recycle();
        }
        self.note_end(&client, started);
        if let Some(connection) = &self.connection {
            connection.ends();
        }
        Ok(())
    }
}

impl Connection {
    fn ends(&self) -> Vec<(TopicPartition, Offset)> {
        self.client.take_ends(&self.topics)
    }
}

fn refusals(unwritten: &[Refused]) -> Vec<Refusal> {
    unwritten.iter().filter(|one| is_of_the_record(one.failure.code)).map(refusal).collect()
}

pub(super) fn refusal(refused: &Refused) -> Refusal {
    let Refused { origin, failure, at } = refused;
    let error = error_at("the broker refused a record", failure, at, None);
    Refusal { task: origin.task, input: origin.input, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::InputNumber;

    #[test]
    fn only_records_that_are_at_fault_themselves_are_refusals() {
        let of = |number, code| Refused {
            origin: Origin { task: 0, input: InputNumber(number) },
            failure: Failure::of(code),
            at: TopicPartition::new("out", 0),
        };
        let unwritten = [
            of(1, Code::MessageTimedOut),
            of(2, Code::MessageSizeTooLarge),
            of(3, Code::InvalidDifferentRecord),
            of(4, Code::NotEnoughReplicas),
        ];
        assert_eq!(refusals(&unwritten).iter().map(|refusal| refusal.input.0).collect::<Vec<_>>(), [2]);
    }
}
