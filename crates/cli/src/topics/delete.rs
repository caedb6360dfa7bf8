//! `bus topics delete`.

use crate::{
    ask,
    failure::{Done, Failure},
    session::Session,
};
use clap::builder::FalseyValueParser;
use serde::Serialize;

/// Delete topics and what they hold
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// Their names
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Do not ask
    #[arg(short, long, env = "BUS_TOPICS_DELETE_YES", value_parser = FalseyValueParser::new())]
    yes: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    deleted: bool,
}

impl Delete {
    /// Whether it may be done. Nobody there to ask is no yes.
    pub(super) fn agreed(&self) -> Done<bool> {
        if self.yes {
            return Ok(true);
        }
        if !ask::possible() {
            let error = Failure::usage("nobody is there to be asked whether to delete");
            return Err(error.hint(format!(
                "`bus topics delete {} -y` deletes without asking",
                self.topics.join(" ")
            )));
        }
        let question = format!("Delete {} with all messages?", self.topics.join(", "));
        ask::yes(&question).map_err(Failure::from)
    }
    pub(super) async fn run(self, session: &Session) -> Done<()> {
        let admin = session.admin();
        for topic in &self.topics {
            session.ask(|| admin.delete(topic)).await?;
            session
                .out
                .say(&format!("deleted {topic}"), &Line { topic, deleted: true })?;
        }
        Ok(())
    }
}
