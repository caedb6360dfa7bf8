//! What the server says, as what the caller can do.

use bus_core::{Error, ErrorKind};

/// What to do about a right that is not there.
const LACKING: &str =
    "the user lacks a right: grant it with `ACL SETUSER`, by the rule in docs/connecting.md";

/// The error behind a reply that is an error, or `None` where it only asks to look again.
pub(crate) fn classify(address: &str, reply: &str) -> Error {
    let code = reply.split(' ').next().unwrap_or_default();
    let (kind, transient, advice) = match code {
        "LOADING" => (
            ErrorKind::Unavailable,
            true,
            "it is loading its data; it is tried again",
        ),
        "READONLY" => (
            ErrorKind::Unavailable,
            true,
            "it is a replica now; connect to the primary if this lasts",
        ),
        "MASTERDOWN" => (
            ErrorKind::Unavailable,
            true,
            "its primary is down; it is tried again",
        ),
        "MOVED" | "ASK" => (
            ErrorKind::Unsupported,
            false,
            "it is a node of a cluster: write `redis-cluster://` in the URL",
        ),
        "TRYAGAIN" | "CLUSTERDOWN" => (
            ErrorKind::Unavailable,
            true,
            "the cluster is being rearranged; it is tried again",
        ),
        "BUSY" => (
            ErrorKind::Unavailable,
            true,
            "a script keeps it busy; it is tried again",
        ),
        "UNBLOCKED" => (
            ErrorKind::Unavailable,
            true,
            "a blocking read was interrupted; it is tried again",
        ),
        "NOREPLICAS" => (
            ErrorKind::Unavailable,
            true,
            "too few replicas are connected (`min-replicas-to-write`)",
        ),
        "MISCONF" => (
            ErrorKind::Unavailable,
            true,
            "it cannot save its data, look at its disk",
        ),
        "NOSCRIPT" => (
            ErrorKind::Unavailable,
            true,
            "its scripts were flushed; they are loaded again",
        ),
        "OOM" => (
            ErrorKind::Unavailable,
            true,
            "it is out of memory: raise `maxmemory`, or let consumers catch up so that old records can be trimmed",
        ),
        "EXECABORT" if reply.contains("NOPERM") => (ErrorKind::Denied, false, LACKING),
        "EXECABORT" => (ErrorKind::Unavailable, true, "it refused a transaction"),
        "NOAUTH" => (
            ErrorKind::Denied,
            false,
            "it asks for a password: put it in the URL, `redis://user:password@host`",
        ),
        "WRONGPASS" => (
            ErrorKind::Denied,
            false,
            "it refuses user or password: correct them in the URL",
        ),
        "NOPERM" => (ErrorKind::Denied, false, LACKING),
        "WRONGTYPE" => (
            ErrorKind::Conflict,
            false,
            "a key that the bus needs holds something else: rename that key or the topic",
        ),
        "NOGROUP" => (ErrorKind::GroupMissing, false, "the group was destroyed"),
        // A script's command that this user may not use, as 7.0 and later versions say it.
        _ if reply.contains("user executing the script can't") || reply.contains("ACL failure in script") => {
            (ErrorKind::Denied, false, LACKING)
        }
        _ if reply.contains("no such key") => (ErrorKind::TopicMissing, false, "the stream was deleted"),
        _ if reply.contains("max number of clients") => (ErrorKind::Unavailable, true, "raise `maxclients`"),
        _ if reply.contains("called without any password configured") => (
            ErrorKind::Denied,
            false,
            "it has no password for this user: remove it from the URL",
        ),
        _ => (ErrorKind::Other, false, ""),
    };
    // What follows is the number of a script that nobody has.
    let reply = reply.split(" script: ").next().unwrap_or_default().trim();
    let sentence = match advice {
        "" => format!("redis at {address} answered `{reply}`"),
        advice => format!("redis at {address} answered `{reply}`: {advice}"),
    };
    Error::new(kind, sentence).transient(transient)
}

/// A connection that could not be made or broke.
pub(crate) fn broken(address: &str, doing: &str, source: std::io::Error) -> Error {
    Error::unavailable(format!("redis at {address} {doing}")).source(source)
}

/// An answer that did not come.
pub(crate) fn silent(address: &str) -> Error {
    Error::unavailable(format!("redis at {address} did not answer in time"))
}

/// An answer in a form that no supported server gives.
pub(crate) fn unexpected(address: &str, what: &str) -> Error {
    Error::new(
        ErrorKind::Other,
        format!("redis at {address} gave an answer to {what} that the bus does not understand"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_the_caller_can_do() {
        for (reply, kind, transient) in [
            (
                "LOADING Redis is loading the dataset in memory",
                ErrorKind::Unavailable,
                true,
            ),
            (
                "READONLY You can't write against a read only replica.",
                ErrorKind::Unavailable,
                true,
            ),
            (
                "MASTERDOWN Link with MASTER is down",
                ErrorKind::Unavailable,
                true,
            ),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                ErrorKind::Unavailable,
                true,
            ),
            ("CLUSTERDOWN The cluster is down", ErrorKind::Unavailable, true),
            (
                "UNBLOCKED the stream key no longer exists",
                ErrorKind::Unavailable,
                true,
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                ErrorKind::Unavailable,
                true,
            ),
            ("MOVED 866 127.0.0.1:7001", ErrorKind::Unsupported, false),
            ("ASK 866 127.0.0.1:7001", ErrorKind::Unsupported, false),
            ("NOAUTH Authentication required.", ErrorKind::Denied, false),
            (
                "WRONGPASS invalid username-password pair",
                ErrorKind::Denied,
                false,
            ),
            ("NOPERM this user has no permissions", ErrorKind::Denied, false),
            (
                "EXECABORT Transaction discarded because of: NOPERM this user has no permissions",
                ErrorKind::Denied,
                false,
            ),
            (
                "ERR The user executing the script can't run this command or subcommand script: e3fd, on @user_script:1.",
                ErrorKind::Denied,
                false,
            ),
            (
                "ERR ACL failure in script: No permissions to access a key script: 4e44, on @user_script:1.",
                ErrorKind::Denied,
                false,
            ),
            ("ERR max number of clients reached", ErrorKind::Unavailable, true),
            ("ERR unknown command", ErrorKind::Other, false),
        ] {
            let error = classify("h:1", reply);
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{reply}");
            assert!(error.message().starts_with("redis at h:1 answered"));
        }
    }
}
