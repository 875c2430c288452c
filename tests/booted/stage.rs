//! What scenarios on booted machines are played with.
