//! Reading vendors' JSON without trusting it.
//!
//! Every field of a wire type is a [`Told`]: not there, null, a value, or something odd. What is
//! odd costs that field its value and leaves a word in the [`Drift`]; the rest is kept. Unknown
//! fields are ignored. Only a body that is no JSON object at all is refused as a whole.

use std::{fmt, marker::PhantomData};

use jiff::Timestamp;
use livewatt_domain::{
    energy::Flow,
    fact::{Completeness, Key, Observation},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, Visitor},
};
use serde_json::value::RawValue;

use crate::{harvest::AccountOutcome, http::Response};

/// What a vendor said in one place of its JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Told<T> {
    /// Nothing.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// A value.
    Value(T),
    /// Something of another type, named here.
    Odd(&'static str),
}

impl<T> Told<T> {
    /// The value, if there is one.
    pub(crate) fn as_value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The value, if there is one; what is odd is noted under `name`.
    pub(crate) fn take(self, name: &str, drift: &mut Drift) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Odd(kind) => {
                drift.note(name, kind);
                None
            }
            Self::Absent | Self::Null => None,
        }
    }

    /// The same about the value's meaning; what has none is odd.
    pub(crate) fn and_then<U>(
        self,
        oddity: &'static str,
        f: impl FnOnce(T) -> Option<U>,
    ) -> Told<U> {
        match self {
            Self::Value(value) => f(value).map_or(Told::Odd(oddity), Told::Value),
            Self::Absent => Told::Absent,
            Self::Null => Told::Null,
            Self::Odd(kind) => Told::Odd(kind),
        }
    }

    /// A value becomes null if `is_meant` is false: some vendors fill in a number where there is
    /// nothing to be told.
    pub(crate) fn only_if(self, is_meant: bool) -> Self {
        match self {
            Self::Value(_) if !is_meant => Self::Null,
            told => told,
        }
    }
}

/// Longest identifier of a vendor, bytes: it becomes part of a database key and of paths.
const LONGEST_ID: usize = 256;

impl Told<String> {
    /// A text that can be an identifier; an empty one, or one of kilobytes, is odd.
    pub(crate) fn identifier(self) -> Self {
        let is_usable = |id: &String| (1..=LONGEST_ID).contains(&id.len());
        self.and_then("(no ID)", |id| Some(id).filter(is_usable))
    }
}

impl Told<Number> {
    /// The number times `factor`.
    pub(crate) fn times(self, factor: f64) -> Self {
        match self {
            Self::Value(Number(number)) => Self::Value(Number(number * factor)),
            told => told,
        }
    }

    /// The number divided by 1000: W to kW, Wh to kWh.
    pub(crate) fn kilo(self) -> Self {
        match self {
            Self::Value(Number(number)) => Self::Value(Number(number / 1000.0)),
            told => told,
        }
    }
}

/// What can stand in a wire type.
pub(crate) trait Wire: DeserializeOwned {
    /// Whether JSON beginning with this byte can be one. Derived structs would also take a list
    /// for their members in a row.
    fn may_begin_with(_first: u8) -> bool {
        true
    }
}

impl Wire for String {}
impl Wire for bool {}
impl<T: Wire> Wire for Vec<Told<T>> {}

impl<'de, T: Wire> Deserialize<'de> for Told<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        let first = raw.bytes().next().unwrap_or(b'n');
        if first == b'n' {
            return Ok(Self::Null);
        }
        let value = if T::may_begin_with(first) {
            serde_json::from_str(raw).ok()
        } else {
            None
        };
        Ok(value.map_or(Self::Odd(kind_of(first)), Self::Value))
    }
}

const fn kind_of(first: u8) -> &'static str {
    match first {
        b'"' => "(text)",
        b'{' => "(object)",
        b'[' => "(list)",
        b't' | b'f' => "(flag)",
        _ => "(number)",
    }
}

/// Defines structs of a vendor's JSON: every member is [`Told`].
macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(default)]
        pub(super) struct $name {$(
            $(#[$field_doc])*
            pub(super) $field: crate::lenient::Told<$type>,
        )*}

        impl crate::lenient::Wire for $name {
            fn may_begin_with(first: u8) -> bool {
                first == b'{'
            }
        }
    )*};
}
pub(crate) use wire;

/// A list of a vendor's JSON.
pub(crate) type List<T> = Vec<Told<T>>;

/// An object that is read when it is known what it is.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct RawObject(Box<RawValue>);

impl Wire for RawObject {
    fn may_begin_with(first: u8) -> bool {
        first == b'{'
    }
}

impl RawObject {
    /// Reads it.
    pub(crate) fn parse<T: Wire>(&self) -> Told<T> {
        serde_json::from_str(self.0.get()).unwrap_or(Told::Odd("(object)"))
    }
}

/// The whole answer as an object, after a look at the status.
pub(crate) fn object<T: Wire>(response: &Response) -> Result<T, AccountOutcome> {
    match response.success::<Told<T>>()? {
        Told::Value(value) => Ok(value),
        _ => Err(response.malformed("not the JSON that was expected")),
    }
}

/// The whole answer as a list, after a look at the status.
pub(crate) fn list<T: Wire>(response: &Response) -> Result<List<T>, AccountOutcome> {
    match response.success::<Told<List<T>>>()? {
        Told::Value(list) => Ok(list),
        _ => Err(response.malformed("not the JSON that was expected")),
    }
}

/// A finite number, or a text that is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl Wire for Number {}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lenient(PhantomData<Number>);

        impl Visitor<'_> for Lenient {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a text that is one")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                match text.trim().parse::<f64>() {
                    Ok(number) if number.is_finite() => Ok(Number(number)),
                    _ => Err(E::custom("no number")),
                }
            }
        }

        deserializer.deserialize_any(Lenient(PhantomData))
    }
}

/// A moment in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Wire for Moment {}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|_| D::Error::custom("no moment"))
    }
}

/// A moment in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EpochMillis(pub(crate) Timestamp);

impl Wire for EpochMillis {}

impl<'de> Deserialize<'de> for EpochMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Number(millis) = Number::deserialize(deserializer)?;
        // A float beyond the range of i64 becomes its end, which is no moment.
        Timestamp::from_millisecond(millis as i64)
            .map(Self)
            .map_err(|_| D::Error::custom("no moment"))
    }
}

/// Words and values that could not be placed, as `field=word`.
#[derive(Debug, Default)]
pub(crate) struct Drift(Vec<String>);

impl Drift {
    /// A broken vendor would otherwise fill memory with complaints.
    const MOST: usize = 64;

    /// Notes that `field` said `word`. Words that do not look like words are not repeated.
    pub(crate) fn note(&mut self, field: &str, word: &str) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:.() ".contains(&byte);
        let word = if word.len() <= 40 && word.bytes().all(is_plain) {
            word
        } else {
            "(text)"
        };
        if self.0.len() < Self::MOST {
            self.0.push(format!("{field}={word}"));
        }
    }

    /// Adds what was noted elsewhere.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What was noted.
    pub(crate) fn into_words(self) -> Vec<String> {
        self.0
    }

    /// How much was noted.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

/// Writes what a vendor told of one block of a device into an observation. What a poll keeps quiet
/// about is unknown, unless it is part of the static description; what a push keeps quiet about is
/// as it was.
pub(crate) struct Teller<'a> {
    pub(crate) seen: &'a mut Observation,
    pub(crate) drift: &'a mut Drift,
    /// Prefix of field names in the drift.
    pub(crate) block: &'static str,
    /// The vendor's time of the block.
    pub(crate) at: Option<Timestamp>,
    /// Whether what is absent is thereby unknown.
    pub(crate) completeness: Completeness,
}

impl Teller<'_> {
    /// Tells a value of the contract's own type and unit.
    pub(crate) fn tell<T: Serialize>(&mut self, key: Key<T>, name: &str, told: Told<T>) {
        let value = match told {
            Told::Absent => {
                if self.completeness == Completeness::Partial || key.field().is_information() {
                    return;
                }
                None
            }
            Told::Null => None,
            Told::Odd(kind) => {
                self.note(name, kind);
                None
            }
            Told::Value(value) => Some(value),
        };
        let rejected = self.seen.rejected;
        self.seen.tell(key, value, self.at);
        if self.seen.rejected > rejected {
            self.note(name, "(refused)");
        }
    }

    /// Tells a number in the contract's unit.
    pub(crate) fn number(&mut self, key: Key<f64>, name: &str, told: Told<Number>) {
        self.tell(
            key,
            name,
            told.and_then("(number)", |Number(number)| Some(number)),
        );
    }

    /// Tells what a counter of energy shows, kWh.
    pub(crate) fn count(&mut self, flow: Flow, name: &str, told: Told<Number>) {
        match told {
            Told::Value(Number(kwh)) => self.seen.count(flow, kwh, self.at),
            Told::Odd(kind) => self.note(name, kind),
            Told::Absent | Told::Null => {}
        }
    }

    /// Tells a word by its meaning; a word without one is unknown and leaves a trace.
    pub(crate) fn word<T: Serialize>(
        &mut self,
        key: Key<T>,
        name: &str,
        told: Told<String>,
        meaning: impl FnOnce(&str) -> Option<T>,
    ) {
        let told = match told {
            Told::Value(word) => meaning(&word).map_or_else(
                || {
                    self.note(name, &word);
                    Told::Null
                },
                Told::Value,
            ),
            Told::Absent => Told::Absent,
            Told::Null => Told::Null,
            Told::Odd(kind) => Told::Odd(kind),
        };
        self.tell(key, name, told);
    }

    /// The same for fields that have a value of their own for a word without a meaning.
    pub(crate) fn word_or<T: Serialize>(
        &mut self,
        key: Key<T>,
        name: &str,
        told: Told<String>,
        otherwise: T,
        meaning: impl Fn(&str) -> Option<T>,
    ) {
        if let Told::Value(word) = &told
            && meaning(word).is_none()
        {
            self.note(name, word);
            self.tell(key, name, Told::Value(otherwise));
        } else {
            self.word(key, name, told, meaning);
        }
    }

    /// Tells a position: both numbers, or that it is unknown.
    pub(crate) fn position(
        &mut self,
        (longitude, latitude): (Key<f64>, Key<f64>),
        told: (Told<Number>, Told<Number>),
    ) {
        let (east, north) = match told {
            (Told::Absent, Told::Absent) => (Told::Absent, Told::Absent),
            (Told::Value(east), Told::Value(north)) => (Told::Value(east), Told::Value(north)),
            (east, north) => {
                east.take("lon", self.drift);
                north.take("lat", self.drift);
                (Told::Null, Told::Null)
            }
        };
        self.number(longitude, "lon", east);
        self.number(latitude, "lat", north);
    }

    fn note(&mut self, name: &str, word: &str) {
        self.drift.note(&format!("{}.{name}", self.block), word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    wire! {
        Thing {
            number: Number,
            text: String,
            at: Moment,
            millis: EpochMillis,
            inner: Inner,
            list: List<Inner>,
        }
        Inner {
            flag: bool,
        }
    }

    fn thing(json: &str) -> Thing {
        let Told::Value(thing) = serde_json::from_str::<Told<Thing>>(json).unwrap() else {
            panic!("no object")
        };
        thing
    }

    #[test]
    fn absent_null_and_odd_are_three_things() {
        let seen = thing(r#"{"number": null, "text": 3, "other": {"deep": [1]}}"#);
        assert_eq!(seen.number, Told::Null);
        assert_eq!(seen.text, Told::Odd("(number)"));
        assert_eq!(seen.at, Told::Absent);
    }

    #[test]
    fn numbers_may_be_texts() {
        let number = |json: &str| thing(&format!(r#"{{"number": {json}}}"#)).number;
        assert_eq!(number("\"63.5\""), Told::Value(Number(63.5)));
        assert_eq!(number("-1200"), Told::Value(Number(-1200.0)));
        assert_eq!(number("\"NaN\""), Told::Odd("(text)"));
        assert_eq!(number("\"\""), Told::Odd("(text)"));
        assert_eq!(number("true"), Told::Odd("(flag)"));
    }

    #[test]
    fn a_list_is_no_object() {
        assert!(matches!(
            thing(r#"{"inner": [true]}"#).inner,
            Told::Odd("(list)")
        ));
        assert!(matches!(
            serde_json::from_str::<Told<Thing>>("[1]").unwrap(),
            Told::Odd("(list)")
        ));
        let list = thing(r#"{"list": [{"flag": true}, 7]}"#).list;
        assert_eq!(list.as_value().map(Vec::len), Some(2));
    }

    #[test]
    fn moments() {
        let seen = thing(r#"{"at": "2026-03-02T18:20:10Z", "millis": 1772475610000}"#);
        assert_eq!(
            seen.at.as_value().map(|at| at.0),
            seen.millis.as_value().map(|millis| millis.0)
        );
        assert!(matches!(thing(r#"{"millis": 1e300}"#).millis, Told::Odd(_)));
    }

    #[test]
    fn drift_repeats_words_only() {
        let mut drift = Drift::default();
        drift.note("status", "warming_up");
        drift.note("status", "someone@example.com");
        assert_eq!(drift.into_words(), ["status=warming_up", "status=(text)"]);
    }
}
