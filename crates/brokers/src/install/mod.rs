//! What the native servers and the tests need from outside, each installed once and only where that needs no
//! question: jars and wheels go below the target directory, system packages are installed by root alone.

mod apicurio;
mod apt;
mod command;
mod kafka_libs;
mod openssl;
mod programs;
mod python;
mod redis_8;

pub(crate) use apicurio::{APICURIO_VERSION, apicurio};
pub(crate) use apt::ensure as ensure_program;
pub(crate) use command::{run, tail};
pub(crate) use kafka_libs::KAFKA_VERSION;
pub(crate) use redis_8::redis_server_8;

pub use kafka_libs::kafka_libs;
pub use openssl::openssl;
pub use programs::{kcat, redis_server, valgrind};
pub use python::python;
