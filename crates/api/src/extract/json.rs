//! JSON in which no key is given twice. Of two values, one would be dropped in silence, and which
//! one differs from program to program: what a filter before us has checked need not be what we read.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a value; also tells the dotted paths of keys that were given twice.
pub(super) fn read(bytes: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let twice = RefCell::default();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let node = Node {
        path: String::new(),
        twice: &twice,
    };
    let value = node.deserialize(&mut json)?;
    json.end()?;
    Ok((value, twice.into_inner()))
}

/// A value that stands at a path.
struct Node<'a> {
    path: String,
    twice: &'a RefCell<Vec<String>>,
}

impl Node<'_> {
    fn inner(&self, name: impl fmt::Display) -> Self {
        let path = match self.path.as_str() {
            "" => name.to_string(),
            path => format!("{path}.{name}"),
        };
        Self {
            path,
            twice: self.twice,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a number"))?;
        Ok(number.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner(read.len()))? {
            read.push(item);
        }
        Ok(read.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let inner = self.inner(super::fields::shortened(&key));
            if read.contains_key(&key) {
                let mut twice = self.twice.borrow_mut();
                if twice.len() >= MOST {
                    return Err(A::Error::custom("too many keys are given twice"));
                }
                twice.push(inner.path.clone());
            }
            let value = entries.next_value_seed(inner)?;
            read.insert(key, value);
        }
        Ok(read.into())
    }
}

/// Keys given twice that are named.
const MOST: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_given_twice_are_named() {
        let twice = |text: &str| read(text.as_bytes()).unwrap().1;
        assert_eq!(twice(r#"{"a":1,"b":{"a":1},"c":[{"a":1}]}"#), [""; 0]);
        assert_eq!(twice(r#"{"a":1,"a":1}"#), ["a"]);
        assert_eq!(twice(r#"{"b":[{},{"a":1,"\u0061":2}]}"#), ["b.1.a"]);
        let many = format!("{{{}\"a\":1}}", r#""a":1,"#.repeat(1000));
        assert!(read(many.as_bytes()).is_err());
        assert!(read(b"{} {}").is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_else_is_read_as_ever(value in values()) {
            let text = value.to_string();
            let (read, twice) = read(text.as_bytes()).unwrap();
            prop_assert_eq!(read, serde_json::from_str::<Value>(&text).unwrap());
            prop_assert!(twice.is_empty());
        }

        #[test]
        fn what_is_no_json_is_refused_as_ever(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let plain = serde_json::from_slice::<Value>(&bytes);
            prop_assert_eq!(read(&bytes).ok().map(|(value, _)| value), plain.ok());
        }
    }
}
