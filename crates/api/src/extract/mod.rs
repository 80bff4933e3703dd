//! What handlers take out of a request. Every refusal is a problem document that names the field.

mod body;
mod caller;
mod fields;
mod json;
mod path;
mod query;
mod version;

pub(crate) use body::{JsonBody, JsonListBody, read_body};
pub(crate) use caller::{Caller, CallerSlot, basic_credentials};
pub(crate) use fields::{Fields, FromField, Nested, Payload};
pub(crate) use path::{PathArg, PathArgs, kind_arg, user_arg, vendor_arg};
pub(crate) use query::{QueryArgs, moment_arg, range_args};
pub(crate) use version::speak_version;
