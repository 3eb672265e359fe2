//! A range of keys, or of windows, over the partitions of this process or of all.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::answer::{Problem, json};
use super::parameters::{self, Parameters, Scope, from_base64, to_base64};
use super::{Asked, Desk, blocking, bounds, credentials, out_of_reach, peer};
use crate::codec::Shown;
use crate::operators::lookup::{Entry, Starts, Stretch};
use crate::runtime::queries::{Bounds, Commits, Cut, Found, Part, Unserved, merge};

pub(super) async fn range(
    State(desk): State<Desk>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<Parameters>, QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (topology, store) = parameters::path(path)?;
    let parameters = Parameters::take(query)?;
    let asked = desk.find(&topology, &store)?;
    let (starts, mut stretch) = stretch(&asked, &parameters)?;
    if let Some(cursor) = parameters.cursor()? {
        stretch.0 = stretch.0.max(cursor);
    }
    let wanted = Wanted { asked, stretch, starts, rows: parameters.rows()? };
    if peer::is_peer(&headers) {
        let partitions = parameters.partitions()?.unwrap_or_default();
        let whole = wanted.read(&desk, partitions).await?;
        return match whole {
            Ok(part) => Ok(json(&PeerAnswer::of(part))),
            Err((_, Unserved::NotReady(why))) => Err(Problem::later(why)),
            Err((partition, Unserved::NotHere)) => {
                Err(Problem::misdirected(format!("partition {partition} is not here")))
            }
        };
    }
    let Asked { queries, store, .. } = &wanted.asked;
    let here = queries.here(store);
    if parameters.scope == Scope::Local {
        let part = wanted.read(&desk, here).await?;
        return part.map(|part| json(&Answer::of(part))).map_err(|(_, unserved)| Problem::later(reason(&unserved)));
    }
    let passing =
        Passing { query: uri.query().unwrap_or_default(), path: uri.path(), credentials: credentials(&headers) };
    wanted.read_all(&desk, &passing).await.map(|part| json(&Answer::of(part)))
}

/// Where the rows lie: `from` and `to` are keys, or times at which windows start.
fn stretch(asked: &Asked, parameters: &Parameters) -> Result<(Starts, Stretch), Problem> {
    if asked.lookup.is_windowed() {
        let starts = parameters.starts()?;
        return Ok((starts, asked.lookup.starting(starts)));
    }
    let key = |text: &Option<String>| text.as_deref().map(|text| asked.lookup.parse(text)).transpose();
    let wrong = |error| Problem::wrong(format!("from and to are keys of the store {}: {error}", asked.store.name));
    let (from, to) = (key(&parameters.from).map_err(wrong)?, key(&parameters.to).map_err(wrong)?);
    Ok((Starts::ALL, asked.lookup.between(from.as_deref(), to.as_deref())))
}

fn reason(unserved: &Unserved) -> String {
    match unserved {
        Unserved::NotReady(why) => why.clone(),
        Unserved::NotHere => "a partition has just left this process".to_owned(),
    }
}

/// A range that is asked for.
#[derive(Clone)]
struct Wanted {
    asked: Asked,
    stretch: Stretch,
    starts: Starts,
    rows: usize,
}

/// How others are asked for their part of it.
struct Passing<'a> {
    path: &'a str,
    query: &'a str,
    credentials: Option<HeaderValue>,
}

/// The part that cannot be read, and why.
type Missing = (u32, Unserved);

impl Wanted {
    /// The rows of these partitions, all of which must be here.
    async fn read(&self, desk: &Desk, partitions: Vec<u32>) -> Result<Result<Part<Shown>, Missing>, Problem> {
        let permit = Arc::clone(&desk.ranges).acquire_owned().await;
        let wanted = self.clone();
        let read = blocking(move || {
            let _permit = permit;
            wanted.read_here(&partitions)
        });
        read.await?
    }

    fn read_here(&self, partitions: &[u32]) -> Result<Result<Part<Shown>, Missing>, Problem> {
        let Self { asked: Asked { queries, store, lookup }, stretch, starts, rows } = self;
        let share = u32::try_from(partitions.len()).unwrap_or(u32::MAX).max(1);
        let whole = bounds(*rows);
        let bounds = Bounds { bytes: whole.bytes / share as usize, time: whole.time / share, ..whole };
        let mut parts = Vec::new();
        for partition in partitions {
            let part = queries.range(store, lookup, *partition, stretch.clone(), (*starts, bounds));
            match part.map_err(|error| Problem::broken(error.to_string()))? {
                Ok(part) => parts.push(shown(part)?),
                Err(unserved) => return Ok(Err((*partition, unserved))),
            }
        }
        Ok(Ok(merge(parts, *rows)))
    }

    /// The rows of all partitions, wherever they are. Where one has just moved, all are looked for once more: an answer
    /// has all of them, or there is none.
    async fn read_all(&self, desk: &Desk, passing: &Passing<'_>) -> Result<Part<Shown>, Problem> {
        match self.read_once(desk, passing, false).await {
            Err(problem) if problem.code == StatusCode::SERVICE_UNAVAILABLE => {
                self.read_once(desk, passing, true).await
            }
            read => read,
        }
    }

    async fn read_once(&self, desk: &Desk, passing: &Passing<'_>, anew: bool) -> Result<Part<Shown>, Problem> {
        let Asked { queries, store, .. } = &self.asked;
        let here = queries.here(store);
        let mut others: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for partition in (0..queries.partitions(store)).filter(|partition| !here.contains(partition)) {
            let owner = desk.owner(&self.asked, partition, anew).await?;
            others.entry(out_of_reach(partition, owner, None)?).or_default().push(partition.to_string());
        }
        let mut asking = JoinSet::new();
        for (address, partitions) in others {
            let (path, credentials) = (passing.of(&partitions), passing.credentials.clone());
            asking.spawn(async move { ask(&address, &path, credentials).await });
        }
        let mut parts = Vec::new();
        if !here.is_empty() {
            let part = self.read(desk, here).await?;
            parts.push(part.map_err(|(_, unserved)| Problem::later(reason(&unserved)))?);
        }
        while let Some(answer) = asking.join_next().await {
            parts.push(answer.map_err(|error| Problem::broken(error.to_string()))??);
        }
        Ok(merge(parts, self.rows))
    }
}

impl Passing<'_> {
    fn of(&self, partitions: &[String]) -> String {
        let (path, query, partitions) = (self.path, self.query, partitions.join(","));
        let and = if query.is_empty() { "" } else { "&" };
        format!("{path}?{query}{and}partitions={partitions}")
    }
}

async fn ask(address: &str, path: &str, credentials: Option<HeaderValue>) -> Result<Part<Shown>, Problem> {
    let (status, body) = peer::ask(address, path, credentials).await.map_err(Problem::later)?;
    if status != StatusCode::OK {
        return Err(Problem::later(peer::refusal(address, status, &body)));
    }
    let answer: PeerAnswer = serde_json::from_slice(&body)
        .map_err(|error| Problem::broken(format!("the process at {address} answers something else: {error}")))?;
    answer.part()
}

/// A row of an answer: what it says, with its partition.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    partition: u32,
}

/// Writes the rows, so that those of other processes and ours are alike.
fn shown(part: Part) -> Result<Part<Shown>, Problem> {
    let Part { rows, next, cut, commits } = part;
    let row = |Found { entry, partition, at }: Found| {
        let shown = Shown::of(&Line { entry: &entry, partition })?;
        Ok(Found { entry: shown, partition, at })
    };
    let rows = rows.into_iter().map(row).collect::<Result<_, crate::CodecError>>();
    Ok(Part { rows: rows.map_err(|error| Problem::broken(error.to_string()))?, next, cut, commits })
}

#[derive(Serialize)]
struct Answer {
    rows: Vec<Shown>,
    /// Where the next page goes on.
    next: Option<String>,
    /// Why there is more.
    cut: Option<Cut>,
    commits: Vec<Commits>,
}

impl Answer {
    fn of(part: Part<Shown>) -> Self {
        let Part { rows, next, cut, commits } = part;
        let rows = rows.into_iter().map(|found| found.entry).collect();
        Self { rows, next: next.as_deref().map(to_base64), cut, commits }
    }
}

/// What one process gives another: the rows with their places.
#[derive(Serialize, Deserialize)]
struct PeerAnswer {
    rows: Vec<(String, u32, Shown)>,
    next: Option<String>,
    cut: Option<Cut>,
    commits: Vec<Commits>,
}

impl PeerAnswer {
    fn of(part: Part<Shown>) -> Self {
        let Part { rows, next, cut, commits } = part;
        let row = |Found { entry, partition, at }: Found<Shown>| (to_base64(&at), partition, entry);
        Self { rows: rows.into_iter().map(row).collect(), next: next.as_deref().map(to_base64), cut, commits }
    }

    fn part(self) -> Result<Part<Shown>, Problem> {
        let Self { rows, next, cut, commits } = self;
        let row = |(at, partition, entry): (String, u32, Shown)| Ok(Found { entry, partition, at: from_base64(&at)? });
        let rows = rows.into_iter().map(row).collect::<Result<_, Problem>>()?;
        Ok(Part { rows, next: next.as_deref().map(from_base64).transpose()?, cut, commits })
    }
}
