//! What a kill explains, and what it does not.

use super::*;
use crate::conformance::checkers::{
    overlapping,
    stories::{Step, acked, delivered, history, nacked, returned},
};

/// Member 0 was killed between the happenings `after` and `after + 1`.
fn killed(story: &[Happening], after: usize) -> Interruption {
    Interruption {
        at: story[after].at + std::time::Duration::from_micros(500),
        member: 0,
        partition: None,
    }
}

fn causes(story: &[Step], kill: Option<usize>) -> Result<Vec<(Cause, usize)>, String> {
    let story = history(story);
    let kills: Vec<_> = kill.map(|after| killed(&story, after)).into_iter().collect();
    let found = explained(&story, &kills).map_err(|f| f.to_string())?;
    Ok(found.into_iter().collect())
}

#[test]
fn each_repeat_has_its_cause() {
    let once = [delivered("x", 0), acked("x", 0)];
    assert_eq!(causes(&once, None), Ok(vec![]));
    let story = [delivered("x", 0), nacked("x"), delivered("x", 1)];
    assert_eq!(causes(&story, None), Ok(vec![(Cause::Nacked, 1)]));
    let story = [delivered("x", 0), returned("x"), delivered("x", 1)];
    assert_eq!(causes(&story, None), Ok(vec![(Cause::Returned, 1)]));
    let story = [delivered("x", 0), delivered("x", 1), acked("x", 1)];
    assert_eq!(causes(&story, Some(0)), Ok(vec![(Cause::InFlight, 1)]));
    let story = [delivered("x", 0), acked("x", 0), delivered("x", 1)];
    assert_eq!(causes(&story, Some(1)), Ok(vec![(Cause::Unstored, 1)]));
}

#[test]
fn a_repeat_without_a_cause_is_named() {
    let out = [delivered("x", 0), delivered("x", 1)];
    let failure = causes(&out, None).unwrap_err();
    assert!(
        failure.contains(r#""x" came to member 1"#) && failure.contains("still out"),
        "{failure}"
    );
    let settled = [delivered("x", 0), acked("x", 0), delivered("x", 1)];
    let failure = causes(&settled, None).unwrap_err();
    assert!(failure.contains("was acknowledged by it"), "{failure}");
    let other = [delivered("x", 1), acked("x", 1), delivered("x", 2)];
    assert!(
        causes(&other, Some(1)).is_err(),
        "the kill of somebody else is no cause"
    );
    assert!(
        causes(
            &[
                delivered("x", 0),
                acked("x", 0),
                delivered("y", 0),
                delivered("x", 1)
            ],
            Some(2)
        )
        .is_ok()
    );
    let late = [
        delivered("y", 0),
        delivered("x", 0),
        acked("x", 0),
        delivered("x", 1),
    ];
    assert!(
        causes(&late, Some(0)).is_err(),
        "a kill before the delivery is no cause"
    );
}

#[test]
fn an_interruption_of_one_partition_leaves_the_others() {
    let story = history(&[delivered("x", 0), delivered("x", 1)]);
    let of = |partition| Interruption {
        partition: Some(partition),
        ..killed(&story, 0)
    };
    assert!(explained(&story, &[of(0)]).is_ok());
    assert!(explained(&story, &[of(1)]).is_err());
}

#[test]
fn what_a_killed_member_had_out_is_returned() {
    let story = history(&[
        delivered("a", 0),
        delivered("a", 1),
        acked("a", 1),
        delivered("b", 1),
    ]);
    assert!(overlapping(&story).is_err(), "so it looks without the kill");
    let whole = completed(&story, &[killed(&story, 0)]);
    assert_eq!(whole[1].what, What::Returned);
    assert!(overlapping(&whole).is_ok());
    let too_late = completed(&story, &[killed(&story, 1)]);
    assert!(overlapping(&too_late).is_err(), "two at once before the kill");
    let at_the_end = completed(&story[..1], &[killed(&story, 0)]);
    assert_eq!(at_the_end.len(), 2);
}

#[test]
fn a_bound_is_a_bound() {
    let causes = BTreeMap::from([(Cause::InFlight, 3)]);
    assert!(within(&causes, Cause::InFlight, 3).is_ok());
    assert!(within(&causes, Cause::Unstored, 0).is_ok());
    let failure = within(&causes, Cause::InFlight, 2).unwrap_err().to_string();
    assert!(
        failure.contains("3 messages came again because of InFlight, and at most 2"),
        "{failure}"
    );
}
