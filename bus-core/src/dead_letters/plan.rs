//! How far a replay goes: looked at by observation, before anything is moved.

use super::{
    DeadLetters, OpenLetters, Refused, Replayed,
    fate::{Fate, Judge},
};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Refusals that are kept for the report.
const REFUSED: usize = 100;

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The last position of each partition at which something is moved: nothing is touched behind it.
    pub(super) last: BTreeMap<u32, u128>,
    /// What it comes to if nothing comes between.
    pub(super) comes_to: Replayed,
}

impl Plan {
    pub(super) async fn make(letters: &DeadLetters, judge: &Judge, at_most: u64) -> Result<Self> {
        let mut plan = Self::default();
        let mut open = OpenLetters::new(letters.clone()).await?;
        while plan.total() < at_most {
            let Some(next) = open.next_record().await else {
                break;
            };
            let (letter, record) = next?;
            match judge.of(&letter, &record) {
                Fate::Back(_) => plan.comes_to.replayed += 1,
                Fate::Park(_) => plan.comes_to.parked += 1,
                Fate::Stay(error) => {
                    plan.refuse(letter.id, error);
                    continue;
                }
            }
            plan.last.insert(letter.partition, letter.position);
        }
        Ok(plan)
    }
    /// What is to be moved.
    pub(super) fn total(&self) -> u64 {
        self.comes_to.replayed + self.comes_to.parked
    }
    fn refuse(&mut self, id: String, error: Error) {
        self.comes_to.refused += 1;
        if self.comes_to.refusals.len() < REFUSED {
            self.comes_to.refusals.push(Refused { id, error });
        }
    }
}
