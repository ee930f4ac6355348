//! Sets of fields: what an object has, what a write changed, and their `FieldsV1` form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::shape::{ListShape, Shape};

/// A set of fields as a tree. Path elements are written as in `FieldsV1`: `f:name`, `k:{...}`, `v:...`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// The place itself belongs to the set.
    pub(crate) member: bool,
    pub(crate) children: BTreeMap<String, FieldSet>,
}

/// Metadata that nobody owns.
const UNOWNED_METADATA: [&str; 9] = [
    "name",
    "namespace",
    "creationTimestamp",
    "deletionTimestamp",
    "selfLink",
    "uid",
    "generation",
    "managedFields",
    "resourceVersion",
];

/// The path element of an item in a list that is merged by key.
pub(crate) fn item_element(item: &Value, keys: &[String]) -> String {
    let identity: BTreeMap<&str, &Value> = keys.iter().map(|key| (key.as_str(), &item[key])).collect();
    format!("k:{}", json!(identity))
}

impl FieldSet {
    /// All fields of an object, without those that nobody owns.
    pub(crate) fn of(object: &Value, shape: Shape<'_>) -> Self {
        let mut set = Self::default();
        set.collect(object, shape);
        set.strip();
        set
    }

    fn strip(&mut self) {
        self.member = false;
        for key in ["f:apiVersion", "f:kind"] {
            self.children.remove(key);
        }
        if let Some(meta) = self.children.get_mut("f:metadata") {
            for key in UNOWNED_METADATA {
                meta.children.remove(&format!("f:{key}"));
            }
            meta.member = false;
            if meta.children.is_empty() {
                self.children.remove("f:metadata");
            }
        }
    }

    fn collect(&mut self, value: &Value, shape: Shape<'_>) {
        match value {
            Value::Object(map) if !map.is_empty() && !shape.is_atomic_map() => {
                for (key, child) in map {
                    self.child(&format!("f:{key}")).collect(child, shape.field(key));
                }
            }
            Value::Array(items) if !items.is_empty() => match shape.list() {
                ListShape::Atomic => self.member = true,
                ListShape::Set => {
                    for item in items {
                        self.child(&format!("v:{item}")).member = true;
                    }
                }
                ListShape::Map(keys) => {
                    for item in items {
                        let child = self.child(&item_element(item, &keys));
                        child.member = true;
                        child.collect(item, shape.item());
                    }
                }
            },
            _ => self.member = true,
        }
    }

    fn child(&mut self, element: &str) -> &mut Self {
        self.children.entry(element.to_owned()).or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    fn prune(&mut self) {
        self.children.retain(|_, child| {
            child.prune();
            !child.is_empty()
        });
    }

    pub(crate) fn union(&mut self, other: &Self) {
        self.member |= other.member;
        for (element, child) in &other.children {
            self.child(element).union(child);
        }
    }

    /// Removes the members of `other`.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        for (element, child) in &other.children {
            if let Some(own) = self.children.get_mut(element) {
                own.subtract(child);
            }
        }
        self.prune();
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self {
            member: self.member && other.member,
            children: BTreeMap::new(),
        };
        for (element, child) in &self.children {
            if let Some(theirs) = other.children.get(element) {
                let common = child.intersection(theirs);
                if !common.is_empty() {
                    both.children.insert(element.clone(), common);
                }
            }
        }
        both
    }

    /// The paths of all members, as messages show them.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.add_paths("", &mut paths);
        paths
    }

    fn add_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.member {
            paths.push(prefix.to_owned());
        }
        for (element, child) in &self.children {
            child.add_paths(&format!("{prefix}{}", shown(element)), paths);
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), json!({}));
        }
        for (element, child) in &self.children {
            map.insert(element.clone(), child.to_json());
        }
        Value::Object(map)
    }

    pub(crate) fn from_json(value: &Value) -> Self {
        let mut set = Self::default();
        let Some(map) = value.as_object() else { return set };
        for (element, child) in map {
            if element == "." {
                set.member = true;
            } else {
                let mut inner = Self::from_json(child);
                inner.member |= inner.children.is_empty();
                set.children.insert(element.clone(), inner);
            }
        }
        set
    }

    /// Removes whole branches at the top, such as `status` for writers of the main endpoint.
    pub(crate) fn forget(&mut self, reset: impl Fn(&str) -> bool) {
        self.children
            .retain(|element, _| !reset(element.strip_prefix("f:").unwrap_or(element)));
    }
}

fn shown(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = element.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let identity: Map<String, Value> = element
        .strip_prefix("k:")
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let parts: Vec<String> = identity
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("[{}]", parts.join(","))
}

/// What a write did to an object.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Added or modified.
    pub(crate) changed: FieldSet,
    pub(crate) removed: FieldSet,
}

/// Compares two states field by field.
pub(crate) fn difference(old: &Value, new: &Value, shape: Shape<'_>) -> Difference {
    let mut difference = Difference::default();
    compare(
        old,
        new,
        shape,
        &mut difference.changed,
        &mut difference.removed,
        0,
    );
    for set in [&mut difference.changed, &mut difference.removed] {
        set.strip();
        set.prune();
    }
    difference
}

fn compare(
    old: &Value,
    new: &Value,
    shape: Shape<'_>,
    changed: &mut FieldSet,
    removed: &mut FieldSet,
    depth: u32,
) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(before), Value::Object(after)) if !shape.is_atomic_map() => {
            for (key, value) in after {
                let element = format!("f:{key}");
                match before.get(key) {
                    Some(old) => {
                        let (changed, removed) = (changed.child(&element), removed.child(&element));
                        compare(old, value, shape.field(key), changed, removed, depth + 1);
                    }
                    None => add(value, shape.field(key), changed.child(&element), depth + 1),
                }
            }
            for (key, value) in before {
                if !after.contains_key(key) {
                    add(
                        value,
                        shape.field(key),
                        removed.child(&format!("f:{key}")),
                        depth + 1,
                    );
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => match shape.list() {
            ListShape::Atomic => changed.member = true,
            ListShape::Set => {
                for item in after.iter().filter(|item| !before.contains(item)) {
                    changed.child(&format!("v:{item}")).member = true;
                }
                for item in before.iter().filter(|item| !after.contains(item)) {
                    removed.child(&format!("v:{item}")).member = true;
                }
            }
            ListShape::Map(keys) => {
                let find = |items: &[Value], element: &str| {
                    items
                        .iter()
                        .find(|item| item_element(item, &keys) == element)
                        .cloned()
                };
                for item in after {
                    let element = item_element(item, &keys);
                    let child = changed.child(&element);
                    match find(before, &element) {
                        Some(old) => {
                            compare(
                                &old,
                                item,
                                shape.item(),
                                child,
                                removed.child(&element),
                                depth + 1,
                            );
                        }
                        None => add(item, shape.item(), child, depth + 1),
                    }
                }
                for item in before {
                    let element = item_element(item, &keys);
                    if find(after, &element).is_none() {
                        add(item, shape.item(), removed.child(&element), depth + 1);
                    }
                }
            }
        },
        _ => changed.member = true,
    }
}

/// A whole branch came or went. The branch itself counts too, but for the parts that every object has.
fn add(value: &Value, shape: Shape<'_>, set: &mut FieldSet, depth: u32) {
    set.collect(value, shape);
    if depth > 1 {
        set.member = true;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FieldSet, difference};
    use crate::shape::Shape;

    const POD: Shape<'static> = Shape::BuiltIn {
        field: "",
        parent: "",
    };

    #[test]
    fn sets_survive_their_json_form() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "labels": {"app": "x"}, "finalizers": ["a/b"]},
            "spec": {"containers": [{"name": "c", "args": ["1"], "resources": {}}], "nodeSelector": {"a": "b"}},
        });
        let set = FieldSet::of(&pod, POD);
        assert_eq!(
            set.to_json(),
            json!({
                "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"a/b\"": {}}},
                "f:spec": {
                    "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:args": {}, "f:resources": {}}},
                    "f:nodeSelector": {},
                },
            })
        );
        assert_eq!(FieldSet::from_json(&set.to_json()), set);
    }

    #[test]
    fn differences_name_exactly_what_moved() {
        let old = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}});
        let new = json!({"spec": {"containers": [{"name": "a", "image": "2"}], "nodeName": "n"}});
        let found = difference(&old, &new, POD);
        assert_eq!(
            found.changed.paths(),
            [".spec.containers[name=\"a\"].image", ".spec.nodeName"]
        );
        assert!(
            found
                .removed
                .paths()
                .contains(&".spec.containers[name=\"b\"]".to_owned())
        );
    }
}
