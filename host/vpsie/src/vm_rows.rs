//! The rows of VMs, plans and projects as servers of different versions send them, and their reading into
//! [`crate::vm`].

use serde::Deserialize;
use serde_json::Value;

use crate::decode::{self, DecodeError};
use crate::ids::{DatacenterId, PlanCategoryId, PlanId, ProjectId, ProjectNumber, VmUuid};
use crate::lenient;
use crate::model::HOURS_PER_MONTH;
use crate::vm::{PendingVm, Plan, PlanCategory, Project, Vm, VmState, VpcMember};
use crate::wire::small;

#[derive(Deserialize)]
struct VmRow {
    #[serde(deserialize_with = "lenient::text")]
    identifier: String,
    #[serde(default, deserialize_with = "lenient::maybe_number")]
    id: Option<i64>,
    #[serde(deserialize_with = "lenient::text")]
    hostname: String,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    default_ip: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    default_ipv6: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    private_ip: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    notes: Option<String>,
    #[serde(default, rename = "dcIdentifier", deserialize_with = "lenient::maybe_text")]
    datacenter: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_number")]
    project_id: Option<i64>,
    #[serde(default, rename = "projectId", deserialize_with = "lenient::maybe_number")]
    project_id_camel: Option<i64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    cpu: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    ram: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    ssd: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    created_on: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_active: Option<bool>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    power: Option<bool>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_locked: Option<bool>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_suspended: Option<bool>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    boxes_suspended: Option<bool>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_deleted: Option<bool>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_terminated: Option<bool>,
}

impl VmRow {
    /// None for a machine that is gone although its row is there.
    fn read(self) -> Option<Vm> {
        let yes = |flag: Option<bool>| flag == Some(true);
        if yes(self.is_deleted) || yes(self.is_terminated) {
            return None;
        }
        let state = if yes(self.is_suspended) || yes(self.boxes_suspended) {
            VmState::Suspended
        } else if yes(self.is_locked) {
            VmState::Locked
        } else if !yes(self.is_active) {
            VmState::Creating
        } else if self.power == Some(false) {
            VmState::Stopped
        } else {
            VmState::Running
        };
        Some(Vm {
            identifier: VmUuid::new(self.identifier),
            id: self.id,
            hostname: self.hostname,
            state,
            address: self.default_ip,
            ipv6: self.default_ipv6,
            private_address: self.private_ip,
            notes: self.notes.unwrap_or_default(),
            datacenter: self.datacenter.map(DatacenterId::new),
            project: self.project_id.or(self.project_id_camel).map(ProjectNumber),
            cpu: self.cpu.map(small),
            memory_mib: self.ram,
            disk_gib: self.ssd,
            created_on: self.created_on,
        })
    }
}

/// The VMs, by name and then by age.
pub(crate) fn vms(data: &Value) -> Result<Vec<Vm>, DecodeError> {
    let rows = decode::list::<VmRow>(data)?;
    let mut vms: Vec<Vm> = rows.into_iter().filter_map(VmRow::read).collect();
    vms.sort_by(|a, b| (a.name_key(), a.age_key()).cmp(&(b.name_key(), b.age_key())));
    Ok(vms)
}

/// One VM, which may stand by itself or in `vmData`; none if it is gone.
pub(crate) fn vm(data: &Value) -> Result<Option<Vm>, DecodeError> {
    let (row, place) = match data.get("vmData") {
        Some(row) => (row, "data.vmData"),
        None => (data, "data"),
    };
    let row = match row {
        Value::Array(rows) if rows.len() == 1 => &rows[0],
        other => other,
    };
    Ok(decode::value::<VmRow>(row, place)?.read())
}

#[derive(Deserialize)]
struct PendingRow {
    data: PendingData,
}

#[derive(Deserialize)]
struct PendingData {
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    hostname: Option<String>,
    #[serde(default, rename = "processId", deserialize_with = "lenient::maybe_text")]
    process_id: Option<String>,
}

/// Orders that are being worked on. Rows without a host name are of something else than a VM.
pub(crate) fn pending(data: &Value) -> Result<Vec<PendingVm>, DecodeError> {
    let rows = decode::list::<PendingRow>(data)?;
    let mut pending: Vec<PendingVm> = rows
        .into_iter()
        .filter_map(|row| {
            Some(PendingVm {
                hostname: row.data.hostname?,
                process_id: row.data.process_id,
            })
        })
        .collect();
    pending.sort_by(|a, b| (&a.hostname, &a.process_id).cmp(&(&b.hostname, &b.process_id)));
    Ok(pending)
}

#[derive(Deserialize)]
struct PlanRow {
    #[serde(deserialize_with = "lenient::text")]
    identifier: String,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    nickname: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    name: Option<String>,
    #[serde(deserialize_with = "lenient::number")]
    cpu: i64,
    #[serde(deserialize_with = "lenient::number")]
    ram: i64,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    ssd: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_price")]
    price: Option<f64>,
}

/// The plans, by UUID.
pub(crate) fn plans(data: &Value) -> Result<Vec<Plan>, DecodeError> {
    let rows = decode::list::<PlanRow>(data)?;
    let read = |(index, row): (usize, PlanRow)| {
        let positive = |amount: i64, field: &str| {
            let amount = u64::try_from(amount).ok().filter(|amount| *amount > 0);
            amount.ok_or_else(|| {
                DecodeError::new(format!("data[{index}].{field}"), "should be more than nothing")
            })
        };
        Ok(Plan {
            name: row
                .nickname
                .or(row.name)
                .unwrap_or_else(|| row.identifier.clone()),
            id: PlanId::new(row.identifier),
            cpu: small(positive(row.cpu, "cpu")?),
            memory_mib: positive(row.ram, "ram")?,
            disk_gib: row.ssd.unwrap_or(0),
            price_monthly: row.price,
            price_hourly: row.price.map(|month| month / HOURS_PER_MONTH),
        })
    };
    let mut plans = rows
        .into_iter()
        .enumerate()
        .map(read)
        .collect::<Result<Vec<_>, _>>()?;
    plans.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(plans)
}

#[derive(Deserialize)]
struct CategoryRow {
    #[serde(deserialize_with = "lenient::text")]
    identifier: String,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    name: Option<String>,
}

pub(crate) fn categories(data: &Value) -> Result<Vec<PlanCategory>, DecodeError> {
    let rows = decode::list::<CategoryRow>(data)?;
    let mut categories: Vec<PlanCategory> = rows
        .into_iter()
        .map(|row| PlanCategory {
            id: PlanCategoryId::new(row.identifier),
            name: row.name.unwrap_or_default(),
        })
        .collect();
    categories.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(categories)
}

#[derive(Deserialize)]
struct ProjectRow {
    #[serde(deserialize_with = "lenient::text")]
    identifier: String,
    #[serde(default, deserialize_with = "lenient::maybe_number")]
    id: Option<i64>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_default: Option<bool>,
}

pub(crate) fn projects(data: &Value) -> Result<Vec<Project>, DecodeError> {
    let rows = decode::list::<ProjectRow>(data)?;
    let mut projects: Vec<Project> = rows
        .into_iter()
        .map(|row| Project {
            id: ProjectId::new(row.identifier),
            number: row.id.map(ProjectNumber),
            name: row.name.unwrap_or_default(),
            is_default: row.is_default.unwrap_or(false),
        })
        .collect();
    projects.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(projects)
}

#[derive(Deserialize)]
struct MemberRow {
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    identifier: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    hostname: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    vpc_ip: Option<String>,
}

/// The VMs of a VPC. Members of other kinds have no UUID.
pub(crate) fn members(data: &Value) -> Result<Vec<VpcMember>, DecodeError> {
    let rows = decode::list::<MemberRow>(data)?;
    let mut members: Vec<VpcMember> = rows
        .into_iter()
        .filter_map(|row| {
            Some(VpcMember {
                vm: VmUuid::new(row.identifier?),
                hostname: row.hostname,
                address: row.vpc_ip,
            })
        })
        .collect();
    members.sort_by(|a, b| a.vm.cmp(&b.vm));
    Ok(members)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_state_is_read_off_the_flags_in_every_spelling() {
        for (flags, expected) in [
            (json!({"is_active": 0}), Some(VmState::Creating)),
            (json!({}), Some(VmState::Creating)),
            (json!({"is_active": 1, "power": 1}), Some(VmState::Running)),
            (json!({"is_active": "1", "power": true}), Some(VmState::Running)),
            (json!({"is_active": 1}), Some(VmState::Running)),
            (json!({"is_active": true, "power": "0"}), Some(VmState::Stopped)),
            (
                json!({"is_active": 1, "power": 1, "is_locked": 1}),
                Some(VmState::Locked),
            ),
            (
                json!({"is_active": 1, "is_locked": 1, "boxes_suspended": 1}),
                Some(VmState::Suspended),
            ),
            (
                json!({"is_active": 1, "is_suspended": 1}),
                Some(VmState::Suspended),
            ),
            (json!({"is_active": 1, "is_deleted": 1}), None),
            (json!({"is_terminated": "true"}), None),
        ] {
            let mut row = json!({"identifier": "u", "hostname": "A"});
            row.as_object_mut()
                .unwrap()
                .extend(flags.as_object().unwrap().clone());
            let read = vms(&json!([row])).unwrap();
            assert_eq!(read.first().map(|vm| vm.state), expected, "{flags}");
        }
    }

    #[test]
    fn rows_are_read_leniently_and_ordered_by_name_and_age() {
        let rows = json!([
            {"identifier": "3", "hostname": "B", "id": 1, "project_id": 5},
            {"identifier": "2", "hostname": "a", "id": "9", "created_on": "2027-01-02", "projectId": "7", "ram": "2048"},
            {"identifier": "1", "hostname": "A", "id": 4, "created_on": "2027-01-01", "notes": null, "script_id": {}},
        ]);
        let read = vms(&rows).unwrap();
        let ids: Vec<&str> = read.iter().map(|vm| vm.identifier.as_str()).collect();
        assert_eq!(ids, ["1", "2", "3"]);
        assert_eq!(read[1].project, Some(ProjectNumber(7)));
        assert_eq!(
            (read[1].memory_mib, read[2].project),
            (Some(2048), Some(ProjectNumber(5)))
        );
        assert_eq!(vms(&json!([{"hostname": "a"}])).unwrap_err().path, "data[0]");
    }

    #[test]
    fn a_vm_is_found_by_itself_and_in_its_wrapper() {
        let row = json!({"identifier": "1", "hostname": "a", "is_active": 1});
        for data in [
            row.clone(),
            json!({"vmData": row, "vmTags": []}),
            json!({"vmData": [row]}),
        ] {
            assert_eq!(vm(&data).unwrap().unwrap().state, VmState::Running, "{data}");
        }
        let gone = json!({"identifier": "1", "hostname": "a", "is_deleted": 1});
        assert_eq!(vm(&gone).unwrap(), None);
    }

    #[test]
    fn pending_rows_tell_their_name_and_no_password() {
        let rows = json!([
            {"id": "7", "data": {"hostname": "a", "processId": "p", "vmPassword": "hunter2"}},
            {"id": "8", "data": {"lbName": "b"}},
        ]);
        let read = pending(&rows).unwrap();
        assert_eq!(
            read,
            [PendingVm {
                hostname: "a".to_owned(),
                process_id: Some("p".to_owned())
            }]
        );
        assert!(!format!("{read:?}").contains("hunter2"));
    }

    #[test]
    fn prices_are_of_a_month_and_hours_are_derived() {
        let rows = json!([
            {"identifier": "p", "nickname": "S", "cpu": "1", "ram": 2048, "ssd": 40, "price": "7.3"},
            {"identifier": "q", "cpu": 1, "ram": 1024},
        ]);
        let read = plans(&rows).unwrap();
        assert!((read[0].price_hourly.unwrap() - 0.01).abs() < 1e-12);
        assert_eq!((read[1].name.as_str(), read[1].price_hourly), ("q", None));
        let error = plans(&json!([{"identifier": "p", "cpu": 0, "ram": 1}])).unwrap_err();
        assert_eq!(error.path, "data[0].cpu");
        // Projects come as `{rows, count}`.
        let projects =
            projects(&json!({"rows": [{"identifier": "u", "id": "3", "is_default": 1}], "count": 1}))
                .unwrap();
        assert_eq!(
            (projects[0].number, projects[0].is_default),
            (Some(ProjectNumber(3)), true)
        );
        let members =
            members(&json!([{"identifier": "u", "vpc_ip": "10.0.0.2"}, {"hostname": "gateway"}])).unwrap();
        assert_eq!(members.len(), 1);
    }
}
