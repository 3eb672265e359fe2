//! What a changed topology keeps, creates, changes and leaves behind.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Locked, Part};

/// A declared topology beside what is locked of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The topology's name.
    pub topology: String,
    /// The fingerprint of what is declared, in hexadecimal.
    pub fingerprint: String,
    /// The fingerprint of what is locked; `None` where the topology is not locked.
    pub locked_fingerprint: Option<String>,
    /// All parts: sources, repartition topics, stores, sinks, then the terms of the whole; each by name.
    pub differences: Vec<Difference>,
}

/// A part of a topology, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What becomes of it.
    pub verdict: Verdict,
    /// What it is.
    pub kind: PartKind,
    /// Its name.
    pub name: String,
    /// What it is like: as declared, of an orphan as locked.
    #[serde(flatten)]
    pub part: Part,
    /// What has changed of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What may have been meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What becomes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It stays as it is.
    Keep,
    /// It is new.
    Create,
    /// Nobody declares it any more: a store and an internal topic stay behind, and nobody reads them.
    Orphan,
    /// It has the same name and is something else.
    Change,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// A user's topic that is read.
    Source,
    /// A repartition topic.
    Repartition,
    /// A store, with its changelog.
    Store,
    /// A user's topic that is written.
    Sink,
    /// What the members agree on beyond that.
    Terms,
}

/// One thing that has changed of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What: `key`, `value`, `operator`, `terms`, …
    pub what: &'static str,
    /// What it was.
    pub was: String,
    /// What it is now.
    pub now: String,
    /// What follows from that.
    pub meaning: &'static str,
}

impl Comparison {
    /// True where nothing differs, the fingerprint included.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.locked_fingerprint.as_ref() == Some(&self.fingerprint)
            && self.differences.iter().all(|difference| difference.verdict == Verdict::Keep)
    }

    /// True where something is changed or left behind; what is only new is no risk to what is there.
    #[must_use]
    pub fn is_risky(&self) -> bool {
        self.differences.iter().any(|difference| matches!(difference.verdict, Verdict::Orphan | Verdict::Change))
    }

    /// The differences, a few words each.
    #[must_use]
    pub fn in_short(&self) -> Vec<String> {
        let changed = self.differences.iter().filter(|difference| difference.verdict != Verdict::Keep);
        let mut words: Vec<String> = changed.map(Difference::in_short).collect();
        if words.is_empty() && !self.is_same() {
            words.push("its parts are put together otherwise, as the fingerprint says".into());
        }
        words
    }
}

impl Difference {
    fn in_short(&self) -> String {
        let what = if self.kind == PartKind::Terms {
            "what members agree on".to_owned()
        } else {
            format!("{} {}", self.kind.name(), self.name)
        };
        let changes: Vec<String> = self.changes.iter().map(|c| format!("{} {} → {}", c.what, c.was, c.now)).collect();
        match self.verdict {
            Verdict::Keep => format!("{what} stays"),
            Verdict::Create => format!("{what} is new"),
            Verdict::Orphan => format!("{what} is gone"),
            Verdict::Change => format!("{what} has changed ({})", changes.join(", ")),
        }
    }
}

impl PartKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Repartition => "repartition",
            Self::Store => "store",
            Self::Sink => "sink",
            Self::Terms => "terms",
        }
    }

    /// What follows from a change of `what`.
    fn meaning(self, what: &str) -> &'static str {
        match (self, what) {
            (Self::Store, "key" | "value") => {
                "rows of its changelog may not be readable, or be read as something else: give it another name, or reset \
                 the application"
            }
            (Self::Store, "operator") => "another operator would go on from its rows: give it another name",
            (Self::Store, "sub-topology") => {
                "other tasks own it: it is restored from its changelog, whose partition count must still fit"
            }
            (Self::Repartition, "key" | "value") => {
                "records that still lie in it may not be readable: let the old version run --until-end first"
            }
            (Self::Repartition, "partitions") => {
                "the topic has its count already: reset the application to make it anew"
            }
            (Self::Source, "key" | "value") => {
                "records that are of the old type go by the source's policy for bad input"
            }
            (Self::Sink, "key" | "value") => "readers of the topic find records of both types",
            (_, "terms") => {
                "members of the old version refuse to run beside it: stop them first; results differ from here on"
            }
            _ => "members of the old version refuse to run beside it: stop them first",
        }
    }
}

pub(super) fn compare(topology: &str, was: Option<&Locked>, now: &Locked) -> Comparison {
    let nothing = Locked::default();
    let before = was.unwrap_or(&nothing);
    let mut differences = Vec::new();
    parts(PartKind::Source, &before.sources, &now.sources, &mut differences);
    parts(PartKind::Repartition, &before.repartitions, &now.repartitions, &mut differences);
    parts(PartKind::Store, &before.stores, &now.stores, &mut differences);
    parts(PartKind::Sink, &before.sinks, &now.sinks, &mut differences);
    terms(was, now, &mut differences);
    Comparison {
        topology: topology.to_owned(),
        fingerprint: now.fingerprint.clone(),
        locked_fingerprint: was.map(|was| was.fingerprint.clone()),
        differences,
    }
}

fn parts(kind: PartKind, was: &BTreeMap<String, Part>, now: &BTreeMap<String, Part>, into: &mut Vec<Difference>) {
    let begin = into.len();
    for (name, part) in now {
        let (verdict, changes) = match was.get(name) {
            None => (Verdict::Create, Vec::new()),
            Some(before) => match changes(kind, before, part) {
                none if none.is_empty() => (Verdict::Keep, none),
                some => (Verdict::Change, some),
            },
        };
        into.push(Difference { verdict, kind, name: name.clone(), part: part.clone(), changes, hint: None });
    }
    for (name, part) in was.iter().filter(|(name, _)| !now.contains_key(*name)) {
        into.push(Difference {
            verdict: Verdict::Orphan,
            kind,
            name: name.clone(),
            part: part.clone(),
            changes: Vec::new(),
            hint: None,
        });
    }
    if matches!(kind, PartKind::Store | PartKind::Repartition) {
        hint(&mut into[begin..]);
    }
}

fn changes(kind: PartKind, was: &Part, now: &Part) -> Vec<Change> {
    let count = |partitions: Option<u32>| partitions.map_or_else(|| "none asked for".into(), |count| count.to_string());
    let fields = [
        ("operator", was.operator.clone(), now.operator.clone()),
        ("key", was.key.clone(), now.key.clone()),
        ("value", was.value.clone(), now.value.clone()),
        terms_of(&was.terms, &now.terms),
        ("partitions", count(was.partitions), count(now.partitions)),
        ("sub-topology", was.sub_topology.clone(), now.sub_topology.clone()),
    ];
    let changed = fields.into_iter().filter(|(_, was, now)| was != now);
    changed.map(|(what, was, now)| Change { what, was, now, meaning: kind.meaning(what) }).collect()
}

/// The terms that are gone, and those that are new; all of them where only their order differs.
fn terms_of(was: &[String], now: &[String]) -> (&'static str, String, String) {
    let without = |of: &[String], others: &[String]| -> Vec<String> {
        of.iter().filter(|term| !others.contains(term)).cloned().collect()
    };
    let listed = |terms: &[String]| if terms.is_empty() { "none".into() } else { terms.join(", ") };
    match (without(was, now), without(now, was)) {
        (gone, new) if gone.is_empty() && new.is_empty() => ("terms", listed(was), listed(now)),
        (gone, new) => ("terms", listed(&gone), listed(&new)),
    }
}

fn terms(was: Option<&Locked>, now: &Locked, into: &mut Vec<Difference>) {
    let before = was.map_or(&[][..], |was| &was.terms);
    if before.is_empty() && now.terms.is_empty() {
        return;
    }
    let kind = PartKind::Terms;
    let (verdict, changes) = match was {
        None => (Verdict::Create, Vec::new()),
        Some(_) if before == now.terms => (Verdict::Keep, Vec::new()),
        Some(_) => {
            let (what, was, now) = terms_of(before, &now.terms);
            (Verdict::Change, vec![Change { what, was, now, meaning: kind.meaning(what) }])
        }
    };
    let part = Part { terms: now.terms.clone(), ..Part::default() };
    into.push(Difference { verdict, kind, name: String::new(), part, changes, hint: None });
}

/// Where exactly one orphan could be what one new part is, it may only have lost its name.
fn hint(differences: &mut [Difference]) {
    let alike =
        |one: &Part, other: &Part| (&one.operator, &one.key, &one.value) == (&other.operator, &other.key, &other.value);
    let of = |verdict: Verdict, part: &Part| -> Vec<usize> {
        let found = differences.iter().enumerate().filter(|(_, d)| d.verdict == verdict && alike(&d.part, part));
        found.map(|(place, _)| place).collect()
    };
    let mut hints = Vec::new();
    for (place, orphan) in differences.iter().enumerate().filter(|(_, d)| d.verdict == Verdict::Orphan) {
        if of(Verdict::Orphan, &orphan.part).len() == 1
            && let [new] = of(Verdict::Create, &orphan.part)[..]
        {
            hints.push((place, differences[new].name.clone(), orphan.name.clone()));
        }
    }
    for (place, new, old) in hints {
        differences[place].hint =
            Some(format!("if {new} is the same under another name, keep what it holds with .named({old:?})"));
    }
}
