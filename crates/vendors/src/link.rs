//! Signing in to a vendor, step by step. What is shown to the user is data; the pages are drawn
//! elsewhere.

use std::collections::BTreeMap;

use url::Url;

use crate::secret::Secret;

/// What the user (or the vendor, through the user's browser) brings to a step.
#[derive(Debug, Clone)]
pub enum LinkInput {
    /// The user chose the vendor.
    Begin,
    /// The user filled in the form shown before; field name to text.
    Form(BTreeMap<String, Secret>),
    /// The vendor sent the browser back with these query parameters.
    Callback(BTreeMap<String, String>),
}

/// How a field of a sign-in form is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormFieldKind {
    /// Plain text.
    Text,
    /// An e-mail address.
    Email,
    /// Hidden while typed.
    Password,
}

/// A field of a sign-in form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormField {
    /// Name; the key in [`LinkInput::Form`].
    pub name: &'static str,
    /// What the user reads.
    pub label: &'static str,
    /// How it is entered.
    pub kind: FormFieldKind,
    /// Token of the HTML `autocomplete` attribute.
    pub autocomplete: &'static str,
}

/// What comes next.
#[derive(Debug, Clone)]
pub enum LinkOutcome {
    /// Send the browser to the vendor; it will come back to the callback address.
    Redirect {
        /// Where to.
        url: Url,
        /// What the adapter must remember until then; sealed by the caller.
        memory: Secret,
    },
    /// Show a form.
    Form {
        /// Its fields.
        fields: Vec<FormField>,
        /// What was wrong with the last input, in words for the user.
        problem: Option<String>,
    },
    /// Show what the user must enter in the device, and wait for it to come to us. The account
    /// exists from now on.
    Instructions {
        /// The account.
        account: LinkedAccount,
        /// Rows of what to enter: label and value.
        rows: Vec<(&'static str, String)>,
    },
    /// Signed in.
    Done(LinkedAccount),
}

/// What the adapter needs to act for the user from now on; stored encrypted.
pub type Credentials = Secret;

/// A vendor account that the user has opened to us.
#[derive(Debug, Clone)]
pub struct LinkedAccount {
    /// The vendor's own identifier, the same each time this account is linked.
    pub vendor_account_id: String,
    /// What to act with.
    pub credentials: Credentials,
}

/// Why signing in did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkProblem {
    /// The user refused at the vendor's page.
    #[error("access was refused at the vendor's page")]
    Denied,
    /// The vendor cannot be reached or is not well.
    #[error("the vendor cannot be reached now")]
    VendorUnavailable,
    /// What came back does not belong to this session, or came too late.
    #[error("the answer does not belong to this sign-in")]
    Mismatch,
    /// The vendor refused our app, or answered in a way we do not understand.
    #[error("the vendor's answer was not understood: {0}")]
    Unexpected(String),
}
