//! How what one schema has written is read as another: worked out once, by the rules of schema resolution.

use super::{
    plan::{Field, Id, Node, Plan, Record, Scalar},
    wrong::{Result, wrong},
};
use std::collections::HashMap;

/// What is read.
#[derive(Debug)]
pub(super) enum Read {
    /// Written as the first, and meant as the second.
    Scalar(Scalar, Scalar),
    /// By the writer's number: the symbol that the reader has for it.
    Enum(Vec<Option<Box<str>>>),
    /// Items, and how many bytes one has at least.
    Array(Id, u64),
    /// Values, without their keys.
    Map(Id),
    /// By the writer's number.
    Union(Vec<Id>),
    Record(Vec<Step>),
    /// A branch of the writer's that the reader has no place for.
    Refused(Box<str>),
}

/// A field of the writer, in its order, and then those that only the reader has.
#[derive(Debug)]
pub(super) enum Step {
    Read(Box<str>, Id),
    Skip(Id),
    /// Its default, encoded as the reader would.
    Preset(Box<str>, Id, Box<[u8]>),
}

/// How to read.
#[derive(Debug)]
pub(super) struct Reading {
    nodes: Vec<Read>,
    root: Id,
}

impl Reading {
    /// What `writer` has written, as `reader` has it.
    pub(super) fn of(writer: &Plan, reader: &Plan) -> Result<Self> {
        let mut making = Making {
            nodes: Vec::new(),
            known: HashMap::new(),
            failed: HashMap::new(),
            deep: 0,
        };
        let root = making.pair((writer, writer.root()), (reader, reader.root()))?;
        // Where no branch of a union can be read, nothing can.
        making.readable(root)?;
        let nodes = making.nodes;
        Ok(Self { nodes, root })
    }
    pub(super) fn root(&self) -> Id {
        self.root
    }
    pub(super) fn node(&self, id: Id) -> &Read {
        &self.nodes[id]
    }
}

type At<'a> = (&'a Plan, Id);

/// The writer's plan and node, and the reader's, by where the plans are.
type Pair = (usize, Id, usize, Id);

/// As deep as types may lie in each other, which the stack has to hold: a field, its union and its array are one each.
const DEEPEST_TYPES: usize = 256;

/// So many types may be looked at for how little one item may be.
const MOST_LOOKS: u32 = 1_000;

struct Making {
    nodes: Vec<Read>,
    /// What is done or under way, since types may lie in themselves: by the places of nodes, and whose they are.
    known: HashMap<Pair, Id>,
    /// What cannot be, and why: a type that lies in many places is tried once.
    failed: HashMap<Pair, Box<str>>,
    deep: usize,
}

impl Making {
    fn put(&mut self, read: Read) -> Id {
        self.nodes.push(read);
        self.nodes.len() - 1
    }
    fn readable(&self, root: Id) -> Result<()> {
        match &self.nodes[root] {
            Read::Refused(why) => Err(wrong(&**why)),
            Read::Union(branches) => {
                let refusals: Vec<_> = branches.iter().map(|branch| self.readable(*branch)).collect();
                if refusals.iter().all(Result::is_err) {
                    return refusals.into_iter().next().unwrap_or(Ok(()));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
    fn pair(&mut self, writer: At<'_>, reader: At<'_>) -> Result<Id> {
        let place = |at: At<'_>| (std::ptr::from_ref(at.0).addr(), at.1);
        let ((a, b), (c, d)) = (place(writer), place(reader));
        let pair = (a, b, c, d);
        if let Some(id) = self.known.get(&pair) {
            return Ok(*id);
        }
        if let Some(why) = self.failed.get(&pair) {
            return Err(wrong(&**why));
        }
        let id = self.put(Read::Refused("it lies in itself".into()));
        self.known.insert(pair, id);
        self.deep += 1;
        let made = match self.deep {
            ..=DEEPEST_TYPES => self.read(writer, reader),
            _ => Err(wrong(format!(
                "types lie in each other more than {DEEPEST_TYPES} deep"
            ))),
        };
        self.deep -= 1;
        match made {
            Ok(made) => {
                self.nodes[id] = made;
                Ok(id)
            }
            Err(why) => {
                self.known.remove(&pair);
                let text: Box<str> = why.to_string().into();
                self.nodes[id] = Read::Refused(text.clone());
                self.failed.insert(pair, text);
                Err(why)
            }
        }
    }
    fn read(&mut self, writer: At<'_>, reader: At<'_>) -> Result<Read> {
        let (from, to) = (writer.0.node(writer.1), reader.0.node(reader.1));
        let w = |id| (writer.0, id);
        let r = |id| (reader.0, id);
        match (from, to) {
            (Node::Union(branches), _) => {
                // What is passed over is its own reader: two branches may be called the same there, in two namespaces.
                let itself = std::ptr::eq(writer.0, reader.0) && writer.1 == reader.1;
                let mut all = Vec::new();
                for branch in branches {
                    let reader = if itself { r(*branch) } else { reader };
                    all.push(match self.pair(w(*branch), reader) {
                        Ok(id) => id,
                        Err(why) => self.put(Read::Refused(why.to_string().into())),
                    });
                }
                Ok(Read::Union(all))
            }
            (_, Node::Union(branches)) => {
                let exact = branches.iter().find(|branch| same(from, reader.0.node(**branch)));
                if let Some(branch) = exact {
                    return self.read(writer, r(*branch));
                }
                let mut others = branches.iter().map(|branch| self.read(writer, r(*branch)));
                let none = || {
                    let mut named = branches.iter().map(|branch| alias(from, reader.0.node(*branch)));
                    let alias = named.find_map(|alias| alias).unwrap_or_default();
                    let from = describe(from);
                    wrong(format!("{from} is in no branch of the reader's union{alias}"))
                };
                others.find_map(Result::ok).ok_or_else(none)
            }
            (Node::Scalar(from), Node::Scalar(to)) => scalar(*from, *to),
            (Node::Fixed(from, written), Node::Fixed(to, read)) if to.reads(from) => scalar(*written, *read),
            (Node::Enum(from), Node::Enum(to)) if to.named.reads(&from.named) => {
                let other = to.other.map(|other| to.symbols[other].clone());
                let symbols = from
                    .symbols
                    .iter()
                    .map(|symbol| match to.symbols.contains(symbol) {
                        true => Some(symbol.clone()),
                        false => other.clone(),
                    });
                Ok(Read::Enum(symbols.collect()))
            }
            (Node::Array(from), Node::Array(to)) => {
                let mut looks = MOST_LOOKS;
                let least = least(writer.0, *from, 0, &mut looks);
                Ok(Read::Array(self.pair(w(*from), r(*to))?, least))
            }
            (Node::Map(from), Node::Map(to)) => Ok(Read::Map(self.pair(w(*from), r(*to))?)),
            (Node::Record(from), Node::Record(to)) if to.named.reads(&from.named) => {
                self.record((writer.0, from), (reader.0, to))
            }
            _ => {
                let alias = alias(from, to).unwrap_or_default();
                let (from, to) = (describe(from), describe(to));
                Err(wrong(format!("{from} cannot be read as {to}{alias}")))
            }
        }
    }
    fn record(&mut self, writer: (&Plan, &Record), reader: (&Plan, &Record)) -> Result<Read> {
        let (from, to) = (writer.1, reader.1);
        let read_as = |written: &Field| {
            let exact = to.fields.iter().find(|field| field.name == written.name);
            // A field of the writer that bears the name of another of the reader's is not what that was called before.
            exact.or_else(|| {
                let known = |field: &&Field| field.aliases.iter().any(|alias| **alias == *written.name);
                let taken = |field: &&Field| !from.fields.iter().any(|other| other.name == field.name);
                to.fields.iter().find(|field| known(field) && taken(field))
            })
        };
        let mut steps = Vec::new();
        let mut done: Vec<&str> = Vec::new();
        for field in &from.fields {
            let at = (writer.0, field.node);
            match read_as(field).filter(|read| !done.contains(&&*read.name)) {
                Some(read) => {
                    let id = self
                        .pair(at, (reader.0, read.node))
                        .map_err(|e| e.inside(&*read.name))?;
                    done.push(&read.name);
                    steps.push(Step::Read(read.name.clone(), id));
                }
                None => steps.push(Step::Skip(self.pair(at, at)?)),
            }
        }
        for field in to.fields.iter().filter(|field| !done.contains(&&*field.name)) {
            let missing =
                || wrong("the writer has no such field, and it has no default").inside(&*field.name);
            let preset = field.preset.clone().ok_or_else(missing)?;
            let at = (reader.0, field.node);
            steps.push(Step::Preset(field.name.clone(), self.pair(at, at)?, preset));
        }
        Ok(Read::Record(steps))
    }
}

/// Whether a union of the reader's means that branch, before any other is tried.
fn same(from: &Node, to: &Node) -> bool {
    match (from, to) {
        (Node::Scalar(from), Node::Scalar(to)) => from == to || from.physical() == to.physical(),
        (Node::Fixed(from, _), Node::Fixed(to, _)) => from.name == to.name,
        (Node::Enum(from), Node::Enum(to)) => from.named.name == to.named.name,
        (Node::Record(from), Node::Record(to)) => from.named.name == to.named.name,
        (Node::Array(_), Node::Array(_)) | (Node::Map(_), Node::Map(_)) => true,
        _ => false,
    }
}

fn scalar(from: Scalar, to: Scalar) -> Result<Read> {
    use Scalar::{Bytes, Double, Fixed, Float, Int, Long, String};
    let refused = || {
        let (from, to) = (from.name(), to.name());
        wrong(format!(
            "{from} cannot be read as {to}, or not with its unit or size"
        ))
    };
    let (wire, read) = (from.physical(), to.physical());
    // Two meanings of one type: a number of milliseconds is no number of days.
    if from != wire && to != read && from != to {
        return Err(refused());
    }
    let fits = match (wire, read) {
        (Fixed(from), Fixed(to)) => from == to,
        (Int, Int | Long | Float | Double) | (Long, Long | Float | Double) | (Float, Float | Double) => true,
        (String, Bytes) | (Bytes, String) => true,
        (wire, read) => wire == read,
    };
    match fits {
        true => Ok(Read::Scalar(wire, to)),
        false => Err(refused()),
    }
}

/// What makes one named type readable as another, if that is all that is missing.
fn alias(from: &Node, to: &Node) -> Option<String> {
    let (from, to) = match (from, to) {
        (Node::Record(from), Node::Record(to)) => (&from.named, &to.named),
        (Node::Enum(from), Node::Enum(to)) => (&from.named, &to.named),
        _ => return None,
    };
    let name = &from.name;
    let text = || format!("; if it is an older name of it, give the type `#[avro(alias = \"{name}\")]`");
    (!to.reads(from)).then(text)
}

fn describe(node: &Node) -> String {
    match node {
        Node::Scalar(kind) => kind.name().to_owned(),
        Node::Fixed(named, kind) => format!("{} `{}`", kind.name(), named.name),
        Node::Enum(known) => format!("the enum `{}`", known.named.name),
        Node::Record(record) => format!("the record `{}`", record.named.name),
        Node::Array(_) => "an array".to_owned(),
        Node::Map(_) => "a map".to_owned(),
        Node::Union(_) => "a union".to_owned(),
        Node::Byte => "a byte".to_owned(),
    }
}

/// How many bytes a value has at least. What lies deep counts as none, which is less, and so do what lies in itself and what comes
/// after so many looks: records of records are more than can be counted.
fn least(plan: &Plan, node: Id, deep: usize, looks: &mut u32) -> u64 {
    if deep == 8 || *looks == 0 {
        return 0;
    }
    *looks -= 1;
    match plan.node(node) {
        Node::Scalar(kind) | Node::Fixed(_, kind) => match kind.physical() {
            Scalar::Null => 0,
            Scalar::Float => 4,
            Scalar::Double => 8,
            Scalar::Fixed(size) => size as u64,
            _ => 1,
        },
        Node::Record(record) => record.fields.iter().fold(0, |sum: u64, field| {
            sum.saturating_add(least(plan, field.node, deep + 1, looks))
        }),
        _ => 1,
    }
}
