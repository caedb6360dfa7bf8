//! The table of mutants, as a page of the documentation.

use super::list::{Killer, MUTANTS, Package};
use crate::cargo::root;
use std::{collections::BTreeSet, fmt::Write, path::PathBuf};

pub(super) fn path() -> PathBuf {
    root().join("docs/mutants.md")
}

pub(super) fn render() -> String {
    let mut page = String::from(
        "# Mutants

Tests that cannot fail prove nothing. A test build carries these deliberate faults (`bus_core::mutant`, feature
`mutants`; no other build has any of them), and `cargo xtask mutants` turns on one after the other: every test named here
fails with its mutant and passes without. The page is written by that command.

| mutant | where | what it breaks | killed by | on |
|---|---|---|---|---|
",
    );
    for mutant in MUTANTS {
        let tests: BTreeSet<_> = mutant.killers.iter().map(label).collect();
        let tests: Vec<_> = tests.into_iter().map(|test| format!("`{test}`")).collect();
        let mut on: Vec<_> = mutant.killers.iter().map(|killer| killer.on).collect();
        on.dedup();
        let mut unique = Vec::new();
        on.into_iter().for_each(|on| {
            if !unique.contains(&on) {
                unique.push(on);
            }
        });
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            mutant.name,
            mutant.place,
            mutant.breaks,
            tests.join(", "),
            unique.join(", ")
        );
    }
    page
}

/// A conformance check, or a test and the file it is in.
fn label(killer: &Killer) -> String {
    let name = killer.test.rsplit("::").next().unwrap_or(killer.test);
    match (killer.package, killer.target) {
        (Package::Bus, _) => name.to_owned(),
        (_, "lib") => killer.test.to_owned(),
        (_, target) => format!("{target}::{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_page_is_of_this_list() {
        let page = std::fs::read_to_string(path()).unwrap();
        assert_eq!(page, render(), "`cargo xtask mutants` writes it");
    }

    fn switches(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                switches(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = text.split("mutant(\"").skip(1);
                found.extend(names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn every_switch_in_the_code_has_a_test() {
        let mut found = BTreeSet::new();
        for package in ["bus-core", "bus-memory", "bus-redis", "bus-kafka"] {
            switches(&root().join(package).join("src"), &mut found);
        }
        let listed: BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name.to_owned()).collect();
        assert_eq!(found, listed);
        assert!(MUTANTS.iter().all(|mutant| !mutant.killers.is_empty()));
    }
}
