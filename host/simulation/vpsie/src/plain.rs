//! Plain VMs: orders, the lists that show them, and their removal. The state is that of [`crate::cloud`], to which
//! this adds what orders of a VM carry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{Done, list};
use crate::cloud::{Cloud, No};
use crate::config::{OrderReply, PlanConfig};
use crate::reply::Reply;
use crate::vm::{PlainVm, VmEvent, VmInfo, VmState};

/// Says what only an order without a reason brings about.
const NO_REASON: &str = "Cannot read properties of undefined (reading 'reason')";

/// Answers what is about VMs, plans or projects; none for every other route.
pub(crate) fn route(
    cloud: &mut Cloud,
    method: &str,
    segments: &[&str],
    body: &Value,
    now: Timestamp,
) -> Option<Result<Done, No>> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let yes = || Ok(Reply::data(&Value::Bool(true)).into());
    let answer: Result<Done, No> = match (method, segments) {
        ("GET", ["vm"]) => {
            let foreign = foreign_rows(cloud);
            let ours = cloud
                .vms()
                .filter(|vm| vm.plain.is_some() && vm.state != VmState::Accepted);
            Ok(list(foreign.into_iter().chain(ours.map(vm_row)), |row| row))
        }
        ("GET", ["vm", "pending"]) => {
            let pending = cloud
                .vms()
                .filter_map(|vm| vm.plain.as_ref().filter(|p| p.pending).map(|p| (vm, p)));
            Ok(list(pending, |(vm, plain)| pending_row(vm, plain)))
        }
        ("GET", ["vm", identifier]) => cloud
            .plain(identifier)
            .map(|vm| {
                Reply::data(&json!({ "vmData": vm_row(vm), "vmTags": tags(vm), "imageCategories": [] }))
                    .into()
            })
            .ok_or(No::NotFound),
        ("POST", ["vm"]) => order(cloud, body, now),
        ("DELETE", ["vm"]) => remove(cloud, body),
        ("POST", ["vm", "start" | "stop" | "addtags"]) => match cloud.plain(text("vmIdentifier")) {
            Some(_) => yes(),
            None => Err(No::NotFound),
        },
        ("POST", ["firewall", "attach", "group"]) => match cloud.plain(text("vmId")) {
            Some(_) => yes(),
            None => Err(No::NotFound),
        },
        ("GET", ["plans", "category"]) => {
            let mut names: Vec<&str> = cloud
                .config
                .plain
                .plans
                .iter()
                .map(|plan| plan.category.as_str())
                .collect();
            names.sort_unstable();
            names.dedup();
            Ok(list(
                names.into_iter(),
                |name| json!({ "identifier": name, "name": name }),
            ))
        }
        ("POST", ["resources"]) => plans(cloud, body),
        ("GET", ["projects"]) => {
            let rows: Vec<Value> = cloud
                .config
                .plain
                .projects
                .iter()
                .enumerate()
                .map(|(at, project)| {
                    json!({ "id": project.number, "identifier": project.identifier, "name": project.name,
                            "is_default": u8::from(at == 0) })
                })
                .collect();
            Ok(Reply::data(&json!({ "count": rows.len(), "rows": rows })).into())
        }
        ("GET", ["vpc", "vms", _]) => {
            let ours = cloud
                .vms()
                .filter(|vm| vm.plain.is_some() && vm.state == VmState::Booted);
            Ok(list(ours, |vm| {
                json!({ "vmId": vm.id, "identifier": vm.identifier, "hostname": vm.hostname,
                        "vpc_ip": vm.private_address, "entity_type": "vm" })
            }))
        }
        _ => return None,
    };
    Some(answer)
}

fn order(cloud: &mut Cloud, body: &Value, now: Timestamp) -> Result<Done, No> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let bad = |field: &str, problem: &str| Err(No::BadRequest(format!("\"{field}\" {problem}")));
    let (hostname, process) = (text("hostname"), text("processId"));
    if hostname.is_empty() {
        return bad("hostname", "is not allowed to be empty");
    }
    let sold = &cloud.config.plain;
    let Some(plan) = sold
        .plans
        .iter()
        .find(|plan| plan.identifier == text("resourceIdentifier"))
        .cloned()
    else {
        return bad("resourceIdentifier", "is not an available plan");
    };
    if !sold.images.iter().any(|image| image == text("osIdentifier")) {
        return bad("osIdentifier", "is not an available image");
    }
    let place = text("dcIdentifier").to_owned();
    if !cloud
        .config
        .datacenters
        .iter()
        .any(|datacenter| datacenter.identifier == place)
    {
        return bad("dcIdentifier", "is not a datacenter");
    }
    if body.get("sshKeyIdentifier").is_some()
        && !sold.ssh_keys.iter().any(|key| key == text("sshKeyIdentifier"))
    {
        return bad("sshKeyIdentifier", "is not a key of yours");
    }
    let project = match body.get("projectId") {
        None => sold.projects.first(),
        Some(Value::String(uuid)) => sold.projects.iter().find(|project| project.identifier == *uuid),
        Some(_) => return bad("projectId", "must be a string"),
    };
    let Some(project) = project.map(|project| project.number) else {
        return bad("projectId", "is not a project of yours");
    };
    let user_data = match body.get("userData").and_then(Value::as_str) {
        None => String::new(),
        Some(encoded) => match STANDARD.decode(encoded).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            _ => return bad("userData", "must be base64"),
        },
    };
    let same = |vm: &&VmInfo| vm.plain.is_some() && vm.hostname.eq_ignore_ascii_case(hostname);
    if sold.unique_hostnames && cloud.vms().any(|vm| same(&vm)) {
        return Err(No::BadRequest(format!(
            "A server named {hostname} already exists"
        )));
    }
    let reply = |vm: Option<&VmInfo>, reply| match (reply, vm) {
        (OrderReply::Empty, _) => json!({}),
        (OrderReply::Identifier, Some(vm)) => json!({ "identifier": vm.identifier }),
        _ => Value::Bool(true),
    };
    let style = sold.reply;
    let again = |vm: &&VmInfo| {
        vm.plain
            .as_ref()
            .is_some_and(|plain| !process.is_empty() && plain.process == process)
    };
    if sold.unique_processes
        && let Some(vm) = cloud.vms().find(again)
    {
        return Ok(Reply::data(&reply(Some(vm), style)).into());
    }
    if let Some(limit) = sold.limit
        && cloud.vms().filter(|vm| vm.plain.is_some()).count() >= limit as usize
    {
        return Err(No::Limit(format!(
            "Servers count exceeds the allowed limit {limit}"
        )));
    }
    let strict = sold.text_flags_only;
    let flag = |key: &str| match body.get(key) {
        Some(Value::String(text)) => text == "1",
        Some(Value::Number(number)) => !strict && number.as_i64() == Some(1),
        Some(Value::Bool(yes)) => !strict && *yes,
        _ => false,
    };
    let plain = PlainVm {
        plan: plan.identifier.clone(),
        image: text("osIdentifier").to_owned(),
        notes: text("notes").to_owned(),
        tags: body
            .get("tags")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        ssh_key: body
            .get("sshKeyIdentifier")
            .and_then(Value::as_str)
            .map(str::to_owned),
        project,
        process: process.to_owned(),
        user_data,
        public_address: flag("addPublicIpV4"),
        pending: true,
    };
    let vm = cloud.order_plain(hostname.to_owned(), place, &plan, plain, now);
    Ok(Done {
        reply: Reply::data(&reply(Some(&vm), style)),
        events: vec![VmEvent::Accepted(vm)],
    })
}

fn remove(cloud: &mut Cloud, body: &Value) -> Result<Done, No> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let reason = body.pointer("/deleteStatistic/reason").and_then(Value::as_str);
    if reason.unwrap_or_default().is_empty() {
        return Err(No::Limit(NO_REASON.to_owned()));
    }
    if let Some(password) = &cloud.config.plain.account_password
        && text("password") != password
    {
        let message = "You entered the wrong password";
        let is_error = cloud.config.plain.wrong_password_is_error;
        return Ok(Reply::plain(json!({ "error": is_error, "code": 200, "message": message })).into());
    }
    let removed = cloud.remove_plain(text("vmIdentifier"))?;
    Ok(Done {
        reply: Reply::data(&Value::Bool(true)),
        events: removed.into_iter().map(VmEvent::Deleting).collect(),
    })
}

fn plans(cloud: &Cloud, body: &Value) -> Result<Done, No> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let (config, sold) = (&cloud.config, &cloud.config.plain);
    if !config
        .datacenters
        .iter()
        .any(|datacenter| datacenter.identifier == text("dcIdentifier"))
        || !sold.images.iter().any(|image| image == text("osIdentifier"))
    {
        return Err(No::NotFound);
    }
    let category = text("planCatIdentifier");
    let rows = sold.plans.iter().filter(|plan| plan.category == category);
    Ok(list(rows, |plan: &PlanConfig| {
        let price = if config.shape.numbers_as_text {
            Value::from(plan.price_monthly.to_string())
        } else {
            Value::from(plan.price_monthly)
        };
        json!({ "identifier": plan.identifier, "nickname": plan.name, "cpu": plan.cpu, "ram": plan.ram_mb,
                "ssd": plan.disk_gb, "traffic": 1, "price": price, "net_speed": 1000 })
    }))
}

fn tags(vm: &VmInfo) -> Vec<String> {
    vm.plain
        .as_ref()
        .map(|plain| plain.tags.clone())
        .unwrap_or_default()
}

fn vm_row(vm: &VmInfo) -> Value {
    let plain = vm.plain.clone().unwrap_or_default();
    let running = u8::from(vm.state == VmState::Booted);
    json!({
        "id": vm.id, "identifier": vm.identifier, "hostname": vm.hostname, "notes": plain.notes,
        "default_ip": plain.public_address.then_some(&vm.address), "private_ip": vm.private_address,
        "cpu": vm.size.cpu, "ram": vm.size.memory_mib, "ssd": vm.size.disk_gib,
        "is_active": running, "power": running, "is_deleted": 0, "is_terminated": 0, "is_locked": 0,
        "project_id": plain.project, "projectId": plain.project, "dcIdentifier": vm.datacenter,
        "created_on": vm.created_at.to_string(), "initial_password": "initial", "script_id": null,
    })
}

/// Machines that belong to nobody's cluster, as the list of VMs shows them.
fn foreign_rows(cloud: &Cloud) -> Vec<Value> {
    let rows = crate::api::machine_rows(cloud).into_iter().map(|mut row| {
        if let Value::Object(fields) = &mut row {
            fields.extend([
                ("is_active".to_owned(), json!(1)),
                ("power".to_owned(), json!(1)),
                ("notes".to_owned(), Value::Null),
            ]);
        }
        row
    });
    rows.collect()
}

/// A row as the server shows it: with the password in it.
fn pending_row(vm: &VmInfo, plain: &PlainVm) -> Value {
    json!({
        "id": vm.id.to_string(), "user": "demo", "user_id": 7, "running": 1, "type": "vm",
        "data": {
            "hostname": vm.hostname, "processId": plain.process, "resourceIdentifier": plain.plan,
            "osIdentifier": plain.image, "dcIdentifier": vm.datacenter, "projectId": plain.project,
            "tags": plain.tags, "vmPassword": "initial", "isGeneratedPassword": true,
        },
        "resourceData": {}, "datacenter": [], "osData": {},
    })
}
