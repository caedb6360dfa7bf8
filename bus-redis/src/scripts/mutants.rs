//! Scripts with a deliberate fault, in builds that have any.

use super::Script;
use bus_core::mutant;

/// The script's text. What it is changed into where one of its faults is on.
pub(super) fn of(script: Script, source: &str) -> String {
    let fenced = "if lease[1] ~= ARGV[2] or lease[2] ~= ARGV[3] then return { 'FENCED' } end";
    let seen = "owner ~= ARGV[4] or lease[2] ~= ARGV[5] or lease[3] ~= ARGV[6]";
    match script {
        Script::Commit if mutant("commit-unfenced") => without(source, fenced, ""),
        Script::Commit if mutant("commit-twice") => {
            without(source, "tonumber(lease[3]) >= tonumber(ARGV[4])", "false")
        }
        Script::Produce if mutant("publish-twice") => without(source, "marker >= tonumber(ARGV[2])", "false"),
        Script::Acquire if mutant("reset-to-latest") => without(
            source,
            "local last = group['last-delivered-id']",
            "local last = stream['last-generated-id']",
        ),
        // The owner's life is a time of the server instead of a count that the contender saw stand still.
        Script::Acquire if mutant("lease-by-wall-clock") => without(
            source,
            seen,
            "now_ms() - (redis.call('HGET', KEYS[1], 'seen') or 0) <= tonumber(ARGV[3])",
        ),
        Script::Trim if mutant("trim-past-slowest") => without(
            source,
            "elseif before(position, oldest) then",
            "elseif false then",
        ),
        _ => source.to_owned(),
    }
}

fn without(source: &str, part: &str, instead: &str) -> String {
    assert!(source.contains(part), "the fault's place is gone: {part}");
    source.replacen(part, instead, 1)
}
