//! A fault that is to strike once, and a way to wait for it.

use tokio::sync::watch;

/// How far a fault has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Waiting,
    Begun,
    Happened,
}

/// A fault that strikes the next request of its kind. Dropping this does not call it off; healing the proxy does, as
/// long as it has not begun.
#[derive(Debug)]
pub struct Strike(watch::Receiver<Stage>);

/// The proxy's end.
#[derive(Clone, Debug)]
pub(crate) struct Struck(watch::Sender<Stage>);

impl Strike {
    pub(crate) fn new() -> (Struck, Self) {
        let (sender, receiver) = watch::channel(Stage::Waiting);
        (Struck(sender), Self(receiver))
    }
    /// Waits until the request has come: it is held from now on, or its answer will be swallowed. False when it was
    /// called off.
    pub async fn begun(&self) -> bool {
        self.reaches(Stage::Begun).await
    }
    /// Waits until it is over: the late request was handed to the server, or the answer was swallowed and the
    /// connection closed. False when it was called off, or the connection ended before.
    pub async fn happened(&self) -> bool {
        self.reaches(Stage::Happened).await
    }
    async fn reaches(&self, stage: Stage) -> bool {
        self.0.clone().wait_for(|now| *now >= stage).await.is_ok()
    }
}

impl Struck {
    pub(crate) fn at(&self, stage: Stage) {
        self.0.send_replace(stage);
    }
}
