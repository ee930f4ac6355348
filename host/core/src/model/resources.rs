//! Vectors of resources: four that every node has, and the extended ones by number.

use serde::{Deserialize, Serialize};

/// Number of a resource in [`ResourceNames`].
pub type ResourceId = u16;

/// Names of the resources of one snapshot. The first four are fixed; extended resources follow by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceNames(Vec<String>);

impl Default for ResourceNames {
    fn default() -> Self {
        Self(
            ["cpu", "memory", "ephemeral-storage", "pods"]
                .map(str::to_owned)
                .to_vec(),
        )
    }
}

impl ResourceNames {
    /// How many resources precede the extended ones.
    pub const FIXED: usize = 4;

    /// The number of an extended resource, given out on first use.
    pub fn intern(&mut self, name: &str) -> ResourceId {
        let at = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        // A cluster with 65 536 resource names does not exist; saturating keeps the function total.
        ResourceId::try_from(at).unwrap_or(ResourceId::MAX)
    }

    /// All names in the order of their numbers.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Name of a resource, for messages.
    pub fn name(&self, id: ResourceId) -> &str {
        self.0.get(usize::from(id)).map_or("unknown", String::as_str)
    }
}

/// An amount of every resource. CPU in thousandths of a core, memory and storage in bytes, the rest in units.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resources {
    pub cpu_milli: i64,
    pub memory: i64,
    pub ephemeral: i64,
    pub pods: i64,
    /// Extended resources by number, ascending, none of them zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<(ResourceId, i64)>,
}

impl Resources {
    /// CPU (thousandths of a core) and memory (bytes), nothing else.
    pub fn cpu_memory(cpu_milli: i64, memory: i64) -> Self {
        Self {
            cpu_milli,
            memory,
            ..Self::default()
        }
    }

    /// Amount of the resource with this number.
    pub fn get(&self, id: ResourceId) -> i64 {
        match id {
            0 => self.cpu_milli,
            1 => self.memory,
            2 => self.ephemeral,
            3 => self.pods,
            _ => match self.extended.binary_search_by_key(&id, |entry| entry.0) {
                Ok(at) => self.extended[at].1,
                Err(_) => 0,
            },
        }
    }

    /// Sets the amount of the resource with this number.
    pub fn set(&mut self, id: ResourceId, amount: i64) {
        match id {
            0 => self.cpu_milli = amount,
            1 => self.memory = amount,
            2 => self.ephemeral = amount,
            3 => self.pods = amount,
            _ => match (self.extended.binary_search_by_key(&id, |entry| entry.0), amount) {
                (Ok(at), 0) => {
                    self.extended.remove(at);
                }
                (Ok(at), _) => self.extended[at].1 = amount,
                (Err(_), 0) => {}
                (Err(at), _) => self.extended.insert(at, (id, amount)),
            },
        }
    }

    /// Adds `other` `times` times (negative to take away), saturating.
    pub fn add_scaled(&mut self, other: &Self, times: i64) {
        let add = |a: i64, b: i64| a.saturating_add(b.saturating_mul(times));
        self.cpu_milli = add(self.cpu_milli, other.cpu_milli);
        self.memory = add(self.memory, other.memory);
        self.ephemeral = add(self.ephemeral, other.ephemeral);
        self.pods = add(self.pods, other.pods);
        for &(id, amount) in &other.extended {
            self.set(id, add(self.get(id), amount));
        }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.add_scaled(other, 1);
    }

    /// Takes `other` away; amounts may become negative.
    pub fn sub(&mut self, other: &Self) {
        self.add_scaled(other, -1);
    }

    /// The larger amount of each resource.
    pub fn raise_to(&mut self, other: &Self) {
        self.cpu_milli = self.cpu_milli.max(other.cpu_milli);
        self.memory = self.memory.max(other.memory);
        self.ephemeral = self.ephemeral.max(other.ephemeral);
        self.pods = self.pods.max(other.pods);
        for &(id, amount) in &other.extended {
            self.set(id, self.get(id).max(amount));
        }
    }
}
