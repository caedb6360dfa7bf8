//! `bus groups reset`.

use crate::{
    failure::{Done, Failure},
    output::{show, table, text},
    position::Position,
    session::Session,
    start,
};
use bus::{ErrorKind, GroupSpec, MemberSpec};
use clap::builder::FalseyValueParser;
use serde::Serialize;

/// Move a group that has no live members
#[derive(Debug, clap::Args)]
pub(crate) struct Reset {
    /// The group
    group: String,
    /// The topic
    #[arg(long, env = "BUS_GROUPS_RESET_TOPIC")]
    topic: String,
    /// Where to: earliest, latest, a time (2026-07-01T12:00:00Z, "2h ago"), a position for every partition, or some by
    /// partition: 0:15,3:20
    #[arg(long, env = "BUS_GROUPS_RESET_TO", value_name = "PLACE")]
    to: start::From,
    /// Only show what would be done
    #[arg(long, env = "BUS_GROUPS_RESET_DRY_RUN", value_parser = FalseyValueParser::new())]
    dry_run: bool,
}

/// One partition's move as a JSON line.
#[derive(Serialize)]
struct Line<'a> {
    group: &'a str,
    topic: &'a str,
    partition: u32,
    from: Option<Position>,
    to: Position,
    done: bool,
}

/// One partition's move.
struct Move {
    partition: u32,
    from: Option<u128>,
    to: u128,
}

impl Reset {
    pub(super) async fn run(self, session: &Session) -> Done<()> {
        bus::check_name(&self.group)?;
        let admin = session.admin();
        let group = match session.ask(|| admin.group(&self.group)).await {
            Ok(group) => Some(group),
            Err(failure) if failure.kind() == Some(ErrorKind::GroupMissing) => None,
            Err(failure) => return Err(failure),
        };
        let partitions = if self.to.needs_partitions() {
            session.partitions(&self.topic).await?
        } else {
            0
        };
        let to = self.to.clone().on(partitions);
        let targets = session.ask(|| admin.positions(&self.topic, to.clone())).await?;
        let moves: Vec<_> = targets
            .into_iter()
            .map(|(p, to)| self.from(group.as_ref(), p, to))
            .collect();
        let live = group.as_ref().map_or(&[][..], |group| &group.members);
        if !self.dry_run {
            // Also asked here, so that nothing is shown as done which the backend then refuses.
            if !live.is_empty() {
                return Err(self.refused(live));
            }
            session
                .ask(|| admin.reset(&self.group, &self.topic, to.clone()))
                .await?;
        }
        self.tell(session, &moves)?;
        if self.dry_run && !live.is_empty() {
            eprintln!("it would be refused now: {}", self.live(live));
        }
        Ok(())
    }

    fn from(&self, group: Option<&GroupSpec>, partition: u32, to: u128) -> Move {
        let stored = group.and_then(|group| {
            group
                .positions
                .iter()
                .find(|at| *at.topic == *self.topic && at.partition == partition)
                .map(|at| at.position)
        });
        Move {
            partition,
            from: stored,
            to,
        }
    }

    fn live(&self, members: &[MemberSpec]) -> String {
        let names: Vec<_> = members.iter().map(|member| &*member.id).collect();
        format!("group `{}` has live members: {}", self.group, names.join(", "))
    }

    fn refused(&self, members: &[MemberSpec]) -> Failure {
        Failure::new(self.live(members))
            .hint("stop them first; a member that died is gone after some seconds")
    }

    fn tell(&self, session: &Session, moves: &[Move]) -> Done<()> {
        let shown = |position| session.position(position);
        if session.out.is_json() {
            return moves.iter().try_for_each(|step| {
                session.out.line(&Line {
                    group: &self.group,
                    topic: &self.topic,
                    partition: step.partition,
                    from: step.from.map(shown),
                    to: shown(step.to),
                    done: !self.dry_run,
                })
            });
        }
        let mut table = table(["partition", "from", "to"]);
        for step in moves {
            let from = step.from.map(|from| shown(from).to_string()).unwrap_or_default();
            table.add_row([step.partition.to_string(), from, shown(step.to).to_string()]);
        }
        show(&table, "no partitions")?;
        let done = if self.dry_run {
            "would be moved; without --dry-run it is"
        } else {
            "was moved"
        };
        text(&format!("{} on {} {done}\n", self.group, self.topic))
    }
}
