//! docs/features.md says what is true: the tests it names exist, and the pages and headings it links to.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

const ROWS: [&str; 34] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "8a", "9", "10", "10a", "11", "12", "13", "14", "15", "16", "17",
    "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "27a", "28", "29", "30", "31",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/features.md")).unwrap()
}

/// The cells of each row: label, what, API, tests, pages.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let rows = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|row| row[0].starts_with('[')).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The source that `worker`, `conformance/groups` or a path names.
fn source(name: &str) -> Option<String> {
    let path = match name.strip_prefix("conformance/") {
        Some(check) => format!("bus-core/src/conformance/checks/{check}.rs"),
        None if name.contains('/') => format!("{name}.rs"),
        None => format!("tests/{name}.rs"),
    };
    fs::read_to_string(root().join(path)).ok()
}

/// Whether a source has this function, and as a test; a check of the suite is one by being there.
fn has_test(name: &str, test: &str, source: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let declared = |line: &str| {
        let rest = line.strip_prefix("pub(crate) ").unwrap_or(line);
        let rest = rest.strip_prefix("async ").unwrap_or(rest);
        rest.strip_prefix("fn ")
            .is_some_and(|rest| rest.starts_with(&format!("{test}(")))
    };
    let is_test = |line: &&str| line.starts_with("#[test") || line.starts_with("#[tokio::test");
    lines.iter().enumerate().any(|(at, line)| {
        let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        declared(line) && (name.starts_with("conformance/") || attributes.into_iter().any(is_test))
    })
}

/// A heading as links name it.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Headings outside of examples, where lines begin with `#` too.
fn has_heading(text: &str, anchor: &str) -> bool {
    let mut in_code = false;
    text.lines().any(|line| {
        in_code ^= line.starts_with("```");
        !in_code && line.starts_with('#') && slug(line.trim_start_matches('#')) == anchor
    })
}

/// What is wrong with a row.
fn mistakes(row: &[&str]) -> Vec<String> {
    let [label, _, _, tests, pages] = row else {
        return vec![format!("{row:?} has not five cells")];
    };
    let mut wrong = Vec::new();
    let is_there = !row.contains(&"not there");
    if is_there && (quoted(tests).is_empty() || !pages.contains("](")) {
        wrong.push(format!("{label} names no test, or no page"));
    }
    for named in quoted(tests) {
        let found = named
            .split_once("::")
            .is_some_and(|(file, test)| source(file).is_some_and(|source| has_test(file, test, &source)));
        if !found {
            wrong.push(format!("{label}: there is no test `{named}`"));
        }
    }
    for link in pages.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
        let (file, anchor) = link.0.split_once('#').unwrap_or((link.0, ""));
        let found = fs::read_to_string(root().join("docs").join(file));
        if !found.is_ok_and(|text| anchor.is_empty() || has_heading(&text, anchor)) {
            wrong.push(format!("{label}: there is no page `{}`", link.0));
        }
    }
    wrong
}

#[test]
fn every_row_names_tests_and_pages_that_exist() {
    let page = page();
    let rows = rows(&page);
    let labels: Vec<_> = rows.iter().map(|row| row[0].trim_matches(['[', ']'])).collect();
    assert_eq!(labels, ROWS);
    let wrong: Vec<_> = rows.iter().flat_map(|row| mistakes(row)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_there_is_noticed() {
    let row = |tests, pages| vec!["[1]", "what", "`Bus`", tests, pages];
    let here = "`features::what_is_not_there_is_noticed`";
    assert_eq!(mistakes(&row(here, "[x](guarantees.md#order)")), [""; 0]);
    for (tests, pages) in [
        ("`features::nothing_of_this_name`", "[x](guarantees.md)"),
        ("`features::slug`", "[x](guarantees.md)"),
        ("`nowhere::nothing`", "[x](guarantees.md)"),
        ("", "[x](guarantees.md)"),
        (here, ""),
        (here, "[x](nowhere.md)"),
        (here, "[x](guarantees.md#nowhere)"),
        // A line of an example is no heading.
        (here, "[x](subscriptions.md#ok)"),
    ] {
        assert_eq!(mistakes(&row(tests, pages)).len(), 1, "{tests} {pages}");
    }
}
