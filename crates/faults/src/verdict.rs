//! Everything that always holds, asked of the checkers of the conformance suite.

use crate::{evidence::Evidence, observer::Logged, stray, test::Numbers};
use bus_core::conformance::{
    Failure, Happening, Id, Place, What,
    checkers::{self, Cause, Interruption, Stored, Told},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Instant,
};

/// What is known about a topic and one group when all is over.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) log: &'a [Logged],
    /// Dead letters of the group.
    pub(crate) dead: &'a [Logged],
    /// What was removed before anybody got it: that is the end of it.
    pub(crate) unread: &'a [Logged],
    /// Members that were killed.
    pub(crate) kills: &'a [Interruption],
    /// Times in which a member (`None`: any) may have lost its partitions without asking for it.
    pub(crate) cuts: &'a [(Option<u32>, Instant, Instant)],
    /// The group's stored positions over time; empty where they may go back, as after a broker's own loss.
    pub(crate) stored: &'a [Stored],
    /// Stored positions may go back: commits arrived late.
    pub(crate) may_go_back: bool,
    /// At most so many messages may come again for each interruption: in flight, and acknowledged but not stored.
    pub(crate) in_flight: usize,
    pub(crate) unstored: usize,
}

impl Case<'_> {
    /// Whether this member may have lost its partitions at that time without asking for it.
    fn was_cut(&self, member: u32, at: Instant) -> bool {
        let cuts = self.cuts.iter();
        cuts.filter(|(who, ..)| who.is_none_or(|who| who == member))
            .any(|(_, from, to)| (*from..=*to).contains(&at))
    }
}

/// Holds everything against everything.
/// # Errors
/// The first promise that was not kept.
pub(crate) fn judge(case: &Case<'_>, numbers: &mut Numbers) -> Result<(), Failure> {
    let Case { evidence, log, .. } = case;
    if let Some(why) = evidence.failures.first() {
        return Err(Failure::new(format_args!(
            "{} actors could not go on: {why}",
            evidence.failures.len()
        )));
    }
    let places: Vec<(Id, Place)> = log.iter().map(|l| (l.id.clone(), l.place)).collect();
    checkers::log_holds(&evidence.sent, &places).map_err(|f| f.context("the log"))?;
    let (history, started) = stray::without(
        history(case),
        |member, at| case.was_cut(member, at),
        &case.evidence.gained,
    );
    let interruptions = interruptions(case, &history);
    checkers::lost(&history)?;
    checkers::unexpected(&history)?;
    checkers::reordered(&history)?;
    checkers::early(&history)?;
    checkers::ended_twice(&history)?;
    checkers::former_owner(&history)?;
    checkers::overlapping(&checkers::completed(&history, &interruptions))?;
    if !case.may_go_back {
        checkers::stored_went_back(case.stored)?;
    }
    checkers::passed_unsettled(&history, case.stored)?;
    let causes = checkers::explained(&history, &interruptions)?;
    // One interruption takes all partitions of a member: for the bound it is one, however many it shows in.
    let times = interruptions
        .iter()
        .map(|i| (i.member, i.at))
        .collect::<HashSet<_>>()
        .len();
    checkers::within(&causes, Cause::InFlight, times * case.in_flight)?;
    checkers::within(&causes, Cause::Unstored, times * case.unstored)?;
    count(case, &causes, times, numbers);
    if started > 0 {
        numbers.add("started by a former owner", started);
    }
    Ok(())
}

fn count(case: &Case<'_>, causes: &BTreeMap<Cause, usize>, times: usize, numbers: &mut Numbers) {
    let told = |told| case.evidence.sent.iter().filter(|s| s.told == told).count();
    let caused = |cause| causes.get(&cause).copied().unwrap_or(0);
    numbers.add("sent", case.evidence.sent.len());
    numbers.add("stored", case.log.len());
    if told(Told::NotStored) + told(Told::Unknown) > 0 {
        numbers.add("refused", told(Told::NotStored));
        numbers.add("unknown", told(Told::Unknown));
    }
    if !case.dead.is_empty() {
        numbers.add("dead letters", case.dead.len());
    }
    if times > 0 || caused(Cause::InFlight) + caused(Cause::Unstored) > 0 {
        numbers.add("interrupted", times);
        let bound = |n: usize| times * n;
        numbers.add(
            "again in flight",
            format_args!("{} of {}", caused(Cause::InFlight), bound(case.in_flight)),
        );
        numbers.add(
            "again unstored",
            format_args!("{} of {}", caused(Cause::Unstored), bound(case.unstored)),
        );
    }
    if caused(Cause::Nacked) > 0 {
        numbers.add("nacked", caused(Cause::Nacked));
    }
    if caused(Cause::Returned) > 0 {
        numbers.add("returned", caused(Cause::Returned));
    }
}

/// One history: what is stored was published, in the log's order; then what consumers did; then the dead letters.
fn history(case: &Case<'_>) -> Vec<Happening> {
    let Case {
        evidence, log, dead, ..
    } = case;
    let start = evidence.handled.first().map_or_else(Instant::now, |h| h.at);
    let published = log.iter().map(|l| Happening {
        at: evidence.intents.get(&l.id).copied().unwrap_or(start),
        id: l.id.clone(),
        key: Some(crate::payload::key(&l.id).into()),
        place: Some(l.place),
        what: What::Published,
    });
    let mut history: Vec<_> = published.chain(evidence.handled.iter().cloned()).collect();
    // By now it is known that the log has each key's messages in the order in which they were sent.
    history.sort_by_key(|h| h.at);
    let end = evidence.handled.last().map_or(start, |h| h.at);
    let mut seen = HashSet::new();
    // A second copy with the same origin is allowed without exactly once.
    let once = dead
        .iter()
        .filter(|d| seen.insert(d.origin.clone().unwrap_or_else(|| d.id.to_string())));
    history.extend(once.chain(case.unread).map(|d| Happening {
        at: end,
        id: d.id.clone(),
        key: Some(crate::payload::key(&d.id).into()),
        place: None,
        what: What::DeadLettered,
    }));
    history
}

/// The kills; each change of a partition's owner that a cut explains, at the new owner's first delivery; and each time
/// that a member gave a partition up for a moment during a cut, because it could not know what had become of a request,
/// seen by what it had acknowledged and got again.
fn interruptions(case: &Case<'_>, history: &[Happening]) -> Vec<Interruption> {
    let mut all = case.kills.to_vec();
    let mut owners: HashMap<u32, u32> = HashMap::new();
    let mut acked: HashMap<&Id, (u32, Instant)> = HashMap::new();
    let mut given_up: HashMap<(u32, u32), Instant> = HashMap::new();
    for h in history {
        match h.what {
            What::Acked { member } => drop(acked.insert(&h.id, (member, h.at))),
            What::Delivered { member, .. } => {
                let Some(place) = h.place else { continue };
                let partition = Some(place.partition);
                let before = owners
                    .insert(place.partition, member)
                    .filter(|before| *before != member);
                if let Some(before) = before.filter(|before| case.was_cut(*before, h.at)) {
                    all.push(Interruption {
                        at: h.at,
                        member: before,
                        partition,
                    });
                }
                let again = acked
                    .remove(&h.id)
                    .filter(|(by, _)| *by == member && case.was_cut(member, h.at));
                let last = given_up.get(&(member, place.partition)).copied();
                if let Some((_, at)) = again
                    && last.is_none_or(|last| last < at)
                {
                    given_up.insert((member, place.partition), h.at);
                    all.push(Interruption {
                        at: h.at,
                        member,
                        partition,
                    });
                }
            }
            _ => {}
        }
    }
    all.sort_by_key(|i| i.at);
    all
}
