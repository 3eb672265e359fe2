//! Where the visitors of a website come from: clicks by referrer, and the referrers of each resource, over the last ten
//! seconds, told once a second.
//!
//! ```text
//! clicks ─► arrivals ─┬─ by referrer, combined ══► counts of each second ─► demo.referrers
//!                     └─ by resource, combined ══► counts of each second ─► ranked ─► demo.referrers.top
//! ```
//!
//! - **Time** is the record's timestamp. At the end of each second, once the watermark has come to it, the clicks of the
//!   window before it are counted. A partition may be out of order by `disorder`, by which every result has to wait.
//! - **A late click**, one behind its own partition's watermark, has missed the windows that had ended by then, and is in
//!   the others that it belongs to: it is counted as `late`, once for each window that it has missed.
//! - **A referrer that has fallen silent** is told with a count of zero for another `silent-for`, so that a chart of bands
//!   has a value for each at every second. Then it is forgotten. A resource is told once more with no referrers. Telling
//!   costs one record a second for each referrer that is known: where there are very many, shorten `silent-for`.
//! - **In silence** nothing moves a watermark, and the zeros would not come: once a partition has been silent for
//!   `clock-after`, its watermark follows the clock, as far behind it as this and the disorder. What it costs: a click that
//!   comes later than that after a silence is late in this run and would not be in a replay, and while a partition is
//!   silent its time is committed with every commit interval. `clock-after=0s` switches it off: then every run over the
//!   same records gives the same results.
//! - **Who sent a click** is told by the host alone: [`name::name_of`]. Nobody is left out: no referrer is `direct`, one
//!   without a host `unknown`. A click without a resource is bad input, as `null_key`, and is counted nowhere.
//! - **Cost**: clicks are added up by referrer and second, and by resource, referrer and second, before they are shuffled.
//!   So a busy referrer is a few records a commit, however many clicks it leads to, and each click changes one row.

mod arrivals;
mod counters;
mod counts;
mod name;
mod tally;
#[cfg(test)]
mod tests;

use std::time::Duration;

use millstream::cli::{Declared, Setting, Settings};
use millstream::redis::RedisSink;
use millstream::{BadInput, Builder, Error, ErrorKind, NoKey, Result, Topic, Topology};

use crate::topologies::clickstream::CLICKSTREAM_TOPIC;
use arrivals::{Arrivals, Click};
use counters::{Ranking, ReferrerCount, Referrers, Resources};
use counts::Counts;
use tally::{ByReferrer, Span, Tally};

/// The name it is run by.
pub const NAME: &str = "clickstream-referrers";
/// Where the counts go, by referrer.
pub const REFERRERS_TOPIC: &str = "demo.referrers";
/// Where the ranked referrers go, by resource.
pub const TOP_TOPIC: &str = "demo.referrers.top";

const CLICKSTREAM: Topic<NoKey, Click> = Topic::new(CLICKSTREAM_TOPIC);
const REFERRERS: Topic<String, ReferrerCount> = Topic::new(REFERRERS_TOPIC);
const TOP: Topic<String, Ranking> = Topic::new(TOP_TOPIC);

const WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(10), "How far back clicks are counted, in whole seconds up to an hour");
const SILENT_FOR: Setting<Duration> = Setting::new(
    "silent-for",
    Duration::from_mins(10),
    "How long after its last click a referrer is still told, with zeros",
);
const DISORDER: Setting<Duration> = Setting::new(
    "disorder",
    Duration::from_millis(200),
    "How far out of order clicks may be and still be in time; results wait for it",
);
const CLOCK_AFTER: Setting<Duration> = Setting::new(
    "clock-after",
    Duration::from_secs(1),
    "After so much silence time follows the clock, which no replay repeats; 0s for never",
);
const MOST: Setting<u64> = Setting::new("most", 100, "How many referrers of a resource are told at most");

/// The settings that it has.
pub const SETTINGS: &[&dyn Declared] = &[&WINDOW, &SILENT_FOR, &DISORDER, &CLOCK_AFTER, &MOST];

/// Clicks by referrer, and the referrers of each resource, once a second.
///
/// # Errors
/// When a setting makes no sense, or the declaration has a mistake.
pub fn topology(bad_input: BadInput, settings: &Settings) -> Result<Topology> {
    let (window, silent_for) = (settings.get(&WINDOW), settings.get(&SILENT_FOR));
    let referrers = Span { window: window_seconds(window)?, silent: seconds(silent_for) };
    let resources = Span { silent: 0, ..referrers };
    let most = match settings.get(&MOST) {
        0 => {
            return Err(Error::new(
                ErrorKind::Config,
                "most must be 1 or more: 0 referrers of a resource tell nothing",
            ));
        }
        most => usize::try_from(most).unwrap_or(usize::MAX),
    };

    let b = Builder::new(NAME);
    b.agree_on("window", referrers.window);
    b.agree_on("silent-for", referrers.silent);
    b.agree_on("most", most);
    let source = b.source(CLICKSTREAM).out_of_order_by(settings.get(&DISORDER)).on_bad_input(bad_input);
    let source = match settings.get(&CLOCK_AFTER) {
        Duration::ZERO => source,
        after => source.advance_by_clock_after(after),
    };
    let clicks = source.stream().process(move |_| Arrivals { window: referrers.window }).named("arrivals");

    clicks
        .map(|_, from| from)
        .group_by_key()
        .named("by-referrer")
        .partials(Tally::add)
        .process(move |setup| {
            setup.every(SECOND);
            let (tallies, told) = (setup.store("referrers"), setup.store("referrers-told"));
            Referrers(Counts { tallies, told, span: referrers })
        })
        .named("count-referrers")
        .to(REFERRERS);
    clicks
        .map_values(|(referrer, tally)| ByReferrer::one(referrer, tally))
        .group_by_key()
        .named("by-resource")
        .partials(ByReferrer::add)
        .process(move |setup| {
            setup.every(SECOND);
            let (tallies, told) = (setup.store("resources"), setup.store("resources-told"));
            Resources { counts: Counts { tallies, told, span: resources }, host: NAME, most }
        })
        .named("rank-referrers")
        .to(TOP);
    Ok(b.build()?)
}

/// The channel on which each count is published as it is in the topic.
pub const TICKER: &str = "ticker";
/// The hash with the newest count of each referrer.
pub const NEWEST: &str = "referrers";

/// What goes to Redis: each count on a channel, and the newest of each referrer in a hash.
///
/// # Errors
/// None: it is declared soundly.
pub fn ticker() -> Result<RedisSink> {
    let sink = RedisSink::of(NAME, TICKER, REFERRERS);
    sink.publish(TICKER).counter(NEWEST, Clone::clone, |told| told.count).build()
}

/// How often results are told.
const SECOND: Duration = Duration::from_secs(1);

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn window_seconds(window: Duration) -> Result<i64> {
    if window.subsec_nanos() == 0 && (1..=3_600).contains(&window.as_secs()) {
        return Ok(seconds(window));
    }
    let message = format!("a window of {window:?} is not possible: results are told by the second");
    Err(Error::new(ErrorKind::Config, message).remedy("give whole seconds up to an hour, as in --set window=30s"))
}
