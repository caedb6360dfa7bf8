//! Attributes for workers and consumers, and the derive of Avro schemas. They are documented where they are re-exported:
//! `bus::worker`, `bus::consumer`, `bus::AvroSchema`.

mod avro;
mod consumer;
mod options;
mod shape;
mod worker;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

/// Makes an async function the work of a worker: a function of its name gives its `Runner`, to be started, or registered in
/// an `App`.
///
/// The function takes a `&Delivery<T>` or a `&T`, or a `&[Delivery<T>]` for batches. It returns nothing, a value, an `Option`, or
/// a `Result` of one of these with any error; a batch returns a `Vec` of results. What is `Some`, or a value, is published to
/// `output`.
///
/// | option | value | default |
/// |---|---|---|
/// | `topic` | a `Topic`, or a name | needed |
/// | `output` (`output_topic`) | the same | no outputs |
/// | `name` | text | the function's name |
/// | `group` (`group_id`) | text | the name |
/// | `concurrency` | number | 1 |
/// | `max_retries` | number | 3 |
/// | `backoff` (`retry_backoff`) | `fixed`, `linear`, `exponential` | `exponential` |
/// | `initial`, `cap` | `"500ms"`, `"1s"`, `"2m"`, `"1h"`, or a `Duration` | `"1s"`, `"60s"` |
/// | `jitter` | percent | 0 |
/// | `dead_letter` (`dlq_topic`) | text, may hold `{topic}` and `{group}` | `{topic}.{group}.dlq` |
/// | `batch_size`, `batch_timeout` | number, as `initial` | 1, `"1s"` |
/// | `exactly_once` | `true` | `false` |
/// | `codec`, `output_codec` | types | `Json`, the `codec` |
/// | `on_success`, `on_error` | paths of async functions that take what the trait's methods do | nothing |
#[proc_macro_attribute]
pub fn worker(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let (arguments, function) = (arguments.into(), parse_macro_input!(item as ItemFn));
    worker::expand(arguments, function)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Makes an async function with extractors the handler of a consumer: a function of its name gives the `Consumer`, to be
/// started, or registered in an `App`.
///
/// Options: `topic` (a `Topic`, or a name) and `group` (`group_id`), both needed; `concurrency`.
#[proc_macro_attribute]
pub fn consumer(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let (arguments, function) = (arguments.into(), parse_macro_input!(item as ItemFn));
    consumer::expand(arguments, function)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Gives a type its Avro schema: a struct with named fields is a `record`, one with a single field without a name is what that is,
/// and an enum without values is an `enum`. Doc comments are kept.
///
/// Names and defaults are those of serde, so that the schema is what serde writes: `rename`, `rename_all`, `alias`, `default`, `skip`,
/// `transparent`, `other`. What a schema cannot follow, such as `flatten`, does not compile. A struct that is what its one field is
/// cannot lie in itself (`struct Tree(Vec<Tree>)`), since only types with a name can: asking for its schema is an error.
///
/// | `#[avro(…)]` | on | |
/// |---|---|---|
/// | `namespace = "com.shop"` | a type | its namespace, instead of the setting's |
/// | `alias = "Old"` | a type, a field | what it was called before, for readers of older data |
/// | `default = 5` | a field | the default, as JSON, where serde has none |
/// | `decimal(precision = 12, scale = 2)` | a field | a decimal: any type that serde writes as text such as `12.50` |
/// | `schema_of = i64` | a field | the schema of another type, where serde writes it so (`with = "…"`) |
#[proc_macro_derive(AvroSchema, attributes(avro, serde))]
pub fn avro_schema(item: TokenStream) -> TokenStream {
    let input = parse_macro_input!(item as DeriveInput);
    avro::expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
