//! One line aloud, on standard error: standard output belongs to whoever wants to `eval` it.

/// Says one line.
pub(crate) fn say(line: impl std::fmt::Display) {
    eprintln!("{line}");
}
