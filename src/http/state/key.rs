//! One key: its row, or its windows.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::{Problem, json};
use super::parameters::{self, Parameters};
use super::{Asked, Desk, blocking, bounds, credentials, out_of_reach, peer};
use crate::codec::Shown;
use crate::operators::lookup::{Entry, Starts};
use crate::runtime::queries::{Cut, Part, Unserved};

/// A key that is asked for.
#[derive(Clone)]
struct Wanted {
    asked: Asked,
    text: String,
    key: Vec<u8>,
    starts: Starts,
    rows: usize,
}

/// How a request is passed on.
struct Passing<'a> {
    uri: &'a Uri,
    headers: &'a HeaderMap,
    redirects: bool,
}

pub(super) async fn key(
    State(desk): State<Desk>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    query: Result<Query<Parameters>, QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (topology, store, text) = parameters::path(path)?;
    let parameters = Parameters::take(query)?;
    let asked = desk.find(&topology, &store)?;
    if !asked.lookup.is_windowed() && (parameters.from.is_some() || parameters.to.is_some()) {
        return Err(Problem::wrong(format!(
            "the store {store} has no windows: a key has one row, without from and to"
        )));
    }
    let key = asked.lookup.parse(&text);
    let key = key.map_err(|error| Problem::wrong(format!("{text:?} is no key of the store {store}: {error}")))?;
    let wanted = Wanted { asked, text, key, starts: parameters.starts()?, rows: parameters.rows()? };
    let passing = Passing { uri: &uri, headers: &headers, redirects: parameters.redirects() };
    wanted.search(&desk, &passing).await
}

impl Wanted {
    /// Looks where the key may lie: here first, then, in order, where the others are.
    async fn search(&self, desk: &Desk, passing: &Passing<'_>) -> Result<Response, Problem> {
        let Asked { queries, store, lookup } = &self.asked;
        let candidates = queries.candidates(store, lookup, &self.key);
        let (mut elsewhere, mut absent, mut waiting) = (Vec::new(), Vec::new(), None);
        for partition in candidates {
            match self.read(partition).await? {
                Ok(part) if part.rows.is_empty() => absent.extend(part.commits),
                Ok(part) => return Ok(self.answer(partition, part)),
                Err(Unserved::NotHere) => elsewhere.push(partition),
                Err(Unserved::NotReady(why)) => waiting = Some(why),
            }
        }
        if peer::is_peer(passing.headers) {
            return Err(match (waiting, absent.is_empty()) {
                (Some(why), _) => Problem::later(why),
                (None, true) => Problem::misdirected(format!("partition {elsewhere:?} is not here")),
                (None, false) => self.nothing(&absent),
            });
        }
        let mut asked = Vec::new();
        for partition in elsewhere {
            match self.pass(desk, partition, passing, &mut asked).await {
                Ok(None) => {}
                Ok(Some(answer)) => return Ok(answer),
                Err(problem) => waiting = Some(problem.error),
            }
        }
        match (waiting, asked.into_iter().next()) {
            (Some(why), _) => Err(Problem::later(why)),
            (None, Some((_, said))) if absent.is_empty() => Ok(passed_on(StatusCode::NOT_FOUND, said)),
            (None, _) => Err(self.nothing(&absent)),
        }
    }

    async fn read(&self, partition: u32) -> Result<Result<Part, Unserved>, Problem> {
        let wanted = self.clone();
        let read = blocking(move || {
            let Self { asked: Asked { queries, store, lookup }, key, starts, rows, .. } = &wanted;
            queries.get(store, lookup, (partition, key), *starts, bounds(*rows))
        });
        read.await?.map_err(|error| Problem::broken(error.to_string()))
    }

    /// Asks the owner of a partition, twice where it has just become another; `None` where it has no such key.
    async fn pass(
        &self,
        desk: &Desk,
        partition: u32,
        passing: &Passing<'_>,
        asked: &mut Vec<(String, Bytes)>,
    ) -> Result<Option<Response>, Problem> {
        let path = passing.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut failed = Problem::later("nobody has answered");
        for anew in [false, true] {
            let address = out_of_reach(partition, desk.owner(&self.asked, partition, anew).await?, None)?;
            if passing.redirects {
                let to = format!("http://{address}{path}");
                return Ok(Some((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response()));
            }
            // It has looked through all its partitions.
            if asked.iter().any(|(other, _)| *other == address) {
                return Ok(None);
            }
            failed = match peer::ask(&address, path, credentials(passing.headers)).await {
                Ok((StatusCode::NOT_FOUND, said)) => {
                    asked.push((address, said));
                    return Ok(None);
                }
                Ok((StatusCode::MISDIRECTED_REQUEST, _)) => {
                    Problem::later(format!("partition {partition} has left the process at {address}"))
                }
                Ok((status @ (StatusCode::SERVICE_UNAVAILABLE | StatusCode::UNAUTHORIZED), said)) => {
                    Problem::later(peer::refusal(&address, status, &said))
                }
                Ok((status, body)) => return Ok(Some(passed_on(status, body))),
                Err(error) => Problem::later(error),
            };
        }
        Err(failed)
    }

    fn answer(&self, partition: u32, part: Part) -> Response {
        let commit = part.commits.last().map_or(0, |commits| commits.last);
        let torn = part.commits.iter().find(|commits| commits.first != commits.last).map(|commits| commits.first);
        let mut rows = part.rows.into_iter().map(|found| found.entry);
        if self.asked.lookup.is_windowed() {
            let windows: Vec<Entry> = rows.collect();
            let cut = part.cut;
            return json(&WindowsAnswer { windows, partition, commit, first_commit: torn, cut });
        }
        match rows.next() {
            Some(Entry { key, value, timestamp, .. }) => {
                let timestamp = timestamp.millis();
                json(&RowAnswer { key, value, timestamp, partition, commit })
            }
            None => Problem::broken("a row is nothing").into_response(),
        }
    }

    fn nothing(&self, commits: &[impl Serialize]) -> Problem {
        let Asked { store, queries, .. } = &self.asked;
        let what = if self.asked.lookup.is_windowed() { "no such window" } else { "no row" };
        let as_of = serde_json::to_string(commits).unwrap_or_default();
        let topology = queries.topology();
        Problem::missing(format!(
            "{what} of the key {:?} in the store {} of {topology}, as of {as_of}",
            self.text, store.name
        ))
    }
}

/// What the owner has answered.
fn passed_on(status: StatusCode, body: Bytes) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Serialize)]
struct RowAnswer {
    key: Shown,
    value: Option<Shown>,
    timestamp: i64,
    partition: u32,
    commit: u64,
}

#[derive(Serialize)]
struct WindowsAnswer {
    windows: Vec<Entry>,
    partition: u32,
    commit: u64,
    /// Where the windows were read over several commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_commit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<Cut>,
}
