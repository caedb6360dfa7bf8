//! Commands that install something: quiet while they work, quoted when they fail.

use std::process::{Command, Stdio};

use crate::error::{Doing, Error, Result};

/// Runs a command to its end; what it printed comes back, or is in the error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let line = std::iter::once(command.get_program()).chain(command.get_args());
    let line = line
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let output = command
        .stdin(Stdio::null())
        .output()
        .doing(|| format!("running `{line}`"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    Err(Error::Command {
        command: line,
        status: output.status.to_string(),
        output: tail(&all, 12),
    })
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_quotes_the_command_and_its_last_words() {
        let error = run(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no such thing") && text.contains('3') && text.contains("sh -c"),
            "{text}"
        );
    }

    #[test]
    fn a_tail_is_the_end() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
        assert_eq!(tail("", 2), "");
    }
}
