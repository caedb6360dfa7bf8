//! `bus topics describe`.

use super::list::Line;
use crate::{
    failure::Done,
    output::{show, table, text},
    position::Position,
    session::Session,
    time,
};
use bus::{Start, TopicSpec};
use serde::Serialize;

/// Describe topics: settings, and the ends of each partition
#[derive(Debug, clap::Args)]
pub(crate) struct Describe {
    /// Their names
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
}

impl Describe {
    pub(super) async fn run(self, session: &Session) -> Done<()> {
        let admin = session.admin();
        let all = session.ask(|| admin.topics()).await?;
        for name in &self.topics {
            let firsts = session.ask(|| admin.positions(name, Start::Earliest)).await?;
            let ends = session.ask(|| admin.positions(name, Start::Latest)).await?;
            let ends: Vec<_> = firsts
                .into_iter()
                .map(|(partition, first)| {
                    let end = ends
                        .iter()
                        .find(|(p, _)| *p == partition)
                        .map_or(first, |(_, end)| *end);
                    (partition, first, end)
                })
                .collect();
            // A stream that another program made has no settings of the bus.
            let spec = all.iter().find(|topic| *topic.name == **name).cloned();
            let spec = spec.unwrap_or_else(|| TopicSpec::new(name.as_str()).partitions(ends.len() as u32));
            if session.out.is_json() {
                session.out.line(&Described::of(session, &spec, &ends))?;
            } else {
                person(session, &spec, &ends)?;
            }
        }
        Ok(())
    }
}

/// A topic with the ends of its partitions as a JSON line.
#[derive(Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    topic: Line<'a>,
    ends: Vec<Ends>,
}

#[derive(Serialize)]
struct Ends {
    partition: u32,
    first: Position,
    end: Position,
}

impl<'a> Described<'a> {
    fn of(session: &Session, spec: &'a TopicSpec, ends: &[(u32, u128, u128)]) -> Self {
        let ends = ends.iter().map(|&(partition, first, end)| Ends {
            partition,
            first: session.position(first),
            end: session.position(end),
        });
        Self {
            topic: Line::of(spec),
            ends: ends.collect(),
        }
    }
}

fn person(session: &Session, spec: &TopicSpec, ends: &[(u32, u128, u128)]) -> Done<()> {
    let mut facts = vec![format!("{} partitions", spec.partitions)];
    facts.extend(spec.replication.map(|copies| format!("{copies} copies")));
    facts.extend(
        spec.retention
            .map(|kept| format!("kept for {}", time::show(kept))),
    );
    facts.extend(spec.compact.then(|| "compacted".to_owned()));
    text(&format!("{}: {}\n", spec.name, facts.join(", ")))?;
    let mut table = table(["partition", "first", "end"]);
    for (partition, first, end) in ends {
        table.add_row([
            partition.to_string(),
            session.position(*first).to_string(),
            session.position(*end).to_string(),
        ]);
    }
    show(&table, "no partitions")
}
