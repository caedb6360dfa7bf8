//! Answers to requests, copied out of their events.

use super::{Code, Event, Failure, Part, list, text};
use rdkafka::bindings::*;
use std::{ffi::c_int, ptr, slice};

unsafe extern "C" {
    // As in the generated bindings, with the codes as integers.
    fn rd_kafka_topic_result_error(result: *const rd_kafka_topic_result_t) -> c_int;
    fn rd_kafka_ConfigResource_error(resource: *const rd_kafka_ConfigResource_t) -> c_int;
}

/// Where a specification lies.
#[derive(Clone, Debug)]
pub(crate) struct Offset {
    pub(crate) topic: String,
    pub(crate) partition: u32,
    /// -1: there is none (no record at or after that time).
    pub(crate) offset: i64,
    pub(crate) code: Code,
}

impl Offset {
    /// librdkafka says of a partition whose leader's request failed that there was no error, and leaves out where it is.
    fn of(part: Part) -> Self {
        let unanswered = part.code.is_ok() && part.offset == i64::from(RD_KAFKA_OFFSET_INVALID);
        Self {
            topic: part.topic,
            partition: part.partition,
            offset: part.offset,
            code: if unanswered { Code::TRANSPORT } else { part.code },
        }
    }
}

/// A topic as the cluster describes it.
#[derive(Clone, Debug)]
pub(crate) struct TopicInfo {
    pub(crate) name: String,
    /// Changes when a topic of the same name is made anew.
    pub(crate) id: (i64, i64),
    pub(crate) partitions: u32,
    /// Partitions that have a leader now.
    pub(crate) led: u32,
    pub(crate) failure: Option<Failure>,
}

/// The outcome for one named thing.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) failure: Option<Failure>,
}

/// A resource's configuration.
#[derive(Clone, Debug)]
pub(crate) struct ConfigSet {
    pub(crate) name: String,
    pub(crate) failure: Option<Failure>,
    pub(crate) entries: Vec<(String, String)>,
}

/// A group and its members: id, host, partitions.
#[derive(Clone, Debug)]
pub(crate) struct GroupInfo {
    pub(crate) failure: Option<Failure>,
    pub(crate) dead: bool,
    pub(crate) members: Vec<(String, String, Vec<Part>)>,
}

/// # Safety
/// `at` is null or points to `count` pointers that live as long as `'a`.
unsafe fn all<'a, T>(at: *mut *const T, count: usize) -> &'a [*const T] {
    if at.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(at.cast_const(), count) }
}

// Every function below: the event is live, the native call answers null for an event of another type, and what the
// pointers lead to belongs to the event and is copied before it goes.
impl Event<'_> {
    /// Of `list_offsets`.
    pub(crate) fn offsets(&self) -> Vec<Offset> {
        let mut count = 0;
        // SAFETY: see above.
        unsafe {
            let result = rd_kafka_event_ListOffsets_result(self.ptr());
            if result.is_null() {
                return Vec::new();
            }
            all(rd_kafka_ListOffsets_result_infos(result, &mut count), count)
                .iter()
                .map(|info| Offset::of(list::part(rd_kafka_ListOffsetsResultInfo_topic_partition(*info))))
                .collect()
        }
    }

    /// Of `group_offsets` and `alter_group_offsets`.
    pub(crate) fn group_parts(&self) -> Result<Vec<Part>, Failure> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let mut count = 0;
        // SAFETY: see above.
        unsafe {
            let groups = if self.native_kind() == RD_KAFKA_EVENT_ALTERCONSUMERGROUPOFFSETS_RESULT {
                let result = rd_kafka_event_AlterConsumerGroupOffsets_result(self.ptr());
                all(
                    rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &mut count),
                    count,
                )
            } else {
                let result = rd_kafka_event_ListConsumerGroupOffsets_result(self.ptr());
                if result.is_null() {
                    return Err(Failure::new(Code::STATE));
                }
                all(
                    rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count),
                    count,
                )
            };
            let Some(group) = groups.first() else {
                return Ok(Vec::new());
            };
            match Failure::borrow(rd_kafka_group_result_error(*group)) {
                Some(failure) => Err(failure),
                None => Ok(list::read(rd_kafka_group_result_partitions(*group))),
            }
        }
    }

    /// Of `describe_topics`.
    pub(crate) fn topics(&self) -> Vec<TopicInfo> {
        let mut count = 0;
        // SAFETY: see above.
        unsafe {
            let result = rd_kafka_event_DescribeTopics_result(self.ptr());
            if result.is_null() {
                return Vec::new();
            }
            all(rd_kafka_DescribeTopics_result_topics(result, &mut count), count)
                .iter()
                .map(|topic| {
                    let mut partitions = 0;
                    let found = rd_kafka_TopicDescription_partitions(*topic, &mut partitions);
                    let led = all(found, partitions)
                        .iter()
                        .filter(|p| !rd_kafka_TopicPartitionInfo_leader(**p).is_null())
                        .count();
                    let id = rd_kafka_TopicDescription_topic_id(*topic);
                    let id = if id.is_null() {
                        (0, 0)
                    } else {
                        (
                            rd_kafka_Uuid_most_significant_bits(id),
                            rd_kafka_Uuid_least_significant_bits(id),
                        )
                    };
                    TopicInfo {
                        name: text(rd_kafka_TopicDescription_name(*topic)),
                        id,
                        partitions: partitions as u32,
                        led: led as u32,
                        failure: Failure::borrow(rd_kafka_TopicDescription_error(*topic)),
                    }
                })
                .collect()
        }
    }

    /// Of `create_topics`, `delete_topic`, `create_partitions`.
    pub(crate) fn topic_results(&self) -> Vec<Named> {
        let mut count = 0;
        // SAFETY: see above.
        unsafe {
            let found = match self.native_kind() {
                RD_KAFKA_EVENT_CREATETOPICS_RESULT => rd_kafka_CreateTopics_result_topics(
                    rd_kafka_event_CreateTopics_result(self.ptr()),
                    &mut count,
                ),
                RD_KAFKA_EVENT_DELETETOPICS_RESULT => rd_kafka_DeleteTopics_result_topics(
                    rd_kafka_event_DeleteTopics_result(self.ptr()),
                    &mut count,
                ),
                RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT => rd_kafka_CreatePartitions_result_topics(
                    rd_kafka_event_CreatePartitions_result(self.ptr()),
                    &mut count,
                ),
                _ => ptr::null_mut(),
            };
            all(found, count)
                .iter()
                .map(|result| {
                    let code = Code(rd_kafka_topic_result_error(*result));
                    let why = text(rd_kafka_topic_result_error_string(*result));
                    Named {
                        failure: (!code.is_ok()).then(|| Failure {
                            code,
                            text: if why.is_empty() { code.text() } else { why },
                            fatal: false,
                        }),
                    }
                })
                .collect()
        }
    }

    /// Of `describe_configs`.
    pub(crate) fn configs(&self) -> Vec<ConfigSet> {
        let mut count = 0;
        // SAFETY: see above.
        unsafe {
            let result = rd_kafka_event_DescribeConfigs_result(self.ptr());
            if result.is_null() {
                return Vec::new();
            }
            all(
                rd_kafka_DescribeConfigs_result_resources(result, &mut count),
                count,
            )
            .iter()
            .map(|resource| {
                let mut entries = 0;
                let found = rd_kafka_ConfigResource_configs(*resource, &mut entries);
                let code = Code(rd_kafka_ConfigResource_error(*resource));
                ConfigSet {
                    name: text(rd_kafka_ConfigResource_name(*resource)),
                    failure: (!code.is_ok()).then(|| Failure {
                        code,
                        text: text(rd_kafka_ConfigResource_error_string(*resource)),
                        fatal: false,
                    }),
                    entries: all(found, entries)
                        .iter()
                        .map(|e| {
                            (
                                text(rd_kafka_ConfigEntry_name(*e)),
                                text(rd_kafka_ConfigEntry_value(*e)),
                            )
                        })
                        .collect(),
                }
            })
            .collect()
        }
    }

    /// Of `list_groups`: names, and what some brokers could not say.
    pub(crate) fn groups(&self) -> (Vec<String>, Option<Failure>) {
        let mut count = 0;
        // SAFETY: see above.
        unsafe {
            let result = rd_kafka_event_ListConsumerGroups_result(self.ptr());
            if result.is_null() {
                return (Vec::new(), Some(Failure::new(Code::STATE)));
            }
            let names = all(
                rd_kafka_ListConsumerGroups_result_valid(result, &mut count),
                count,
            )
            .iter()
            .map(|group| text(rd_kafka_ConsumerGroupListing_group_id(*group)))
            .collect();
            let mut errors = 0;
            let found = rd_kafka_ListConsumerGroups_result_errors(result, &mut errors);
            let failure = all(found.cast(), errors)
                .first()
                .and_then(|e: &*const rd_kafka_error_t| Failure::borrow(*e));
            (names, failure)
        }
    }

    /// Of `describe_group`.
    pub(crate) fn group(&self) -> Option<GroupInfo> {
        let mut count = 0;
        // SAFETY: see above.
        unsafe {
            let result = rd_kafka_event_DescribeConsumerGroups_result(self.ptr());
            if result.is_null() {
                return None;
            }
            let group = *all(
                rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count),
                count,
            )
            .first()?;
            let state = rd_kafka_ConsumerGroupDescription_state(group);
            let members = (0..rd_kafka_ConsumerGroupDescription_member_count(group))
                .map(|i| {
                    let member = rd_kafka_ConsumerGroupDescription_member(group, i);
                    let assignment = rd_kafka_MemberDescription_assignment(member);
                    let parts = if assignment.is_null() {
                        Vec::new()
                    } else {
                        list::read(rd_kafka_MemberAssignment_partitions(assignment))
                    };
                    (
                        text(rd_kafka_MemberDescription_consumer_id(member)),
                        text(rd_kafka_MemberDescription_host(member)),
                        parts,
                    )
                })
                .collect();
            Some(GroupInfo {
                failure: Failure::borrow(rd_kafka_ConsumerGroupDescription_error(group)),
                dead: state == rd_kafka_consumer_group_state_t::RD_KAFKA_CONSUMER_GROUP_STATE_DEAD,
                members,
            })
        }
    }

    /// Of `delete_group`.
    pub(crate) fn deleted_group(&self) -> Option<Failure> {
        if let Some(failure) = self.failure() {
            return Some(failure);
        }
        let mut count = 0;
        // SAFETY: see above.
        unsafe {
            let result = rd_kafka_event_DeleteGroups_result(self.ptr());
            if result.is_null() {
                return Some(Failure::new(Code::STATE));
            }
            all(rd_kafka_DeleteGroups_result_groups(result, &mut count), count)
                .first()
                .and_then(|group| Failure::borrow(rd_kafka_group_result_error(*group)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(offset: i64, code: Code) -> Code {
        let part = Part {
            topic: "t".to_owned(),
            partition: 0,
            offset,
            metadata: Vec::new(),
            code,
        };
        Offset::of(part).code
    }

    #[test]
    fn where_nothing_was_answered_is_no_position() {
        assert_eq!(code(-1001, Code::OK), Code::TRANSPORT);
        assert_eq!(code(-1, Code::OK), Code::OK);
        assert_eq!(code(0, Code::OK), Code::OK);
        assert_eq!(
            code(-1001, Code::UNKNOWN_TOPIC_OR_PART),
            Code::UNKNOWN_TOPIC_OR_PART
        );
    }
}
