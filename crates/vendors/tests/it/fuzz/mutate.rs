//! Real answers, broken: JSON whose members are dropped, renamed, doubled, retyped or absurd, and
//! texts that are no JSON any more. What is broken is text, not values: a number may be one that no
//! parser can hold, and a name may stand twice.

use std::{fmt, fmt::Write as _};

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::Value;

/// Largest body that is made; what is larger is cut.
const LARGEST: usize = 2 * 1024 * 1024;

/// What arrives instead of a real answer.
#[derive(Clone)]
pub(crate) struct Broken {
    /// Which of the real answers it was made of.
    pub(crate) which: usize,
    pub(crate) body: Vec<u8>,
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.body);
        let start: String = text.chars().take(4_000).collect();
        let (which, length) = (self.which, self.body.len());
        write!(f, "{length} bytes made of answer {which}: {start:?}")
    }
}

/// One of these answers, broken in a few places.
pub(crate) fn broken(answers: &[&str]) -> impl Strategy<Value = Broken> + use<> {
    let trees: Vec<Node> = answers
        .iter()
        .map(|text| Node::of(&serde_json::from_str(text).unwrap()))
        .collect();
    let changes = vec((any::<Index>(), change()), 0..8);
    // Most stay JSON: what is not is refused at the door, and teaches little.
    let spoils = prop_oneof![4 => Just(Vec::new()), 1 => vec(spoil(), 1..3)];
    (0..trees.len(), changes, spoils).prop_map(move |(which, changes, spoils)| {
        let mut tree = trees[which].clone();
        for (place, change) in changes {
            let place = place.index(tree.count());
            tree.change(&mut { place }, &change);
        }
        let mut text = String::new();
        tree.write(&mut text);
        let mut body = text.into_bytes();
        spoils.iter().for_each(|spoil| spoil.apply(&mut body));
        body.truncate(LARGEST);
        Broken { which, body }
    })
}

/// JSON as it is written.
#[derive(Debug, Clone)]
enum Node {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    /// A value as it stands, or what stands in its place.
    Text(String),
}

#[derive(Debug, Clone)]
enum Change {
    Replace(String),
    Drop,
    Rename(&'static str),
    /// The same name again, before or behind, with this value.
    Double(bool, String),
    /// A number becomes a text, a text what is within its quotes.
    Retype,
    Scale(f64),
    /// Within so many lists or objects.
    Nest(bool, usize),
    /// So many times in a row.
    Repeat(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let names = [
        "id", "ID", "", "at", "ts", "power", "vin", "serial", "\u{202e}",
    ];
    prop_oneof![
        8 => odd().prop_map(Change::Replace),
        2 => Just(Change::Drop),
        2 => prop::sample::select(names.to_vec()).prop_map(Change::Rename),
        2 => (any::<bool>(), odd()).prop_map(|(before, text)| Change::Double(before, text)),
        2 => Just(Change::Retype),
        3 => prop::sample::select(vec![-1.0, 1e-9, 10.0, 1e3, 1e6, 1e12, 1e300])
            .prop_map(Change::Scale),
        1 => (any::<bool>(), 1..3_000_usize).prop_map(|(list, depth)| Change::Nest(list, depth)),
        1 => (0..300_usize).prop_map(Change::Repeat),
    ]
}

/// Values that vendors have sent, or might.
const ODD: [&str; 44] = [
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[[1,\"x\",null],{\"id\":7}]",
    "0",
    "-0.0",
    "-1",
    "1e308",
    "-1e308",
    "1e999",
    "1e-320",
    "9223372036854775807",
    "18446744073709551616",
    "0.30000000000000004",
    "NaN",
    "Infinity",
    "\"NaN\"",
    "\"-Infinity\"",
    "\"1e400\"",
    "\"0x10\"",
    "\" 12 \"",
    "\"1.234,5\"",
    "\"\"",
    "\"null\"",
    "\"unknown\"",
    "\"9999-12-31T23:59:59Z\"",
    "\"-009999-01-01T00:00:00Z\"",
    "\"2026-02-30T12:00:00Z\"",
    "\"2028-02-29T23:59:60Z\"",
    "\"2026-03-02T18:20:14+99:00\"",
    "\"2126-03-02T18:20:14Z\"",
    "\"1969-12-31T23:59:59Z\"",
    "\"2126-03-02\"",
    "253402300799000",
    "-62135596800001",
    "4102444800000",
    "1e18",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"<script>alert(1)</script>\"",
    "\"\u{202e}\u{0}'; drop table\"",
    "'single'",
];

fn odd() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(ODD.to_vec()).prop_map(str::to_owned),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => "-?[0-9]{1,40}(\\.[0-9]{1,30})?".prop_map(|digits| digits),
        1 => "\\PC{0,40}".prop_map(|text| Value::from(text).to_string()),
        1 => (1..600_000_usize).prop_map(|length| format!("\"{}\"", "x".repeat(length))),
    ]
}

impl Node {
    fn of(value: &Value) -> Self {
        match value {
            Value::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, member)| (name.clone(), Self::of(member)))
                    .collect(),
            ),
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            other => Self::Text(other.to_string()),
        }
    }

    /// Number of values in it, itself included.
    fn count(&self) -> usize {
        1 + match self {
            Self::Object(members) => members.iter().map(|(_, member)| member.count()).sum(),
            Self::List(items) => items.iter().map(Self::count).sum(),
            Self::Text(_) => 0,
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    write!(out, "{}:", Value::from(name.as_str())).unwrap();
                    member.write(out);
                }
                out.push('}');
            }
        }
    }

    /// Changes the value that is `place` values into it; true once that is done.
    fn change(&mut self, place: &mut usize, change: &Change) -> bool {
        if *place == 0 {
            self.become_odd(change);
            return true;
        }
        *place -= 1;
        match self {
            Self::Text(_) => false,
            Self::List(items) => {
                for index in 0..items.len() {
                    if *place == 0 && matches!(change, Change::Drop) {
                        items.remove(index);
                        return true;
                    }
                    if let (0, Change::Repeat(times)) = (*place, change) {
                        let item = items[index].clone();
                        let mut text = String::new();
                        item.write(&mut text);
                        items.extend(std::iter::repeat_n(item, at_most(*times, &text)));
                        return true;
                    }
                    if items[index].change(place, change) {
                        return true;
                    }
                }
                false
            }
            Self::Object(members) => {
                for index in 0..members.len() {
                    if *place == 0 {
                        change_member(members, index, change);
                        return true;
                    }
                    if members[index].1.change(place, change) {
                        return true;
                    }
                }
                false
            }
        }
    }

    fn become_odd(&mut self, change: &Change) {
        let mut text = String::new();
        self.write(&mut text);
        match change {
            Change::Replace(odd) | Change::Double(_, odd) => text.clone_from(odd),
            Change::Drop | Change::Rename(_) => "null".clone_into(&mut text),
            Change::Retype => match serde_json::from_str(&text) {
                Ok(Value::String(within)) => text = within,
                _ => text = Value::from(text).to_string(),
            },
            Change::Scale(factor) => {
                let is_quoted = text.starts_with('"');
                if let Ok(number) = text.trim_matches('"').parse::<f64>() {
                    let scaled = number * factor;
                    text = if is_quoted {
                        format!("\"{scaled}\"")
                    } else {
                        scaled.to_string()
                    };
                }
            }
            Change::Nest(true, depth) => {
                text = format!("{}{text}{}", "[".repeat(*depth), "]".repeat(*depth));
            }
            Change::Nest(false, depth) => {
                text = format!("{}{text}{}", "{\"id\":".repeat(*depth), "}".repeat(*depth));
            }
            Change::Repeat(times) => {
                let times = at_most(*times, &text);
                text = format!("[{}]", vec![text; times].join(","));
            }
        }
        *self = Self::Text(text);
    }
}

/// How often a text is repeated: changes upon changes must not fill the memory.
fn at_most(times: usize, text: &str) -> usize {
    times.min(LARGEST / text.len().max(1))
}

fn change_member(members: &mut Vec<(String, Node)>, index: usize, change: &Change) {
    match change {
        Change::Drop => {
            members.remove(index);
        }
        Change::Rename(name) => (*name).clone_into(&mut members[index].0),
        Change::Double(before, odd) => {
            let twin = (members[index].0.clone(), Node::Text(odd.clone()));
            members.insert(index + usize::from(!before), twin);
        }
        other => members[index].1.become_odd(other),
    }
}

/// Damage below the level of JSON.
#[derive(Debug, Clone)]
enum Spoil {
    Cut(Index),
    Byte(Index, u8),
    Insert(Index, &'static [u8]),
    Whole(&'static [u8]),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let bits: Vec<&'static [u8]> = vec![
        b"\xff\xfe",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\0",
        b"\xef\xbb\xbf",
        b",",
        b"}",
        b"\"",
        b"\n\n",
        b"/* why */",
    ];
    let wholes: Vec<&'static [u8]> = vec![
        b"",
        b"<!doctype html><title>502 Bad Gateway</title>",
        b"null",
        b"[]",
        b"\"\"",
        b"7",
        b"{}{}",
        b"\x1f\x8b\x08\0\0\0\0\0",
    ];
    prop_oneof![
        any::<Index>().prop_map(Spoil::Cut),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Spoil::Byte(at, byte)),
        (any::<Index>(), prop::sample::select(bits)).prop_map(|(at, bit)| Spoil::Insert(at, bit)),
        prop::sample::select(wholes).prop_map(Spoil::Whole),
    ]
}

impl Spoil {
    fn apply(&self, body: &mut Vec<u8>) {
        let length = body.len();
        match self {
            Self::Cut(at) => body.truncate(at.index(length + 1)),
            Self::Byte(at, byte) if length > 0 => body[at.index(length)] = *byte,
            Self::Byte(..) => {}
            Self::Insert(at, bit) => {
                let at = at.index(length + 1);
                body.splice(at..at, bit.iter().copied());
            }
            Self::Whole(bytes) => *body = bytes.to_vec(),
        }
    }
}
