//! `bus dlq show`.

use super::{
    letter::{Line, whole},
    select::{Filters, Parked, read},
};
use crate::{
    failure::{Done, Failure, Status},
    session::Session,
};
use std::collections::BTreeSet;

/// Show open dead letters whole: why, from where, key, headers and value
///
/// --json prints the same as `bus dlq list --json`.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The topic that they come from
    topic: String,
    /// The group that gave them up
    group: String,
    /// Their ids, as `bus dlq list` prints them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// The topic in which the group keeps them [default: TOPIC.GROUP.dlq]
    #[arg(long, value_name = "TOPIC")]
    kept_in: Option<String>,
    #[command(flatten)]
    parked: Parked,
}

impl Show {
    pub(super) async fn run(self, session: &Session) -> Done {
        let filters = Filters::ids(self.ids.clone(), self.kept_in.clone());
        let letters = filters.of(session, &self.topic, &self.group, self.parked.parked)?;
        let mut missing: BTreeSet<_> = self.ids.into_iter().collect();
        let mut open = read(session, &letters).await?;
        while let Some(letter) = open.next().await {
            let letter = letter.map_err(|error| session.failure(error))?;
            missing.remove(&letter.id);
            if session.out.is_json() {
                session.out.line(&Line(&letter, session.form()))?;
            } else {
                whole(&letter, session.form())?;
            }
        }
        if missing.is_empty() {
            return Ok(Status::Done);
        }
        let missing: Vec<_> = missing.into_iter().collect();
        let stored_in = letters.stored_in();
        Err(Failure::new(format!(
            "not among what is open in `{stored_in}`: {}",
            missing.join(", ")
        ))
        .hint(format!(
            "`bus dlq list {} {}` lists what is",
            self.topic, self.group
        )))
    }
}
