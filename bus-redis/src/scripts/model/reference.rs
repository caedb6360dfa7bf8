//! What the lease scripts are to do, as a state machine.

/// One partition as the server is to have it. Positions are numbers here; the stream has entry `1-n` for position n.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reference {
    pub(super) owner: String,
    pub(super) epoch: u64,
    pub(super) beat: u64,
    pub(super) sequence: u64,
    /// The last settled position, as the lease has it, and as the group has it.
    pub(super) last: u64,
    pub(super) group: Option<u64>,
    pub(super) notes: String,
    /// The position that the notes belong to.
    pub(super) at: u64,
    /// What was put out, in order.
    pub(super) outputs: Vec<String>,
    /// When somebody last acquired or renewed it, on the schedule's clock.
    pub(super) touched: u64,
}

/// A call of a script, as a contender sends it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Call {
    Acquire {
        member: String,
        /// Owner, epoch and beat, as they were seen for a whole ttl.
        expected: [String; 3],
    },
    Renew {
        member: String,
        epoch: u64,
    },
    Commit {
        member: String,
        epoch: u64,
        sequence: u64,
        last: u64,
        notes: String,
        output: String,
    },
    Release {
        member: String,
        epoch: u64,
    },
}

/// What is compared of a reply.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// Position and notes; the epoch is the server's to choose.
    Acquired {
        last: u64,
        notes: String,
    },
    Word(&'static str),
}

impl Reference {
    fn is_owner(&self, member: &str, epoch: u64) -> bool {
        self.owner == member && self.epoch == epoch
    }
    pub(super) fn words(&self) -> [String; 3] {
        [self.owner.clone(), self.epoch.to_string(), self.beat.to_string()]
    }
    /// What `call` is to answer at `now`, and what it is to change. A new epoch has to be told afterwards.
    pub(super) fn apply(&mut self, call: &Call, now: u64) -> Reply {
        match call {
            Call::Acquire { member, expected } => {
                if !self.owner.is_empty() && self.owner != *member && self.words() != *expected {
                    return Reply::Word("HELD");
                }
                let last = *self.group.get_or_insert(self.last);
                if self.at != last {
                    self.notes.clear();
                }
                (self.owner, self.beat, self.sequence) = (member.clone(), 0, 0);
                (self.last, self.at, self.touched) = (last, last, now);
                let notes = self.notes.clone();
                return Reply::Acquired { last, notes };
            }
            // Before the first acquisition, where a restart lost it.
            Call::Renew { .. } if self.group.is_none() => return Reply::Word("NOGROUP"),
            Call::Renew { member, epoch } if self.is_owner(member, *epoch) => {
                (self.beat, self.touched) = (self.beat + 1, now);
            }
            Call::Release { member, epoch } if self.is_owner(member, *epoch) => self.owner.clear(),
            Call::Commit {
                member,
                epoch,
                sequence,
                last,
                notes,
                output,
            } if self.is_owner(member, *epoch) => {
                if *sequence <= self.sequence {
                    return Reply::Word("DUP");
                }
                if *last < self.last {
                    return Reply::Word("BACK");
                }
                (self.last, self.at, self.sequence) = (*last, *last, *sequence);
                self.group = Some(*last);
                self.notes.clone_from(notes);
                self.outputs.push(output.clone());
            }
            _ => return Reply::Word("FENCED"),
        }
        Reply::Word("OK")
    }
}
