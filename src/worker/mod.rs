//! Workers: a type that processes messages of one topic, with hooks, retries and an output topic.
