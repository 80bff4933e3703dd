//! The rows of interventions.

use axum::{http::Method, routing::get};

use super::{Operation, Query, choice, ok, refusal, text};
use crate::handlers::interventions;

const CATALOGUE: &[Query] = &[
    text(
        "language",
        "Language of the texts, such as `de-DE`: English, German and Norwegian are there; English if \
         absent or another",
    ),
    choice(
        "vendorType",
        "What can be about this kind of device",
        &["vehicle", "charger", "hvac", "inverter", "battery", "meter"],
    ),
    text("vendor", "What can be about devices of this vendor"),
];

pub(super) fn intervention_rows() -> Vec<Operation> {
    vec![
        Operation::new(
            "listInterventions",
            Method::GET,
            "/interventions",
            "List what may have to be done before devices can do what they are capable of",
            get(interventions::list),
        )
        .query(CATALOGUE)
        .answers([ok("InterventionsList")]),
        Operation::new(
            "getIntervention",
            Method::GET,
            "/interventions/{interventionId}",
            "Get what has to be done, by its ID in a capability",
            get(interventions::get),
        )
        .query(CATALOGUE)
        .answers([ok("Intervention"), refusal(404, "Intervention not found")]),
    ]
}
