//! The notification service: tells people, in the application and by mail.

use crate::{
    mail::Mailer,
    task::{Notification, TaskEvent},
};
use bus::handler::{Payload, State};

/// Everything that happens to a task is shown to its user.
pub(crate) async fn task(Payload(TaskEvent { action, task }): Payload<TaskEvent>) {
    println!("notification: {}: task {action}: {}", task.user_id, task.title);
}

/// What is to be told is `pending` until it was read in the application, or `sent` once a mail is on its way.
pub(crate) async fn request(State(mailer): State<Mailer>, Payload(request): Payload<Notification>) {
    let Notification {
        user_id,
        message,
        channels,
    } = request;
    let mut status = "pending";
    for channel in channels {
        match &*channel {
            "in_app" => {}
            "email" => match mailer.send(&user_id, &message).await {
                Ok(()) => status = "sent",
                Err(error) => tracing::warn!(user_id, %error, "no mail was sent"),
            },
            unknown => println!("notification: {user_id}: there is no channel `{unknown}`"),
        }
    }
    println!("notification: {user_id}: {message}: {status}");
}
