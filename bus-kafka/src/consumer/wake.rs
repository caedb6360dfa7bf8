//! How the thread sleeps and how it is woken: a socket pair, because librdkafka signals by writing to a descriptor.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The side that wakes.
#[derive(Debug)]
pub(super) struct Wake {
    writer: UnixStream,
    /// A wake-up is under way: one byte is enough for everything that happens before it is read.
    pending: AtomicBool,
}

/// The side that sleeps.
#[derive(Debug)]
pub(super) struct Sleep {
    reader: UnixStream,
    timeout: Duration,
}

pub(super) fn pair() -> io::Result<(Arc<Wake>, Sleep)> {
    let (writer, reader) = UnixStream::pair()?;
    writer.set_nonblocking(true)?;
    let wake = Wake {
        writer,
        pending: AtomicBool::new(false),
    };
    let sleep = Sleep {
        reader,
        timeout: Duration::ZERO,
    };
    Ok((Arc::new(wake), sleep))
}

impl Wake {
    pub(super) fn wake(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            // A full buffer is a wake-up too.
            let _ = (&self.writer).write(b"w");
        }
    }
    pub(super) fn fd(&self) -> RawFd {
        self.writer.as_raw_fd()
    }
}

impl Sleep {
    /// Returns when woken or after `timeout`. What was asked for before the wake-up has to be looked for afterwards.
    pub(super) fn wait(&mut self, wake: &Wake, timeout: Duration) {
        let timeout = timeout.max(Duration::from_millis(1));
        if timeout != self.timeout && self.reader.set_read_timeout(Some(timeout)).is_ok() {
            self.timeout = timeout;
        }
        let mut bytes = [0; 256];
        let _ = self.reader.read(&mut bytes);
        wake.pending.store(false, Ordering::Release);
    }
}
