//! Segments of paths.

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use livewatt_domain::{id::UserId, kind::DeviceKind, vendor::VendorName};

use crate::error::ApiError;

/// The only variable segment of a path.
#[derive(Debug)]
pub(crate) struct PathArg(pub(crate) String);

/// The variable segments of a path, in order.
#[derive(Debug)]
pub(crate) struct PathArgs<const N: usize>(pub(crate) [String; N]);

impl<S: Send + Sync> FromRequestParts<S> for PathArg {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let PathArgs([only]) = PathArgs::from_request_parts(parts, state).await?;
        Ok(Self(only))
    }
}

impl<S: Send + Sync, const N: usize> FromRequestParts<S> for PathArgs<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let unreadable = || ApiError::Unreadable("The path is not text in UTF-8.".to_owned());
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| unreadable())?;
        let values: Vec<String> = params.iter().map(|(_, value)| value.to_owned()).collect();
        // Another number of segments is a route that does not fit its handler.
        values.try_into().map(Self).map_err(|_| unreadable())
    }
}

/// A segment as a user's ID.
pub(crate) fn user_arg(text: String) -> Result<UserId, ApiError> {
    text.try_into()
        .map_err(|error| ApiError::invalid("userId", without_subject(error)))
}

/// The message without the words that the name of the field says already.
fn without_subject(error: livewatt_domain::id::UserIdError) -> String {
    error
        .to_string()
        .trim_start_matches("a user ID ")
        .to_owned()
}

/// A segment as a vendor's name.
pub(crate) fn vendor_arg(text: String) -> Result<VendorName, ApiError> {
    text.try_into()
        .map_err(|_| ApiError::invalid("vendor", "is not the name of a vendor"))
}

/// A segment as a kind of device.
pub(crate) fn kind_arg(text: &str) -> Result<DeviceKind, ApiError> {
    text.parse().map_err(|_| {
        ApiError::invalid(
            "vendorType",
            "must be vehicle, charger, hvac, inverter, battery or meter",
        )
    })
}
