//! One connection, from a client to the server and back.

use crate::{
    lane::{End, Lane, Way},
    requests::{Marks, replies, requests},
    shared::Shared,
    strike::Stage,
};
use std::{future::pending, pin::pin, sync::Arc};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Chunks that are accepted and not forwarded yet, a direction.
const QUEUE: usize = 64;

pub(crate) async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let mut resets = shared.resets.subscribe();
    let upstream = shared.upstream.lock().clone();
    let server = match upstream {
        Some(address) => TcpStream::connect(address).await.ok(),
        None => None,
    };
    let Some(mut server) = server else {
        shared.count(|c| c.turned_away += 1);
        let _ = client.set_zero_linger();
        return;
    };
    let mut number = 0;
    shared.count(|c| {
        c.connections += 1;
        number = c.connections;
    });
    let _open = Open::new(&shared);
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let end = tokio::select! {
        end = both((&mut client, &mut server), &shared, number) => end,
        () = lifetime(&shared) => End::Reset,
        _ = resets.changed() => End::Reset,
    };
    match end {
        End::Reset => {
            shared.count(|c| c.resets += 1);
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        End::Cut => shared.count(|c| c.cuts += 1),
        End::Swallowed(struck) => {
            shared.count(|c| c.dropped_replies += 1);
            drop((client, server));
            if let Some(struck) = struck {
                struck.at(Stage::Happened);
            }
        }
        End::Finished | End::HungUp => {}
    }
}

/// Counts a connection while it is open, however it ends.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.count(|c| c.open += 1);
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.count(|c| c.open -= 1);
    }
}

/// Both directions, until both have finished or something ends the connection.
async fn both((client, server): (&mut TcpStream, &mut TcpStream), shared: &Shared, number: u64) -> End {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let marks = Marks::default();
    let up = async {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut lane = Lane::new(to_server, Way::ToServer, shared, number);
        let mut writing = pin!(lane.run(receiver));
        tokio::select! {
            end = &mut writing => return end,
            () = requests(from_client, sender, shared, &marks) => {}
        }
        writing.await
    };
    let down = async {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut lane = Lane::new(to_client, Way::ToClient, shared, number);
        let write = async {
            tokio::select! {
                end = lane.run(receiver) => end,
                () = marks.hang_up.notified() => {
                    let _ = lane.to.shutdown().await;
                    // The other direction says when the server has had its time.
                    pending().await
                }
            }
        };
        let mut writing = pin!(write);
        tokio::select! {
            end = &mut writing => return end,
            () = replies(from_server, sender, shared, &marks) => {}
        }
        writing.await
    };
    let (mut up, mut down) = (pin!(up), pin!(down));
    let end = tokio::select! {
        end = &mut up => match end {
            None => down.await,
            end => end,
        },
        end = &mut down => match end {
            None => up.await,
            end => end,
        },
    };
    end.unwrap_or(End::Finished)
}

/// Returns when the connection has lived as long as it may.
async fn lifetime(shared: &Shared) {
    let mut faults = shared.faults.subscribe();
    loop {
        let range = faults.borrow_and_update().lifetime.clone();
        let end = range
            .as_ref()
            .map(|range| Instant::now() + shared.rng.lock().time(range));
        let over = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => pending().await,
            }
        };
        // Other faults come and go meanwhile.
        let changed = faults.wait_for(|now| now.lifetime != range);
        tokio::select! {
            () = over => return,
            changed = changed => if changed.is_err() { return },
        }
    }
}
