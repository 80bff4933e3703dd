//! Tables and rows as both engines see them, and what is summed up over them to compare the two.

use sha2::{Digest as _, Sha256};

use crate::error::{StoreError, StoreResult};

/// A table of the target, which says what is copied and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The columns of its primary key.
    pub(crate) key: Vec<String>,
    /// Tables that must be there before: those that its rows refer to.
    pub(crate) needs: Vec<String>,
}

/// A column of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Its values are given out by a sequence, which must go on after those that were copied.
    pub(crate) is_counted: bool,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    SmallInt,
    BigInt,
    Double,
    Text,
    Bytes,
    Uuid,
}

impl Kind {
    /// The kind of a type that PostgreSQL names so.
    pub(crate) fn named(name: &str) -> StoreResult<Self> {
        Ok(match name {
            "boolean" => Self::Boolean,
            "smallint" => Self::SmallInt,
            "bigint" => Self::BigInt,
            "double precision" => Self::Double,
            "text" => Self::Text,
            "bytea" => Self::Bytes,
            "uuid" => Self::Uuid,
            other => {
                return Err(StoreError::Unreadable {
                    what: "table",
                    source: format!("columns of the type {other} are not copied").into(),
                });
            }
        })
    }

    /// The name of the type.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::SmallInt => "smallint",
            Self::BigInt => "bigint",
            Self::Double => "double precision",
            Self::Text => "text",
            Self::Bytes => "bytea",
            Self::Uuid => "uuid",
        }
    }
}

impl Table {
    /// The names of the columns, as they stand in a statement.
    pub(crate) fn column_list(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|c| c.name.as_str()).collect();
        names.join(", ")
    }
}

/// A value, whatever engine it is stored in: numbers also stand for what is true or false, bytes
/// also for identifiers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Null,
    Number(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The values of a row, in the order of its table's columns.
pub(crate) type Row = Vec<Value>;

/// About how much room a row takes, bytes.
pub(crate) fn size(row: &[Value]) -> usize {
    let of = |value: &Value| match value {
        Value::Null | Value::Number(_) | Value::Double(_) => 8,
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
    };
    row.iter().map(of).sum()
}

/// How many rows a table has, and what they hold together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableSum {
    /// Number of rows.
    pub rows: u64,
    /// The sum of a hash of each row: the same whatever the order in which rows are read, and
    /// another if a value differs, or a row is missing or there twice.
    pub checksum: u128,
}

impl TableSum {
    pub(crate) fn add(&mut self, row: &[Value]) {
        let mut hash = Sha256::new();
        for value in row {
            // The length before what has none of its own: two values cannot pass for one.
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Number(number) => (1, &number.to_le_bytes()),
                Value::Double(number) => (2, &number.to_bits().to_le_bytes()),
                Value::Text(text) => (3, text.as_bytes()),
                Value::Bytes(bytes) => (4, bytes),
            };
            hash.update([kind]);
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        let mut first = [0; 16];
        first.copy_from_slice(&hash.finalize()[..16]);
        self.rows += 1;
        self.checksum = self.checksum.wrapping_add(u128::from_le_bytes(first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&[Value]]) -> TableSum {
        let mut sum = TableSum::default();
        rows.iter().for_each(|row| sum.add(row));
        sum
    }

    #[test]
    fn sums_tell_rows_apart_and_not_their_order() {
        let text = |text: &str| Value::Text(text.to_owned());
        let (ab, cd) = ([text("a"), text("b")], [text("c"), text("d")]);
        assert_eq!(sum(&[&ab, &cd]), sum(&[&cd, &ab]));
        assert_ne!(sum(&[&ab, &ab]), sum(&[&cd, &cd]));
        assert_ne!(sum(&[&ab, &ab]).checksum, sum(&[&ab]).checksum);
        for other in [
            [text("ab"), text("")],
            [text("a"), Value::Null],
            [text("a"), Value::Bytes(b"b".to_vec())],
            [Value::Number(0), text("b")],
        ] {
            assert_ne!(sum(&[&ab]), sum(&[&other]), "{other:?}");
        }
        assert_ne!(sum(&[&[Value::Number(0)]]), sum(&[&[Value::Double(0.0)]]));
    }
}
