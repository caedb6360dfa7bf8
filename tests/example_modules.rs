//! `examples/modules` prints the same on every backend: requests, letters by hand, routes, draining, the audit trail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "harness/program.rs"]
mod program;

use program::{Program, example, unique};

const PRINTED: &str = r#"== requests
respond {"answer":42}
correlation id question-1
error 500 "boom"
timeout after 1s
== by hand
answering the second question
answering the first question
take(id1): the answer to the first question
take(id2): the answer to the second question
take(unknown): timeout after 1s
== router
test.return reached its handler
test.return reached its handler
module.test.return reached no handler, 2 times
nope reached no handler, 2 times
test reached no handler, 2 times
test.return.extra reached no handler, 2 times
== drain
3 entries
page 1 is filed
page-1: Ack
page 2 is filed
page-2: Ack
page 3 is filed
page-3: Ack
again: 0 entries
== audit trail
A has the reply done
A test.start, with sent and with received time
B test.next, with sent and with received time
C respond, with sent and with received time
A has 0 letters and 0 stray replies
B has 0 letters and 0 stray replies"#;

fn prints(url: &str) {
    let suffix = unique("");
    let mut command = example("modules");
    command.args(["--url", url, &format!("--suffix={suffix}")]);
    let (code, printed, logged) = Program::start(command).ends();
    assert_eq!(code, Some(0), "{url}: {}", logged.join("\n"));
    let (twice, others): (Vec<_>, Vec<_>) = printed.iter().partition(|line| line.contains("bound twice"));
    assert_eq!(
        others
            .iter()
            .map(|line| line.replace(&suffix, ""))
            .collect::<Vec<_>>()
            .join("\n"),
        PRINTED,
        "{url}"
    );

    // Both places in the program.
    let source: Vec<_> = include_str!("../examples/modules/routing.rs").lines().collect();
    let [twice] = &twice[..] else {
        panic!("{printed:#?}")
    };
    let bound = |place: &str| {
        let (line, column) = place.split_once(':').unwrap();
        let text = source[line.parse::<usize>().unwrap() - 1];
        text[column.parse::<usize>().unwrap() - 1..].to_owned()
    };
    let places = twice
        .strip_prefix("route `return` of router `test` is bound twice: at ")
        .unwrap();
    let places: Vec<_> = places
        .split(" and at ")
        .map(|place| place.strip_prefix("examples/modules/routing.rs:"))
        .collect();
    let [Some(first), Some(second)] = places[..] else {
        panic!("{twice}")
    };
    let at = [bound(first), bound(second)];
    assert_eq!(
        at,
        [r#"route("return", test_return)"#, r#"route("return", another)"#]
    );

    // One warning for each type of event that no route matches, however many came.
    let warnings: Vec<_> = logged
        .iter()
        .filter(|line| line.contains("no route for this type of event"))
        .collect();
    assert_eq!(warnings.len(), 4, "{logged:#?}");
    for event in ["test", "module.test.return", "test.return.extra", "nope"] {
        let named = format!("event=\"{event}\"");
        assert_eq!(
            warnings.iter().filter(|line| line.contains(&named)).count(),
            1,
            "{event}: {logged:#?}"
        );
    }
}

#[test]
fn on_memory() {
    prints("memory://");
}

#[test]
#[cfg(feature = "kafka")]
fn on_kafka() {
    prints(&program::server("BUS_TEST_KAFKA"));
}

#[test]
#[cfg(feature = "redis")]
fn on_redis() {
    prints(&program::server("BUS_TEST_REDIS"));
    prints(&program::server("BUS_TEST_REDIS_8"));
}
