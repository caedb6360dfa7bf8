//! The audit service: a line for everything that happens.

use crate::task::TaskEvent;
use bus::handler::Event;

pub(crate) async fn write(event: Event<TaskEvent>) {
    let TaskEvent { action, task } = event.data;
    println!("audit: {} {}: {action} {}", event.name, task.user_id, task.title);
}
