//! A subscriber of `tracing` that keeps what it is told.

#[allow(clippy::duplicate_mod, reason = "some tests have several of these helpers")]
#[path = "../harness/listen.rs"]
mod listen;

use listen::listen;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Id, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
    subscriber::DefaultGuard,
};

/// A span's fields as text.
pub(crate) type Fields = BTreeMap<String, String>;

/// Keeps spans and events of the target `bus`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    spans: Vec<(&'static str, Fields)>,
    events: Vec<String>,
}

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Recorder {
    /// Listens on this thread.
    pub(crate) fn install(self) -> DefaultGuard {
        listen(self)
    }
    pub(crate) fn spans(&self, name: &str) -> Vec<Fields> {
        let state = self.0.lock().unwrap();
        let named = state.spans.iter().filter(|(known, _)| *known == name);
        named.map(|(_, fields)| fields.clone()).collect()
    }
    /// The last one of that name.
    pub(crate) fn span(&self, name: &str) -> Fields {
        self.spans(name)
            .pop()
            .unwrap_or_else(|| panic!("there is no span `{name}`"))
    }
    pub(crate) fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().events.clone()
    }
    /// The name of the span that is entered.
    pub(crate) fn current(&self) -> String {
        let entered = ENTERED.with_borrow(|entered| entered.last().copied());
        let state = self.0.lock().unwrap();
        entered.map_or(String::new(), |id| state.spans[id as usize - 1].0.to_owned())
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "bus"
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Collect::default();
        attributes.record(&mut fields);
        let mut state = self.0.lock().unwrap();
        state.spans.push((attributes.metadata().name(), fields.0));
        Id::from_u64(state.spans.len() as u64)
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = Collect::default();
        values.record(&mut fields);
        self.0.lock().unwrap().spans[span.into_u64() as usize - 1]
            .1
            .extend(fields.0);
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Collect::default();
        event.record(&mut fields);
        self.0.lock().unwrap().events.push(format!("{:?}", fields.0));
    }
    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }
    fn exit(&self, _: &Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
}

#[derive(Default)]
struct Collect(Fields);

impl Visit for Collect {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
