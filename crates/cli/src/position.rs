//! Positions as this bus shows them: numbers, and entry ids `ms-seq` on Redis.

use serde::{Serialize, Serializer};

/// A position of a bus whose backend is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    position: u128,
    id: bool,
}

/// How a backend's positions look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    id: bool,
}

impl Form {
    /// By the backend's name.
    pub(crate) fn of(backend: &str) -> Self {
        Self {
            id: backend == "redis",
        }
    }
    /// This position, ready to be shown.
    pub(crate) fn show(self, position: u128) -> Position {
        Position {
            position,
            id: self.id,
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.id {
            f.pad(&format!(
                "{}-{}",
                (self.position >> 64) as u64,
                self.position as u64
            ))
        } else {
            f.pad(&bus::position::format(self.position))
        }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match u64::try_from(self.position) {
            Ok(number) if !self.id => to.serialize_u64(number),
            _ => to.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_an_id() {
        let json = |backend, position| serde_json::to_string(&Form::of(backend).show(position)).unwrap();
        assert_eq!(json("kafka", 7), "7");
        assert_eq!(json("redis", (1_700 << 64) | 3), "\"1700-3\"");
        assert_eq!(json("redis", 7), "\"0-7\"");
    }
}
