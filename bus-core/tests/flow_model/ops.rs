//! What a schedule is made of.

use bus_core::flow::{LossPolicy, Order};
use proptest::{collection::vec, prelude::*};

/// How one run is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) window: usize,
    pub(crate) bytes: usize,
    pub(crate) unstored: usize,
    pub(crate) notes: usize,
    pub(crate) outputs: usize,
    pub(crate) order: Order,
    pub(crate) attempts: u32,
    pub(crate) partitions: usize,
    /// Positions as a Redis stream has them: `ms << 64 | seq`.
    pub(crate) sparse: bool,
    /// Whether owners are thrown out, crash, cannot commit, lose data; without it everything happens exactly once.
    pub(crate) faults: bool,
    pub(crate) loss: LossPolicy,
    pub(crate) dead_letters: bool,
    pub(crate) readers: usize,
    /// In each partition from the start.
    pub(crate) records: u8,
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Ack,
    AckWith(u8),
    Nack,
    NackAfter(u16),
    Reject,
    Drop,
    Return,
    Unready,
}

/// What becomes of the commit that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Stored,
    /// A passing failure: tried again while there is time.
    Fails,
    /// A failure that trying again does not mend.
    Refused,
}

/// One step of a schedule; numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Publish {
        part: u8,
        count: u8,
        keys: u8,
        size: u16,
        gap: u8,
    },
    Pump(u8),
    /// Receive, lend and claim as much as there is.
    Load(u8),
    /// As many turns of loading and settling most of it.
    Busy {
        member: u8,
        turns: u8,
        how: How,
    },
    /// A loaded shard leaves, and so much time passes.
    Hurry {
        part: u8,
        grace: u16,
        late: u16,
    },
    Step(u8),
    /// What records wait for is there.
    Ready(u8),
    /// It will not come.
    Refuse(u8),
    Lend {
        member: u8,
        reader: u8,
        most: u8,
    },
    Claim {
        member: u8,
        reader: u8,
        count: u8,
    },
    Settle {
        member: u8,
        pick: u8,
        how: How,
    },
    SettleAll {
        member: u8,
    },
    Commit {
        member: u8,
        end: End,
    },
    Advance(u16),
    Assign {
        part: u8,
        member: u8,
    },
    Losing {
        part: u8,
        grace: u16,
    },
    Steal {
        part: u8,
        member: u8,
    },
    Notice(u8),
    Suspend(u8),
    Resume(u8),
    Drain {
        member: u8,
        grace: u16,
    },
    Flush(u8),
    Crash(u8),
    Reset {
        part: u8,
        to: u8,
    },
    Trim {
        part: u8,
        count: u8,
    },
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => Just(How::Ack),
        1 => (0u8..4).prop_map(How::AckWith),
        3 => Just(How::Nack),
        1 => (0u16..3000).prop_map(How::NackAfter),
        1 => Just(How::Reject),
        1 => Just(How::Drop),
        1 => Just(How::Return),
        1 => Just(How::Unready),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let end = prop_oneof![8 => Just(End::Stored), 6 => Just(End::Fails), 1 => Just(End::Refused)];
    let (m, p) = (0u8..2, 0u8..8);
    prop_oneof![
        5 => (p.clone(), 1u8..40, 0u8..6, 1u16..120, 0u8..5)
            .prop_map(|(part, count, keys, size, gap)| Op::Publish { part, count, keys, size, gap }),
        12 => m.clone().prop_map(Op::Pump),
        12 => m.clone().prop_map(Op::Load),
        6 => (m.clone(), 1u8..6, how()).prop_map(|(member, turns, how)| Op::Busy { member, turns, how }),
        2 => (p.clone(), 0u16..100, 0u16..200).prop_map(|(part, grace, late)| Op::Hurry { part, grace, late }),
        4 => m.clone().prop_map(Op::Step),
        3 => m.clone().prop_map(Op::Ready),
        1 => m.clone().prop_map(Op::Refuse),
        6 => (m.clone(), 0u8..3, 1u8..12).prop_map(|(member, reader, most)| Op::Lend { member, reader, most }),
        6 => (m.clone(), 0u8..3, 1u8..12).prop_map(|(member, reader, count)| Op::Claim { member, reader, count }),
        50 => (m.clone(), any::<u8>(), how()).prop_map(|(member, pick, how)| Op::Settle { member, pick, how }),
        2 => m.clone().prop_map(|member| Op::SettleAll { member }),
        10 => (m.clone(), end).prop_map(|(member, end)| Op::Commit { member, end }),
        10 => prop_oneof![0u16..20, 0u16..300, 200u16..250, 0u16..5000].prop_map(Op::Advance),
        5 => (p.clone(), m.clone()).prop_map(|(part, member)| Op::Assign { part, member }),
        3 => (p.clone(), prop_oneof![0u16..20, 0u16..2000]).prop_map(|(part, grace)| Op::Losing { part, grace }),
        1 => (p.clone(), m.clone()).prop_map(|(part, member)| Op::Steal { part, member }),
        2 => m.clone().prop_map(Op::Notice),
        2 => p.clone().prop_map(Op::Suspend),
        2 => p.clone().prop_map(Op::Resume),
        1 => (m.clone(), prop_oneof![0u16..20, 0u16..400]).prop_map(|(member, grace)| Op::Drain { member, grace }),
        2 => m.clone().prop_map(Op::Flush),
        1 => m.prop_map(Op::Crash),
        2 => (p.clone(), any::<u8>()).prop_map(|(part, to)| Op::Reset { part, to }),
        1 => (p, 1u8..20).prop_map(|(part, count)| Op::Trim { part, count }),
    ]
}

/// Setups of all kinds, each with a schedule.
pub(crate) fn schedules(ops: usize) -> impl Strategy<Value = (Setup, Vec<Op>)> {
    let sizes = (
        prop_oneof![Just(1usize), Just(2), Just(8), Just(32), Just(200)],
        prop_oneof![Just(100usize), Just(2000), Just(1 << 20)],
        prop_oneof![Just(1usize), Just(16), Just(65_536)],
        prop_oneof![Just(64usize), Just(160), Just(600), Just(3000), Just(65_536)],
        prop_oneof![Just(1usize), Just(3), Just(1000)],
    );
    let kinds = (
        prop_oneof![3 => Just(Order::Key), 1 => Just(Order::Partition), 1 => Just(Order::None)],
        1u32..=4,
        1usize..=4,
        any::<bool>(),
        prop_oneof![1 => Just(false), 2 => Just(true)],
        prop_oneof![2 => Just(LossPolicy::GoOn), 1 => Just(LossPolicy::Stop)],
        prop_oneof![4 => Just(true), 1 => Just(false)],
        (1usize..=3, 0u8..60),
    );
    let setup = (sizes, kinds).prop_map(|((window, bytes, unstored, notes, outputs), kinds)| {
        let (order, attempts, partitions, sparse, faults, loss, dead_letters, (readers, records)) = kinds;
        Setup {
            window,
            bytes,
            unstored,
            notes,
            outputs,
            order,
            attempts,
            partitions,
            sparse,
            faults,
            loss,
            dead_letters,
            readers,
            records,
        }
    });
    (setup, vec(op(), 1..ops))
}
