//! Web sockets: each replica of the application tells its own browsers.

use crate::{api::Api, task::TaskEvent};
use axum::{
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
};
use bus::{
    Bus, Control, Result, Start, Topic,
    handler::{Failure, Payload},
};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// The browsers of this replica, until it is closed.
pub(crate) struct Hub(Mutex<Option<broadcast::Sender<String>>>);

impl Hub {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(broadcast::channel(64).0))))
    }
    fn sender(&self) -> Option<broadcast::Sender<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Reads updates from now on, without a group: every replica sees all of them.
    pub(crate) async fn follow(self: Arc<Self>, bus: &Bus, updates: &Topic<TaskEvent>) -> Result<Control> {
        let updates = bus.observe(updates).start(Start::Latest).await?;
        let control = updates.control();
        tokio::spawn(updates.for_each(1, move |update| {
            if let (Some(browsers), Ok(text)) = (self.sender(), serde_json::to_string(update.value())) {
                // Nobody may be looking.
                let _ = browsers.send(text);
            }
            update.ack();
            async {}
        }));
        Ok(control)
    }
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The websocket service, of which one replica makes an update of what happens to a task.
pub(crate) async fn update(
    bus::handler::State((bus, updates)): bus::handler::State<(Bus, Topic<TaskEvent>)>,
    Payload(event): Payload<TaskEvent>,
) -> Result<(), Failure> {
    bus.publish(&updates, &event)
        .key(event.task.user_id.clone())
        .await?;
    Ok(())
}

pub(crate) async fn connect(State(api): State<Api>, upgrade: WebSocketUpgrade) -> Response {
    // Before the browser knows that it is connected.
    let updates = api.hub.sender().map(|browsers| browsers.subscribe());
    upgrade.on_upgrade(async move |socket| {
        if let Some(updates) = updates {
            pass_on(updates, socket).await;
        }
    })
}

/// Until the browser goes, or the hub is closed.
async fn pass_on(mut updates: broadcast::Receiver<String>, mut socket: WebSocket) {
    loop {
        tokio::select! {
            update = updates.recv() => match update {
                Ok(text) => if socket.send(Message::text(text)).await.is_err() { return },
                // A slow browser misses some.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return drop(socket.send(Message::Close(None)).await),
            },
            message = socket.recv() => if !matches!(message, Some(Ok(_))) { return },
        }
    }
}
