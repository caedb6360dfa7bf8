//! Handlers: async functions that are called for each message, with extractors and layers.
