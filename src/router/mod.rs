//! The event router: an event's dotted name leads to its handler.
