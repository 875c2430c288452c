//! Figures and alerts on their way to the programs of Prometheus, and to servers that misbehave.

mod desk;
mod examples;
mod figures;
mod life;
mod refusal;
mod server;
#[path = "../monitoring/services.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod services;
mod trust;
