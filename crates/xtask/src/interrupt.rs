//! Ctrl-C ends what is running, but not before the servers are stopped.

use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::process::{Pid, Signal, kill_process_group};

/// The process group of the running child; 0 while there is none.
static GROUP: AtomicI32 = AtomicI32::new(0);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From here on, Ctrl-C, SIGTERM and SIGHUP end the child that [`status`] runs, and not this process.
pub(crate) fn install() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        end_child();
    })
}

/// Whether somebody asked to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Runs a command in a process group of its own, so that ending it ends the test programs that it started too.
pub(crate) fn status(command: &mut Command) -> std::io::Result<ExitStatus> {
    use std::os::unix::process::CommandExt;
    let mut child: Child = command
        .process_group(0)
        .stdin(std::process::Stdio::null())
        .spawn()?;
    GROUP.store(i32::try_from(child.id()).unwrap_or(0), Ordering::SeqCst);
    if interrupted() {
        // It came between the last look and the start.
        end_child();
    }
    let status = child.wait();
    GROUP.store(0, Ordering::SeqCst);
    status
}

fn end_child() {
    if let Some(group) = Pid::from_raw(GROUP.load(Ordering::SeqCst)) {
        // It may have ended by itself meanwhile.
        let _ = kill_process_group(group, Signal::TERM);
    }
}
