//! What really occurred, so that the checks are not vacuous.

macro_rules! cover {
    ($($name:ident)*) => {
        /// How often each thing occurred.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Cover { $(pub(crate) $name: u64),* }
        impl Cover {
            pub(crate) fn add(&mut self, other: &Cover) {
                $(self.$name += other.$name;)*
            }
            /// What never occurred.
            pub(crate) fn missing(&self) -> Vec<&'static str> {
                [$((stringify!($name), self.$name)),*].into_iter().filter(|(_, n)| *n == 0).map(|(n, _)| n).collect()
            }
        }
    };
}

cover! {
    claimed retried returned settled_void carried attempts_carried notes outputs partial released overdue
    data_loss data_loss_overtook data_loss_stop losing lost stolen fenced retried_commits given_up refused
    recalled recalled_again suspended resumed drained drained_late flushed crashed reset stale_notes paused
    gated oversized full_window unstored_bound lost_in_hand unready refused_unready
}
