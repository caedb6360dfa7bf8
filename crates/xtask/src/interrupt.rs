//! Ctrl-C ends what is running, but not before the servers are stopped.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
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
    wait(start(command)?)
}

/// The same, with every line that it prints shown and told to `each`: standard output and standard error as one.
pub(crate) fn status_and_lines(
    command: &mut Command,
    mut each: impl FnMut(&str),
) -> std::io::Result<ExitStatus> {
    let (output, input) = std::io::pipe()?;
    command.stdout(input.try_clone()?).stderr(input);
    let child = start(command)?;
    // Ours of the writing end, or there would be no end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (mut output, mut line) = (BufReader::new(output), Vec::new());
    let mut shown = std::io::stdout().lock();
    while output.read_until(b'\n', &mut line)? > 0 {
        shown.write_all(&line)?;
        each(String::from_utf8_lossy(&line).trim_end_matches('\n'));
        line.clear();
    }
    drop(shown);
    wait(child)
}

fn start(command: &mut Command) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let child = command.process_group(0).stdin(Stdio::null()).spawn()?;
    GROUP.store(i32::try_from(child.id()).unwrap_or(0), Ordering::SeqCst);
    if interrupted() {
        // It came between the last look and the start.
        end_child();
    }
    Ok(child)
}

fn wait(mut child: Child) -> std::io::Result<ExitStatus> {
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
