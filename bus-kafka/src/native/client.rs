//! A client: producer or consumer.

use super::{
    Code, Conf, Failure, Line, List, Queue, Sentence, c_string,
    guard::{self, Guard},
    intercept,
    pulse::Pulse,
    tally::Tally,
    text,
};
use rdkafka::bindings::*;
use std::{
    ffi::c_int,
    ptr::{self, NonNull},
    sync::Arc,
    time::{Duration, Instant},
};

unsafe extern "C" {
    // As in the generated bindings, with the codes as integers.
    fn rd_kafka_subscribe(rk: *mut rd_kafka_t, topics: *const rd_kafka_topic_partition_list_t) -> c_int;
    fn rd_kafka_metadata(
        rk: *mut rd_kafka_t,
        all: c_int,
        only: *mut rd_kafka_topic_t,
        out: *mut *const rd_kafka_metadata,
        timeout: c_int,
    ) -> c_int;
}

/// A librdkafka client. Dropping it does not leave a group politely; that takes [`Client::close`] first.
pub(crate) struct Client {
    rk: NonNull<rd_kafka_t>,
    /// Goes after `drop`, which ends the client and its threads.
    watch: Watch,
}

/// What looks at a client from threads of librdkafka's.
struct Watch {
    /// Of a transactional producer.
    tally: Option<Arc<Tally>>,
    /// Of a consumer.
    pulse: Option<Arc<Pulse>>,
    /// Of a publisher's producer.
    guard: Option<Arc<Guard>>,
}

// SAFETY: librdkafka documents its clients as completely thread-safe.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

/// Watched by nothing.
const NONE: Watch = Watch {
    tally: None,
    pulse: None,
    guard: None,
};

const COMMON: i32 = RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH;

impl Client {
    /// A producer: delivery reports come from [`Client::main`].
    pub(crate) fn producer(mut conf: Conf) -> Result<Arc<Self>, String> {
        conf.events(COMMON | RD_KAFKA_EVENT_DR);
        Self::create(rd_kafka_type_t::RD_KAFKA_PRODUCER, conf, NONE)
    }

    /// A producer that fails rather than begin another epoch; its log comes from [`Client::line`].
    pub(crate) fn publisher(mut conf: Conf) -> Result<Arc<Self>, String> {
        conf.events(COMMON | RD_KAFKA_EVENT_DR);
        let guard = Arc::<Guard>::default();
        guard.watch(&conf);
        let watch = Watch {
            guard: Some(guard),
            ..NONE
        };
        Self::create(rd_kafka_type_t::RD_KAFKA_PRODUCER, conf, watch)
    }

    /// Whether a publisher's producer has failed for good; known before its event comes.
    pub(crate) fn has_failed(&self) -> bool {
        self.watch.guard.as_ref().is_some_and(|guard| guard.has_failed())
    }

    /// The oldest line of a publisher's log that was not taken yet.
    pub(crate) fn line(&self) -> Option<Line> {
        self.watch.guard.as_ref().and_then(|guard| guard.line())
    }

    /// Fails a producer for good: it sends nothing any more.
    pub(crate) fn fail(&self, why: &str) {
        // SAFETY: a live client, and no thread of ours holds a lock of it.
        unsafe { guard::fail(self.ptr(), &c_string(why)) };
    }

    /// A producer whose requests are counted.
    pub(crate) fn transactional(mut conf: Conf) -> Result<Arc<Self>, String> {
        conf.events(COMMON | RD_KAFKA_EVENT_DR);
        let tally = Arc::<Tally>::default();
        intercept::watch(&tally, &conf);
        let watch = Watch {
            tally: Some(tally),
            ..NONE
        };
        Self::create(rd_kafka_type_t::RD_KAFKA_PRODUCER, conf, watch)
    }

    /// Requests of a transactional producer that have no answer, yet or ever.
    pub(crate) fn unanswered(&self) -> u64 {
        self.watch.tally.as_ref().map_or(0, |tally| tally.unanswered())
    }

    /// A consumer: rebalances come from [`Client::consumer_queue`].
    pub(crate) fn consumer(mut conf: Conf) -> Result<Arc<Self>, String> {
        conf.events(COMMON | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT);
        let pulse = Arc::new(Pulse::new());
        intercept::watch(&pulse, &conf);
        let watch = Watch {
            pulse: Some(pulse),
            ..NONE
        };
        let client = Self::create(rd_kafka_type_t::RD_KAFKA_CONSUMER, conf, watch)?;
        // SAFETY: a live consumer; from here its main queue is read through the consumer's queue.
        unsafe { rd_kafka_poll_set_consumer(client.rk.as_ptr()) };
        Ok(client)
    }

    /// When the latest request of a member to its group's coordinator was sent that has an answer.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.watch.pulse.as_ref().map(|pulse| pulse.heard())
    }

    fn create(kind: rd_kafka_type_t, mut conf: Conf, watch: Watch) -> Result<Arc<Self>, String> {
        let queued = watch.guard.is_none();
        conf.set("log.queue", if queued { "true" } else { "false" })
            .map_err(|e| format!("option `log.queue`: {e:?}"))?;
        let mut why = Sentence::new();
        // SAFETY: the configuration is ours and valid; on success the client owns it, on failure it stays ours.
        let rk = unsafe { rd_kafka_new(kind, conf.ptr(), why.ptr(), why.len()) };
        let Some(rk) = NonNull::new(rk) else {
            return Err(why.text());
        };
        conf.forget();
        let client = Arc::new(Self { rk, watch });
        if queued {
            let main = client.main();
            // SAFETY: both belong to the same live client.
            unsafe { rd_kafka_set_log_queue(rk.as_ptr(), main.ptr()) };
        }
        Ok(client)
    }

    pub(super) fn ptr(&self) -> *mut rd_kafka_t {
        self.rk.as_ptr()
    }

    /// Delivery reports, errors, log lines.
    pub(crate) fn main(self: &Arc<Self>) -> Queue {
        // SAFETY: a live client; the queue reference is ours.
        Queue::own(self, unsafe { rd_kafka_queue_get_main(self.ptr()) })
    }
    /// Rebalances and everything of the main queue.
    pub(crate) fn consumer_queue(self: &Arc<Self>) -> Option<Queue> {
        // SAFETY: a live client; null for one without a group.
        let queue = unsafe { rd_kafka_queue_get_consumer(self.ptr()) };
        (!queue.is_null()).then(|| Queue::own(self, queue))
    }
    /// A queue of our own, for answers.
    pub(crate) fn new_queue(self: &Arc<Self>) -> Queue {
        // SAFETY: a live client.
        Queue::own(self, unsafe { rd_kafka_queue_new(self.ptr()) })
    }
    /// The partition's own queue, cut off from the consumer's, so that its records are read separately. Before the
    /// partition is assigned, or records may already have gone the other way.
    pub(crate) fn split(self: &Arc<Self>, topic: &str, partition: u32) -> Option<Queue> {
        let topic = super::c_string(topic);
        // SAFETY: a live consumer and a NUL-terminated name; forwarding to null only unhooks the queue.
        unsafe {
            let queue = rd_kafka_queue_get_partition(self.ptr(), topic.as_ptr(), partition as i32);
            if queue.is_null() {
                return None;
            }
            rd_kafka_queue_forward(queue, ptr::null_mut());
            Some(Queue::own(self, queue))
        }
    }

    pub(crate) fn subscribe(&self, topics: &List) -> Result<(), Failure> {
        // SAFETY: both live; the list is copied.
        let code = Code(unsafe { rd_kafka_subscribe(self.ptr(), topics.ptr()) });
        if code.is_ok() {
            Ok(())
        } else {
            Err(Failure::new(code))
        }
    }
    /// Adds partitions with explicit offsets; also the answer to a rebalance that assigns.
    pub(crate) fn assign(&self, partitions: &List) -> Result<(), Failure> {
        // SAFETY: both live; the list is copied; the error is ours.
        unsafe { Failure::take(rd_kafka_incremental_assign(self.ptr(), partitions.ptr())) }
    }
    /// Takes partitions away; also the answer to a rebalance that revokes.
    pub(crate) fn unassign(&self, partitions: &List) -> Result<(), Failure> {
        // SAFETY: as in `assign`.
        unsafe { Failure::take(rd_kafka_incremental_unassign(self.ptr(), partitions.ptr())) }
    }
    /// How far the records of these partitions have been read, what holds no record included.
    pub(crate) fn positions(&self, of: &mut List) -> Vec<super::Part> {
        // SAFETY: both live.
        unsafe { rd_kafka_position(self.ptr(), of.ptr()) };
        of.read()
    }
    /// Moves assigned partitions to explicit offsets; what was fetched before is outdated when this returns.
    pub(crate) fn seek(&self, to: &mut List, timeout: Duration) -> Result<(), Failure> {
        let timeout = timeout.as_millis().min(i32::MAX as u128) as c_int;
        // SAFETY: both live; the error is ours.
        unsafe { Failure::take(rd_kafka_seek_partitions(self.ptr(), to.ptr(), timeout))? };
        match to.read().iter().find(|p| !p.code.is_ok()) {
            Some(part) => Err(Failure::new(part.code)),
            None => Ok(()),
        }
    }
    /// Whether the assignment was lost rather than revoked.
    pub(crate) fn lost(&self) -> bool {
        // SAFETY: a live consumer.
        unsafe { rd_kafka_assignment_lost(self.ptr()) != 0 }
    }
    /// Begins to leave the group; `queue` must be polled until [`Client::closed`].
    pub(crate) fn close(&self, queue: &Queue) -> Result<(), Failure> {
        // SAFETY: both live and of the same client; the error is ours.
        unsafe { Failure::take(rd_kafka_consumer_close_queue(self.ptr(), queue.ptr())) }
    }
    pub(crate) fn closed(&self) -> bool {
        // SAFETY: a live consumer.
        unsafe { rd_kafka_consumer_closed(self.ptr()) != 0 }
    }
    /// Fails what waits in the producer's queues; what is on its way goes on, unless `in_flight`.
    pub(crate) fn purge(&self, in_flight: bool) {
        let mut flags = RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING;
        if in_flight {
            flags |= RD_KAFKA_PURGE_F_INFLIGHT;
        }
        // SAFETY: a live producer.
        unsafe { rd_kafka_purge(self.ptr(), flags) };
    }
    /// Sends what lingers and waits; another thread polls the reports.
    pub(crate) fn flush(&self, timeout: Duration) {
        // SAFETY: a live producer.
        unsafe { rd_kafka_flush(self.ptr(), timeout.as_millis().min(i32::MAX as u128) as c_int) };
    }

    /// All topics with their partitions and copies. Blocks.
    pub(crate) fn metadata(&self, timeout: Duration) -> Result<Vec<TopicSummary>, Failure> {
        self.fetch_metadata(true, ptr::null_mut(), timeout)
    }
    /// Whether some broker answers. Blocks.
    pub(crate) fn reach(&self, timeout: Duration) -> Result<(), Failure> {
        self.fetch_metadata(false, ptr::null_mut(), timeout).map(drop)
    }
    /// The cluster as it describes itself. Blocks. Not the admin request for it: while no broker is there that one
    /// connects thousands of times a second, and when a broker that has just come up knows no other, it ends the process.
    pub(crate) fn cluster(&self, timeout: Duration) -> Result<Cluster, Failure> {
        let mut found: *const rd_kafka_metadata = ptr::null();
        let timeout = timeout.as_millis().min(i32::MAX as u128) as c_int;
        // SAFETY: a live client; on success `found` is ours to destroy, with the lengths that it says, and so is the id;
        // the code is read as an integer.
        unsafe {
            let code = rd_kafka_metadata(self.ptr(), 0, ptr::null_mut(), &mut found, timeout);
            let code = Code(code);
            if !code.is_ok() {
                return Err(Failure::new(code));
            }
            let brokers = 0..(*found).broker_cnt.max(0) as usize;
            let nodes = brokers.map(|at| {
                let broker = (*found).brokers.add(at);
                (
                    (*broker).id,
                    format!("{}:{}", text((*broker).host), (*broker).port),
                )
            });
            let nodes = nodes.collect();
            rd_kafka_metadata_destroy(found);
            let id = rd_kafka_clusterid(self.ptr(), timeout);
            let cluster = Cluster {
                id: if id.is_null() { String::new() } else { text(id) },
                controller: rd_kafka_controllerid(self.ptr(), timeout),
                nodes,
            };
            if !id.is_null() {
                rd_kafka_mem_free(self.ptr(), id.cast());
            }
            Ok(cluster)
        }
    }
    pub(super) fn metadata_of(
        &self,
        topic: *mut rd_kafka_topic_t,
        timeout: Duration,
    ) -> Result<Vec<TopicSummary>, Failure> {
        self.fetch_metadata(false, topic, timeout)
    }

    fn fetch_metadata(
        &self,
        all: bool,
        only: *mut rd_kafka_topic_t,
        timeout: Duration,
    ) -> Result<Vec<TopicSummary>, Failure> {
        let mut found: *const rd_kafka_metadata = ptr::null();
        let timeout = timeout.as_millis().min(i32::MAX as u128) as c_int;
        // SAFETY: a live client and, unless null, a live topic of it; on success `found` is ours to destroy, and its
        // arrays have the lengths it says; the code is read as an integer.
        unsafe {
            let code = Code(rd_kafka_metadata(
                self.ptr(),
                c_int::from(all),
                only,
                &mut found,
                timeout,
            ));
            if !code.is_ok() {
                return Err(Failure::new(code));
            }
            let metadata = &*found;
            let mut topics = Vec::with_capacity(metadata.topic_cnt as usize);
            for i in 0..metadata.topic_cnt as usize {
                let topic = metadata.topics.add(i);
                let partitions = (*topic).partition_cnt.max(0) as u32;
                let replication = if partitions > 0 {
                    (*(*topic).partitions).replica_cnt.max(0) as u16
                } else {
                    0
                };
                topics.push(TopicSummary {
                    name: text((*topic).topic),
                    partitions,
                    replication,
                    code: Code(ptr::addr_of!((*topic).err).cast::<i32>().read()),
                });
            }
            rd_kafka_metadata_destroy(found);
            Ok(topics)
        }
    }
}

/// The cluster as it describes itself.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) controller: i32,
    /// Broker ids and addresses.
    pub(crate) nodes: Vec<(i32, String)>,
}

/// One line of the list of topics.
#[derive(Debug)]
pub(crate) struct TopicSummary {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    pub(crate) replication: u16,
    pub(crate) code: Code,
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: the last reference: queues and topic handles hold one each, so they are gone. Leaving the group is
        // `close`'s work; here it would block without bound.
        unsafe { rd_kafka_destroy_flags(self.ptr(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
    }
}
