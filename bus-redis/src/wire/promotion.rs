//! Which promotion a server's history goes back to. One that was a replica meanwhile has taken over another server's
//! history, under the same run and behind the same connections: so the promotion is part of what is compared.
//!
//! A server that becomes a primary keeps the id of the history that it had as a replica, and where it ended
//! (`master_replid2`, `second_repl_offset`); its first life as a primary has neither. The id of its present history
//! would tell as much, but also changes an hour after the last replica went, when nothing has happened to the data.

use super::info_field;
use bus_core::Error;

/// Asks for what [`told`] reads.
pub(crate) const ASK: &[&[u8]] = &[b"INFO", b"replication"];

/// Between a run and a promotion.
const BEHIND: &str = " behind ";

/// The promotion, out of `INFO replication`. `promotion` in `common.lua` says the same.
pub(crate) fn told(replication: &str) -> String {
    let field = |name| info_field(replication, name).unwrap_or_default();
    format!("{}:{}", field("master_replid2"), field("second_repl_offset"))
}

/// What is compared: the run of a server, and its promotion.
pub(crate) fn run_id(run: &str, replication: &str) -> String {
    format!("{run}{BEHIND}{}", told(replication))
}
/// The run alone, which goes on through promotions as requests of old connections do.
pub(crate) fn run_of(run_id: &str) -> &str {
    run_id.split_once(BEHIND).map_or(run_id, |(run, _)| run)
}
/// The promotion alone.
pub(crate) fn of(run_id: &str) -> &str {
    run_id.split_once(BEHIND).map_or("", |(_, promotion)| promotion)
}

/// The error of a connection behind which there is another history by now.
pub(crate) fn other(address: &str) -> Error {
    Error::unavailable(format!(
        "redis at {address} was a replica meanwhile and may have another history"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_and_promotion_are_told_apart() {
        let info = "# Replication\r\nrole:master\r\nmaster_replid:aa\r\nmaster_replid2:bb\r\nsecond_repl_offset:17\r\n";
        let whole = run_id("f00", info);
        assert_eq!((run_of(&whole), of(&whole)), ("f00", "bb:17"));
        assert_eq!(told(info), of(&whole));
        assert_ne!(run_id("f00", &info.replace("bb", "cc")), whole);
        assert_eq!(run_id("f00", &info.replace("aa", "dd")), whole);
    }
}
