//! Calls to whoever has their keys, over connections that come back: for calls that may be made again, such as scripts
//! that recognise themselves.

use super::{Pipeline, Topology, Value, line::Line, together::together, topology::Node};
use crate::{health::Health, scripts::Script};
use bus_core::Result;
use parking_lot::Mutex;
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a call follows where it is sent on, unless it has time.
const REDIRECTS: u32 = 5;
/// Before it is sent on again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// One connection to each node, made when it is needed.
#[derive(Debug)]
pub(crate) struct Link {
    topology: Arc<Topology>,
    role: &'static str,
    health: Arc<Health>,
    lines: Mutex<Vec<Arc<Line>>>,
}

/// A reply, and which run of which node gave it, behind which promotion.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) node: Node,
    pub(crate) run_id: Arc<str>,
    pub(crate) value: Value,
}

/// Commands for one node.
struct Part {
    node: Node,
    indexes: Vec<usize>,
    /// Of a slot that is on its way to that node: each command has to be asked for.
    asking: bool,
}

impl Link {
    /// Not connected yet.
    pub(crate) fn new(topology: Arc<Topology>, role: &'static str, health: Arc<Health>) -> Self {
        Self {
            topology,
            role,
            health,
            lines: Mutex::default(),
        }
    }

    /// Sends `pipeline` and answers its replies; errors of single commands are among them. What cannot be answered while a
    /// cluster is rearranged is tried for `connect_timeout`. What is sent must be harmless to send twice.
    pub(crate) async fn call(&self, pipeline: &Pipeline) -> Result<Vec<Value>> {
        let answers = self.answers(pipeline).await?;
        Ok(answers.into_iter().map(|answer| answer.value).collect())
    }
    /// [`call`](Self::call), with who answered.
    pub(crate) async fn answers(&self, pipeline: &Pipeline) -> Result<Vec<Answer>> {
        let limit = self.topology.config().connect_timeout;
        self.route(None, pipeline, limit, true)
            .await
            .into_iter()
            .collect()
    }
    /// Sends each command to whoever has its key: one that cannot be reached fails what it has, and nothing else.
    pub(crate) async fn each(&self, pipeline: &Pipeline, limit: Duration) -> Vec<Result<Answer>> {
        self.route(None, pipeline, limit, false).await
    }
    /// As [`each`](Self::each), but what is sent is for this run of a server alone: to another one nothing is sent, and
    /// the answer is nil.
    pub(crate) async fn each_on(&self, run_id: &str, pipeline: &Pipeline) -> Vec<Result<Answer>> {
        let limit = self.topology.config().connect_timeout;
        self.route(Some(run_id), pipeline, limit, false).await
    }

    async fn route(
        &self,
        run_id: Option<&str>,
        pipeline: &Pipeline,
        limit: Duration,
        patient: bool,
    ) -> Vec<Result<Answer>> {
        let until = Instant::now() + limit;
        let patient = patient && self.topology.is_cluster();
        let mut answers: Vec<Option<Result<Answer>>> = (0..pipeline.len()).map(|_| None).collect();
        let mut left: Vec<(usize, Option<Node>)> = (0..pipeline.len()).map(|index| (index, None)).collect();
        let (mut round, mut pause) = (0, FIRST_PAUSE);
        loop {
            self.topology.settle().await;
            let parts = self.parts(pipeline, std::mem::take(&mut left));
            let calls = parts.iter().map(|part| self.part(run_id, pipeline, part, limit));
            let calls: Vec<_> = calls.collect();
            for (part, result) in parts.iter().zip(together(calls).await) {
                match result {
                    Ok((run_id, values)) => {
                        let mut values = values.into_iter();
                        for index in &part.indexes {
                            let mut value = values.next().unwrap_or(Value::Nil);
                            if let Some(asked) = self.sent_on(&part.node, &mut value, patient) {
                                left.push((*index, asked));
                            }
                            let (node, run_id) = (part.node.clone(), run_id.clone());
                            let answer = Answer { node, run_id, value };
                            answers[*index] = Some(Ok(answer));
                        }
                    }
                    Err(error) => {
                        let again = patient && error.is_transient();
                        for index in &part.indexes {
                            answers[*index] = Some(Err(error.duplicate()));
                            left.extend(again.then_some((*index, None)));
                        }
                    }
                }
            }
            round += 1;
            let over = match patient {
                true => Instant::now() >= until,
                false => round > REDIRECTS,
            };
            if left.is_empty() || over {
                return answers.into_iter().flatten().collect();
            }
            if round > 1 {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Whether a command has to be sent again: to whom, where it has to be asked for there.
    fn sent_on(&self, by: &Node, value: &mut Value, patient: bool) -> Option<Option<Node>> {
        let Value::Error(text) = value else { return None };
        if let Some(to) = self.topology.redirected(text, by) {
            let asked = text.starts_with("ASK").then_some(to);
            // What is said where it does not end.
            *text = format!("TRYAGAIN {text}");
            return Some(asked);
        }
        let waits = text.starts_with("TRYAGAIN") || text.starts_with("CLUSTERDOWN");
        if waits {
            self.topology.doubt();
        }
        (waits && patient).then_some(None)
    }

    /// The same commands by their nodes. One without a key goes where the one before it goes.
    fn parts(&self, pipeline: &Pipeline, left: Vec<(usize, Option<Node>)>) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for (index, asked) in left {
            let before = || parts.last().map(|part: &Part| part.node.clone());
            let asking = asked.is_some();
            let node = asked.unwrap_or_else(|| match pipeline.key(index) {
                Some(key) => self.topology.node_of(key),
                None => before().unwrap_or_else(|| self.topology.any()),
            });
            match parts
                .iter()
                .position(|part| part.node == node && part.asking == asking)
            {
                Some(known) => {
                    parts[known].indexes.push(index);
                    // It is the last one that something was put into.
                    let last = parts.len() - 1;
                    parts.swap(known, last);
                }
                None => parts.push(Part {
                    node,
                    indexes: vec![index],
                    asking,
                }),
            }
        }
        parts
    }

    async fn part(
        &self,
        run_id: Option<&str>,
        pipeline: &Pipeline,
        part: &Part,
        limit: Duration,
    ) -> Result<(Arc<str>, Vec<Value>)> {
        let line = self.line(&part.node);
        if part.asking {
            let pipeline = pipeline.pick_asking(&part.indexes);
            let (run_id, values) = line.call(run_id, &pipeline, limit).await?;
            return Ok((run_id, values.into_iter().skip(1).step_by(2).collect()));
        }
        let pipeline = match part.indexes.len() == pipeline.len() {
            true => Cow::Borrowed(pipeline),
            false => Cow::Owned(pipeline.pick(part.indexes.iter().copied())),
        };
        line.call(run_id, &pipeline, limit).await
    }

    fn line(&self, node: &Node) -> Arc<Line> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.iter().find(|line| line.node == *node) {
            return line.clone();
        }
        let nodes = self.topology.nodes();
        lines.retain(|line| nodes.contains(&line.node));
        let (topology, health) = (self.topology.clone(), self.health.clone());
        lines.push(Arc::new(Line::new(topology, node.clone(), self.role, health)));
        lines[lines.len() - 1].clone()
    }

    /// One command; a reply that is an error is one.
    pub(crate) async fn ask(&self, words: &[&[u8]]) -> Result<Value> {
        self.one(&Pipeline::of(words)).await
    }
    /// One command to this node, whatever it has.
    pub(crate) async fn ask_at(&self, node: &Node, words: &[&[u8]]) -> Result<Value> {
        let limit = self.topology.config().connect_timeout;
        let (_, mut values) = self.line(node).call(None, &Pipeline::of(words), limit).await?;
        self.check(values.remove(0))
    }
    /// One call of a script; a reply that is an error is one.
    pub(crate) async fn run(&self, script: Script, keys: &[&[u8]], arguments: &[&[u8]]) -> Result<Value> {
        let mut pipeline = Pipeline::new();
        pipeline.script(script, keys, arguments);
        self.one(&pipeline).await
    }
    async fn one(&self, pipeline: &Pipeline) -> Result<Value> {
        self.check(self.call(pipeline).await?.remove(0))
    }
    /// The reply, or the error that it is.
    pub(crate) fn check(&self, reply: Value) -> Result<Value> {
        match reply {
            Value::Error(text) => Err(crate::error::classify(&self.topology.config().address(), &text)),
            reply => Ok(reply),
        }
    }
    /// Our end's address, where there is a connection now.
    pub(crate) async fn local(&self) -> String {
        let lines = self.lines.lock().clone();
        for line in lines {
            if let Some(local) = line.local().await {
                return local;
            }
        }
        String::new()
    }
}
