//! Events: who sent what, when, and because of what, beside the payload.
