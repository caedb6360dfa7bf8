//! What ran against which server, for the closing lines of the test command.

use std::io::Write;

/// The environment variable that names the report file. The test command sets it; without it nothing is reported.
pub const REPORT_VARIABLE: &str = "BUS_TEST_REPORT";

/// Reports that one check of the conformance suite held on one server.
///
/// `backend` is `memory`, `kafka` or `redis`; `server` the value of the variable that named the server
/// ([`Kind::variable`](crate::Kind::variable)), or `memory`. The line is `backend<TAB>server<TAB>check<TAB>ok`, and
/// is appended in one write, so that test processes may report side by side.
///
/// # Errors
///
/// When the file cannot be written: a check that is not reported would count as not run.
pub fn passed(backend: &str, server: &str, check: &str) -> std::io::Result<()> {
    let Some(path) = std::env::var_os(REPORT_VARIABLE) else {
        return Ok(());
    };
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    file.write_all(format!("{backend}\t{server}\t{check}\tok\n").as_bytes())
}
