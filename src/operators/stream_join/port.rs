//! The two inputs of a join. Records go through one at a time in a task, so the lock is never waited for; it is held while
//! results go on downstream, which is safe because no way leads back up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Input, StreamJoin};
use crate::codec::{Data, Key};
use crate::operators::{Cx, Push, Signal};
use crate::record::Record;

type Shared<K, V, V2, O, F> = Arc<Mutex<StreamJoin<K, V, V2, O, F>>>;

/// The input on the left.
pub struct LeftPort<K: Key, V: Data, V2: Data, O, F>(pub(super) Shared<K, V, V2, O, F>);

/// The input on the right.
pub struct RightPort<K: Key, V: Data, V2: Data, O, F>(pub(super) Shared<K, V, V2, O, F>);

/// Both inputs, the left one first.
pub type Ports<K, V, V2, O, F> = (LeftPort<K, V, V2, O, F>, RightPort<K, V, V2, O, F>);

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

macro_rules! port {
    ($port:ident, $input:expr, $value:ident, $join:ident) => {
        impl<K, V, V2, O, F> Push<K, $value> for $port<K, V, V2, O, F>
        where
            K: Key,
            V: Data,
            V2: Data,
            O: Clone + Send,
            F: Fn(&K, Option<&V>, Option<&V2>) -> Option<O> + Send + Sync,
        {
            fn push(&mut self, batch: &mut Vec<Record<K, $value>>, cx: &mut Cx) {
                let mut join = lock(&self.0);
                let mut budget = join.portion;
                for record in batch.drain(..) {
                    join.take($input, record, &mut budget, cx, StreamJoin::$join);
                    if cx.failed() {
                        return;
                    }
                }
                let StreamJoin { results, out, .. } = &mut *join;
                out.push(results, cx);
            }

            fn signal(&mut self, signal: Signal, cx: &mut Cx) {
                lock(&self.0).signal($input, signal, cx);
            }
        }
    };
}

port!(LeftPort, Input::Left, V, left);
port!(RightPort, Input::Right, V2, right);
