//! `bus groups describe`.

use super::list::lag;
use crate::{
    failure::Done,
    output::{show, table, text},
    position::Position,
    session::Session,
};
use bus::{GroupSpec, TopicLag};
use serde::Serialize;

/// Describe groups: members and what they own; positions, ends and lag
#[derive(Debug, clap::Args)]
pub(crate) struct Describe {
    /// Their names
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

impl Describe {
    pub(super) async fn run(self, session: &Session) -> Done<()> {
        let admin = session.admin();
        for name in &self.groups {
            let group = session.ask(|| admin.group(name)).await?;
            if session.out.is_json() {
                session.out.line(&Described::of(session, &group))?;
            } else {
                person(session, &group)?;
            }
        }
        Ok(())
    }
}

/// The member that owns this partition, if one does.
fn owner<'a>(group: &'a GroupSpec, at: &TopicLag) -> Option<&'a str> {
    let owns = |(topic, partition): &(bus::Name, u32)| *topic == at.topic && *partition == at.partition;
    group
        .members
        .iter()
        .find(|member| member.partitions.iter().any(owns))
        .map(|member| &*member.id)
}

/// A group as a JSON line.
#[derive(Serialize)]
struct Described<'a> {
    group: &'a str,
    lag: u64,
    members: Vec<Member<'a>>,
    positions: Vec<At<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    id: &'a str,
    host: &'a str,
    partitions: Vec<Owned<'a>>,
}

#[derive(Serialize)]
struct Owned<'a> {
    topic: &'a str,
    partition: u32,
}

#[derive(Serialize)]
struct At<'a> {
    topic: &'a str,
    partition: u32,
    position: Position,
    end: Position,
    lag: u64,
    member: Option<&'a str>,
}

impl<'a> Described<'a> {
    fn of(session: &Session, group: &'a GroupSpec) -> Self {
        let owned = |(topic, partition): &'a (bus::Name, u32)| Owned {
            topic,
            partition: *partition,
        };
        let member = |member: &'a bus::MemberSpec| Member {
            id: &member.id,
            host: &member.host,
            partitions: member.partitions.iter().map(owned).collect(),
        };
        let at = |at: &'a TopicLag| At {
            topic: &at.topic,
            partition: at.partition,
            position: session.position(at.position),
            end: session.position(at.end),
            lag: at.behind,
            member: owner(group, at),
        };
        Self {
            group: &group.name,
            lag: lag(group),
            members: group.members.iter().map(member).collect(),
            positions: group.positions.iter().map(at).collect(),
        }
    }
}

fn person(session: &Session, group: &GroupSpec) -> Done<()> {
    text(&format!(
        "{}: {} members, {} messages behind\n",
        group.name,
        group.members.len(),
        lag(group)
    ))?;
    let mut members = table(["member", "host", "owns"]);
    for member in &group.members {
        let owned: Vec<_> = member
            .partitions
            .iter()
            .map(|(topic, partition)| format!("{topic}/{partition}"))
            .collect();
        members.add_row([member.id.clone(), member.host.clone(), owned.join(" ")]);
    }
    show(&members, "no live members")?;
    let mut positions = table(["topic", "partition", "position", "end", "lag", "member"]);
    for at in &group.positions {
        positions.add_row([
            at.topic.to_string(),
            at.partition.to_string(),
            session.position(at.position).to_string(),
            session.position(at.end).to_string(),
            at.behind.to_string(),
            owner(group, at).unwrap_or_default().to_owned(),
        ]);
    }
    show(&positions, "no stored positions")
}
