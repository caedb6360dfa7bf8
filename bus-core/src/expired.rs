//! Messages that are worth nothing any more.

/// What a subscription does with a message whose time was over before it was delivered: one that was published with
/// [`expires`](crate::Publish::expires). It is looked at whenever it would be delivered, also before a retry. Dead letters do
/// not expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expired {
    /// It is settled without being delivered, counted ([`Stats::expired`](crate::Stats::expired)) and logged at debug level
    /// (default: that is what its publisher asked for, and nobody reads dead letters that are worth nothing).
    #[default]
    Skip,
    /// It goes to the dead letters, with the reason `expired`.
    DeadLetter,
    /// It is delivered all the same, for tools and copies.
    Deliver,
}
