//! A device that is read to be served: its stored document is passed on as text, with today's
//! times put in, instead of being made a tree that is only printed again.
//!
//! Invariant: [`DeviceText::render`] is byte for byte what [`super::Device::current_document`]
//! prints.

use std::ops::Range;

use jiff::Timestamp;

use super::{Device, Document, UpdatedBlocks};
use crate::{id::DeviceId, kind::DeviceKind, time::wire};

/// What serving a device takes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceText {
    /// The identifier.
    pub id: DeviceId,
    /// The kind of device.
    pub kind: DeviceKind,
    /// When it was found in its account.
    pub linked_at: Timestamp,
    /// Number of events about it so far.
    pub version: u64,
    /// Its JSON as the newest event carried it.
    pub document: String,
    /// Last successful contact.
    pub last_seen: Timestamp,
    /// When each of its blocks last changed.
    pub updated: UpdatedBlocks,
}

impl DeviceText {
    /// The same of a device whose document was read.
    ///
    /// # Errors
    /// If its document cannot be printed.
    pub fn of(device: Device) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: device.kind(),
            updated: UpdatedBlocks(device.stamps.updated_blocks(device.kind())),
            id: device.id,
            linked_at: device.linked_at,
            version: device.version,
            document: serde_json::to_string(&device.document)?,
            last_seen: device.last_seen,
        })
    }

    /// The document with today's `lastSeen` and `lastUpdated` in it: what the API serves.
    ///
    /// # Errors
    /// If the document is no JSON object.
    pub fn render(self) -> Result<String, serde_json::Error> {
        let blocks = self.updated.0.into_iter();
        let times = Times {
            last_seen: wire(self.last_seen),
            blocks: blocks.map(|(name, at)| (name, wire(at))).collect(),
        };
        match times.replace_in(&self.document) {
            Some(text) => Ok(text),
            // Something is missing where a time belongs, or is written in an unusual way.
            None => times.put_into(&self.document),
        }
    }
}

/// Times to be put into a document.
struct Times {
    last_seen: String,
    /// Names of blocks, each with its `lastUpdated`.
    blocks: Vec<(&'static str, String)>,
}

impl Times {
    /// Replaces the times in a text that has a value in each of their places; `None` if one is
    /// missing.
    fn replace_in(&self, text: &str) -> Option<String> {
        let mut replaced: Vec<(Range<usize>, &str)> = Vec::with_capacity(1 + self.blocks.len());
        let mut members = Members::of(text, 0)?;
        for (key, value) in members.by_ref() {
            let key = text.get(key)?;
            if key == "lastSeen" {
                replaced.push((value, &self.last_seen));
            } else if let Some((_, at)) = self.blocks.iter().find(|(block, _)| *block == key) {
                let mut inner = Members::of(text, value.start)?;
                let (_, value) =
                    inner.find(|(key, _)| text.get(key.clone()) == Some("lastUpdated"))?;
                replaced.push((value, at));
            }
        }
        if !members.is_last() || replaced.len() != 1 + self.blocks.len() {
            return None;
        }
        let mut out = String::with_capacity(text.len() + 24 * replaced.len());
        let mut copied = 0;
        for (place, time) in replaced {
            out.push_str(text.get(copied..place.start)?);
            out.push('"');
            out.push_str(time);
            out.push('"');
            copied = place.end;
        }
        out.push_str(text.get(copied..)?);
        Some(out)
    }

    /// The same by way of a tree: adds what is missing, if there is an object to add it to.
    fn put_into(&self, text: &str) -> Result<String, serde_json::Error> {
        let mut document: Document = serde_json::from_str(text)?;
        document.set_path("lastSeen", self.last_seen.as_str().into());
        for (block, at) in &self.blocks {
            document.set_path(&format!("{block}.lastUpdated"), at.as_str().into());
        }
        serde_json::to_string(&document)
    }
}

/// The members of a JSON object in a text, as the places of each key (without its quotes) and
/// value. Ends early where the text is no JSON.
struct Members<'t> {
    text: &'t [u8],
    /// After the brace or the comma.
    at: usize,
}

impl<'t> Members<'t> {
    /// The members of the object that begins there; `None` if none does.
    fn of(text: &'t str, at: usize) -> Option<Self> {
        let text = text.as_bytes();
        (text.get(at) == Some(&b'{')).then_some(Self { text, at: at + 1 })
    }

    /// Whether they ended with the text.
    fn is_last(&self) -> bool {
        self.text.get(self.at..) == Some(b"}")
    }

    /// Where a string that begins there ends: after its closing quote.
    fn string_end(&self, at: usize) -> Option<usize> {
        let mut at = at + 1;
        loop {
            let rest = self.text.get(at..)?;
            at += rest.iter().position(|b| matches!(b, b'"' | b'\\'))?;
            match self.text.get(at)? {
                b'"' => return Some(at + 1),
                _ => at += 2,
            }
        }
    }

    /// Where a value that begins there ends.
    fn value_end(&self, mut at: usize) -> Option<usize> {
        let mut depth = 0_u32;
        loop {
            let rest = self.text.get(at..)?;
            at += rest
                .iter()
                .position(|b| matches!(b, b'"' | b',' | b'{' | b'}' | b'[' | b']'))?;
            match self.text.get(at)? {
                b'"' => {
                    at = self.string_end(at)?;
                    if depth == 0 {
                        return Some(at);
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b',' if depth == 0 => return Some(at),
                b'}' | b']' if depth == 0 => return Some(at),
                b'}' | b']' if depth == 1 => return Some(at + 1),
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            at += 1;
        }
    }
}

impl Iterator for Members<'_> {
    type Item = (Range<usize>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        if self.text.get(start) != Some(&b'"') {
            return None;
        }
        let key_end = self.string_end(start)?;
        if self.text.get(key_end) != Some(&b':') {
            return None;
        }
        let value = key_end + 1;
        let end = self.value_end(value)?;
        self.at = end + usize::from(self.text.get(end) == Some(&b','));
        Some((start + 1..key_end - 1, value..end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn times(blocks: &[&'static str]) -> Times {
        Times {
            last_seen: "2024-01-07T17:04:26.000Z".to_owned(),
            blocks: blocks.iter().map(|b| (*b, format!("at {b}"))).collect(),
        }
    }

    #[test]
    fn times_go_where_they_belong_and_nowhere_else() {
        let text = json!({
            "a": [{"lastSeen": 1}, "lastSeen\":"],
            "chargeState": {"x": {"lastUpdated": 1}, "lastUpdated": null, "y": -1.5e3},
            "lastSeen": "old",
            "information": {"lastUpdated": "no block", "name": "\\\"{,\u{fc}"},
            "odometer": {"lastUpdated": "old"},
        })
        .to_string();
        let times = times(&["chargeState", "odometer"]);
        let expected = text
            .replacen(
                "\"lastUpdated\":null",
                "\"lastUpdated\":\"at chargeState\"",
                1,
            )
            .replacen(
                "\"lastSeen\":\"old\"",
                "\"lastSeen\":\"2024-01-07T17:04:26.000Z\"",
                1,
            )
            .replacen(
                "\"lastUpdated\":\"old\"",
                "\"lastUpdated\":\"at odometer\"",
                1,
            );
        assert_eq!(times.replace_in(&text).as_deref(), Some(expected.as_str()));
        assert_eq!(times.put_into(&text).unwrap(), expected);
    }

    #[test]
    fn what_is_missing_is_left_to_the_tree() {
        let times = times(&["location"]);
        for text in [
            "{}",
            r#"{"location":{"lastUpdated":1}}"#,
            r#"{"lastSeen":1}"#,
            r#"{"lastSeen":1,"location":null}"#,
            r#"{"lastSeen":1,"location":{}}"#,
            r#"{ "lastSeen":1,"location":{"lastUpdated":1}}"#,
            r#"{"lastSeen":1,"location":{"lastUpdated":1}"#,
            "[]",
            "",
        ] {
            if let Some(done) = times.replace_in(text) {
                assert_eq!(times.put_into(text).ok(), Some(done), "{text}");
            }
        }
        assert!(times.put_into("[]").is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        let keys = prop_oneof![
            Just("lastUpdated".to_owned()),
            Just("lastSeen".to_owned()),
            Just("odometer".to_owned()),
            ".{0,4}",
        ];
        leaf.prop_recursive(3, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((keys.clone(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn text_and_tree_agree(value in values(), seen in values(), block in values()) {
            let mut value = value;
            if let Value::Object(members) = &mut value {
                members.insert("lastSeen".into(), seen);
                members.insert("odometer".into(), block);
            }
            let text = value.to_string();
            let times = times(&["odometer"]);
            if let Some(done) = times.replace_in(&text) {
                prop_assert_eq!(times.put_into(&text).unwrap(), done);
            }
        }
    }
}
