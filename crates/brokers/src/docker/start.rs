//! Starting a shared server as a container that outlives its starter.

use std::time::Duration;

use testcontainers::ImageExt;
use testcontainers::core::IntoContainerPort;
use testcontainers::runners::SyncRunner;

use super::image::ServerImage;
use crate::engine;
use crate::error::{Doing, Error, Result};
use crate::kind::Kind;
use crate::lease::Lease;
use crate::record::{Host, Record};
use crate::{paths, wait};

/// Includes the pull of an image of some hundred megabytes.
const START: Duration = Duration::from_secs(300);
/// From a running container to a server that answers.
const ANSWER: Duration = Duration::from_secs(90);

/// Starts the shared server of that kind; the caller holds the lock of the shared servers.
pub(crate) fn start(kind: Kind) -> Result<()> {
    // A thread of its own: the client blocks on a runtime, which it must not do on one of a caller's.
    let started = std::thread::spawn(move || run(kind)).join();
    started.unwrap_or_else(|_| Err(docker(kind, "the Docker client panicked, see above".into())))
}

fn run(kind: Kind) -> Result<()> {
    let host = engine::host();
    let lease = Lease::from(kind.first_port())?;
    let port = lease.port;
    let image = ServerImage::new(kind, &host, port);
    let reference = image.reference();
    let request = image
        .with_mapped_port(port, port.tcp())
        .with_startup_timeout(START);
    let container = request.start().map_err(|error| docker(kind, error.to_string()))?;
    let address = match kind {
        Kind::Kafka => format!("{host}:{port}"),
        Kind::Redis | Kind::Redis8 => format!("redis://{host}:{port}"),
        Kind::Registry => format!("http://{host}:{port}{}", crate::native::REGISTRY_PATH),
    };
    let mut seen = String::new();
    let answer = wait::poll(ANSWER, || kind.probe(&address).map_err(|why| seen = why).ok());
    let Some(answer) = answer else {
        return Err(docker(kind, format!("{reference} does not answer: {seen}")));
    };
    // The protocols of Kafka and of registries tell no version; the image's name does.
    let version = match kind {
        Kind::Kafka => format!("Kafka of {reference}"),
        Kind::Registry => format!("schema registry of {reference}"),
        Kind::Redis | Kind::Redis8 => answer,
    };
    remember(
        kind,
        &Record {
            address,
            version,
            host: Host::Docker {
                container: container.id().into(),
            },
        },
    )?;
    // Dropping it would remove the container.
    std::mem::forget(container);
    Ok(())
}

fn remember(kind: Kind, record: &Record) -> Result<()> {
    let dir = paths::shared_dir(kind.name());
    std::fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
    record.write(&dir)
}

fn docker(kind: Kind, why: String) -> Error {
    Error::Docker {
        doing: format!("starting {}", kind.name()),
        why,
    }
}
