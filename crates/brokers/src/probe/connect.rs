//! A connection that cannot hang.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long one question may take. A server that needs longer is asked again until the caller's deadline.
const ANSWER: Duration = Duration::from_secs(2);

/// Connects to `host:port` with a limit on every later read and write.
pub(crate) fn connect(address: &str) -> Result<TcpStream, String> {
    let addresses = address.to_socket_addrs().map_err(|e| format!("{address}: {e}"))?;
    let mut last = format!("{address} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, ANSWER) {
            Ok(stream) => {
                let limits = stream
                    .set_read_timeout(Some(ANSWER))
                    .and(stream.set_write_timeout(Some(ANSWER)));
                return limits.map(|()| stream).map_err(|e| e.to_string());
            }
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}
