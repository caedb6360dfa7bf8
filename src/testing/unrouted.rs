//! Events that no route matched.

use crate::router::Routes;

/// Panics if an event has come by that no route of this router matches, with the types, how many there were of each, and the
/// routes that there are.
/// # Panics
/// That is what it is for.
#[track_caller]
pub fn assert_no_unrouted(router: &Routes) {
    let unrouted = router.unrouted();
    let types: Vec<_> = unrouted
        .iter()
        .map(|(event, count)| format!("`{event}` ({count})"))
        .collect();
    let routes: Vec<_> = router
        .routes()
        .map(|(pattern, _)| format!("`{pattern}`"))
        .collect();
    assert!(
        types.is_empty(),
        "no route of router `{}` matches {}; it has {}",
        router.name(),
        types.join(", "),
        if routes.is_empty() {
            "none".to_owned()
        } else {
            routes.join(", ")
        },
    );
}
