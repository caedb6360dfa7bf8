//! Two hops, three members each, kills in between: what comes out is what went in, once and in order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use std::{sync::Arc, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_with_kills_passes_everything_on_once_and_in_order() {
    chain::chain(Arc::new(kafka().await), 900, 10, Duration::from_secs(600)).await;
}
