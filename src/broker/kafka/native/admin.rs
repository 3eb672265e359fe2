//! An administrator's calls. Each sends one request and waits for its answer.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Duration;

use rdkafka::bindings as sys;

use super::consumer::millis;
use super::list::{Element, PartitionList};
use super::{Client, Code, ErrorText, Failure, checked, is_refusal, outcome, text_of};
use crate::broker::kafka::assignment;
use crate::broker::{GroupMember, Isolation, NewTopic};
use crate::record::{Offset, TopicPartition};
use crate::time::Timestamp;

/// How long is waited at a time for an answer, in milliseconds, and how long after a first refusal by a broker another one may
/// still let this client in.
const TURN: i32 = 50;
const SECOND_BROKER: i32 = 1_000;

/// Which offset of a partition is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The first that it still holds.
    Start,
    /// The one that the next record gets.
    End(Isolation),
    /// That of the first record of this time or a later one.
    Time(Timestamp),
}

/// The answer to a request; freed with it is all that points into it.
struct Answer(*mut sys::rd_kafka_event_t);

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: ours, and dropped once.
        unsafe { sys::rd_kafka_event_destroy(self.0) };
    }
}

/// A value of librdkafka's with the function that frees it.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: ours, of the function's type, and dropped once.
            unsafe { (self.1)(self.0) };
        }
    }
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text)
        .map_err(|_| Failure { text: format!("{text:?} holds a NUL byte"), ..Failure::of(Code::InvalidArgument) })
}

/// The `count` things at `start`.
///
/// # Safety
/// `start` is null or points to that many pointers, all good while the answer lives.
unsafe fn pointers<'a, T>(start: *mut *const T, count: usize) -> &'a [*const T] {
    // SAFETY: by the contract above.
    if start.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(start, count) } }
}

impl Client {
    fn ask(
        &self,
        kind: sys::rd_kafka_admin_op_t,
        isolation: Option<Isolation>,
        timeout: Duration,
        send: impl FnOnce(*const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    ) -> Result<Answer, Failure> {
        let mut text = ErrorText::default();
        // SAFETY: the handle is alive. Options and queue are ours and freed after the last use; the answer is ours.
        unsafe {
            let options = Owned(sys::rd_kafka_AdminOptions_new(self.raw, kind), sys::rd_kafka_AdminOptions_destroy);
            let wait = millis(timeout);
            checked(sys::rd_kafka_AdminOptions_set_request_timeout(options.0, wait, text.as_mut_ptr(), text.len()))?;
            if let Some(isolation) = isolation {
                use sys::rd_kafka_IsolationLevel_t as level;
                outcome(sys::rd_kafka_AdminOptions_set_isolation_level(
                    options.0,
                    match isolation {
                        Isolation::ReadCommitted => level::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
                        Isolation::ReadUncommitted => level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
                    },
                ))?;
            }
            let queue = Owned(sys::rd_kafka_queue_new(self.raw), sys::rd_kafka_queue_destroy);
            send(options.0, queue.0);
            let answer = self.answer(queue.0, timeout)?;
            match Code::from(sys::rd_kafka_event_error(answer.0)) {
                Code::NoError => {
                    self.admit();
                    Ok(answer)
                }
                code => Err(Failure { text: text_of(sys::rd_kafka_event_error_string(answer.0)), ..Failure::of(code) }),
            }
        }
    }

    /// Waits for an answer, and meanwhile hears of what goes wrong: where no broker lets this client in, that comes here and
    /// the request just times out.
    ///
    /// # Safety
    /// The queue is alive.
    unsafe fn answer(&self, queue: *mut sys::rd_kafka_queue_t, timeout: Duration) -> Result<Answer, Failure> {
        // The request has a timeout of its own; the second more lets its answer arrive.
        let turns = (millis(timeout).saturating_add(1000)) / TURN;
        let mut refused = 0;
        for _ in 0..turns {
            // SAFETY: the queue is alive; the answer is ours.
            let answer = unsafe { sys::rd_kafka_queue_poll(queue, TURN) };
            if !answer.is_null() {
                return Ok(Answer(answer));
            }
            let refusal = self.obstacle().filter(|obstacle| !self.is_admitted() && is_refusal(obstacle.code));
            refused += i32::from(refusal.is_some());
            if let Some(refusal) = refusal.filter(|_| refused * TURN >= SECOND_BROKER) {
                return Err(refusal);
            }
        }
        Err(Failure::of(Code::OperationTimedOut))
    }

    /// Learns anew who leads the partitions of all topics that were ever asked about.
    pub(crate) fn refresh_metadata(&self, timeout: Duration) -> Result<(), Failure> {
        let mut metadata = std::ptr::null();
        // SAFETY: the handle is alive; no topic in particular is named; what is given is ours to free.
        unsafe {
            checked(sys::rd_kafka_metadata(self.raw, 0, std::ptr::null_mut(), &raw mut metadata, millis(timeout)))?;
            sys::rd_kafka_metadata_destroy(metadata);
        }
        Ok(())
    }

    /// The topics of `names` that exist, with the numbers of their partitions.
    pub(crate) fn describe_topics(&self, names: &[&str], timeout: Duration) -> Result<BTreeMap<String, u32>, Failure> {
        let names = names.iter().map(|name| c_string(name)).collect::<Result<Vec<_>, _>>()?;
        let mut pointers_to: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: names and collection live through the call; what the answer points to lives as long as it does.
        unsafe {
            let collection = Owned(
                sys::rd_kafka_TopicCollection_of_topic_names(pointers_to.as_mut_ptr(), pointers_to.len()),
                sys::rd_kafka_TopicCollection_destroy,
            );
            let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
            let answer = self.ask(kind, None, timeout, |options, queue| {
                sys::rd_kafka_DescribeTopics(self.raw, collection.0, options, queue);
            })?;
            let (mut count, result) = (0, sys::rd_kafka_event_DescribeTopics_result(answer.0));
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            let mut found = BTreeMap::new();
            for topic in pointers(topics, count) {
                let name = text_of(sys::rd_kafka_TopicDescription_name(*topic));
                let error = sys::rd_kafka_TopicDescription_error(*topic);
                match if error.is_null() { Code::NoError } else { sys::rd_kafka_error_code(error).into() } {
                    Code::NoError => {
                        let mut partitions = 0;
                        sys::rd_kafka_TopicDescription_partitions(*topic, &raw mut partitions);
                        found.insert(name, u32::try_from(partitions).unwrap_or(u32::MAX));
                    }
                    Code::UnknownTopicOrPartition | Code::UnknownTopic => {}
                    code => return Err(Failure { text: format!("topic {name}: {code}"), ..Failure::of(code) }),
                }
            }
            Ok(found)
        }
    }

    /// The settings of topics, by topic.
    pub(crate) fn describe_settings(
        &self,
        topics: &[&str],
        timeout: Duration,
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, Failure> {
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
        // SAFETY: names and resources live through the call; what the answer points to lives as long as it does.
        unsafe {
            let mut resources = Vec::with_capacity(topics.len());
            for topic in topics {
                let name = c_string(topic)?;
                let raw = sys::rd_kafka_ConfigResource_new(
                    sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
                    name.as_ptr(),
                );
                resources.push(Owned(raw, sys::rd_kafka_ConfigResource_destroy));
            }
            let mut raw: Vec<_> = resources.iter().map(|resource| resource.0).collect();
            let answer = self.ask(kind, None, timeout, |options, queue| {
                sys::rd_kafka_DescribeConfigs(self.raw, raw.as_mut_ptr(), raw.len(), options, queue);
            })?;
            let (mut count, result) = (0, sys::rd_kafka_event_DescribeConfigs_result(answer.0));
            let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
            let mut found = BTreeMap::new();
            for resource in pointers(resources, count) {
                let name = text_of(sys::rd_kafka_ConfigResource_name(*resource));
                let code = Code::from(sys::rd_kafka_ConfigResource_error(*resource));
                if code != Code::NoError {
                    let text = format!("the settings of topic {name}: {code}");
                    return Err(Failure { text, ..Failure::of(code) });
                }
                let mut entries = 0;
                let start = sys::rd_kafka_ConfigResource_configs(*resource, &raw mut entries);
                let settings = pointers(start, entries).iter().map(|entry| {
                    (text_of(sys::rd_kafka_ConfigEntry_name(*entry)), text_of(sys::rd_kafka_ConfigEntry_value(*entry)))
                });
                found.insert(name, settings.collect());
            }
            Ok(found)
        }
    }

    /// Creates topics with the broker's own replication factor. A topic's failure comes with its name.
    pub(crate) fn create_topics(
        &self,
        topics: &[NewTopic],
        timeout: Duration,
    ) -> Result<Vec<(String, Failure)>, Failure> {
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS;
        let mut text = ErrorText::default();
        // SAFETY: names and topics live through the call; what the answer points to lives as long as it does.
        unsafe {
            let mut wanted = Vec::with_capacity(topics.len());
            for topic in topics {
                let name = c_string(&topic.name)?;
                let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
                let raw = sys::rd_kafka_NewTopic_new(name.as_ptr(), partitions, -1, text.as_mut_ptr(), text.len());
                if raw.is_null() {
                    let text = format!("topic {}: {}", topic.name, text.read());
                    return Err(Failure { text, ..Failure::of(Code::InvalidArgument) });
                }
                wanted.push(Owned(raw, sys::rd_kafka_NewTopic_destroy));
                for (setting, value) in &topic.settings {
                    let (setting, value) = (c_string(setting)?, c_string(value)?);
                    checked(sys::rd_kafka_NewTopic_set_config(raw, setting.as_ptr(), value.as_ptr()))?;
                }
            }
            let mut raw: Vec<_> = wanted.iter().map(|topic| topic.0).collect();
            let answer = self.ask(kind, None, timeout, |options, queue| {
                sys::rd_kafka_CreateTopics(self.raw, raw.as_mut_ptr(), raw.len(), options, queue);
            })?;
            let (mut count, result) = (0, sys::rd_kafka_event_CreateTopics_result(answer.0));
            let results = sys::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
            Ok(failures(pointers(results, count)))
        }
    }

    /// All topics that may be seen, with the numbers of their partitions.
    pub(crate) fn list_topics(&self, timeout: Duration) -> Result<BTreeMap<String, u32>, Failure> {
        let mut metadata = std::ptr::null();
        // SAFETY: the handle is alive; what is given is ours, read before it is freed.
        unsafe {
            checked(sys::rd_kafka_metadata(self.raw, 1, std::ptr::null_mut(), &raw mut metadata, millis(timeout)))?;
            let metadata = Owned(metadata.cast_mut(), destroy_metadata);
            let topics = slice((*metadata.0).topics, (*metadata.0).topic_cnt);
            let whole = topics.iter().filter(|topic| Code::from(topic.err) == Code::NoError);
            Ok(whole.map(|topic| (text_of(topic.topic), u32::try_from(topic.partition_cnt).unwrap_or(0))).collect())
        }
    }

    /// Deletes topics. A topic's failure comes with its name.
    pub(crate) fn delete_topics(&self, names: &[&str], timeout: Duration) -> Result<Vec<(String, Failure)>, Failure> {
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETETOPICS;
        // SAFETY: names and topics live through the call; what the answer points to lives as long as it does.
        unsafe {
            let mut unwanted = Vec::with_capacity(names.len());
            for name in names {
                let name = c_string(name)?;
                unwanted.push(Owned(sys::rd_kafka_DeleteTopic_new(name.as_ptr()), sys::rd_kafka_DeleteTopic_destroy));
            }
            let mut raw: Vec<_> = unwanted.iter().map(|topic| topic.0).collect();
            let answer = self.ask(kind, None, timeout, |options, queue| {
                sys::rd_kafka_DeleteTopics(self.raw, raw.as_mut_ptr(), raw.len(), options, queue);
            })?;
            let (mut count, result) = (0, sys::rd_kafka_event_DeleteTopics_result(answer.0));
            let results = sys::rd_kafka_DeleteTopics_result_topics(result, &raw mut count);
            Ok(failures(pointers(results, count)))
        }
    }

    /// Offsets of partitions at a place; −1 where a time has none.
    pub(crate) fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        place: Place,
        timeout: Duration,
    ) -> Result<Vec<Element>, Failure> {
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
        let (which, isolation) = match place {
            Place::Start => (sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as Offset, None),
            Place::End(isolation) => {
                (sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as Offset, Some(isolation))
            }
            // What is negative stands for a place of another kind.
            Place::Time(time) => (time.millis().max(0), None),
        };
        let list = PartitionList::of(partitions.iter().map(|partition| (partition, which)));
        // SAFETY: the list lives through the call; what the answer points to lives as long as it does.
        unsafe {
            let answer = self.ask(kind, isolation, timeout, |options, queue| {
                sys::rd_kafka_ListOffsets(self.raw, list.as_ptr(), options, queue);
            })?;
            let (mut count, result) = (0, sys::rd_kafka_event_ListOffsets_result(answer.0));
            let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            let element =
                |info: &*const _| PartitionList::element(&*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info));
            Ok(pointers(infos, count).iter().map(element).collect())
        }
    }

    /// Deletes the records before each offset.
    pub(crate) fn delete_records(
        &self,
        before: &[(TopicPartition, Offset)],
        timeout: Duration,
    ) -> Result<Vec<Element>, Failure> {
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETERECORDS;
        let list = PartitionList::of(before.iter().map(|(partition, offset)| (partition, *offset)));
        // SAFETY: the request copies the list and lives through the call; the answer's list lives as long as it does.
        unsafe {
            let request = Owned(sys::rd_kafka_DeleteRecords_new(list.as_ptr()), sys::rd_kafka_DeleteRecords_destroy);
            let mut raw = [request.0];
            let answer = self.ask(kind, None, timeout, |options, queue| {
                sys::rd_kafka_DeleteRecords(self.raw, raw.as_mut_ptr(), 1, options, queue);
            })?;
            let result = sys::rd_kafka_event_DeleteRecords_result(answer.0);
            Ok(PartitionList::read(sys::rd_kafka_DeleteRecords_result_offsets(result)))
        }
    }

    /// The members of a group; none where there is no such group.
    ///
    /// By the older of librdkafka's two ways. The newer one (`rd_kafka_DescribeConsumerGroups`) lets go of a request that
    /// timed out while the coordinator was away, and uses it again when the coordinator is back: the process ends there.
    pub(crate) fn group_members(&self, group: &str, timeout: Duration) -> Result<Vec<GroupMember>, Failure> {
        let name = c_string(group)?;
        let mut list = std::ptr::null();
        // SAFETY: handle and name are alive; a list that is given is ours and freed after the last use.
        unsafe {
            let code = sys::rd_kafka_list_groups(self.raw, name.as_ptr(), &raw mut list, millis(timeout));
            if list.is_null() {
                return checked(code).map(|()| Vec::new());
            }
            let list = Owned(list.cast_mut(), destroy_group_list);
            let groups = slice((*list.0).groups, (*list.0).group_cnt);
            let found = groups.iter().find(|found| CStr::from_ptr(found.group) == name.as_c_str());
            match found {
                Some(found) => checked(found.err).map(|()| members(found)),
                // Some brokers have not answered; the group's may be among them.
                None if Code::from(code) != Code::NoError => {
                    Err(Failure { retriable: true, ..Failure::of(code.into()) })
                }
                None => Ok(Vec::new()),
            }
        }
    }
}

unsafe extern "C" fn destroy_metadata(metadata: *mut sys::rd_kafka_metadata) {
    // SAFETY: by the contract of the caller, which owns it.
    unsafe { sys::rd_kafka_metadata_destroy(metadata) };
}

/// The topics of an answer that failed.
///
/// # Safety
/// The results are alive.
unsafe fn failures(results: &[*const sys::rd_kafka_topic_result_t]) -> Vec<(String, Failure)> {
    let failed = results.iter().filter_map(|topic| {
        // SAFETY: by the contract above; the texts live as long as the results.
        unsafe {
            let code = Code::from(sys::rd_kafka_topic_result_error(*topic));
            let text = text_of(sys::rd_kafka_topic_result_error_string(*topic));
            let name = text_of(sys::rd_kafka_topic_result_name(*topic));
            (code != Code::NoError).then_some((name, Failure { text, ..Failure::of(code) }))
        }
    });
    failed.collect()
}

unsafe extern "C" fn destroy_group_list(list: *mut sys::rd_kafka_group_list) {
    // SAFETY: by the contract of the caller, which owns it.
    unsafe { sys::rd_kafka_group_list_destroy(list) };
}

/// # Safety
/// `group` is alive.
unsafe fn members(group: &sys::rd_kafka_group_info) -> Vec<GroupMember> {
    // SAFETY: by the contract above; the texts live as long as the group.
    unsafe {
        let member = |member: &sys::rd_kafka_group_member_info| GroupMember {
            member_id: text_of(member.member_id),
            client_id: text_of(member.client_id),
            // The broker writes an address without a name as "/10.0.0.1".
            host: text_of(member.client_host).trim_start_matches('/').to_owned(),
            partitions: assignment::partitions(slice(
                member.member_assignment.cast::<u8>(),
                member.member_assignment_size,
            )),
        };
        slice(group.members, group.member_cnt).iter().map(member).collect()
    }
}

/// # Safety
/// `start` is null or points to `count` things that outlive the result.
unsafe fn slice<'a, T>(start: *const T, count: c_int) -> &'a [T] {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: by the contract above.
    if start.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(start, count) } }
}
