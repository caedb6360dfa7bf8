//! What a port speaks, found out by a connection of its own, when the one that was wanted does not come about: a server
//! that is spoken to in the wrong way closes the connection without a word, or waits for more.

use crate::servers::Host;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long it may take: an answer to one packet.
const LIMIT: Duration = Duration::from_secs(2);

/// How long a handshake takes at most where TLS is spoken, beyond slow networks, where asking does no harm.
pub(crate) const HANDSHAKE: Duration = Duration::from_millis(500);

/// The records of TLS that answer a greeting: a handshake's, or an alert.
const TLS: [u8; 2] = [0x16, 0x15];

/// Whether commands are answered there without TLS.
pub(crate) async fn speaks_plain(host: &Host) -> bool {
    let first = first_byte(host, b"PING\r\n").await;
    first.is_some_and(|byte| matches!(byte, b'+' | b'-'))
}

/// Whether TLS is spoken there.
pub(crate) async fn speaks_tls(host: &Host) -> bool {
    let first = first_byte(host, &greeting()).await;
    first.is_some_and(|byte| TLS.contains(&byte))
}

async fn first_byte(host: &Host, question: &[u8]) -> Option<u8> {
    let asking = async {
        let mut stream = TcpStream::connect((&*host.name, host.port)).await.ok()?;
        stream.write_all(question).await.ok()?;
        stream.read_u8().await.ok()
    };
    timeout(LIMIT, asking).await.ok().flatten()
}

/// The shortest `ClientHello` (RFC 5246, 7.4.1.2): whatever is thought of it, the answer is a record of TLS.
fn greeting() -> Vec<u8> {
    let mut hello = vec![0x03, 0x03];
    hello.extend([0x2a; 32]);
    // No session; one cipher, which every server knows (0xc02f); no compression.
    hello.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    let length = hello.len() as u8;
    let handshake = [&[0x01, 0, 0, length], &hello[..]].concat();
    [&[0x16, 0x03, 0x01, 0, length + 4], &handshake[..]].concat()
}
