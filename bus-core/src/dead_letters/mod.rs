//! What was given up: reading it, putting it back where it came from, and parking it.
//!
//! A topic of dead letters is a queue. A group of its own, `<dlq>.replay`, takes from its head: what is put back goes to
//! its origin with the commit that settles the dead letter, so a crash neither loses nor repeats it. What a filter leaves
//! out in front of something that it wants goes to the end of the same topic, with the same commit. What lies before
//! the group's position is dealt with, what lies behind is open.
//!
//! - [`marks`]: the headers of dead letters and of what was put back
//! - [`letters`]: which dead letters are meant; [`filter`]: some of them
//! - [`letter`]: one of them; [`reading`]: those that are open, by observation
//! - [`replay`]: what is asked for, and what it came to; [`fate`]: what becomes of one; [`plan`]: how far it goes;
//!   [`run`]: the group at work

mod fate;
mod filter;
mod letter;
mod letters;
pub(crate) mod marks;
mod plan;
mod reading;
mod replay;
mod run;

pub use letter::{DeadLetter, Origin};
pub use letters::DeadLetters;
pub use reading::OpenLetters;
pub use replay::{Refused, Replay, ReplayProgress, Replayed};
