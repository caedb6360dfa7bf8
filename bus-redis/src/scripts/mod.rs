//! The scripts, each a file of its own; every one checks first and writes afterwards, because the server never rolls
//! back a script that fails half-way.

mod mutants;

/// A script, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Script {
    Produce,
    Start,
    Acquire,
    Renew,
    Commit,
    Release,
    Seek,
    Reset,
    Member,
    Trim,
    Create,
    Facts,
    Register,
    History,
    Keys,
}

/// Where a full server must still run it (or it could never be drained), `allow-oom`; else it is refused before it starts.
macro_rules! source {
    (drains $file:literal) => {
        concat!(
            "#!lua flags=allow-oom\n",
            include_str!("common.lua"),
            include_str!($file)
        )
    };
    (adds $file:literal) => {
        concat!("#!lua\n", include_str!("common.lua"), include_str!($file))
    };
}

impl Script {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [(Script, &'static str); 15] = [
        (Script::Produce, source!(adds "produce.lua")),
        (Script::Start, source!(drains "start.lua")),
        (Script::Acquire, source!(drains "acquire.lua")),
        (Script::Renew, source!(drains "renew.lua")),
        (Script::Commit, source!(drains "commit.lua")),
        (Script::Release, source!(drains "release.lua")),
        (Script::Seek, source!(drains "seek.lua")),
        (Script::Reset, source!(drains "reset.lua")),
        (Script::Member, source!(drains "member.lua")),
        (Script::Trim, source!(drains "trim.lua")),
        (Script::Create, source!(adds "create.lua")),
        (Script::Facts, source!(drains "facts.lua")),
        (Script::Register, source!(drains "register.lua")),
        (Script::History, source!(drains "history.lua")),
        (Script::Keys, source!(drains "keys.lua")),
    ];
    /// What the server gets, by the scripts' numbers.
    pub(crate) fn sources() -> impl Iterator<Item = String> {
        Self::ALL
            .into_iter()
            .map(|(script, source)| mutants::of(script, source))
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_indexes() {
        for (index, (script, _)) in Script::ALL.iter().enumerate() {
            assert_eq!(*script as usize, index);
        }
    }
}
