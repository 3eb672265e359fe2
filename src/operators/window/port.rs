//! One input of a windowed aggregation: a typed end that adds its records by its own function.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Arrival, Late, Shell, Trouble};
use crate::codec::{Data, Key};
use crate::operators::aggregate::Fold;
use crate::operators::{Cx, DropReason, Out, Push, Signal};
use crate::record::Record;

/// An input. Records go through one at a time in a task, so the lock is never waited for; it is held while results go on
/// downstream, which is safe because no way leads back up.
pub struct Port<K, V, O, A, F> {
    input: usize,
    shell: Arc<Mutex<Shell<K, O, A>>>,
    fold: Arc<F>,
    missed: Vec<Record<K, Late<V>>>,
    late: Out<K, Late<V>>,
    of: PhantomData<fn(A)>,
}

impl<K: Key, V: Data, O: Key, A: Data, F: Fold<K, V, A>> Port<K, V, O, A, F> {
    /// Input `input` of `shell`, whose records are added by `fold`; those that miss a window go to `late`.
    #[must_use]
    pub const fn new(input: usize, shell: Arc<Mutex<Shell<K, O, A>>>, fold: Arc<F>, late: Out<K, Late<V>>) -> Self {
        Self { input, shell, fold, missed: Vec::new(), late, of: PhantomData }
    }

    fn add(&mut self, record: Record<K, V>, shell: &mut Shell<K, O, A>, cx: &mut Cx) -> Result<(), Trouble> {
        let Record { key, value, timestamp, behind, watermark, input, headers } = record;
        let watermark = shell.advance(self.input, watermark);
        #[cfg(test)]
        let behind = cx.behind(behind, watermark, timestamp);
        let arrival = Arrival { timestamp, behind, watermark, stamp: shell.stamp(), input, headers };
        // Kept only where it may be needed: hardly any record is behind.
        let listened = !self.late.is_empty() && arrival.may_miss();
        let kept = listened.then(|| (key.clone(), value.clone()));
        let (mut value, fold) = (Some(value), &self.fold);
        let mut add = |key: &K, so_far: &mut Option<A>, last: bool| {
            let value = if last { value.take() } else { value.clone() };
            let Some(value) = value else { return Ok(()) };
            match so_far {
                Some(so_far) => fold.next(key, so_far, value)?,
                None => *so_far = Some(fold.first(key, value)?),
            }
            so_far.take_if(|so_far| so_far.is_null());
            Ok(())
        };
        shell.windows.add(key, &arrival, &mut add, &mut shell.made)?;
        for (window, reason) in shell.made.missed.drain(..) {
            cx.count_late(&shell.name, reason, (arrival.input, arrival.timestamp));
            let Some((key, value)) = &kept else { continue };
            let by = if reason == DropReason::Late { arrival.reference() } else { arrival.watermark };
            let Arrival { timestamp, behind, watermark, input, headers, .. } = arrival.clone();
            let (key, value) = (key.clone(), Late::new(value.clone(), by, window, reason));
            self.missed.push(Record { key, value, timestamp, behind, watermark, input, headers });
        }
        Ok(())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Key, V: Data, O: Key, A: Data, F: Fold<K, V, A>> Push<K, V> for Port<K, V, O, A, F> {
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        let shared = Arc::clone(&self.shell);
        let mut shell = lock(&shared);
        for record in batch.drain(..) {
            if record.value.is_null() {
                shell.advance(self.input, record.watermark);
                cx.drop_record(DropReason::NullValue, Some(&shell.name), (record.input, record.timestamp));
                continue;
            }
            let input = record.input;
            match self.add(record, &mut shell, cx) {
                Ok(()) => {}
                Err(Trouble::Reject(reject)) => return cx.refuse(input, reject, &shell.name),
                Err(Trouble::Error(error)) => return cx.stop(error),
            }
        }
        shell.after_batch(cx);
        drop(shell);
        self.late.push(&mut self.missed, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        lock(&self.shell).signal(self.input, signal, cx);
        self.late.signal(signal, cx);
    }
}
