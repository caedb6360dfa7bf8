//! Containers are a feature that costs a minute of building, so it is built only where an engine answers.

use std::process::ExitCode;

/// Runs this command again, built with the feature `docker`, where an engine answers and this build lacks it.
pub(crate) fn rebuilt() -> Option<ExitCode> {
    if cfg!(feature = "docker") || !bus_brokers::docker_engine_answers() {
        return None;
    }
    eprintln!("docker: an engine answers; building the support for it");
    let mut command = crate::cargo::cargo([
        "run",
        "--quiet",
        "--package",
        "xtask",
        "--features",
        "docker",
        "--",
    ]);
    let status = command.args(std::env::args_os().skip(1)).status();
    let code = status
        .ok()
        .and_then(|status| status.code())
        .and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
