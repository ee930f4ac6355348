//! AutoscalerConfig `default`: its status says whether the settings are in force, and which have no effect.

use crate::context::Context;
use crate::error::Error;
use crate::runtime::queue::{Next, Queue};
use autoscaler_api::AutoscalerConfig;
use autoscaler_api::autoscaler_config::config_status;
use autoscaler_cluster::ObjectKey;
use kube::Api;
use kube::api::PostParams;
use std::sync::Arc;

/// The controller of AutoscalerConfigs.
pub struct Configs {
    ctx: Arc<Context>,
    pub queue: Arc<Queue<ObjectKey>>,
}

impl Configs {
    pub fn new(ctx: Arc<Context>) -> Self {
        Self {
            ctx,
            queue: Arc::new(Queue::new()),
        }
    }

    /// Writes the status if it is not what it should be. The settings themselves are read where they are used.
    ///
    /// # Errors
    /// The API server refused the status.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Error> {
        let Some(config) = self
            .ctx
            .index
            .config()
            .filter(|config| ObjectKey::of(&**config) == key)
        else {
            return Ok(Next::Done);
        };
        let status = config_status(&config, (self.ctx.now)());
        if config.status.as_ref() == Some(&status) {
            return Ok(Next::Done);
        }
        let mut next = AutoscalerConfig::clone(&config);
        next.status = Some(status);
        let api: Api<AutoscalerConfig> = Api::all(self.ctx.effects.clone());
        let written = api.replace_status(&key.name, &PostParams::default(), &next).await;
        match written.map_err(Error::kubernetes("writing the status of AutoscalerConfig")) {
            // A newer object is on its way to the index and brings us back.
            Err(error) if !error.is_conflict() && !error.is_not_found() => Err(error),
            _ => Ok(Next::Done),
        }
    }
}
