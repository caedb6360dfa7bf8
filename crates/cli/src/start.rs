//! Where reading begins, or a group is moved to.

use crate::time;
use bus::Start;
use jiff::Timestamp;
use std::{collections::BTreeMap, str::FromStr, time::SystemTime};

/// `earliest`, `latest`, a time, a position for every partition, or one for some: `0:15,3:20`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Earliest,
    Latest,
    Time(SystemTime),
    Position(u128),
    Positions(BTreeMap<u32, u128>),
}

impl FromStr for From {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Ok(position) = bus::position::parse(text) {
            return Ok(Self::Position(position));
        }
        if let Some(positions) = listed(text) {
            return Ok(Self::Positions(positions));
        }
        time::point(text, Timestamp::now()).map(Self::Time).ok_or_else(|| {
            format!(
                "`{text}` is no place to start; write earliest, latest, a time such as 2026-07-01T12:00:00Z or \
                 \"2h ago\", a position (a number, ms-seq on Redis), or some by partition: 0:15,3:20"
            )
        })
    }
}

fn listed(text: &str) -> Option<BTreeMap<u32, u128>> {
    let one = |part: &str| {
        let (partition, position) = part.split_once(':')?;
        Some((
            partition.trim().parse().ok()?,
            bus::position::parse(position.trim()).ok()?,
        ))
    };
    text.split(',').map(one).collect()
}

impl From {
    /// What the bus is asked for, on topics of so many partitions.
    pub(crate) fn on(self, partitions: u32) -> Start {
        match self {
            Self::Earliest => Start::Earliest,
            Self::Latest => Start::Latest,
            Self::Time(time) => Start::Time(time),
            Self::Position(position) => Start::Positions((0..partitions).map(|p| (p, position)).collect()),
            Self::Positions(positions) => Start::Positions(positions),
        }
    }
    /// Whether [`on`](Self::on) has to know how many partitions there are.
    pub(crate) fn needs_partitions(&self) -> bool {
        matches!(self, Self::Position(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        assert_eq!("latest".parse(), Ok(From::Latest));
        assert_eq!("42".parse(), Ok(From::Position(42)));
        assert_eq!("5-1".parse(), Ok(From::Position((5 << 64) | 1)));
        assert_eq!(
            "0:15, 3:5-1".parse(),
            Ok(From::Positions([(0, 15), (3, (5 << 64) | 1)].into()))
        );
        assert!(matches!("2026-07-01T12:00:00Z".parse(), Ok(From::Time(_))));
        assert!(matches!("2h ago".parse(), Ok(From::Time(_))));
        assert!("noon".parse::<From>().is_err() && "".parse::<From>().is_err());
        assert_eq!(From::Position(4).on(2), Start::Positions([(0, 4), (1, 4)].into()));
    }
}
