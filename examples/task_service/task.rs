//! A task, and what is told of it.

use bus::{Settings, Topic};
use serde::{Deserialize, Serialize};

/// Something that somebody has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    #[serde(default)]
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) title: String,
}

/// Something happened to a task: `created`, `updated`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TaskEvent {
    pub(crate) action: String,
    pub(crate) task: Task,
}

/// Somebody is to be told something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Notification {
    pub(crate) user_id: String,
    pub(crate) message: String,
    #[serde(default = "in_app")]
    pub(crate) channels: Vec<String>,
}

fn in_app() -> Vec<String> {
    vec!["in_app".to_owned()]
}

/// The topics: `KAFKA_TOPIC_TASK_EVENTS` and the like may call them otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    pub(crate) tasks: Topic<TaskEvent>,
    pub(crate) notifications: Topic<Notification>,
    pub(crate) updates: Topic<TaskEvent>,
}

impl Topics {
    pub(crate) fn of(settings: &Settings) -> Self {
        let name = |of: &str, default: &str| settings.topic(of).unwrap_or(default).to_owned();
        Self {
            tasks: Topic::named(name("task_events", "task-events")).partitions(4),
            notifications: Topic::named(name("notification_request", "notification.request")),
            updates: Topic::named(name("websocket_updates", "websocket.updates")),
        }
    }
}

/// A service's group: `KAFKA_CONSUMER_GROUP_AUDIT` and the like may call it otherwise.
pub(crate) fn group(settings: &Settings, service: &str) -> String {
    settings.group(service).unwrap_or(service).to_owned()
}
