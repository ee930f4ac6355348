//! The client's calls for VMs, plans and projects.

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::client::{Client, segment};
use crate::endpoint;
use crate::error::Error;
use crate::ids::{DatacenterId, FirewallGroupId, ImageId, PlanCategoryId, ProjectNumber, VmUuid, VpcNumber};
use crate::model::RemoveNodeReply;
use crate::settings::ProjectStyle;
use crate::vm::{NewVm, PendingVm, Plan, PlanCategory, Project, Vm, VpcMember};
use crate::vm_rows;

impl Client {
    /// Gives the account's password (or with `None` takes it away): removing a VM asks for it.
    pub fn set_account_password(&self, password: Option<SecretString>) {
        *self
            .inner
            .account_password
            .write()
            .unwrap_or_else(PoisonError::into_inner) = password;
    }

    /// The VMs of the account, or of one project, by host name and age. Nodes of managed clusters are not among them.
    pub async fn list_vms(&self, project: Option<ProjectNumber>) -> Result<Vec<Vm>, Error> {
        let path = project.map_or_else(|| "/vm".to_owned(), |number| format!("/vm?projectId={number}"));
        self.read(&endpoint::LIST_VMS, path, None, vm_rows::vms).await
    }

    /// Orders for VMs that are not listed yet.
    pub async fn list_pending_vms(&self) -> Result<Vec<PendingVm>, Error> {
        let path = "/vm/pending".to_owned();
        self.read(&endpoint::LIST_PENDING_VMS, path, None, vm_rows::pending)
            .await
    }

    /// One VM; one that says of itself that it is deleted is [`Error::NotFound`].
    pub async fn get_vm(&self, vm: &VmUuid) -> Result<Vm, Error> {
        let path = format!("/vm/{}", segment(vm.as_str()));
        let found = self.read(&endpoint::GET_VM, path, None, |data| {
            if crate::decode::is_nothing(data) {
                Ok(None)
            } else {
                vm_rows::vm(data)
            }
        });
        found.await?.ok_or_else(|| Error::NotFound {
            doing: endpoint::GET_VM.doing,
            message: format!("there is no VM {vm}"),
        })
    }

    /// Orders a VM. The reply names nothing: the machine shows up in the lists under its host name. Two orders with
    /// one name may well make two machines: look before ordering.
    pub async fn create_vm(&self, order: &NewVm) -> Result<(), Error> {
        let body = self.order_body(order)?;
        self.change(&endpoint::CREATE_VM, "/vm", Some(body))
            .await
            .map(drop)
    }

    fn order_body(&self, order: &NewVm) -> Result<Value, Error> {
        let settings = &self.inner.settings.vm;
        let base = self
            .inner
            .base
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let prefix = self
            .inner
            .settings
            .prefix(&base, endpoint::CREATE_VM.family)
            .to_owned();
        let flag = |yes| settings.flags.write(yes, &prefix);
        let mut body = json!({
            "resourceIdentifier": order.plan,
            "osIdentifier": order.image,
            "dcIdentifier": order.datacenter,
            "hostname": order.hostname,
            "notes": order.notes,
            "tags": order.tags,
            "addPublicIpV4": flag(settings.public_ipv4),
            "addPublicIpV6": flag(settings.public_ipv6),
            "addPrivateIp": flag(settings.private_ip),
            "backupEnabled": flag(false),
            "weeklyBackupEnabled": flag(false),
            "monthlyBackupEnabled": flag(false),
            // Nobody is to log in with a password, so nobody needs to know it.
            "isGeneratedPassword": flag(true),
        });
        if let Some(project) = &order.project {
            body["projectId"] = match settings.project_id {
                ProjectStyle::Uuid => json!(project),
                ProjectStyle::Number => {
                    let number = project.as_str().parse::<i64>().map_err(|_| Error::Configuration {
                        message: format!(
                            "the project {project} is not a number, as vm.projectId: number asks for; give its number"
                        ),
                    })?;
                    json!(number)
                }
            };
        }
        if let Some(key) = &order.ssh_key {
            body["sshKeyIdentifier"] = json!(key);
        }
        if let Some(process) = &order.process_id {
            body["processId"] = json!(process);
        }
        if let Some(text) = &order.user_data {
            body["userData"] = json!(STANDARD.encode(text.expose_secret()));
        }
        Ok(body)
    }

    /// Removes a VM with all that is on it; `reason` must not be empty, `note` may be. It is gone only when
    /// [`Client::list_vms`] no longer shows it.
    pub async fn delete_vm(&self, vm: &VmUuid, reason: &str, note: &str) -> Result<RemoveNodeReply, Error> {
        let mut body = json!({ "vmIdentifier": vm, "deleteStatistic": { "reason": reason, "note": note } });
        if self.inner.settings.vm.send_account_password {
            let password = self
                .inner
                .account_password
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let Some(password) = password else {
                return Err(Error::AccountPasswordMissing {
                    doing: endpoint::DELETE_VM.doing,
                });
            };
            body["password"] = json!(password.expose_secret());
        }
        match self.change(&endpoint::DELETE_VM, "/vm", Some(body)).await {
            Ok(_) => Ok(RemoveNodeReply::Accepted),
            Err(Error::NotFound { .. }) => Ok(RemoveNodeReply::AlreadyGone),
            Err(error) => Err(error),
        }
    }

    /// Switches a VM on.
    pub async fn start_vm(&self, vm: &VmUuid) -> Result<(), Error> {
        let body = json!({ "vmIdentifier": vm });
        self.change(&endpoint::START_VM, "/vm/start", Some(body))
            .await
            .map(drop)
    }

    /// Switches a VM off.
    pub async fn stop_vm(&self, vm: &VmUuid) -> Result<(), Error> {
        let body = json!({ "vmIdentifier": vm });
        self.change(&endpoint::STOP_VM, "/vm/stop", Some(body))
            .await
            .map(drop)
    }

    /// Adds tags to a VM.
    pub async fn add_tags(&self, vm: &VmUuid, tags: &[String]) -> Result<(), Error> {
        let body = json!({ "vmIdentifier": vm, "tags": tags });
        self.change(&endpoint::TAG_VM, "/vm/addtags", Some(body))
            .await
            .map(drop)
    }

    /// Puts a VM behind a firewall group.
    pub async fn attach_firewall_group(&self, vm: &VmUuid, group: &FirewallGroupId) -> Result<(), Error> {
        let body = json!({ "vmId": vm, "groupId": group });
        self.change(&endpoint::ATTACH_FIREWALL, "/firewall/attach/group", Some(body))
            .await
            .map(drop)
    }

    /// The categories of plans, by UUID.
    pub async fn list_plan_categories(&self) -> Result<Vec<PlanCategory>, Error> {
        let path = "/plans/category".to_owned();
        self.read(&endpoint::LIST_PLAN_CATEGORIES, path, None, vm_rows::categories)
            .await
    }

    /// The plans of a category in a datacenter for an image, by UUID.
    pub async fn list_plans(
        &self,
        datacenter: &DatacenterId,
        image: &ImageId,
        category: &PlanCategoryId,
    ) -> Result<Vec<Plan>, Error> {
        let body = json!({
            "dcIdentifier": datacenter, "osIdentifier": image, "planCatIdentifier": category,
            // The route asks for both and reads neither.
            "name": "query", "description": "query",
            "isCustom": "0",
        });
        self.read(
            &endpoint::LIST_PLANS,
            "/resources".to_owned(),
            Some(body),
            vm_rows::plans,
        )
        .await
    }

    /// The projects of the account, by UUID.
    pub async fn list_projects(&self) -> Result<Vec<Project>, Error> {
        self.read(
            &endpoint::LIST_PROJECTS,
            "/projects".to_owned(),
            None,
            vm_rows::projects,
        )
        .await
    }

    /// The VMs of a VPC, with their addresses there.
    pub async fn list_vpc_members(&self, vpc: VpcNumber) -> Result<Vec<VpcMember>, Error> {
        let path = format!("/vpc/vms/{vpc}");
        self.read(&endpoint::LIST_VPC_MEMBERS, path, None, vm_rows::members)
            .await
    }
}
