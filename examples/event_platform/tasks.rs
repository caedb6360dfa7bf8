//! The worker of tasks: each gives a result, or fails.

use crate::{
    names::{name, topic},
    notes::Notes,
};
use bus::{Delivery, Topic, handler::Failure, worker::Worker};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) fails: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    status: String,
    result: String,
}

/// Works on the tasks of a topic; results go to `results`, what is given up to `<topic>-dlq`.
#[derive(Clone)]
pub(crate) struct TaskWorker {
    topic: &'static str,
    /// When it was called for a task that fails.
    pub(crate) calls: Notes<Instant>,
    pub(crate) hooks: Notes<String>,
}

impl TaskWorker {
    pub(crate) fn of(topic: &'static str) -> Self {
        Self {
            topic,
            calls: Notes::default(),
            hooks: Notes::default(),
        }
    }
}

impl Worker for TaskWorker {
    type Input = Task;
    type Output = Done;
    const NAME: &'static str = "TaskWorker";
    const DEAD_LETTER: Option<&'static str> = Some("{topic}-dlq");

    fn topic(&self) -> Topic<Task> {
        topic(self.topic)
    }
    fn output(&self) -> Option<Topic<Done>> {
        Some(topic("results"))
    }
    async fn process(&self, task: &Delivery<Task>) -> Result<Option<Done>, Failure> {
        if task.fails {
            self.calls.add(Instant::now());
            return Err("it always fails".into());
        }
        Ok(Some(Done {
            status: "completed".to_owned(),
            result: format!("{} is written", task.name),
        }))
    }
    async fn on_success(&self, task: &Delivery<Task>, _: Option<&Done>) {
        self.hooks.add(format!("on_success: {}", task.name));
    }
    async fn on_error(&self, task: &Delivery<Task>, error: &Failure) {
        self.hooks.add(format!("on_error: {}, {error}", task.name));
    }
}

/// The group that works on a topic.
pub(crate) fn group(topic: &str) -> String {
    name(&format!("{}-{topic}", TaskWorker::NAME))
}
