//! Events that programs without this library put on a topic, such as `redis-cli`.

use crate::{events::performed, names::name};
use bus::handler::{Consumer, consumer};

pub(crate) fn readers() -> Consumer {
    consumer(name("events"), name("readers"), performed).concurrency(4)
}
