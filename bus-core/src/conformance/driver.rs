//! The driver's own traits, used raw: what a backend does without the core's help.
