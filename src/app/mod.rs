//! The application: registers workers, consumers, routers and services, starts them in order and stops them in reverse.
