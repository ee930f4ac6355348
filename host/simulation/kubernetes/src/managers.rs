//! The managers of an object: who owns which fields, and how ownership moves with writes.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::Call;
use crate::fields::{FieldSet, difference};
use crate::metadata;
use crate::resources::ResourceType;
use crate::server::timestamp;
use crate::shape::Shape;
use crate::view;

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) manager: String,
    pub(crate) operation: String,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
    pub(crate) time: Option<String>,
    pub(crate) fields: FieldSet,
}

impl Entry {
    pub(crate) fn same_writer(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == "Apply" || self.api_version == other.api_version)
    }

    /// The order in which the real server lists managers.
    fn rank(&self) -> impl Ord + use<'_> {
        (
            self.operation != "Apply",
            self.time.as_deref(),
            self.manager.as_str(),
            self.api_version.as_str(),
            self.subresource.as_str(),
        )
    }

    /// The writer, as a conflict names it.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == "Update" {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_json(),
        });
        if let Some(time) = &self.time {
            value["time"] = json!(time);
        }
        if !self.subresource.is_empty() {
            value["subresource"] = json!(self.subresource);
        }
        value
    }
}

/// The managers of a stored object.
pub(crate) fn entries(object: &Value) -> Vec<Entry> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| Entry {
            manager: text(&entry["manager"]),
            operation: text(&entry["operation"]),
            api_version: text(&entry["apiVersion"]),
            subresource: text(&entry["subresource"]),
            time: entry["time"].as_str().map(str::to_owned),
            fields: FieldSet::from_json(&entry["fieldsV1"]),
        })
        .collect()
}

/// Who gets the fields that a write changes.
#[derive(Clone, Debug)]
pub(crate) enum Tracking<'a> {
    /// An update: the writer takes over what it changed.
    Update {
        manager: &'a str,
        api_version: String,
        subresource: &'a str,
    },
    /// An apply: the managers are settled already.
    Settled(Vec<Entry>),
}

impl<'a> Tracking<'a> {
    pub(crate) fn update(call: &'a Call) -> Self {
        Self::Update {
            manager: &call.manager,
            api_version: call.resource.api_version(),
            subresource: call.subresource.as_deref().unwrap_or_default(),
        }
    }

    /// A write of the world itself.
    pub(crate) fn internal(manager: &'a str, resource: &ResourceType, subresource: &'a str) -> Self {
        Self::Update {
            manager,
            api_version: resource.api_version(),
            subresource,
        }
    }
}

/// Writes `managedFields` into `new`.
pub(crate) fn track(
    resource: &ResourceType,
    old: Option<&Value>,
    new: &mut Value,
    tracking: &Tracking<'_>,
    now: Timestamp,
) {
    let list = match tracking {
        Tracking::Settled(entries) => entries.clone(),
        Tracking::Update {
            manager,
            api_version,
            subresource,
        } => {
            let own = Entry {
                manager: (*manager).to_owned(),
                operation: "Update".to_owned(),
                api_version: api_version.clone(),
                subresource: (*subresource).to_owned(),
                time: Some(timestamp(now)),
                fields: FieldSet::default(),
            };
            updated(resource, old, new, own)
        }
    };
    let mut list = list;
    list.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let value = (!list.is_empty()).then(|| Value::Array(list.iter().map(Entry::to_json).collect()));
    metadata::set(&mut new["metadata"], "managedFields", value);
}

fn updated(resource: &ResourceType, old: Option<&Value>, new: &Value, own: Entry) -> Vec<Entry> {
    let shape = Shape::of(resource);
    let empty = json!({});
    let before = old.map_or_else(|| empty.clone(), |old| view::from_stored(old.clone(), resource));
    let after = view::from_stored(new.clone(), resource);
    let difference = difference(&before, &after, shape);
    let mut list = old.map(entries).unwrap_or_default();
    if difference.changed.is_empty() && difference.removed.is_empty() {
        return list;
    }
    let index = list.iter().position(|entry| entry.same_writer(&own));
    for (position, entry) in list.iter_mut().enumerate() {
        if Some(position) != index {
            entry.fields.subtract(&difference.changed);
        }
        entry.fields.subtract(&difference.removed);
    }
    match index {
        Some(index) => {
            list[index].fields.union(&difference.changed);
            list[index].time = own.time;
        }
        None => {
            let fields = difference.changed;
            list.push(Entry { fields, ..own });
        }
    }
    list.retain(|entry| !entry.fields.is_empty());
    list
}
