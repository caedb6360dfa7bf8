//! Deliberate mistakes, to see that the checker finds them.

use crate::{check::Model, member::id};
use bus_core::Done;
use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    None,
    /// The flow never sees the first record of a batch.
    Skip,
    /// The highest position that was received is committed.
    Highest,
    /// Notes are left out.
    NoNotes,
    /// Notes are cut short.
    HalfNotes,
    /// The last output of a commit is forgotten.
    NoOutput,
    /// The first output of a commit is sent twice.
    TwoOutputs,
    /// Attempts are counted one short.
    Attempt,
    /// A retry comes five milliseconds early.
    Early,
    /// A key, or partition, has two heads.
    TwoHeads,
    /// The window is twice as large as was set.
    Window,
    /// The backend stores what a former owner commits.
    Unfenced,
    /// The new owner does not get the notes.
    ForgetNotes,
}

impl Mutation {
    pub(crate) const ALL: [Mutation; 12] = {
        use Mutation::*;
        [
            Skip,
            Highest,
            NoNotes,
            HalfNotes,
            NoOutput,
            TwoOutputs,
            Attempt,
            Early,
            TwoHeads,
            Window,
            Unfenced,
            ForgetNotes,
        ]
    };
    pub(crate) fn done(self, done: &mut Done, model: &mut Model) {
        match self {
            Mutation::Highest => done.next = model.epochs.get(&id(done.shard)).map_or(done.next, |e| e.end),
            Mutation::NoNotes => done.notes = Bytes::new(),
            Mutation::HalfNotes => done.notes.truncate(done.notes.len() / 2),
            Mutation::NoOutput => drop(done.outputs.pop()),
            Mutation::TwoOutputs => done.outputs.extend(done.outputs.first().cloned()),
            _ => {}
        }
    }
}
