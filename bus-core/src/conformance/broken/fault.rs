//! The ways in which a backend may be broken.

use std::time::Duration;

/// One way in which a backend is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    // What is published.
    /// Every nth message is confirmed and not stored.
    LoseEvery(u64),
    /// Every nth message is stored twice.
    DuplicateEvery(u64),
    /// Every nth message goes to the topic of the publish before it.
    MixTopics(u64),
    /// A publish takes its messages when it is first awaited.
    TakeLate,
    /// A batch is stored from its end.
    ReverseBatches,
    /// Headers are not stored.
    DropHeaders,
    /// Of headers with equal names only the last is stored.
    DistinctHeaders,
    /// Header names are stored in lower case.
    LowercaseHeaders,
    /// A null payload is stored as an empty one.
    NullAsEmpty,
    /// An empty key is stored as no key.
    EmptyKeyAsNone,
    /// A message without a key gets one.
    KeyForAll,
    /// Keys and payloads are stored as text.
    LossyText,
    /// Payloads are cut at 64 KiB.
    CutPayloads,
    /// Timestamps of publishers are not stored.
    DropTimestamps,
    /// Keys are hashed as librdkafka does by default.
    WrongPartitioner,
    /// The key wins over an explicit partition.
    IgnorePartition,
    /// Messages without a key all go to one partition.
    OnePartition,
    /// Receipts are off by one.
    WrongReceipts,
    /// What was not stored is confirmed.
    ConfirmFailures,
    /// One bad message fails its batch.
    FailBatches,
    /// A publisher that was closed goes on.
    PublishAfterClose,
    /// After a publish was given up, no other has an answer.
    StuckWhenGivenUp,
    /// What is published is confirmed, and stored by the first close alone.
    CloseOnce,
    /// What has no reply is published anew.
    ResendAnew,
    /// What may be stored is said not to be.
    UnknownAsNotStored,
    /// The first publish after a harm is confirmed and not stored.
    LoseWhenHarmed,

    // Who reads, and from where.
    /// Every start is the earliest.
    StartAtEarliest,
    /// Every start is the latest.
    StartAtLatest,
    /// A group is reset to the latest whenever somebody subscribes.
    ResetToLatest,
    /// Partitions that are added begin at their end.
    AddedAtLatest,
    /// All groups share one position.
    OneGroup,
    /// Every member owns every partition.
    NoExclusion,
    /// A second member gets nothing.
    IdleSecond,
    /// An observer joins a group of its own.
    ObserverGroup,
    /// An observer's latest is resolved when it first reads.
    ResolveLate,
    /// A subscribe that is given up leaves its member behind.
    LeaveMembers,

    // What a subscriber hands out.
    /// More is handed out than there is room for.
    IgnoreRoom,
    /// Paused shards go on.
    IgnorePause,
    /// Paused shards stay paused.
    PauseSticks,
    /// A seek does nothing.
    IgnoreSeek,
    /// Nobody is told that a shard has to leave.
    LosingUntold,
    /// That a shard has to leave is told behind the records that wait for room.
    LosingHeldBack,
    /// Records are handed out after the word that their shard has to leave.
    RecordsAfterLosing,
    /// A call of `receive` that is dropped takes away what it had in hand.
    LoseOnCancel,
    /// The end is told at once.
    CaughtUpAtOnce,
    /// Nobody is told that a topic was deleted.
    DeletionUntold,
    /// Only what the bus wrote is handed out.
    SkipForeign,
    /// Each shard is lost and gained again once, without its notes, after the first commit that has some.
    ForgetOnce,
    /// A lease is not renewed: each shard is lost and gained again so long after the first record.
    Unrenewed(Duration),
    /// The position is stored when a record is handed out.
    CommitOnDelivery,
    /// A member that crashed keeps its partitions for ever.
    NoTakeover,
    /// Closing and releasing do nothing.
    NeverLeaves,
    /// Closing never ends.
    CloseHangs,
    /// Closing leaves a task behind.
    LeakTasks,
    /// Closing leaves the connection of a publisher behind.
    LeakConnections,
    /// After a harm, nothing is handed out any more.
    SilentWhenHarmed,
    /// Nobody is told what retention took.
    LossUntold,
    /// One more is said to be lost than was.
    LossInexact,

    // What a commit stores.
    /// Stale epochs are accepted.
    NoFence,
    /// The highest position that was handed out is stored, whatever is settled.
    CommitHighest,
    /// A commit is confirmed and not stored.
    CommitNothing,
    /// A position below the stored one is confirmed.
    GoBack,
    /// Notes are not stored.
    DropNotes,
    /// Notes are cut at 100 bytes.
    CutNotes,
    /// Notes are handed out although they are of another position.
    KeepNotes,
    /// Outputs are not stored.
    DropOutputs,
    /// Outputs are stored twice.
    DoubleOutputs,
    /// Outputs are stored before the fence is looked at.
    UnfencedOutputs,
    /// Outputs of every third commit are stored, and the commit fails behind them.
    TornCommits,
    /// Outputs to topics that do not exist are left out.
    SkipMissingOutputs,
    /// An observer's commit is an error.
    ObserverCommitFails,
    /// Commits of groups that replay dead letters have this fault, and no others.
    InReplays(&'static Fault),

    // What an administrator sees.
    /// A topic that does not exist is created.
    CreateMissing,
    /// Topics have one partition.
    OnePartitionTopics,
    /// A topic gets its partitions one moment after it was made.
    HalfMade,
    /// Any name will do.
    AnyName,
    /// A reset does nothing.
    IgnoreReset,
    /// A group is deleted under its members.
    DeleteLive,
    /// Every error is of the same kind.
    WrongKinds,
}
