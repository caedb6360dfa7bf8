//! `cargo xtask mutants`: whether the tests find what they are there to find.
//!
//! A build with the feature `mutants` carries deliberate faults, of which one at a time is on. For each there are tests
//! that fail with it and pass without it; when all do, the table of them is written.

mod binaries;
mod list;
mod run;
mod table;

use crate::{Done, interrupt, servers};
use list::{MUTANTS, Mutant};
use run::{Runs, Seen};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the mutant of this name; the table is not written then.
    #[arg(long)]
    only: Option<String>,
}

/// Builds once, lets every mutant's tests run with it and without, and says which survived.
pub(crate) fn run(arguments: &Arguments) -> Done {
    let chosen: Vec<&'static Mutant> = MUTANTS
        .iter()
        .filter(|mutant| arguments.only.as_deref().is_none_or(|only| only == mutant.name))
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        return Err(format!("there is no such mutant; there are {}", names.join(", ")).into());
    }
    let binaries = binaries::build(&chosen)?;
    let seen = servers::with(|servers| {
        let runs = Runs::new(&binaries, servers);
        Ok(runs.all(&chosen))
    })?;
    if interrupt::interrupted() {
        return Err("interrupted".into());
    }
    let wrong: Vec<_> = seen.iter().filter(|(.., seen)| *seen != Seen::Killed).collect();
    for (mutant, killer, seen) in &wrong {
        eprintln!("mutants: {}: {}: {seen}", mutant.name, killer.test);
    }
    if !wrong.is_empty() {
        return Err(format!("{} of {} tests did not do their work", wrong.len(), seen.len()).into());
    }
    println!(
        "{} mutants, each killed by every test that is there for it",
        chosen.len()
    );
    if arguments.only.is_none() {
        std::fs::write(table::path(), table::render())?;
    }
    Ok(())
}
