//! The servers of a run: what is missing is started, and what was started is stopped.

use std::process::Command;

use bus_brokers::{Kind, Server};

use crate::{Done, interrupt};

/// Starts what is missing, does this with it, and stops what it started, also after a failure or Ctrl-C. Servers that ran
/// before keep running.
pub(crate) fn with<T>(
    work: impl FnOnce(&[Server]) -> Result<T, Box<dyn std::error::Error>>,
) -> Result<T, Box<dyn std::error::Error>> {
    interrupt::install()?;
    let mut servers = Vec::new();
    let done = start(&mut servers).and_then(|()| work(&servers));
    let stopped = stop(&servers);
    let done = done?;
    stopped?;
    Ok(done)
}

/// Tells a command where they are.
pub(crate) fn name(servers: &[Server], command: &mut Command) {
    for server in servers {
        command.env(server.kind.variable(), &server.address);
    }
}

/// One after the other, so that the ones before a failure are known and stopped.
fn start(servers: &mut Vec<Server>) -> Done {
    for kind in Kind::ALL {
        if interrupt::interrupted() {
            return Err("interrupted".into());
        }
        servers.push(bus_brokers::shared(kind)?);
    }
    // The foreign clients of the tests are installed here, where it is seen, and not in the middle of a test.
    bus_brokers::kcat()?;
    bus_brokers::python(&["aiokafka"])?;
    Ok(())
}

fn stop(servers: &[Server]) -> Done {
    for server in servers.iter().filter(|server| server.started) {
        bus_brokers::stop(server.kind)?;
    }
    // A test that was killed could not stop its own.
    bus_brokers::sweep()?;
    Ok(())
}
