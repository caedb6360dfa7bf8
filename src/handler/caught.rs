//! A panic of an application's code is a failure like others: the message is to have its tries, the reason in its dead
//! letter, and whoever asked an answer.

use super::Failure;
use futures_util::FutureExt;
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Of a future.
pub(crate) async fn caught<R>(work: impl Future<Output = R>) -> Result<R, Failure> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(panicked)
}

/// Of a call.
pub(crate) fn caught_call<R>(work: impl FnOnce() -> R) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(panicked)
}

fn panicked(panic: Box<dyn Any + Send>) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::new(format!("panicked: {}", text.unwrap_or("without a text")))
}
