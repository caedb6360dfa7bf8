//! `cargo xtask brokers up|down|status`.

use bus_brokers::{Kind, Server};

use crate::Done;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Start what does not run yet and print the variables that name the servers, for a shell to `eval`.
    Up,
    /// Stop what `up` started and remove its data.
    Down,
    /// Say which servers answer, and print their variables.
    Status,
}

/// Standard output carries the variables alone; everything else goes to standard error.
pub(crate) fn run(command: Command) -> Done {
    match command {
        Command::Up => print(&bus_brokers::up()?),
        Command::Down => {
            let stopped = bus_brokers::down()?;
            eprintln!("{stopped} stopped");
        }
        Command::Status => {
            let servers = bus_brokers::status()?;
            for kind in Kind::ALL {
                match servers.iter().find(|server| server.kind == kind) {
                    Some(server) => eprintln!("{server}"),
                    None => eprintln!("{}: not running", kind.name()),
                }
            }
            print(&servers);
        }
    }
    Ok(())
}

fn print(servers: &[Server]) {
    for server in servers {
        println!("{}={}", server.kind.variable(), server.address);
    }
}
