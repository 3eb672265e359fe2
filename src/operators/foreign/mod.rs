//! `join_by` and `left_join_by`: a table joined with another by a key that stands in its rows.
//!
//! ```text
//! left table ─ Subscribe ─▶ asks, by foreign key ─▶ Serve ─▶ answers, by key ─▶ Gather ─ result
//!                                                     ▲
//!                                        right table ─┘
//! ```
//!
//! - A row of the left table goes to the task of the right row that it names, and stays there as a subscription. So the
//!   result is made where the right row is, and only results travel back; no way leads back to the left table's task, and
//!   time need not go round in a circle. It costs a copy of the left rows there, where Kafka Streams keeps a hash of each
//!   and sends the right row to every left row's task.
//! - Each change of the left table has a version, counted by its task. An answer older than the newest one is left out: a
//!   row that has moved to another foreign key gets answers from two tasks, in any order.
//! - A change of a right row goes to all that subscribe to it, in portions: transactions stay short, other records go on in
//!   between, and how far it has got is in the store. Time stands still downstream until it is done.

pub mod answer;
pub mod ask;
pub mod gather;
pub mod rows;
pub mod serve;
pub mod subscribe;

use crate::codec::varint::{read_u64, write_u64};
use crate::codec::{Codec, CodecError, Data};

/// Appends bytes behind their length.
fn put(bytes: &[u8], out: &mut Vec<u8>) {
    write_u64(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Takes bytes that [`put`] wrote.
fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let length = usize::try_from(read_u64(bytes)?).unwrap_or(usize::MAX);
    let (taken, rest) = bytes.split_at_checked(length).ok_or_else(damaged)?;
    *bytes = rest;
    Ok(taken)
}

/// The bytes of a value by its type's own codec.
fn encoded<T: Data>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    T::Codec::default().encode(value, &mut bytes)?;
    Ok(bytes)
}

fn damaged() -> CodecError {
    CodecError::new("damaged: not what a join by a foreign key writes")
}
