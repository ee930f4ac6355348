//! Rows of the columns. A row that does not exist reads as empty or 0: a policy that miscounts then proposes
//! less, and does not trap.

use crate::types::{Catalogue, GroupDemand, Pending, Template};

impl Catalogue {
    /// The templates of a group with their numbers.
    pub fn templates_of(&self, group: u32) -> impl Iterator<Item = (u32, &Template)> {
        (0..)
            .zip(&self.templates)
            .filter(move |(_, template)| template.group == group)
    }

    /// What a new node of the template offers to pods, by resource.
    #[must_use]
    pub fn allocatable_of(&self, template: u32) -> &[u64] {
        row(&self.allocatable, self.templates.len(), template)
    }

    /// The name of a group, or `?` where there is no such group.
    #[must_use]
    pub fn group_name(&self, group: u32) -> &str {
        self.groups
            .get(group as usize)
            .map_or("?", |group| group.name.as_str())
    }

    /// `offering@datacenter`, or `?` where there is no such template.
    #[must_use]
    pub fn template_name(&self, template: u32) -> String {
        match self.templates.get(template as usize) {
            Some(template) if template.datacenter.is_empty() => template.offering.clone(),
            Some(template) => format!("{}@{}", template.offering, template.datacenter),
            None => "?".to_owned(),
        }
    }
}

impl Pending {
    /// What one pod of the class requests, by resource.
    #[must_use]
    pub fn requests_of(&self, class: u32) -> &[u64] {
        row(&self.requests, self.classes.len(), class)
    }

    /// How many pods of the class an empty new node of the template holds; 0 where a rule keeps them apart.
    #[must_use]
    pub fn pods_per_node(&self, class: u32, template: u32) -> u32 {
        let position = |list: &[u32], index: u32| list.get(index as usize).copied();
        let cell = position(&self.row_of, class).zip(position(&self.column_of, template));
        cell.and_then(|(row, column)| position(&self.per_node, row.saturating_add(column)))
            .unwrap_or(0)
    }

    /// A number that classes share which every template holds alike.
    #[must_use]
    pub fn row_of(&self, class: u32) -> u32 {
        self.row_of.get(class as usize).copied().unwrap_or(u32::MAX)
    }

    /// A number that templates share which hold every class alike.
    #[must_use]
    pub fn column_of(&self, template: u32) -> u32 {
        self.column_of.get(template as usize).copied().unwrap_or(u32::MAX)
    }

    /// The name of a class, or `?` where there is no such class.
    #[must_use]
    pub fn class_name(&self, class: u32) -> &str {
        self.classes
            .get(class as usize)
            .map_or("?", |class| class.name.as_str())
    }
}

impl GroupDemand {
    /// The pods of all classes together.
    #[must_use]
    pub fn total_pods(&self) -> u64 {
        self.pods.iter().map(|count| u64::from(count.pods)).sum()
    }
}

impl Template {
    /// Whether the host would buy one now.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.headroom > 0 && self.backoff_ms == 0
    }
}

/// Row `index` of a row-major table of `rows` rows.
fn row<T>(table: &[T], rows: usize, index: u32) -> &[T] {
    let width = table.len().checked_div(rows).unwrap_or(0);
    let start = index as usize * width;
    table.get(start..start + width).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn a_row_outside_the_table_is_empty() {
        let table = [1, 2, 3, 4, 5, 6];
        for (rows, index, expected) in [
            (2, 0, &[1, 2, 3][..]),
            (2, 1, &[4, 5, 6]),
            (2, 2, &[]),
            (3, 1, &[3, 4]),
            (0, 0, &[]),
            (2, u32::MAX, &[]),
        ] {
            assert_eq!(row(&table, rows, index), expected, "row {index} of {rows}");
        }
    }
}
