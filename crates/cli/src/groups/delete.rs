//! `bus groups delete`.

use crate::{
    ask,
    failure::{Done, Failure},
    session::Session,
};
use clap::builder::FalseyValueParser;
use serde::Serialize;

/// Delete groups that have no live members, with their positions; the topics stay
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// Their names
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Do not ask (on a terminal; elsewhere nobody is asked)
    #[arg(short, long, env = "BUS_GROUPS_DELETE_YES", value_parser = FalseyValueParser::new())]
    yes: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    group: &'a str,
    deleted: bool,
}

impl Delete {
    /// Whether it may be done. No message is lost by it, so without a terminal nothing has to be confirmed.
    pub(super) fn agreed(&self) -> Done<bool> {
        if self.yes || !ask::possible() {
            return Ok(true);
        }
        let question = format!("Delete {} with all positions?", self.groups.join(", "));
        ask::yes(&question).map_err(Failure::from)
    }
    pub(super) async fn run(self, session: &Session) -> Done<()> {
        let admin = session.admin();
        for group in &self.groups {
            session.ask(|| admin.delete_group(group)).await?;
            session
                .out
                .say(&format!("deleted {group}"), &Line { group, deleted: true })?;
        }
        Ok(())
    }
}
