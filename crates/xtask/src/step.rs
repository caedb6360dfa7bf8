//! One step of the check: said aloud, timed, named when it fails.

use std::process::Command;
use std::time::Instant;

use crate::Done;

/// Does one step and says how long it took; its error names it.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Done) -> Done {
    eprintln!("check: {name} …");
    let start = Instant::now();
    let done = work();
    let seconds = start.elapsed().as_secs_f64();
    match done {
        Ok(()) => {
            eprintln!("check: {name}: ok, {seconds:.1} s");
            Ok(())
        }
        Err(error) => Err(format!("check: {name} failed after {seconds:.1} s: {error}").into()),
    }
}

/// Runs a command that speaks for itself.
pub(crate) fn succeed(command: &mut Command) -> Done {
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(status.to_string().into())
    }
}

/// Runs a command for what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String, Box<dyn std::error::Error>> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}
