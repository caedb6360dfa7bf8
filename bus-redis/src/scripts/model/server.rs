//! The real scripts on the real server, for one partition that nobody else knows.

use super::{
    super::Script,
    reference::{Call, Reference, Reply},
};
use crate::wire::promotion;
use redis::{Connection, Value, cmd};

const GROUP: &str = "g";
/// Entries of the stream: positions 1 to this.
pub(super) const ENTRIES: u64 = 60;
/// In milliseconds; the schedule's clock alone decides when it is over.
pub(super) const TTL: u64 = 1_000;

/// An entry's id and fields.
type Entry = (String, Vec<String>);

pub(super) struct Server {
    connection: Connection,
    /// By their numbers, as the server calls them.
    scripts: Vec<String>,
    /// Lease, stream, outputs.
    keys: [String; 3],
    /// Of the server, as its scripts see it.
    promotion: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = cmd("DEL").arg(&self.keys[..]).exec(&mut self.connection);
    }
}

impl Server {
    pub(super) fn new() -> Self {
        let url = std::env::var("BUS_TEST_REDIS")
            .expect("set BUS_TEST_REDIS to redis://host:port, or run `cargo xtask test`");
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let name = uuid::Uuid::now_v7();
        let keys = ["lease", "stream", "outputs"].map(|key| format!("{{lease-model-{name}}}:{key}"));
        let mut pipe = redis::pipe();
        for position in 1..=ENTRIES {
            pipe.cmd("XADD")
                .arg(&keys[1])
                .arg(id(position))
                .arg(&["data", ""]);
        }
        // A stream without entries, as a topic that was just created.
        pipe.cmd("XGROUP")
            .arg("CREATE")
            .arg(&keys[2])
            .arg("x")
            .arg("$")
            .arg("MKSTREAM");
        pipe.exec(&mut connection).unwrap();
        let load = |source: String| {
            cmd("SCRIPT")
                .arg(&["LOAD", &source])
                .query(&mut connection)
                .unwrap()
        };
        let scripts = Script::sources().map(load).collect();
        let told: String = cmd("INFO").arg("replication").query(&mut connection).unwrap();
        Self {
            connection,
            scripts,
            keys,
            promotion: promotion::told(&told),
        }
    }
    /// Makes a call; what it answered, and the epoch if it gave one.
    pub(super) fn call(&mut self, call: &Call) -> (Reply, Option<u64>) {
        let (script, keys, words) = match call {
            Call::Acquire { member, expected } => {
                let [owner, epoch, beat] = expected.clone();
                let words = vec![GROUP.into(), member.clone(), TTL.to_string(), owner, epoch, beat];
                (Script::Acquire, 2, words)
            }
            Call::Renew { member, epoch } => (
                Script::Renew,
                2,
                vec![GROUP.into(), member.clone(), epoch.to_string()],
            ),
            Call::Release { member, epoch } => (Script::Release, 1, vec![member.clone(), epoch.to_string()]),
            Call::Commit {
                member,
                epoch,
                sequence,
                last,
                notes,
                output,
            } => {
                let head = [
                    GROUP,
                    member,
                    &epoch.to_string(),
                    &sequence.to_string(),
                    &id(*last),
                    "-1",
                    notes,
                    &self.promotion,
                ];
                let words = head.into_iter().chain(["1", "2", "data", output]);
                (Script::Commit, 3, words.map(str::to_owned).collect())
            }
        };
        let mut command = cmd("EVALSHA");
        command
            .arg(&self.scripts[script as usize])
            .arg(keys)
            .arg(&self.keys[..keys])
            .arg(words);
        let reply: Vec<Value> = command.query(&mut self.connection).unwrap();
        match (text(&reply[0]).as_str(), call) {
            ("OK", Call::Acquire { .. }) => {
                let (last, notes) = (position(&text(&reply[2])), text(&reply[4]));
                (Reply::Acquired { last, notes }, text(&reply[1]).parse().ok())
            }
            (word, _) => {
                let known = ["OK", "HELD", "FENCED", "DUP", "BACK", "NOGROUP"];
                let word = known.iter().find(|known| **known == word);
                (Reply::Word(word.unwrap_or_else(|| panic!("{reply:?}"))), None)
            }
        }
    }
    /// Some other tool moves the group.
    pub(super) fn reset(&mut self, position: u64) {
        let words = ["SETID", &self.keys[1], GROUP, &id(position)];
        cmd("XGROUP").arg(&words).exec(&mut self.connection).unwrap();
    }
    /// What the server has, in the reference's words.
    pub(super) fn state(&mut self) -> Reference {
        let fields = ["owner", "epoch", "beat", "seq", "last", "notes", "at"];
        let (lease, groups, outputs): (Vec<Option<String>>, Vec<Vec<Value>>, Vec<Entry>) = redis::pipe()
            .cmd("HMGET")
            .arg(&self.keys[0])
            .arg(&fields)
            .cmd("XINFO")
            .arg("GROUPS")
            .arg(&self.keys[1])
            .cmd("XRANGE")
            .arg(&self.keys[2])
            .arg(&["-", "+"])
            .query(&mut self.connection)
            .unwrap();
        let word = |at: usize| lease[at].clone().unwrap_or_default();
        let number = |at: usize| word(at).parse().unwrap_or(0);
        let settled = |group: &Vec<Value>| {
            let at = group
                .iter()
                .position(|word| text(word) == "last-delivered-id")
                .unwrap();
            position(&text(&group[at + 1]))
        };
        Reference {
            owner: word(0),
            epoch: number(1),
            beat: number(2),
            sequence: number(3),
            last: position(&word(4)),
            group: groups.first().map(settled),
            notes: word(5),
            at: position(&word(6)),
            outputs: outputs.into_iter().map(|(_, fields)| fields[1].clone()).collect(),
            touched: 0,
        }
    }
    /// What would be on the disk now.
    pub(super) fn save(&mut self) -> [Vec<u8>; 3] {
        self.keys.each_ref().map(|key| {
            let dump: Option<Vec<u8>> = cmd("DUMP").arg(key).query(&mut self.connection).unwrap();
            dump.unwrap_or_default()
        })
    }
    /// It has restarted with what was on the disk, which takes longer than epochs are ahead of its clock.
    pub(super) fn restore(&mut self, saved: &[Vec<u8>; 3], issued: u64) {
        for (key, dump) in self.keys.iter().zip(saved) {
            let mut command = if dump.is_empty() {
                cmd("DEL")
            } else {
                cmd("RESTORE")
            };
            command.arg(key);
            if !dump.is_empty() {
                command.arg(0).arg(dump).arg("REPLACE");
            }
            command.exec(&mut self.connection).unwrap();
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while self.now() <= issued {
            assert!(
                std::time::Instant::now() < deadline,
                "epochs are far ahead of the clock"
            );
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    fn now(&mut self) -> u64 {
        let (seconds, micros): (u64, u64) = cmd("TIME").query(&mut self.connection).unwrap();
        seconds * 1_000 + micros / 1_000
    }
}

fn id(position: u64) -> String {
    match position {
        0 => "0-0".into(),
        position => format!("1-{position}"),
    }
}

fn position(id: &str) -> u64 {
    id.split_once('-')
        .map_or(0, |(_, number)| number.parse().unwrap())
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        other => panic!("unexpected {other:?}"),
    }
}
