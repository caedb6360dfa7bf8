//! The names of calls and failures, as spans and metrics have them.

use super::around::Call;
use crate::ErrorKind;

/// A call with one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    OpenPublisher,
    ClosePublisher,
    Subscribe,
    Unsubscribe,
    Seek,
    Release,
    CreateTopics,
    DeleteTopic,
    ListTopics,
    GrowTopic,
    FindPositions,
    ListGroups,
    DescribeGroup,
    DeleteGroup,
    AskFacts,
    AskLag,
    ResetGroup,
}

impl Op {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OpenPublisher => "open_publisher",
            Self::ClosePublisher => "close_publisher",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Seek => "seek",
            Self::Release => "release",
            Self::CreateTopics => "create_topics",
            Self::DeleteTopic => "delete_topic",
            Self::ListTopics => "list_topics",
            Self::GrowTopic => "grow_topic",
            Self::FindPositions => "find_positions",
            Self::ListGroups => "list_groups",
            Self::DescribeGroup => "describe_group",
            Self::DeleteGroup => "delete_group",
            Self::AskFacts => "ask_facts",
            Self::AskLag => "ask_lag",
            Self::ResetGroup => "reset_group",
        }
    }
    /// Whether it lets something go, which has to end also with the broker down.
    pub(super) fn closes(self) -> bool {
        matches!(self, Self::ClosePublisher | Self::Unsubscribe)
    }
    pub(super) fn alone(self) -> Call<'static> {
        self.on("")
    }
    pub(super) fn on(self, topic: &str) -> Call<'_> {
        Call {
            op: self,
            topic,
            group: "",
        }
    }
    pub(super) fn of(self, group: &str) -> Call<'_> {
        Call {
            op: self,
            topic: "",
            group,
        }
    }
}

/// The kind of an error, as a label.
pub(super) fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::TopicMissing => "topic_missing",
        ErrorKind::GroupMissing => "group_missing",
        ErrorKind::Denied => "denied",
        ErrorKind::Invalid => "invalid",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::Fenced => "fenced",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Undecodable => "undecodable",
        ErrorKind::DataLoss => "data_loss",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Disabled => "disabled",
        ErrorKind::Closed => "closed",
        ErrorKind::Other => "other",
    }
}
