//! Whether a record that somebody handed in speaks of rows that it has: packing takes snapshots of its own making
//! for granted.

use super::{Record, RecordError};
use autoscaler_core::decision::Action;

pub(super) fn check(record: &Record) -> Result<(), RecordError> {
    let snapshot = &*record.snapshot;
    let (classes, nodes) = (snapshot.classes.len(), snapshot.nodes.len());
    let (groups, templates) = (snapshot.groups.len(), snapshot.templates.len());
    for (at, class) in snapshot.class_ids.iter().enumerate() {
        // A class that is in nobody's hands any more leads nowhere.
        if *class != u32::MAX {
            within(format!("snapshot.class_ids[{at}]"), *class, classes)?;
        }
    }
    for (at, pod) in snapshot.pods.iter().enumerate() {
        within(format!("snapshot.pods[{at}].class"), pod.class, classes)?;
        if let Some(node) = pod.nominated {
            within(format!("snapshot.pods[{at}].nominated"), node, nodes)?;
        }
    }
    for (at, node) in snapshot.nodes.iter().enumerate() {
        if let Some(group) = node.group {
            within(format!("snapshot.nodes[{at}].group"), group, groups)?;
        }
        if let Some(template) = node.template {
            within(format!("snapshot.nodes[{at}].template"), template, templates)?;
        }
        for pod in node.residents.iter() {
            let class = snapshot.class_of(pod.class);
            within(
                format!("snapshot.nodes[{at}].residents: the class of {}", pod.key),
                class,
                classes,
            )?;
        }
    }
    for (at, template) in snapshot.templates.iter().enumerate() {
        within(format!("snapshot.templates[{at}].group"), template.group, groups)?;
        for class in &template.daemons {
            within(format!("snapshot.templates[{at}].daemons"), *class, classes)?;
        }
    }
    for (at, (group, ..)) in snapshot.given_up.iter().enumerate() {
        within(format!("snapshot.given_up[{at}]"), *group, groups)?;
    }
    for pod in &record.set_aside {
        within("setAside".to_owned(), *pod, snapshot.pods.len())?;
    }
    for (at, round) in record.rounds.iter().enumerate() {
        for group in &round.groups {
            within(format!("rounds[{at}].groups"), *group, groups)?;
        }
        for action in &round.plan {
            match action {
                Action::Buy {
                    template, fallbacks, ..
                } => {
                    for template in fallbacks.iter().chain([template]) {
                        within(format!("rounds[{at}].plan"), *template, templates)?;
                    }
                }
                Action::Remove { node, .. } => within(format!("rounds[{at}].plan"), *node, nodes)?,
                Action::Replace { replacement, .. } => {
                    for addition in &replacement.additions {
                        within(format!("rounds[{at}].plan"), addition.template, templates)?;
                    }
                    for node in &replacement.nodes {
                        within(format!("rounds[{at}].plan"), *node, nodes)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn within(field: String, index: u32, count: usize) -> Result<(), RecordError> {
    if (index as usize) < count {
        Ok(())
    } else {
        Err(RecordError::OutOfRange { field, index, count })
    }
}
