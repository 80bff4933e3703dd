//! Reading the fields of a JSON object, so that every refusal names all fields that are wrong.

use livewatt_domain::{kind::DeviceKind, scope::Scope, tariff::ClockTime};
use livewatt_engine::{EngineError, Issue};
use serde_json::{Map, Value};

use super::json;

/// What can be read from a JSON object.
pub(crate) trait Payload: Sized {
    /// Reads the fields; `None` if one was noted as wrong.
    fn read(fields: &mut Fields) -> Option<Self>;

    /// The refusal of an object that is wrong.
    fn refused(issues: Vec<Issue>) -> EngineError {
        EngineError::Invalid(issues)
    }
}

/// What a field can hold.
pub(crate) trait FromField: Sized {
    /// The value, or what it must be.
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self>;
}

/// The fields of a JSON object that were not read yet, and what was wrong so far.
#[derive(Debug)]
pub(crate) struct Fields {
    rest: Map<String, Value>,
    prefix: String,
    issues: Vec<Issue>,
}

impl Fields {
    /// Reads a whole body.
    pub(crate) fn parse<T: Payload>(bytes: &[u8]) -> Result<T, Vec<Issue>> {
        let value = Self::json(bytes, "must be a JSON object, but is empty")?;
        let mut issues = Vec::new();
        Self::object(value, "", &mut issues)
            .filter(|_| issues.is_empty())
            .ok_or(issues)
    }

    fn json(bytes: &[u8], if_empty: &str) -> Result<Value, Vec<Issue>> {
        let issue = |message: String| vec![Issue::new("", message)];
        if bytes.is_empty() {
            return Err(issue(if_empty.to_owned()));
        }
        let (value, twice) =
            json::read(bytes).map_err(|error| issue(format!("is not valid JSON: {error}")))?;
        if !twice.is_empty() {
            let issues = twice.into_iter();
            return Err(issues
                .map(|path| Issue::new(path, "is given twice"))
                .collect());
        }
        Ok(value)
    }

    /// Reads a whole body that is an array of objects; paths begin with the index.
    pub(crate) fn parse_list<T: Payload>(bytes: &[u8]) -> Result<Vec<T>, Vec<Issue>> {
        let value = Self::json(bytes, "must be a JSON array, but is empty")?;
        let Value::Array(items) = value else {
            return Err(vec![Issue::new("", "must be an array")]);
        };
        let mut issues = Vec::new();
        let items = items.into_iter().enumerate();
        let read: Vec<Option<T>> = items
            .map(|(index, item)| Self::object(item, &index.to_string(), &mut issues))
            .collect();
        let read: Option<Vec<T>> = read.into_iter().collect();
        read.filter(|_| issues.is_empty()).ok_or(issues)
    }

    /// Reads an object at a path.
    fn object<T: Payload>(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<T> {
        let Value::Object(rest) = value else {
            issues.push(Issue::new(path, "must be an object"));
            return None;
        };
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}.")
        };
        let mut fields = Self {
            rest,
            prefix,
            issues: Vec::new(),
        };
        let read = T::read(&mut fields);
        for key in fields.rest.keys() {
            let path = format!("{}{}", fields.prefix, shortened(key));
            fields.issues.push(Issue::new(path, "is not a known field"));
        }
        let is_good = fields.issues.is_empty();
        issues.append(&mut fields.issues);
        read.filter(|_| is_good)
    }

    /// A field that must be there.
    pub(crate) fn required<T: FromField>(&mut self, name: &str) -> Option<T> {
        match self.rest.shift_remove(name) {
            Some(value) => self.value(name, value),
            None => {
                self.issues.push(Issue::new(self.path(name), "is required"));
                None
            }
        }
    }

    /// A field that must be there, if only as null.
    pub(crate) fn required_nullable<T: FromField>(&mut self, name: &str) -> Option<Option<T>> {
        if !self.rest.contains_key(name) {
            self.issues.push(Issue::new(self.path(name), "is required"));
        }
        self.nullable(name)
    }

    /// A field that may be absent, but not null.
    pub(crate) fn optional<T: FromField>(&mut self, name: &str) -> Option<T> {
        let value = self.rest.shift_remove(name)?;
        self.value(name, value)
    }

    /// A field that may be absent (`None`) or null (`Some(None)`).
    pub(crate) fn nullable<T: FromField>(&mut self, name: &str) -> Option<Option<T>> {
        match self.rest.shift_remove(name)? {
            Value::Null => Some(None),
            value => self.value(name, value).map(Some),
        }
    }

    fn value<T: FromField>(&mut self, name: &str, value: Value) -> Option<T> {
        let path = self.path(name);
        T::from_field(value, &path, &mut self.issues)
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// A name from outside, cut so that an answer cannot be made large by it.
pub(super) fn shortened(key: &str) -> String {
    key.chars().take(64).collect()
}

impl FromField for String {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => {
                issues.push(Issue::new(path, "must be a string"));
                None
            }
        }
    }
}

impl FromField for f64 {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_f64();
        if read.is_none() {
            issues.push(Issue::new(path, "must be a number"));
        }
        read
    }
}

impl FromField for bool {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_bool();
        if read.is_none() {
            issues.push(Issue::new(path, "must be true or false"));
        }
        read
    }
}

impl FromField for ClockTime {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_str().and_then(|text| text.parse().ok());
        if read.is_none() {
            issues.push(Issue::new(path, "must be a time of day, 00:00 to 24:00"));
        }
        read
    }
}

impl<T: FromField> FromField for Vec<T> {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let Value::Array(items) = value else {
            issues.push(Issue::new(path, "must be an array"));
            return None;
        };
        let items = items.into_iter().enumerate();
        // Not `collect::<Option<_>>`, which would stop at the first that is wrong.
        let read: Vec<Option<T>> = items
            .map(|(index, item)| T::from_field(item, &format!("{path}.{index}"), issues))
            .collect();
        read.into_iter().collect()
    }
}

impl FromField for Scope {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_str().and_then(|text| text.parse().ok());
        if read.is_none() {
            issues.push(Issue::new(path, "is not a scope"));
        }
        read
    }
}

impl FromField for DeviceKind {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_str().and_then(|text| text.parse().ok());
        if read.is_none() {
            issues.push(Issue::new(
                path,
                "must be vehicle, charger, hvac, inverter, battery or meter",
            ));
        }
        read
    }
}

/// A field that holds an object.
#[derive(Debug)]
pub(crate) struct Nested<T>(pub(crate) T);

impl<T: Payload> FromField for Nested<T> {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        Fields::object(value, path, issues).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Inner(String);

    impl Payload for Inner {
        fn read(fields: &mut Fields) -> Option<Self> {
            fields.required("name").map(Self)
        }
    }

    #[derive(Debug, PartialEq)]
    struct Outer {
        scopes: Vec<Scope>,
        pin: Option<Option<String>>,
        inner: Option<Inner>,
    }

    impl Payload for Outer {
        fn read(fields: &mut Fields) -> Option<Self> {
            let (scopes, pin) = (fields.required("scopes"), fields.nullable("pin"));
            let inner = fields
                .optional::<Nested<Inner>>("inner")
                .map(|nested| nested.0);
            Some(Self {
                scopes: scopes?,
                pin,
                inner,
            })
        }
    }

    fn paths(json: &str) -> Vec<String> {
        let issues = Fields::parse::<Outer>(json.as_bytes()).unwrap_err();
        issues.into_iter().map(|issue| issue.path).collect()
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        let read = |json: &str| Fields::parse::<Outer>(json.as_bytes()).unwrap().pin;
        assert_eq!(read(r#"{"scopes":[]}"#), None);
        assert_eq!(read(r#"{"scopes":[],"pin":null}"#), Some(None));
        assert_eq!(
            read(r#"{"scopes":[],"pin":"x"}"#),
            Some(Some("x".to_owned()))
        );
    }

    #[test]
    fn lists_name_what_is_wrong_by_its_index() {
        let read = |json: &str| Fields::parse_list::<Inner>(json.as_bytes());
        let paths = |json: &str| -> Vec<String> {
            let issues = read(json).unwrap_err();
            issues.into_iter().map(|issue| issue.path).collect()
        };
        assert_eq!(read(r#"[{"name":"a"}]"#), Ok(vec![Inner("a".to_owned())]));
        assert_eq!(read("[]"), Ok(vec![]));
        assert_eq!(paths("{}"), [""]);
        assert_eq!(paths(""), [""]);
        assert_eq!(
            paths(r#"[{"name":"a"},{"name":1,"b":2},3]"#),
            ["1.name", "1.b", "2"]
        );
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        assert_eq!(paths("{}"), ["scopes"]);
        assert_eq!(paths(""), [""]);
        assert_eq!(paths("{"), [""]);
        assert_eq!(paths("[]"), [""]);
        assert_eq!(paths(r#"{"scopes":null}"#), ["scopes"]);
        assert_eq!(
            paths(
                r#"{"scopes":["x","vehicle:read:data",1],"pin":2,"inner":{"name":1,"b":2},"a":3}"#
            ),
            ["scopes.0", "scopes.2", "pin", "inner.name", "inner.b", "a"]
        );
    }
}
