//! A TCP proxy that loses replies, delays requests, or goes silent.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Longer than a publisher takes to come back and send again.
const LATE: std::time::Duration = std::time::Duration::from_millis(300);

pub struct Proxy {
    pub port: u16,
    faults: Arc<Faults>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Faults {
    /// Replies to lose: the next connection that carries a marked request is closed instead of answered.
    lose: AtomicU32,
    /// Requests to hold back until their sender has given up.
    hold: AtomicU32,
    marker: parking_lot::Mutex<Vec<u8>>,
    lost: AtomicU32,
    dead: watch::Sender<bool>,
}

impl Proxy {
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults::default());
        let shared = faults.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !*shared.dead.borrow()
                    && let Ok(server) = TcpStream::connect(&target).await
                {
                    tokio::spawn(carry(client, server, shared.clone()));
                }
            }
        });
        Self { port, faults, task }
    }
    /// The reply to each of the next `count` requests that contain `marker` is lost: the request is carried out, the
    /// connection is closed.
    pub fn lose_replies(&self, marker: &[u8], count: u32) {
        *self.faults.marker.lock() = marker.to_vec();
        self.faults.lose.store(count, Ordering::SeqCst);
    }
    /// The next `count` requests that contain `marker` arrive late: the connection is closed at once, and a while
    /// later the server gets them all the same.
    pub fn hold_requests(&self, marker: &[u8], count: u32) {
        *self.faults.marker.lock() = marker.to_vec();
        self.faults.hold.store(count, Ordering::SeqCst);
    }
    /// How many were lost or held back.
    pub fn lost(&self) -> u32 {
        self.faults.lost.load(Ordering::SeqCst)
    }
    /// Closes every connection and takes no new ones.
    pub fn die(&self) {
        self.faults.dead.send_replace(true);
    }
    pub fn revive(&self) {
        self.faults.dead.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn death(dead: &mut watch::Receiver<bool>) {
    let _ = dead.wait_for(|dead| *dead).await;
}

async fn carry(mut client: TcpStream, mut server: TcpStream, faults: Arc<Faults>) {
    let (mut up, mut down) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    let mut marked = false;
    let mut dead = faults.dead.subscribe();
    loop {
        tokio::select! {
            () = death(&mut dead) => return,
            read = client.read(&mut up) => {
                let Ok(n @ 1..) = read else { return };
                let marker = faults.marker.lock().clone();
                marked |= !marker.is_empty() && up[..n].windows(marker.len()).any(|w| w == marker);
                let take = |left: u32| left.checked_sub(1);
                if marked && faults.hold.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                    faults.lost.fetch_add(1, Ordering::SeqCst);
                    drop(client);
                    tokio::time::sleep(LATE).await;
                    let _ = server.write_all(&up[..n]).await;
                    // Read on, so that the server carries out what it got.
                    let _ = tokio::time::timeout(LATE, server.read(&mut down)).await;
                    return;
                }
                if server.write_all(&up[..n]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(n @ 1..) = read else { return };
                if marked {
                    let take = |left: u32| left.checked_sub(1);
                    if faults.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                        faults.lost.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
                if client.write_all(&down[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}
