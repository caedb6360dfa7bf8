//! What the ends of a stream are, as the scripts tell it.

use crate::{id, wire::Value};

/// One stream at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Entries ever added.
    pub(crate) added: u64,
    /// Entries there.
    pub(crate) length: u64,
    /// The first entry that is there.
    pub(crate) first: Option<u128>,
    /// The highest id that was ever given.
    pub(crate) tip: u128,
    /// The newest entry that is there.
    pub(crate) newest: Option<u128>,
    /// The highest entry that was deleted by itself (`XDEL`), 0 where none was. With such holes counts prove little.
    pub(crate) deleted: u128,
}

impl Facts {
    /// Reads what `facts` in `common.lua` returns, from `index` of a reply on.
    pub(crate) fn read(reply: &Value, index: usize) -> Option<Self> {
        let position = |i: usize| reply.at(index + i).bytes().and_then(id::position);
        Some(Self {
            added: reply.at(index).int()? as u64,
            length: reply.at(index + 1).int()? as u64,
            first: position(2),
            tip: position(3)?,
            newest: position(4),
            deleted: position(5)?,
        })
    }
    /// Entries that are no longer there.
    pub(crate) fn removed(&self) -> u64 {
        self.added.saturating_sub(self.length)
    }
    /// The first position that a reader may still find something at.
    pub(crate) fn begin(&self) -> u128 {
        self.first.unwrap_or(self.tip.saturating_add(1))
    }
}
