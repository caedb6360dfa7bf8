//! Events that every client has: log lines, errors, token refreshes.

use crate::{
    health::Health,
    native::{CERTIFICATE, Code, Event, Flaw, Kind, Line},
};

/// Deals with an event that is not the caller's own business. A fatal error is the caller's: it comes back.
pub(crate) fn common(event: &Event<'_>, client: &str, health: &Health) -> Option<crate::native::Failure> {
    match event.kind() {
        Kind::Log => {
            if let Some(line) = event.log() {
                self::line(&line, client, health);
            }
            None
        }
        Kind::Error => {
            let failure = event.failure()?;
            match failure.code {
                Code::ALL_BROKERS_DOWN => health.down(client),
                Code::TRANSPORT | Code::RESOLVE | Code::AUTHENTICATION | Code::SSL => {
                    health.failed(failure.code, &failure.text);
                    health.reason(client, &failure.text);
                }
                _ => tracing::warn!(target: "bus::kafka", client, code = ?failure.code, "{}", failure.text),
            }
            failure.fatal.then_some(failure)
        }
        Kind::Token => {
            event
                .refuse_token("set `sasl.oauthbearer.method=oidc` and its options; no other way is built in");
            None
        }
        _ => None,
    }
}

/// A line of the log.
pub(crate) fn line((facility, line, level): &Line, client: &str, health: &Health) {
    if facility.trim() == CERTIFICATE {
        health.flaw(Flaw::read(line));
    }
    log(client, facility.trim(), line.trim(), *level);
}

fn log(client: &str, facility: &str, line: &str, level: i32) {
    // librdkafka also warns about every option that belongs to the other kind of client; both kinds get all options.
    if facility == "CONFWARN" {
        tracing::debug!(target: "librdkafka", client, facility, "{line}");
        return;
    }
    match level {
        // Connections that fail come as errors too, and `Health` says once what has become of them.
        _ if matches!(facility, "FAIL" | "ERROR" | "SSL" | CERTIFICATE) => {
            tracing::debug!(target: "librdkafka", client, facility, "{line}");
        }
        // The caller hears of the transaction, which is tried again.
        0..=3 if facility == "TXNERR" => tracing::warn!(target: "librdkafka", client, facility, "{line}"),
        0..=3 => tracing::error!(target: "librdkafka", client, facility, "{line}"),
        4 => tracing::warn!(target: "librdkafka", client, facility, "{line}"),
        5 | 6 => tracing::info!(target: "librdkafka", client, facility, "{line}"),
        _ => tracing::debug!(target: "librdkafka", client, facility, "{line}"),
    }
}
