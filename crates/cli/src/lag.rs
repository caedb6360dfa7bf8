//! `bus lag`.

use crate::{
    args::Global,
    failure::{Done, Status},
    output::{show, table, text},
    position::Position,
    session::Session,
    stop::Stop,
    time,
};
use bus::{ErrorKind, Name, TopicLag};
use serde::Serialize;
use std::{collections::VecDeque, time::Duration};

/// Show how far behind groups are
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The group; all without it
    group: Option<String>,
    /// Show it again and again, until Ctrl-C
    #[arg(long, env = "BUS_LAG_WATCH", value_name = "EVERY", value_parser = time::duration, num_args = 0..=1, default_missing_value = "1s")]
    watch: Option<Duration>,
}

/// Totals that a live view draws.
const HISTORY: usize = 60;

#[derive(Serialize)]
struct Line<'a> {
    group: &'a str,
    topic: &'a str,
    partition: u32,
    position: Position,
    end: Position,
    lag: u64,
}

type Groups = Vec<(Name, Vec<TopicLag>)>;

pub(crate) async fn run(global: &Global, args: Args) -> Done {
    let session = Session::open(global).await?;
    let Some(every) = args.watch else {
        tell(&session, &read(&session, args.group.as_deref()).await?)?;
        session.close().await;
        return Ok(Status::Done);
    };
    let mut stop = Stop::install()?;
    let mut history = VecDeque::new();
    let mut ticks = tokio::time::interval(every);
    loop {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            _ = ticks.tick() => {}
        }
        let groups = read(&session, args.group.as_deref()).await?;
        if !session.out.is_json() {
            history.push_back(
                groups
                    .iter()
                    .flat_map(|(_, lags)| lags)
                    .map(|lag| lag.behind)
                    .sum(),
            );
            if history.len() > HISTORY {
                history.pop_front();
            }
            // Home, and clear what is below: no flicker as with clearing first.
            text(&format!(
                "\x1b[H\x1b[J{} {}\n",
                sparkline(&history),
                history.back().copied().unwrap_or(0)
            ))?;
        }
        tell(&session, &groups)?;
    }
    session.close().await;
    Ok(Status::Done)
}

async fn read(session: &Session, group: Option<&str>) -> Done<Groups> {
    let admin = session.admin();
    let names = match group {
        Some(group) => vec![Name::from(group)],
        None => session.ask(|| admin.groups()).await?,
    };
    let mut groups = Vec::new();
    for name in names {
        match session.ask(|| admin.lag(&name)).await {
            Ok(lag) => groups.push((name, lag)),
            // Deleted since the list was made.
            Err(failure) if group.is_none() && failure.kind() == Some(ErrorKind::GroupMissing) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(groups)
}

fn tell(session: &Session, groups: &Groups) -> Done<()> {
    let rows = || {
        groups
            .iter()
            .flat_map(|(name, lags)| lags.iter().map(move |lag| (name, lag)))
    };
    if session.out.is_json() {
        let mut rows = rows();
        return rows.try_for_each(|(name, lag)| {
            session.out.line(&Line {
                group: name,
                topic: &lag.topic,
                partition: lag.partition,
                position: session.position(lag.position),
                end: session.position(lag.end),
                lag: lag.behind,
            })
        });
    }
    let mut table = table(["group", "topic", "partition", "position", "end", "lag"]);
    for (name, lag) in rows() {
        table.add_row([
            name.to_string(),
            lag.topic.to_string(),
            lag.partition.to_string(),
            session.position(lag.position).to_string(),
            session.position(lag.end).to_string(),
            lag.behind.to_string(),
        ]);
    }
    show(&table, "no stored positions")
}

/// The totals as a line of bars, the highest as high as the line.
fn sparkline(totals: &VecDeque<u64>) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = totals.iter().copied().max().unwrap_or(0).max(1);
    totals
        .iter()
        .map(|total| {
            BARS[usize::try_from(total.saturating_mul(7) / most)
                .unwrap_or(7)
                .min(7)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!(sparkline(&[0, 50, 100].into()), "▁▄█");
        assert_eq!(sparkline(&[0, 0].into()), "▁▁");
    }
}
