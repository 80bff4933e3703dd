//! What adapters with a login have in common: what they remember, and for how long it is good.

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    harvest::AccountOutcome,
    link::{FormField, FormFieldKind, LinkOutcome, LinkProblem},
    secret::Secret,
};

/// A token is not used in the last moments of its life: it would expire on the way.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// Until when a token got at `now` is used. A short-lived token is used for half of its life.
pub(crate) fn usable_until(now: Timestamp, expires_in_secs: f64) -> Timestamp {
    let life = SignedDuration::try_from_secs_f64(expires_in_secs.max(0.0))
        .unwrap_or(SignedDuration::from_hours(24 * 365));
    let margin = MARGIN.min(life / 2);
    now.saturating_add(life - margin).unwrap_or(now)
}

/// Makes a secret of what must be remembered.
pub(crate) fn seal<T: Serialize>(value: &T) -> Secret {
    // Plain structs of texts and moments cannot fail to serialize.
    Secret::new(serde_json::to_string(value).unwrap_or_default())
}

/// What was remembered; `None` if it is unreadable.
pub(crate) fn open<T: DeserializeOwned>(secret: &Secret) -> Option<T> {
    serde_json::from_str(secret.reveal()).ok()
}

/// The form of vendors that sign in with a user name and a password.
pub(crate) fn password_form(problem: Option<&str>) -> LinkOutcome {
    LinkOutcome::Form {
        fields: vec![
            FormField {
                name: "username",
                label: "User name",
                kind: FormFieldKind::Text,
                autocomplete: "username",
            },
            FormField {
                name: "password",
                label: "Password",
                kind: FormFieldKind::Password,
                autocomplete: "current-password",
            },
        ],
        problem: problem.map(str::to_owned),
    }
}

/// The user's name and password from the form; `None` if one is missing.
pub(crate) fn password_input(
    fields: &std::collections::BTreeMap<String, Secret>,
) -> Option<(String, Secret)> {
    let username = fields.get("username")?.reveal().trim().to_owned();
    let password = fields.get("password")?.clone();
    let is_complete = !username.is_empty() && !password.reveal().is_empty();
    is_complete.then_some((username, password))
}

/// What a refusal while signing in means for the user.
pub(crate) fn link_problem(outcome: AccountOutcome) -> LinkProblem {
    match outcome {
        AccountOutcome::Unreachable(_)
        | AccountOutcome::RateLimited { .. }
        | AccountOutcome::OverBudget { .. } => LinkProblem::VendorUnavailable,
        AccountOutcome::Malformed(what) | AccountOutcome::Refused(what) => {
            LinkProblem::Unexpected(what)
        }
        AccountOutcome::LoginExpired | AccountOutcome::Ok => {
            LinkProblem::Unexpected("the vendor refused what it had just granted".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_given_up_early() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(usable_until(now, 1800.0).as_second(), 1740);
        assert_eq!(usable_until(now, 60.0).as_second(), 30);
        assert_eq!(usable_until(now, -5.0), now);
        assert!(usable_until(now, f64::MAX) > now);
        assert_eq!(usable_until(now, f64::NAN), now);
    }
}
