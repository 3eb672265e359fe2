//! What several processes of a group say, as one.

use std::collections::BTreeMap;

use super::view::{
    CommitsView, Finding, FindingKind, History, Observation, OperatorView, PartitionView, ProcessView, Severity,
    TaskView, TopicView, TopologyView,
};
use crate::runtime::AppState;
use crate::time::Timestamp;

/// What this process and `others`, by address, say: counts and rates are summed up, tasks and partitions put together. Of equal
/// findings the worst is kept, and what another process finds begins with its address. A process that could not be asked is a row
/// with its error, and a finding, in every topology of this process: which it runs cannot be known. Topologies that run
/// elsewhere alone come last.
#[must_use]
pub fn merge(own: &Observation, others: Vec<(String, Result<Observation, String>)>) -> Observation {
    let mut all = own.clone();
    let addresses = all.topologies.iter().flat_map(|topology| &topology.processes).filter_map(|p| p.address.clone());
    let here: Vec<String> = addresses.collect();
    for (address, answer) in others.into_iter().filter(|(address, _)| !here.contains(address)) {
        match answer {
            Ok(other) => other.topologies.into_iter().for_each(|topology| add(&mut all, &address, topology)),
            Err(why) => all.topologies.iter_mut().for_each(|topology| miss(topology, own.time, &address, &why)),
        }
    }
    all.topologies.iter_mut().for_each(tidy);
    all
}

/// What was found before goes on since it was found first, for findings that are made anew each time, as that of a process
/// which could not be asked. `before` is the observation that was made just before `now`.
pub fn keep_since(now: &mut Observation, before: &Observation) {
    for topology in &mut now.topologies {
        let Some(known) = before.topologies.iter().find(|known| known.name == topology.name) else { continue };
        for finding in &mut topology.findings {
            let same = known.findings.iter().find(|f| f.kind == finding.kind && f.subject == finding.subject);
            finding.since = same.map_or(finding.since, |same| same.since.min(finding.since));
        }
    }
}

/// Puts what the process at `address` says of a topology to the rest.
fn add(all: &mut Observation, address: &str, mut other: TopologyView) {
    for process in &mut other.processes {
        process.here = false;
        process.address.get_or_insert_with(|| address.to_owned());
    }
    for task in &mut other.tasks {
        task.process.get_or_insert_with(|| address.to_owned());
    }
    for finding in &mut other.findings {
        finding.what = format!("{address}: {}", finding.what);
        // That both are paused is not one finding.
        finding.subject.get_or_insert_with(|| address.to_owned());
    }
    let Some(known) = all.topologies.iter_mut().find(|known| known.name == other.name) else {
        return all.topologies.push(other);
    };
    if rank(other.state) > rank(known.state) {
        known.state = other.state;
    }
    known.error = known.error.take().or(other.error);
    known.processes.extend(other.processes);
    known.tasks = tasks(std::mem::take(&mut known.tasks), other.tasks);
    add_rows(&mut known.topics, other.topics, |row| (row.topic.clone(), row.role), add_topic);
    add_rows(&mut known.operators, other.operators, |row| row.name.clone(), |known, row| add_operator(known, &row));
    let dropped = |row: &super::DroppedView| (row.topic.clone(), row.reason.clone());
    add_rows(&mut known.dropped, other.dropped, dropped, |known, row| known.count += row.count);
    let dead = |row: &super::DeadLettersView| row.topic.clone();
    add_rows(&mut known.dead_letters, other.dead_letters, dead, |known, row| known.count += row.count);
    known.commits = commits(&known.commits, &other.commits);
    known.findings.extend(other.findings);
}

/// The process at `address` could not be asked.
fn miss(topology: &mut TopologyView, now: Timestamp, address: &str, why: &str) {
    topology.processes.push(ProcessView {
        address: Some(address.to_owned()),
        here: false,
        state: None,
        threads: 0,
        busy: None,
        rebalances: 0,
        uptime_ms: 0,
        error: Some(why.to_owned()),
    });
    topology.findings.push(Finding {
        kind: FindingKind::Unreachable,
        severity: Severity::Warning,
        since: now,
        subject: Some(address.to_owned()),
        what: format!(
            "The process at {address}, a member of the group, could not be asked: what it does is not in these numbers."
        ),
        why: format!("{}.", why.trim_end_matches('.')),
        remedy:
            "See whether it runs and what its log says. If it runs, --advertise must be an address at which the other \
                 processes reach it, and all must have the same token."
                .to_owned(),
    });
}

/// Of several states the greatest stands for all: a newcomer that starts does not hide that the others run.
fn rank(state: AppState) -> u8 {
    match state {
        AppState::Stopped => 0,
        AppState::Stopping => 1,
        AppState::Starting => 2,
        AppState::Paused => 3,
        AppState::Running => 4,
        AppState::Restoring => 5,
        AppState::Failed => 6,
    }
}

/// While a task moves, two processes may name it: the one in which it runs is right.
fn tasks(known: Vec<TaskView>, others: Vec<TaskView>) -> Vec<TaskView> {
    let mut by_name: BTreeMap<String, TaskView> = BTreeMap::new();
    for task in known.into_iter().chain(others) {
        match by_name.get(&task.name) {
            Some(before) if before.state == "running" || task.state != "running" => {}
            _ => drop(by_name.insert(task.name.clone(), task)),
        }
    }
    by_name.into_values().collect()
}

/// Puts rows to those with the same key.
fn add_rows<T, K: Ord>(known: &mut Vec<T>, others: Vec<T>, key: impl Fn(&T) -> K, mut add: impl FnMut(&mut T, T)) {
    for row in others {
        match known.iter_mut().find(|known| key(known) == key(&row)) {
            Some(same) => add(same, row),
            None => known.push(row),
        }
    }
    known.sort_by_key(key);
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.map_or(other, |one| Some(one.saturating_add(other.unwrap_or(0))))
}

fn add_topic(known: &mut TopicView, other: TopicView) {
    known.records_in += other.records_in;
    known.records_out += other.records_out;
    known.in_rate += other.in_rate;
    known.out_rate += other.out_rate;
    known.lag = sum(known.lag, other.lag);
    known.watermark_age_ms = known.watermark_age_ms.max(other.watermark_age_ms);
    add_rows(&mut known.partitions, other.partitions, |row| row.partition, add_partition);
}

/// While a partition moves, two processes may know it: the one that has come farther is right.
fn add_partition(known: &mut PartitionView, other: PartitionView) {
    if known.lag.is_none() || other.watermark > known.watermark {
        *known = other;
    }
}

fn add_operator(known: &mut OperatorView, other: &OperatorView) {
    known.records += other.records;
    known.rate += other.rate;
    known.late += other.late;
}

/// The mean is of both, each as often as it commits.
fn commits(one: &CommitsView, other: &CommitsView) -> CommitsView {
    let rate = one.rate + other.rate;
    let mean_ms = match (one.mean_ms, other.mean_ms) {
        (Some(mean), Some(others)) if rate > 0.0 => Some((mean * one.rate + others * other.rate) / rate),
        (mean, others) => mean.or(others),
    };
    let (committed, aborted) = (one.committed + other.committed, one.aborted + other.aborted);
    CommitsView { committed, aborted, rate, mean_ms }
}

/// Of findings of the same sort about the same thing the worst stays, since the first of them began; the worst come first.
fn tidy(topology: &mut TopologyView) {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in std::mem::take(&mut topology.findings) {
        let Some(same) = kept.iter_mut().find(|f| f.kind == finding.kind && f.subject == finding.subject) else {
            kept.push(finding);
            continue;
        };
        let since = same.since.min(finding.since);
        if finding.severity > same.severity {
            *same = finding;
        }
        same.since = since;
    }
    kept.sort_by(super::order);
    topology.findings = kept;
}

/// The histories of several processes as one: what happened in the same step is summed up.
#[must_use]
pub fn merge_histories(own: Vec<History>, others: Vec<Vec<History>>) -> Vec<History> {
    let mut all = own;
    for other in others.into_iter().flatten() {
        match all.iter_mut().find(|known| known.name == other.name) {
            Some(known) => *known = one_history(known, &other),
            None => all.push(other),
        }
    }
    all
}

fn one_history(one: &History, other: &History) -> History {
    type Step = (f64, f64, u64, Option<u64>);
    let mut steps: BTreeMap<Timestamp, Step> = BTreeMap::new();
    for history in [one, other] {
        for (place, time) in history.time.iter().enumerate() {
            let step = steps.entry(*time).or_default();
            step.0 += history.in_rate.get(place).copied().unwrap_or(0.0);
            step.1 += history.out_rate.get(place).copied().unwrap_or(0.0);
            step.2 = step.2.saturating_add(history.lag.get(place).copied().unwrap_or(0));
            step.3 = step.3.max(history.watermark_age_ms.get(place).copied().flatten());
        }
    }
    let mut merged = History { name: one.name.clone(), ..History::default() };
    for (time, (in_rate, out_rate, lag, age)) in steps {
        merged.time.push(time);
        merged.in_rate.push(in_rate);
        merged.out_rate.push(out_rate);
        merged.lag.push(lag);
        merged.watermark_age_ms.push(age);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::view::TopicRole;

    fn topology(name: &str, address: Option<&str>) -> TopologyView {
        let address = address.map(str::to_owned);
        let process = ProcessView {
            address: address.clone(),
            here: true,
            state: Some(AppState::Running),
            threads: 2,
            busy: Some(0.5),
            rebalances: 1,
            uptime_ms: 1_000,
            error: None,
        };
        TopologyView {
            name: name.into(),
            state: AppState::Running,
            error: None,
            processes: vec![process],
            tasks: Vec::new(),
            topics: Vec::new(),
            operators: Vec::new(),
            dropped: Vec::new(),
            dead_letters: Vec::new(),
            commits: CommitsView::default(),
            findings: Vec::new(),
        }
    }

    fn seen(topologies: Vec<TopologyView>) -> Observation {
        Observation { time: Timestamp::from_millis(9_000), topologies }
    }

    fn task(name: &str, state: &str) -> TaskView {
        TaskView {
            name: name.into(),
            process: None,
            thread: 0,
            state: state.into(),
            lag: Some(1),
            processed: 0,
            watermark: None,
            watermark_age_ms: None,
            held_by: None,
            held_back_ms: 0,
            restore_remaining: 0,
        }
    }

    fn topic(partitions: &[(u32, u64)], records_in: u64) -> TopicView {
        let partition =
            |(partition, lag): &(u32, u64)| PartitionView { partition: *partition, lag: Some(*lag), watermark: None };
        TopicView {
            topic: "in".into(),
            role: TopicRole::Source,
            records_in,
            records_out: 0,
            in_rate: 2.5,
            out_rate: 0.0,
            lag: Some(partitions.iter().map(|(_, lag)| lag).sum()),
            watermark_age_ms: Some(records_in),
            partitions: partitions.iter().map(partition).collect(),
        }
    }

    fn finding(kind: FindingKind, severity: Severity, since: i64) -> Finding {
        let since = Timestamp::from_millis(since);
        let (what, why, remedy) = (format!("{severity:?}"), String::new(), String::new());
        Finding { kind, severity, since, subject: Some("windows".into()), what, why, remedy }
    }

    #[test]
    fn counts_are_summed_up_and_tasks_and_partitions_put_together() {
        let mut own = topology("totals", Some("a:1"));
        own.tasks = vec![task("in-0", "running"), task("in-1", "restoring")];
        own.topics = vec![topic(&[(0, 3)], 10)];
        own.commits = CommitsView { committed: 5, aborted: 0, rate: 1.0, mean_ms: Some(10.0) };
        let mut other = topology("totals", Some("b:1"));
        other.tasks = vec![task("in-1", "running"), task("in-0", "waiting for its state")];
        other.topics = vec![topic(&[(1, 4)], 20)];
        other.commits = CommitsView { committed: 7, aborted: 1, rate: 3.0, mean_ms: Some(2.0) };
        let all = merge(&seen(vec![own]), vec![("b:1".into(), Ok(seen(vec![other, topology("elsewhere", None)])))]);
        let totals = &all.topologies[0];
        let tasks: Vec<_> =
            totals.tasks.iter().map(|t| (t.name.as_str(), t.state.as_str(), t.process.as_deref())).collect();
        assert_eq!(tasks, [("in-0", "running", None), ("in-1", "running", Some("b:1"))]);
        let TopicView { records_in, in_rate, lag, watermark_age_ms, partitions, .. } = &totals.topics[0];
        assert_eq!((*records_in, *in_rate, *lag, *watermark_age_ms, partitions.len()), (30, 5.0, Some(7), Some(20), 2));
        assert_eq!(totals.commits, CommitsView { committed: 12, aborted: 1, rate: 4.0, mean_ms: Some(4.0) });
        assert_eq!(totals.processes.iter().map(|p| p.here).collect::<Vec<_>>(), [true, false]);
        assert_eq!(all.topologies[1].processes[0].address.as_deref(), Some("b:1"));
    }

    #[test]
    fn a_process_that_cannot_be_asked_is_a_row_and_a_finding_since_it_was_missed_first() {
        let own = seen(vec![topology("totals", Some("a:1"))]);
        let missing = || vec![("b:1".to_owned(), Err("the process at b:1 cannot be asked: refused".to_owned()))];
        let first = merge(&own, missing());
        assert_eq!(first.topologies[0].processes[1].state, None);
        let found = &first.topologies[0].findings[0];
        assert_eq!((found.kind, found.subject.as_deref()), (FindingKind::Unreachable, Some("b:1")));
        assert_eq!(found.why, "the process at b:1 cannot be asked: refused.");
        let later = Observation { time: Timestamp::from_millis(60_000), ..own };
        let mut second = merge(&later, missing());
        keep_since(&mut second, &first);
        assert_eq!(second.topologies[0].findings[0].since, Timestamp::from_millis(9_000));
    }

    #[test]
    fn this_process_is_not_counted_twice() {
        let own = seen(vec![topology("totals", Some("a:1"))]);
        assert_eq!(merge(&own, vec![("a:1".into(), Ok(own.clone()))]), own);
    }

    #[test]
    fn of_equal_findings_the_worst_stays_since_the_first_began_and_a_failure_is_the_state_of_all() {
        let mut own = topology("totals", Some("a:1"));
        own.findings = vec![finding(FindingKind::Late, Severity::Info, 1)];
        let mut other = topology("totals", Some("b:1"));
        other.state = AppState::Failed;
        other.error = Some("the topic is gone".into());
        other.findings =
            vec![finding(FindingKind::Failed, Severity::Error, 5), finding(FindingKind::Late, Severity::Warning, 3)];
        let all = merge(&seen(vec![own]), vec![("b:1".into(), Ok(seen(vec![other])))]);
        let totals = &all.topologies[0];
        assert_eq!((totals.state, totals.error.as_deref()), (AppState::Failed, Some("the topic is gone")));
        let found: Vec<_> = totals.findings.iter().map(|f| (f.kind, f.what.as_str(), f.since.millis())).collect();
        assert_eq!(found, [(FindingKind::Failed, "b:1: Error", 5), (FindingKind::Late, "b:1: Warning", 1)]);
    }

    #[test]
    fn what_is_said_of_another_process_names_it_and_is_kept_beside_what_is_said_of_this_one() {
        let paused = || Finding { subject: None, ..finding(FindingKind::Paused, Severity::Info, 1) };
        let of = |address| TopologyView { findings: vec![paused()], ..topology("totals", Some(address)) };
        let all = merge(&seen(vec![of("a:1")]), vec![("b:1".into(), Ok(seen(vec![of("b:1")])))]);
        let found: Vec<_> =
            all.topologies[0].findings.iter().map(|f| (f.subject.as_deref(), f.what.as_str())).collect();
        assert_eq!(found, [(None, "Info"), (Some("b:1"), "b:1: Info")]);
    }

    #[test]
    fn histories_are_summed_up_step_by_step() {
        let history = |steps: &[i64]| History {
            name: "totals".into(),
            time: steps.iter().map(|step| Timestamp::from_millis(*step)).collect(),
            in_rate: steps.iter().map(|_| 1.5).collect(),
            out_rate: steps.iter().map(|_| 1.0).collect(),
            lag: steps.iter().map(|_| 7).collect(),
            watermark_age_ms: steps.iter().map(|step| u64::try_from(*step).ok()).collect(),
        };
        let all = merge_histories(vec![history(&[5, 10])], vec![vec![history(&[10, 15])]]);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].time.iter().map(|time| time.millis()).collect::<Vec<_>>(), [5, 10, 15]);
        assert_eq!((&all[0].in_rate, &all[0].lag), (&vec![1.5, 3.0, 1.5], &vec![7, 14, 7]));
    }
}
