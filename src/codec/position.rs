//! What a task knows of one input partition, as the text beside the committed offset: it is committed with the outputs,
//! in one transaction, so a task that moves to another machine goes on with the same time and at the same record.
//!
//! Base64 (Kafka wants text) of, in layout 1:
//!
//! ```text
//! version      1 byte: 1
//! sequence     varint: the task's commit sequence number
//! index        varint: how many records of the frame at the committed offset are done
//! watermark    signed varint: of the partition
//! activity     1 byte
//! upstream     varint: how many; each, in order of its task:
//!              task        varint: (task − the task before − 1) × 4 + activity
//!              watermark   signed varint: milliseconds since that of the upstream before, the partition's before the first
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::CodecError;
use super::marker::Activity;
use super::varint::{read_i64, read_u64, write_i64, write_u64};
use crate::time::Timestamp;

/// How long the text may be, as brokers are set by default.
pub const LONGEST: usize = 4096;

const VERSION: u8 = 1;

/// How many bits of a commit sequence count commits; those above count how often the application was reset.
const COMMITS: u32 = 40;

/// How the text begins while a reset is under way; what follows is the life that is to begin.
const RESET: &str = "reset=";

/// How often the application had been reset when it committed with this sequence. A state of another life was made from
/// topics that are gone: offsets and sequences say nothing about it.
#[must_use]
pub fn life(sequence: u64) -> u64 {
    sequence >> COMMITS
}

/// The text beside offsets while a reset is under way to begin `life`. No task starts from it.
#[must_use]
pub fn resetting(life: u64) -> String {
    format!("{RESET}{life}")
}

/// The life that a reset was to begin when it left this text.
#[must_use]
pub fn was_resetting(text: &str) -> Option<u64> {
    text.strip_prefix(RESET)?.parse().ok()
}

/// What a task knows of one input partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The task's commit sequence number: it settles whether a commit of unknown outcome has happened.
    pub sequence: u64,
    /// How many records of the frame at the committed offset are done.
    pub index: u32,
    /// The partition's watermark.
    pub watermark: Timestamp,
    /// Whether more is to come.
    pub activity: Activity,
    /// For a repartition topic: what is known of the tasks upstream, in order of their numbers.
    pub upstream: Vec<Upstream>,
}

/// What is known of an upstream task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its partition number.
    pub task: u32,
    /// Its watermark.
    pub watermark: Timestamp,
    /// Whether more is to come.
    pub activity: Activity,
}

impl Position {
    /// Where a partition stands at the beginning of a life: nothing is known of time.
    #[must_use]
    pub fn reborn(life: u64) -> Self {
        let sequence = life << COMMITS;
        Self { sequence, index: 0, watermark: Timestamp::MIN, activity: Activity::Active, upstream: Vec::new() }
    }

    /// The text. It may be longer than [`LONGEST`] with very many upstream tasks, some 900: the caller looks.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = vec![VERSION];
        write_u64(self.sequence, &mut out);
        write_u64(u64::from(self.index), &mut out);
        write_i64(self.watermark.millis(), &mut out);
        out.push(self.activity.code());
        write_u64(self.upstream.len() as u64, &mut out);
        let (mut next, mut last) = (0, self.watermark.millis());
        for upstream in &self.upstream {
            debug_assert!(u64::from(upstream.task) >= next, "upstream tasks are in order");
            let gap = u64::from(upstream.task).saturating_sub(next);
            write_u64(gap << 2 | u64::from(upstream.activity.code()), &mut out);
            write_i64(upstream.watermark.millis().wrapping_sub(last), &mut out);
            (next, last) = (u64::from(upstream.task) + 1, upstream.watermark.millis());
        }
        STANDARD_NO_PAD.encode(out)
    }

    /// Reads the text beside a committed offset.
    ///
    /// # Errors
    /// When it is empty, of something else, damaged, or of a later version.
    pub fn decode(text: &str) -> Result<Self, CodecError> {
        if text.is_empty() {
            return Err(CodecError::new(
                "the committed offset has no position beside it: it was committed by another program, or by hand",
            ));
        }
        if was_resetting(text).is_some() {
            return Err(CodecError::new("a reset of the application has begun and not come to its end: run it again"));
        }
        let foreign = || {
            CodecError::new(format!(
                "the text {text:?} beside the committed offset is no position of millstream's: another program commits \
                 in this group"
            ))
        };
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| foreign())?;
        match bytes.split_first() {
            Some((&VERSION, rest)) => read(rest).ok_or_else(foreign),
            Some((version, _)) if *version < 0x20 => Err(CodecError::new(format!(
                "a committed position of layout {version}, and this version of millstream reads layout {VERSION}"
            ))),
            _ => Err(foreign()),
        }
    }
}

fn read(mut bytes: &[u8]) -> Option<Position> {
    let bytes = &mut bytes;
    let sequence = read_u64(bytes).ok()?;
    let index = u32::try_from(read_u64(bytes).ok()?).ok()?;
    let watermark = Timestamp::from_millis(read_i64(bytes).ok()?);
    let (code, rest) = bytes.split_first()?;
    *bytes = rest;
    let activity = Activity::from_code(*code)?;
    let count = read_u64(bytes).ok()?;
    let (mut next, mut last) = (0_u64, watermark.millis());
    let mut upstream = Vec::new();
    for _ in 0..count {
        let packed = read_u64(bytes).ok()?;
        let task = u32::try_from(next.checked_add(packed >> 2)?).ok()?;
        let activity = Activity::from_code(u8::try_from(packed & 3).ok()?)?;
        last = last.wrapping_add(read_i64(bytes).ok()?);
        upstream.push(Upstream { task, watermark: Timestamp::from_millis(last), activity });
        next = u64::from(task) + 1;
    }
    bytes.is_empty().then_some(Position { sequence, index, watermark, activity, upstream })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(upstreams: u32) -> Position {
        let now = 1_700_000_000_000_i64;
        let upstream = |task: u32| Upstream {
            task,
            watermark: Timestamp::from_millis(now + i64::from(task.wrapping_mul(2_654_435_761) % 7_000)),
            activity: if task.is_multiple_of(5) { Activity::Idle } else { Activity::Active },
        };
        Position {
            sequence: 1_000_000,
            index: 700,
            watermark: Timestamp::from_millis(now),
            activity: Activity::CaughtUp,
            upstream: (0..upstreams).map(upstream).collect(),
        }
    }

    #[test]
    fn a_position_comes_back_as_it_went() {
        let mut odd = position(3);
        odd.upstream[1].watermark = Timestamp::MIN;
        odd.upstream[2] = Upstream { task: u32::MAX, watermark: Timestamp::MAX, activity: Activity::End };
        for position in [Position::default(), position(0), position(64), odd] {
            assert_eq!(Position::decode(&position.encode()).unwrap(), position);
        }
    }

    #[test]
    fn nine_hundred_upstreams_within_eight_seconds_fit_beside_an_offset() {
        assert!(position(0).encode().len() <= 24);
        assert!(position(64).encode().len() < 300);
        let length = position(900).encode().len();
        assert!(length <= LONGEST, "{length}");
    }

    #[test]
    fn a_reset_leaves_a_mark_that_nobody_starts_from_and_begins_another_life() {
        let mark = resetting(7);
        assert_eq!(was_resetting(&mark), Some(7));
        assert_eq!(was_resetting(&position(2).encode()), None);
        let error = Position::decode(&mark).unwrap_err().to_string();
        assert!(error.contains("a reset of the application has begun"), "{error}");
        let reborn = Position::reborn(7);
        assert_eq!((life(reborn.sequence), life(reborn.sequence + 1_000_000)), (7, 7));
        assert_eq!(life(position(0).sequence), 0);
        assert_eq!(Position::decode(&reborn.encode()).unwrap(), reborn);
    }

    #[test]
    fn an_empty_or_foreign_text_is_an_error_that_says_so() {
        let error = Position::decode("").unwrap_err().to_string();
        assert!(error.contains("committed by another program"), "{error}");
        for foreign in ["hello world", "AQ==", "aGVsbG8", "AQEB"] {
            let error = Position::decode(foreign).unwrap_err().to_string();
            assert!(error.contains("another program"), "{foreign}: {error}");
        }
        let later = STANDARD_NO_PAD.encode([2, 0]);
        let error = Position::decode(&later).unwrap_err().to_string();
        assert!(error.contains("layout 2"), "{error}");
    }
}
