//! Which promotion a server's history goes back to. One that was a replica meanwhile has taken over another server's
//! history, under the same run and behind the same connections: so the promotion is part of what is compared.
//!
//! A server that becomes a primary keeps the id of the history that it had as a replica, and where it ended
//! (`master_replid2`, `second_repl_offset`); its first life as a primary has neither. Two things make them none again:
//! taking over all of another server's data, until the promotion that follows, so that only a primary's word counts;
//! and `repl-backlog-ttl` (an hour) without a replica, when nothing has happened to the data. As a promotion never leaves
//! none, [`same`] takes a primary's none for what it said before. What it cannot see is a promotion that nobody asked
//! about before that time was over.

use super::info_field;
use crate::error::classify;
use bus_core::{Error, Result};

/// Asks for what [`told`] reads.
pub(crate) const ASK: &[&[u8]] = &[b"INFO", b"replication"];

/// Between a run and a promotion.
const BEHIND: &str = " behind ";

/// What a server says that was never promoted, or not for long enough.
const NONE: &str = "0000000000000000000000000000000000000000:-1";

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

/// Whether a primary of the history `now` still has what it had as `known`: each the run and the promotion.
pub(crate) fn same(known: &str, now: &str) -> bool {
    run_of(known) == run_of(now) && is_kept(of(known), of(now))
}
/// The same of the promotions alone. `commit.lua` says the same.
fn is_kept(known: &str, now: &str) -> bool {
    now == known || now == NONE
}

/// Whether the server is a replica.
pub(crate) fn is_replica(replication: &str) -> bool {
    info_field(replication, "role") == Some("slave")
}

/// An error where a server of the history `known` says that it is a replica or may have another one by now.
pub(crate) fn check(address: &str, known: &str, replication: &str) -> Result<()> {
    if is_replica(replication) {
        return Err(replica(address));
    }
    match is_kept(of(known), &told(replication)) {
        true => Ok(()),
        false => Err(other(address)),
    }
}

/// The error of a server that is a replica: what it has may be behind what was confirmed, or another's.
pub(crate) fn replica(address: &str) -> Error {
    classify(address, "READONLY it is a replica")
}

/// The error of a connection behind which there is another history by now.
fn other(address: &str) -> Error {
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

    #[test]
    fn a_primary_that_forgets_its_promotion_keeps_its_history() {
        let (first, promoted) = (format!("f00 behind {NONE}"), "f00 behind bb:17");
        assert!(same(promoted, &first) && same(promoted, promoted) && same(&first, &first));
        assert!(!same(&first, promoted) && !same(promoted, "f00 behind bb:18"));
        assert!(!same(promoted, &first.replace("f00", "f01")));
    }

    #[test]
    fn a_replica_has_nobodys_history() {
        let (run, promotion) = NONE.split_once(':').unwrap();
        let info =
            |role| format!("role:{role}\r\nmaster_replid2:{run}\r\nsecond_repl_offset:{promotion}\r\n");
        let known = run_id("f00", &info("master"));
        assert!(check("h:1", &known, &info("master")).is_ok());
        let error = check("h:1", &known, &info("slave")).unwrap_err();
        assert!(
            error.is_transient() && error.message().contains("READONLY"),
            "{error}"
        );
        let promoted = info("master").replace(":-1", ":17");
        assert!(check("h:1", &known, &promoted).unwrap_err().is_transient());
    }
}
