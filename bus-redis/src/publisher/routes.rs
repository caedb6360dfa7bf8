//! The nodes that a publisher sends to, each with a task and a connection of its own, and how lanes go over from one to
//! another when their slot does.

use super::{Shared, state::State, task::Task};
use crate::{Context, wire::Node};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::Notify;

/// One node.
#[derive(Debug)]
pub(crate) struct Route {
    node: Node,
    /// Lanes that have something to send.
    pub(crate) ready: VecDeque<usize>,
    wake: Arc<Notify>,
    /// Lanes have come over whose markers have to be read there first.
    pub(crate) adopted: bool,
    runs: bool,
}

/// Tasks that have something to do.
#[derive(Debug, Default)]
pub(crate) struct Wakes(Option<Arc<Notify>>, Vec<Arc<Notify>>);

impl Wakes {
    fn add(&mut self, wake: &Arc<Notify>) {
        match self.0 {
            None => self.0 = Some(wake.clone()),
            Some(_) => self.1.push(wake.clone()),
        }
    }
    /// Outside the lock, where they need it at once.
    pub(crate) fn wake(self) {
        self.0.iter().chain(&self.1).for_each(|wake| wake.notify_one());
    }
}

impl State {
    /// The number of the route to a node.
    pub(crate) fn route_to(&mut self, node: Node) -> usize {
        let known = self.routes.iter().position(|route| route.node == node);
        known.unwrap_or_else(|| {
            self.routes.push(Route {
                node,
                ready: VecDeque::new(),
                wake: Arc::default(),
                adopted: false,
                runs: false,
            });
            self.routes.len() - 1
        })
    }
    /// The tasks that have something to send.
    pub(crate) fn wakes(&self) -> Wakes {
        let mut wakes = Wakes::default();
        let ready = self.routes.iter().filter(|route| !route.ready.is_empty());
        ready.for_each(|route| wakes.add(&route.wake));
        wakes
    }
    /// All tasks.
    pub(crate) fn all_wakes(&self) -> Wakes {
        let mut wakes = Wakes::default();
        self.routes.iter().for_each(|route| wakes.add(&route.wake));
        wakes
    }

    /// A lane's slot is another node's now: what flew is sent there, when its marker has been read.
    pub(crate) fn hand_over(&mut self, number: usize, node: Node) {
        let route = self.route_to(node);
        let from = std::mem::replace(&mut self.lanes[number].route, route);
        if from == route {
            return;
        }
        self.routes[from].ready.retain(|ready| *ready != number);
        self.lanes[number].ready = false;
        self.routes[route].adopted = true;
        self.landed(number);
    }
    /// Hands over the lanes of a route whose slots are other nodes' now.
    pub(crate) fn hand_over_moved(&mut self, context: &Context, route: usize) {
        for number in 0..self.lanes.len() {
            if self.lanes[number].route == route {
                let node = context.topology.node_of(self.lanes[number].stream.as_bytes());
                self.hand_over(number, node);
            }
        }
    }
    /// Whether a task may end: another one has its lanes, and its node has nothing any more.
    pub(crate) fn abandons(&mut self, context: &Context, route: usize) -> bool {
        let left = self.lanes.iter().any(|lane| lane.route == route);
        let node = &self.routes[route].node;
        let over = !left && !context.topology.nodes().contains(node);
        self.routes[route].runs &= !over;
        over
    }
    /// Whether any task runs.
    pub(crate) fn runs(&self) -> bool {
        self.routes.iter().any(|route| route.runs)
    }
    /// A task has ended.
    pub(crate) fn ended(&mut self, route: usize) {
        self.routes[route].runs = false;
    }
}

impl Shared {
    /// Starts the tasks of routes that have lanes and no task yet, and wakes those that have something to do.
    pub(crate) fn start(self: &Arc<Self>, context: &Arc<Context>) {
        let mut state = self.state.lock();
        for number in 0..state.routes.len() {
            let used = state.lanes.iter().any(|lane| lane.route == number);
            let route = &mut state.routes[number];
            if used && !std::mem::replace(&mut route.runs, true) {
                let task = Task::new(
                    context.clone(),
                    self.clone(),
                    number,
                    route.node.clone(),
                    route.wake.clone(),
                );
                tokio::spawn(task.run(None));
            }
        }
        let wakes = state.all_wakes();
        drop(state);
        wakes.wake();
    }
    /// The task of the first node, which has a connection already.
    pub(crate) fn first(self: &Arc<Self>, context: &Arc<Context>, node: Node, conn: crate::wire::Conn) {
        let mut state = self.state.lock();
        let number = state.route_to(node.clone());
        let route = &mut state.routes[number];
        route.runs = true;
        let task = Task::new(context.clone(), self.clone(), number, node, route.wake.clone());
        drop(state);
        tokio::spawn(task.run(Some(conn)));
    }
}
