//! Request and reply, and services that own an inbox topic.
