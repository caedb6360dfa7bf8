//! Requests whose answers come as events, tagged with a number of ours.

use super::{Client, Code, Failure, List, Queue, Sentence, c_string};
use rdkafka::bindings::*;
use std::{
    ffi::{CString, c_char, c_int},
    ptr,
    time::Duration,
};

/// A topic to create.
#[derive(Debug)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    /// `None`: the broker's default.
    pub(crate) replication: Option<u16>,
    pub(crate) config: Vec<(&'static str, String)>,
}

/// What has a configuration.
#[derive(Clone, Debug)]
pub(crate) enum Resource {
    Topic(String),
    Broker(i32),
}

struct Options(*mut rd_kafka_AdminOptions_t);

/// For questions to a group's coordinator, which librdkafka 2.12 must never give up while it waits for that
/// coordinator: it forgets the request but not the wait, and follows a freed pointer when the coordinator is back. So
/// they get the longest time that there is, and who asks must have dropped the client before it is over.
const COORDINATOR: Duration = Duration::from_secs(3_600);

impl Options {
    fn new(client: &Client, what: rd_kafka_admin_op_t, tag: usize, timeout: Duration) -> Self {
        let timeout = timeout.as_millis().min(i32::MAX as u128) as c_int;
        let mut why = Sentence::new();
        // SAFETY: a live client; the options are ours; the tag is a number and never followed as a pointer.
        unsafe {
            let options = rd_kafka_AdminOptions_new(client.ptr(), what);
            rd_kafka_AdminOptions_set_request_timeout(options, timeout, why.ptr(), why.len());
            rd_kafka_AdminOptions_set_opaque(options, tag as *mut std::ffi::c_void);
            Self(options)
        }
    }
    fn operation_timeout(self, timeout: Duration) -> Self {
        let timeout = timeout.as_millis().min(i32::MAX as u128) as c_int;
        let mut why = Sentence::new();
        // SAFETY: live options, ours.
        unsafe { rd_kafka_AdminOptions_set_operation_timeout(self.0, timeout, why.ptr(), why.len()) };
        self
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once; requests copy them.
        unsafe { rd_kafka_AdminOptions_destroy(self.0) };
    }
}

use rd_kafka_admin_op_t as Op;

impl Client {
    /// Commits offsets as a member of the group; the answer is a [`super::Kind::Commit`] event on `queue`.
    pub(crate) fn commit(&self, offsets: &List, queue: &Queue, tag: usize) -> Result<(), Failure> {
        unsafe extern "C" {
            // As in the generated bindings, with the code as an integer.
            fn rd_kafka_commit_queue(
                rk: *mut rd_kafka_t,
                offsets: *const rd_kafka_topic_partition_list_t,
                queue: *mut rd_kafka_queue_t,
                callback: *const std::ffi::c_void,
                opaque: *mut std::ffi::c_void,
            ) -> c_int;
        }
        // SAFETY: all live; the list is copied; no callback; the tag is only a number.
        let code = Code(unsafe {
            rd_kafka_commit_queue(
                self.ptr(),
                offsets.ptr(),
                queue.ptr(),
                ptr::null(),
                tag as *mut std::ffi::c_void,
            )
        });
        if code.is_ok() {
            Ok(())
        } else {
            Err(Failure::new(code))
        }
    }

    /// Where the list's offsets, taken as specifications (-1 end, -2 beginning, else a time), lie.
    pub(crate) fn list_offsets(&self, at: &List, queue: &Queue, tag: usize, timeout: Duration) {
        let options = Options::new(self, Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS, tag, timeout);
        // The end is where a reader of committed records stops.
        let level = rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED;
        // SAFETY: all live; list and options are copied.
        unsafe {
            let _ = Failure::take(rd_kafka_AdminOptions_set_isolation_level(options.0, level));
            rd_kafka_ListOffsets(self.ptr(), at.ptr(), options.0, queue.ptr());
        }
    }

    /// A group's stored offsets: of the listed partitions, or all that it has. Like every question to a group's
    /// coordinator it takes an hour where there is none: the caller has a deadline of its own, and drops the client
    /// within that hour.
    pub(crate) fn group_offsets(
        &self,
        group: &str,
        of: Option<&List>,
        stable: bool,
        queue: &Queue,
        tag: usize,
    ) {
        let options = Options::new(
            self,
            Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
            tag,
            COORDINATOR,
        );
        let group = c_string(group);
        // SAFETY: all live; the request copies group, list and options before it returns.
        unsafe {
            let _ = Failure::take(rd_kafka_AdminOptions_set_require_stable_offsets(
                options.0,
                c_int::from(stable),
            ));
            let list = of.map_or(ptr::null_mut(), List::ptr);
            let mut request = rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), list);
            rd_kafka_ListConsumerGroupOffsets(self.ptr(), &mut request, 1, options.0, queue.ptr());
            rd_kafka_ListConsumerGroupOffsets_destroy(request);
        }
    }

    /// Sets a group's offsets from outside the group.
    pub(crate) fn alter_group_offsets(&self, group: &str, to: &List, queue: &Queue, tag: usize) {
        let options = Options::new(
            self,
            Op::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS,
            tag,
            COORDINATOR,
        );
        let group = c_string(group);
        // SAFETY: as in `group_offsets`.
        unsafe {
            let mut request = rd_kafka_AlterConsumerGroupOffsets_new(group.as_ptr(), to.ptr());
            rd_kafka_AlterConsumerGroupOffsets(self.ptr(), &mut request, 1, options.0, queue.ptr());
            rd_kafka_AlterConsumerGroupOffsets_destroy(request);
        }
    }

    pub(crate) fn describe_topics<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
        queue: &Queue,
        tag: usize,
        timeout: Duration,
    ) {
        let options = Options::new(self, Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, tag, timeout);
        let names: Vec<CString> = names.into_iter().map(c_string).collect();
        let mut pointers = pointers(&names);
        // SAFETY: all live; the collection copies the names and the request copies the collection.
        unsafe {
            let topics = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            rd_kafka_DescribeTopics(self.ptr(), topics, options.0, queue.ptr());
            rd_kafka_TopicCollection_destroy(topics);
        }
    }

    pub(crate) fn create_topics(
        &self,
        topics: &[NewTopic],
        queue: &Queue,
        tag: usize,
        timeout: Duration,
    ) -> Result<(), String> {
        let options =
            Options::new(self, Op::RD_KAFKA_ADMIN_OP_CREATETOPICS, tag, timeout).operation_timeout(timeout);
        let mut native = Vec::new();
        let mut refused = None;
        // SAFETY: names and values are copied; every topic made here is destroyed below, after the request copied it.
        unsafe {
            for topic in topics {
                let (name, mut why) = (c_string(&topic.name), Sentence::new());
                let copies = topic.replication.map_or(-1, c_int::from);
                let made = rd_kafka_NewTopic_new(
                    name.as_ptr(),
                    topic.partitions.min(i32::MAX as u32) as c_int,
                    copies,
                    why.ptr(),
                    why.len(),
                );
                if made.is_null() {
                    refused = Some(why.text());
                    break;
                }
                for (key, value) in &topic.config {
                    let (key, value) = (c_string(key), c_string(value));
                    rd_kafka_NewTopic_set_config(made, key.as_ptr(), value.as_ptr());
                }
                native.push(made);
            }
            if refused.is_none() {
                rd_kafka_CreateTopics(
                    self.ptr(),
                    native.as_mut_ptr(),
                    native.len(),
                    options.0,
                    queue.ptr(),
                );
            }
            rd_kafka_NewTopic_destroy_array(native.as_mut_ptr(), native.len());
        }
        refused.map_or(Ok(()), Err)
    }

    pub(crate) fn delete_topic(&self, name: &str, queue: &Queue, tag: usize, timeout: Duration) {
        let options =
            Options::new(self, Op::RD_KAFKA_ADMIN_OP_DELETETOPICS, tag, timeout).operation_timeout(timeout);
        let name = c_string(name);
        // SAFETY: all live; the request copies what it needs.
        unsafe {
            let mut topic = rd_kafka_DeleteTopic_new(name.as_ptr());
            rd_kafka_DeleteTopics(self.ptr(), &mut topic, 1, options.0, queue.ptr());
            rd_kafka_DeleteTopic_destroy(topic);
        }
    }

    pub(crate) fn create_partitions(
        &self,
        topic: &str,
        total: u32,
        queue: &Queue,
        tag: usize,
        timeout: Duration,
    ) -> Result<(), String> {
        let options = Options::new(self, Op::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, tag, timeout)
            .operation_timeout(timeout);
        let (topic, mut why) = (c_string(topic), Sentence::new());
        // SAFETY: all live; the request copies what it needs.
        unsafe {
            let mut more = rd_kafka_NewPartitions_new(topic.as_ptr(), total as usize, why.ptr(), why.len());
            if more.is_null() {
                return Err(why.text());
            }
            rd_kafka_CreatePartitions(self.ptr(), &mut more, 1, options.0, queue.ptr());
            rd_kafka_NewPartitions_destroy(more);
        }
        Ok(())
    }

    pub(crate) fn describe_configs(&self, of: &[Resource], queue: &Queue, tag: usize, timeout: Duration) {
        let options = Options::new(self, Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, tag, timeout);
        // SAFETY: names are copied; what is made here is destroyed after the request copied it.
        unsafe {
            let mut native: Vec<_> = of
                .iter()
                .map(|resource| {
                    let (kind, name) = match resource {
                        Resource::Topic(name) => {
                            (rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.clone())
                        }
                        Resource::Broker(id) => {
                            (rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER, id.to_string())
                        }
                    };
                    rd_kafka_ConfigResource_new(kind, c_string(&name).as_ptr())
                })
                .collect();
            rd_kafka_DescribeConfigs(
                self.ptr(),
                native.as_mut_ptr(),
                native.len(),
                options.0,
                queue.ptr(),
            );
            rd_kafka_ConfigResource_destroy_array(native.as_mut_ptr(), native.len());
        }
    }

    pub(crate) fn list_groups(&self, queue: &Queue, tag: usize, timeout: Duration) {
        let options = Options::new(self, Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, tag, timeout);
        // SAFETY: all live.
        unsafe { rd_kafka_ListConsumerGroups(self.ptr(), options.0, queue.ptr()) };
    }

    pub(crate) fn describe_group(&self, group: &str, queue: &Queue, tag: usize) {
        let options = Options::new(
            self,
            Op::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
            tag,
            COORDINATOR,
        );
        let names = [c_string(group)];
        let mut pointers = pointers(&names);
        // SAFETY: all live; the request copies the names.
        unsafe {
            rd_kafka_DescribeConsumerGroups(
                self.ptr(),
                pointers.as_mut_ptr(),
                pointers.len(),
                options.0,
                queue.ptr(),
            );
        }
    }

    pub(crate) fn delete_group(&self, group: &str, queue: &Queue, tag: usize) {
        let options = Options::new(self, Op::RD_KAFKA_ADMIN_OP_DELETEGROUPS, tag, COORDINATOR);
        let group = c_string(group);
        // SAFETY: all live; the request copies what it needs.
        unsafe {
            let mut request = rd_kafka_DeleteGroup_new(group.as_ptr());
            rd_kafka_DeleteGroups(self.ptr(), &mut request, 1, options.0, queue.ptr());
            rd_kafka_DeleteGroup_destroy(request);
        }
    }
}

fn pointers(names: &[CString]) -> Vec<*const c_char> {
    names.iter().map(|n| n.as_ptr()).collect()
}
