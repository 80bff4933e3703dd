//! The difference of two JSON objects as dotted paths of leaves (`updatedFields`).

use serde_json::{Map, Value};

/// The paths at which `old` and `new` differ, in the order of `new`. Objects are descended into;
/// arrays and scalars are compared whole.
pub fn changed_paths(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let mut paths = Vec::new();
    collect(old, new, &mut String::new(), &mut paths);
    paths
}

fn collect(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    prefix: &mut String,
    paths: &mut Vec<String>,
) {
    let names = new
        .keys()
        .chain(old.keys().filter(|name| !new.contains_key(*name)));
    for name in names {
        let length = prefix.len();
        if length > 0 {
            prefix.push('.');
        }
        prefix.push_str(name);
        match (old.get(name), new.get(name)) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                collect(old, new, prefix, paths);
            }
            (old, new) if old != new => paths.push(prefix.clone()),
            _ => {}
        }
        prefix.truncate(length);
    }
}

/// Whether a path only says when something was last heard of: not worth an event by itself.
pub fn is_time_only(path: &str) -> bool {
    path == "lastSeen" || path.ends_with(".lastSeen") || path.ends_with(".lastUpdated")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leaves_are_named_by_dotted_paths() {
        let old = json!({"a": {"x": 1, "y": null}, "b": [1], "c": null, "gone": 1});
        let new = json!({"a": {"x": 2, "y": null}, "b": [1, 2], "c": {"min": 1}});
        let (Value::Object(old), Value::Object(new)) = (old, new) else {
            unreachable!()
        };
        assert_eq!(changed_paths(&old, &new), ["a.x", "b", "c", "gone"]);
        assert!(changed_paths(&new, &new).is_empty());
    }
}
