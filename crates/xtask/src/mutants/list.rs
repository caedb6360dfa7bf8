//! The mutants, and the tests that are there for them.

/// A build that tests are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Package {
    Bus,
    Core,
    Memory,
    Redis,
    Kafka,
    Proxy,
    /// `bus-core` with the model checker's atomics.
    Loom,
}

impl Package {
    pub(super) const ALL: [Package; 7] = {
        use Package::*;
        [Bus, Core, Memory, Redis, Kafka, Proxy, Loom]
    };
    pub(super) fn name(self) -> &'static str {
        match self {
            Package::Bus => "bus",
            Package::Core | Package::Loom => "bus-core",
            Package::Memory => "bus-memory",
            Package::Redis => "bus-redis",
            Package::Kafka => "bus-kafka",
            Package::Proxy => "bus-proxy",
        }
    }
}

/// A test that fails with a mutant and passes without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Killer {
    pub(super) package: Package,
    /// The integration test's name, or `lib`.
    pub(super) target: &'static str,
    pub(super) test: &'static str,
    /// What it is seen on.
    pub(super) on: &'static str,
}

/// A deliberate fault.
#[derive(Debug)]
pub(super) struct Mutant {
    /// What `BUS_MUTANT` says to turn it on.
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) breaks: &'static str,
    pub(super) killers: &'static [Killer],
}

const fn of(package: Package, on: &'static str, target: &'static str, test: &'static str) -> Killer {
    Killer {
        package,
        target,
        test,
        on,
    }
}
const fn flow(target: &'static str, test: &'static str) -> Killer {
    of(Package::Core, "core", target, test)
}
const fn loom(test: &'static str) -> Killer {
    of(Package::Loom, "threads", "lib", test)
}
const fn redis(target: &'static str, test: &'static str) -> Killer {
    of(Package::Redis, "Redis", target, test)
}
const fn kafka(target: &'static str, test: &'static str) -> Killer {
    of(Package::Kafka, "Kafka", target, test)
}

/// A check of the conformance suite on these backends.
macro_rules! check {
    (memory $name:literal) => {
        of(Package::Bus, "memory", "conformance_memory", $name)
    };
    (redis $name:literal) => {
        of(
            Package::Bus,
            "Redis",
            "conformance_redis",
            concat!("redis_7::", $name),
        )
    };
    (kafka $name:literal) => {
        of(Package::Bus, "Kafka", "conformance_kafka", $name)
    };
}
/// The same on each.
macro_rules! everywhere {
    ($name:literal $(, $more:expr)*) => {
        &[check!(memory $name), check!(redis $name), check!(kafka $name) $(, $more)*]
    };
}

const MODEL: Killer = flow("flow_model", "the_flow_does_what_the_model_says");
const LEASES: Killer = redis("lib", "scripts::model::leases_do_what_the_model_says");

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "commit-highest",
        place: "core: what a commit says",
        breaks: "the highest delivered position is stored, and what lies unsettled before it is lost at a restart",
        killers: everywhere!("the_position_never_passes_the_unsettled", MODEL),
    },
    Mutant {
        name: "ledger-reused",
        place: "core: a partition that is gained again",
        breaks: "what a former ownership delivered settles positions of the next one",
        killers: &[
            MODEL,
            flow("parts_model", "lanes::only_the_head_of_a_lane_is_out"),
        ],
    },
    Mutant {
        name: "unreadable-notes-settle",
        place: "core: notes that cannot be read",
        breaks: "garbage, another version's or another position's notes skip messages",
        killers: everywhere!(
            "unreadable_notes_mean_redelivery",
            flow("parts_model", "notes::what_cannot_be_read_settles_nothing")
        ),
    },
    Mutant {
        name: "dead-letter-not-awaited",
        place: "core: a commit with outputs; Kafka: outputs before the position",
        breaks: "a message is settled before its dead letter is stored, and a crash between loses it",
        killers: &[
            MODEL,
            flow("flow_model", "regress::a_flush_waits_for_all_parts_of_its_commit"),
            kafka("outputs", "an_output_that_the_broker_refuses_keeps_the_position"),
        ],
    },
    Mutant {
        name: "two-heads",
        place: "core: lanes",
        breaks: "two messages of a key run at the same time",
        killers: everywhere!(
            "the_next_of_a_key_waits_for_the_ack",
            flow("parts_model", "lanes::only_the_head_of_a_lane_is_out")
        ),
    },
    Mutant {
        name: "nack-timer-lost",
        place: "core: notes",
        breaks: "a message that waits for its retry runs at once after a handover",
        killers: everywhere!("a_delay_survives_a_restart", MODEL),
    },
    Mutant {
        name: "close-without-drain",
        place: "core: the pump",
        breaks: "what handlers settled last is not stored at a close, and comes again",
        killers: everywhere!("a_graceful_close_redelivers_nothing"),
    },
    Mutant {
        name: "ack-unordered",
        place: "core: marks",
        breaks: "an ack and who parks meanwhile miss each other: nobody is woken",
        killers: &[
            loom("flow::slots::loom::an_ack_is_seen_or_wakes"),
            loom("shared::loom::an_ack_lets_the_next_of_its_key_run"),
        ],
    },
    Mutant {
        name: "looked-before-parked",
        place: "core: who waits for marks",
        breaks: "an ack between looking and parking wakes nobody",
        killers: &[
            loom("shared::loom::an_ack_lets_the_next_of_its_key_run"),
            loom("shared::loom::a_drain_ends_with_its_last_ack"),
            loom("shared::loom::room_is_made_for_the_pump_by_acks_alone"),
        ],
    },
    Mutant {
        name: "recall-looks-only",
        place: "core: loans of readers",
        breaks: "a record that is recalled is claimed as well, and runs twice",
        killers: &[loom(
            "flow::lend::loom::a_record_is_claimed_or_recalled_and_never_both",
        )],
    },
    Mutant {
        name: "reset-to-latest",
        place: "memory, Redis, Kafka: where a partition begins that is gained",
        breaks: "a group goes on at the end, and what came in between is skipped",
        killers: everywhere!("a_known_group_resumes"),
    },
    Mutant {
        name: "commit-unfenced",
        place: "memory, Redis, Kafka: who may commit",
        breaks: "a former owner moves the position of the present one",
        killers: &[
            check!(memory "a_released_shard_is_fenced"),
            check!(kafka "a_released_shard_is_fenced"),
            LEASES,
            redis(
                "groups",
                "a_member_that_vanishes_is_replaced_after_its_ttl_and_fenced",
            ),
        ],
    },
    Mutant {
        name: "commit-twice",
        place: "Redis: the commit's sequence",
        breaks: "a commit whose reply was lost, or that arrives late, puts its outputs out again",
        killers: &[
            LEASES,
            redis("groups", "a_commit_whose_reply_is_lost_stores_its_outputs_once"),
        ],
    },
    Mutant {
        name: "publish-twice",
        place: "Redis: the publisher's marker; Kafka: the idempotent producer",
        breaks: "a publish whose reply was lost is stored twice",
        killers: &[
            redis("publishing", "lost_replies_and_late_requests_make_no_duplicate"),
            redis(
                "publishing",
                "lost_replies_and_late_requests_make_no_duplicate_without_the_right_to_kill",
            ),
            of(Package::Proxy, "Kafka", "brokers", "kafka"),
        ],
    },
    Mutant {
        name: "resend-unfenced",
        place: "Redis: the connection that was lost is closed before anything is sent again",
        breaks: "a request that arrives late is carried out after it was sent again",
        killers: &[redis(
            "publishing",
            "lost_replies_and_late_requests_make_no_duplicate",
        )],
    },
    Mutant {
        name: "lease-by-wall-clock",
        place: "Redis: taking a lease over",
        breaks: "a clock that jumps takes a partition from a live owner, or keeps a dead one's",
        killers: &[LEASES],
    },
    Mutant {
        name: "trim-past-slowest",
        place: "memory and Redis: what may be trimmed",
        breaks: "records go that a slow group has not read",
        killers: &[
            of(
                Package::Memory,
                "memory",
                "limits",
                "a_publish_waits_for_room_in_order",
            ),
            redis("foreign", "retention_trims_up_to_the_slowest_group"),
        ],
    },
    Mutant {
        name: "producer-reused",
        place: "Kafka, exactly once: the transactional producer after a lost request",
        breaks: "a request of an earlier transaction arrives late and becomes part of a later one",
        killers: &[kafka("late_offsets", "positions_that_arrive_late_are_nobodys")],
    },
];
