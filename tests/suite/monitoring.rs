//! Figures and alerts on their way to the programs of Prometheus, and to servers that misbehave.

mod desk;
mod examples;
mod figures;
mod life;
mod refusal;
mod server;
#[path = "../monitoring/services.rs"]
mod services;
mod trust;
