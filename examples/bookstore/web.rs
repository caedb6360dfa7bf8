//! The web service: `GET /books?q=rust`.

use crate::{book::Book, shop::Shop};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use serde::Deserialize;
use std::{future::Future, sync::Arc};
use tokio::net::TcpListener;

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

async fn search(
    State(shop): State<Arc<Shop>>,
    Query(search): Query<Search>,
) -> Result<Json<Vec<Book>>, StatusCode> {
    shop.search(search.q.trim())
        .map(Json)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// Serves until `stop`, and answers what was asked before.
pub(crate) async fn serve(
    listen: &str,
    shop: Shop,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("web: listening on {}", listener.local_addr()?);
    let routes = Router::new()
        .route("/books", get(search))
        .with_state(Arc::new(shop));
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}
