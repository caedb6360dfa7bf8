//! The Docker engine, as far as it is needed without the Docker client crate: is there one, does a container run,
//! away with it. Plain HTTP/1.0, whose answers end where the connection does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::error::{Error, Result};

/// An engine that is busy removing a container needs a few seconds to say so.
const ANSWER: Duration = Duration::from_secs(20);

/// Whether a Docker engine answers at `DOCKER_HOST`, or at the usual socket where that is not set.
pub fn docker_engine_answers() -> bool {
    matches!(request("GET", "/_ping"), Ok((200, _)))
}

/// Whether that container exists and runs.
pub(crate) fn is_running(container: &str) -> bool {
    match request("GET", &format!("/containers/{container}/json")) {
        Ok((200, body)) => body.contains("\"Running\":true"),
        _ => false,
    }
}

/// Kills a container and removes it with its volumes. One that does not exist is gone already.
pub(crate) fn remove(container: &str) -> Result<()> {
    let doing = || format!("removing the container {container}");
    match request("DELETE", &format!("/containers/{container}?force=1&v=1")) {
        Ok((200..=299 | 404, _)) => Ok(()),
        Ok((status, body)) => Err(Error::Docker {
            doing: doing(),
            why: format!("{status} {body}"),
        }),
        Err(error) => Err(Error::Docker {
            doing: doing(),
            why: error.to_string(),
        }),
    }
}

/// The host at which the ports of containers are reached.
#[cfg(feature = "docker")]
pub(crate) fn host() -> String {
    let remote = std::env::var("DOCKER_HOST").unwrap_or_default();
    let remote = remote
        .strip_prefix("tcp://")
        .map(|rest| rest.split(':').next().unwrap_or(rest).to_owned());
    remote.unwrap_or_else(|| "127.0.0.1".to_owned())
}

/// One request; the status and the body come back.
fn request(method: &str, path: &str) -> std::io::Result<(u16, String)> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let host = if host.is_empty() {
        "unix:///var/run/docker.sock"
    } else {
        &host
    };
    let text = if let Some(path_of_socket) = host.strip_prefix("unix://") {
        let stream = UnixStream::connect(path_of_socket)?;
        stream.set_read_timeout(Some(ANSWER))?;
        exchange(stream, method, path)?
    } else {
        let stream = TcpStream::connect(host.trim_start_matches("tcp://"))?;
        stream.set_read_timeout(Some(ANSWER))?;
        exchange(stream, method, path)?
    };
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    status
        .map(|s| (s, body.to_owned()))
        .ok_or_else(|| std::io::Error::other("not an HTTP answer"))
}

fn exchange(mut stream: impl Read + Write, method: &str, path: &str) -> std::io::Result<String> {
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
