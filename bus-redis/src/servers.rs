//! Which servers there are, and how the one to talk to is found among them.

use std::fmt;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Host {
    pub(crate) fn new(name: impl Into<String>, port: u16) -> Self {
        let name = name.into();
        Self {
            name: name.trim_matches(['[', ']']).to_owned(),
            port,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// The hosts of the settings, by what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// The primary.
    One(Host),
    /// Sentinels, who know where the primary is at the moment.
    Sentinels(Sentinels),
    /// Some nodes of a cluster, who know the others.
    Cluster(Vec<Host>),
}

/// Sentinels, and whom they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentinels {
    pub(crate) hosts: Vec<Host>,
    /// What they call the primary.
    pub(crate) primary: String,
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(host) => host.fmt(f),
            Self::Sentinels(sentinels) => sentinels.fmt(f),
            Self::Cluster(hosts) => f.write_str(&list(hosts)),
        }
    }
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", list(&self.hosts), self.primary)
    }
}

fn list(hosts: &[Host]) -> String {
    let hosts: Vec<String> = hosts.iter().map(Host::to_string).collect();
    hosts.join(",")
}
