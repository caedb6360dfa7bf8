//! The web API: it stores tasks, and tells of them.

use crate::{
    hub::Hub,
    task::{Task, TaskEvent, Topics},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::{any, post, put},
};
use bus::{Bus, event::EventExt};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) bus: Bus,
    pub(crate) topics: Topics,
    pub(crate) tasks: Arc<Mutex<HashMap<String, Task>>>,
    pub(crate) hub: Arc<Hub>,
}

pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/tasks", post(create))
        .route("/tasks/{id}", put(update))
        .route("/notifications", post(notify))
        .route("/ws", any(crate::hub::connect))
        .with_state(api)
}

async fn create(
    State(api): State<Api>,
    Json(task): Json<Task>,
) -> Result<(StatusCode, Json<Task>), StatusCode> {
    let id = uuid::Uuid::now_v7().to_string();
    let task = api.store(Task { id, ..task });
    api.tell("created", &task).await?;
    Ok((StatusCode::CREATED, Json(task)))
}

async fn update(
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(task): Json<Task>,
) -> Result<Json<Task>, StatusCode> {
    if !api.knows(&id) {
        return Err(StatusCode::NOT_FOUND);
    }
    let task = api.store(Task { id, ..task });
    api.tell("updated", &task).await?;
    Ok(Json(task))
}

/// Passes a request on as it is; whether it is one, its reader finds out.
async fn notify(State(api): State<Api>, request: Bytes) -> Result<StatusCode, StatusCode> {
    let topic = api.topics.notifications.name();
    api.bus
        .publish_bytes(topic, request)
        .key("notifications")
        .await
        .map_err(unavailable)?;
    Ok(StatusCode::ACCEPTED)
}

impl Api {
    fn store(&self, task: Task) -> Task {
        self.tasks().insert(task.id.clone(), task.clone());
        task
    }
    fn knows(&self, id: &str) -> bool {
        self.tasks().contains_key(id)
    }
    fn tasks(&self) -> std::sync::MutexGuard<'_, HashMap<String, Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
    async fn tell(&self, action: &str, task: &Task) -> Result<(), StatusCode> {
        let event = TaskEvent {
            action: action.to_owned(),
            task: task.clone(),
        };
        let told = self.bus.publish(&self.topics.tasks, &event);
        let outcome = told
            .key(task.user_id.clone())
            .event(format!("task_{action}"))
            .await
            .map_err(unavailable)?;
        tracing::info!(?outcome, "task_{action}");
        Ok(())
    }
}

fn unavailable(error: bus::Unsent) -> StatusCode {
    tracing::error!(%error, "nobody is told");
    StatusCode::SERVICE_UNAVAILABLE
}
