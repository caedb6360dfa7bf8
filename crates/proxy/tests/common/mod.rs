//! Tiny servers that remember what they got, and clients that talk to them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What arrived when.
type Got = Arc<Mutex<Vec<(Instant, Vec<u8>)>>>;

/// A server that keeps what it was sent, with the time of each chunk, and answers by a function of it.
pub struct Server {
    pub address: String,
    pub got: Got,
}

impl Server {
    /// Answers each chunk that was read with what `answer` makes of it.
    pub async fn start(answer: fn(&[u8]) -> Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let got = Got::default();
        let shared = got.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, shared.clone(), answer));
            }
        });
        Self { address, got }
    }
    pub async fn echo() -> Self {
        Self::start(<[u8]>::to_vec).await
    }
    /// Answers `+OK` to every RESP command (an array of bulk strings) and to nothing else.
    pub async fn redis() -> Self {
        Self::start(|bytes| {
            let commands = bytes.iter().filter(|b| **b == b'*').count();
            b"+OK\r\n".repeat(commands)
        })
        .await
    }
    /// Everything it got, in the order in which it came.
    pub fn bytes(&self) -> Vec<u8> {
        self.got
            .lock()
            .iter()
            .flat_map(|(_, bytes)| bytes.clone())
            .collect()
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
    /// How often this was in what it got.
    pub fn times(&self, part: &str) -> usize {
        self.text().matches(part).count()
    }
}

async fn serve(mut client: TcpStream, got: Got, answer: fn(&[u8]) -> Vec<u8>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = client.read(&mut buffer).await {
        got.lock().push((Instant::now(), buffer[..n].to_vec()));
        if client.write_all(&answer(&buffer[..n])).await.is_err() {
            return;
        }
    }
}

/// A client that reads with a deadline.
pub struct Client(pub TcpStream);

impl Client {
    pub async fn connect(address: &str) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }
    /// Exactly so many bytes, as text.
    pub async fn read(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        timeout(DEADLINE, self.0.read_exact(&mut bytes))
            .await
            .expect("an answer")
            .unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
    /// What comes until the connection ends, and whether it ended in order rather than by a reset.
    pub async fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let ended = timeout(DEADLINE, self.0.read_to_end(&mut bytes))
            .await
            .expect("an end");
        (bytes, ended.is_ok())
    }
    /// Whether nothing comes for a while.
    pub async fn is_silent(&mut self, time: Duration) -> bool {
        timeout(time, self.0.read(&mut [0; 1])).await.is_err()
    }
}

/// Waits until this holds.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
