//! An API server that serves as many nodes and pods as are wanted, shaped as kube-apiserver serves those of a busy
//! cluster: managed fields, annotations, probes, projected tokens, conditions, images. They are written out page by
//! page, so that the server itself holds none of them.

mod objects;

use autoscaler_cluster::{Feed, Index};
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use objects::{node, pod};
use serde_json::json;
use stats_alloc::{Region, StatsAlloc};
use std::alloc::System;
use std::convert::Infallible;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(crate) const PODS_PER_NODE: usize = 30;
/// A client of a cluster of so many nodes and pods. Nothing happens after the lists.
pub(crate) fn client(nodes: usize, pods: usize) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let number = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value.parse::<usize>().ok())
        };
        if query.contains("watch=true") {
            std::future::pending::<()>().await;
        }
        let (from, limit) = (
            number("continue").unwrap_or(0),
            number("limit").unwrap_or(usize::MAX),
        );
        let (total, kind): (usize, &str) = match path {
            "/api/v1/pods" => (pods, "Pod"),
            "/api/v1/nodes" => (nodes, "Node"),
            _ => (0, ""),
        };
        let to = from.saturating_add(limit).min(total);
        let items = (from..to).map(|number| {
            if kind == "Pod" {
                pod(number, nodes)
            } else {
                node(number)
            }
        });
        let next = if to < total { to.to_string() } else { String::new() };
        let list = json!({
            "kind": format!("{kind}List"), "apiVersion": "v1", "metadata": {"resourceVersion": "1", "continue": next},
            "items": items.collect::<Vec<_>>(),
        });
        Ok::<_, Infallible>(Response::new(Body::from(list.to_string().into_bytes())))
    });
    Client::new(service, "default")
}

/// The index once the watches have told of so many nodes and pods, and the bytes that stay for it.
pub(crate) async fn kept(allocator: &StatsAlloc<System>, nodes: usize, pods: usize) -> (Arc<Index>, usize) {
    let client = client(nodes, pods);
    let region = Region::new(allocator);
    let index = Index::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
    let feed = Feed::new(Arc::clone(&index));
    let shutdown = CancellationToken::new();
    feed.spawn(&client, &shutdown);
    feed.synced().await;
    let change = region.change();
    assert_eq!(index.pod_counts().0, pods);
    shutdown.cancel();
    // What the watches themselves keep was counted, and must be gone before anybody counts again.
    while Arc::strong_count(&feed) > 1 {
        tokio::task::yield_now().await;
    }
    let bytes = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    (index, bytes)
}
