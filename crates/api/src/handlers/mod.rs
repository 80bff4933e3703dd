//! The operations, a file per group. Which path leads to which is in `operations`.

pub(crate) mod actions;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod freshness;
pub(crate) mod health;
pub(crate) mod hem;
pub(crate) mod interventions;
pub(crate) mod linking;
pub(crate) mod locations;
pub(crate) mod market;
pub(crate) mod ocpp;
pub(crate) mod push;
pub(crate) mod schedules;
pub(crate) mod server;
pub(crate) mod smart;
pub(crate) mod statistics;
pub(crate) mod tariffs;
pub(crate) mod token;
pub(crate) mod users;
pub(crate) mod webhooks;
