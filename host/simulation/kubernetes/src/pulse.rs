//! The signal that something was written. Who waits is woken in the order in which they began to wait: a `watch` channel
//! of tokio spreads its receivers by chance, and then no storm could be played again.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// What watchers wait on: any write, or the order to go away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    pub(crate) revision: u64,
    pub(crate) epoch: u64,
}

/// Where it is written down.
#[derive(Debug)]
pub(crate) struct Pulses {
    now: Mutex<Pulse>,
    changed: Notify,
}

impl Pulses {
    pub(crate) fn new(pulse: Pulse) -> Arc<Self> {
        Arc::new(Self {
            now: Mutex::new(pulse),
            changed: Notify::new(),
        })
    }

    pub(crate) fn now(&self) -> Pulse {
        *self.now.lock()
    }

    pub(crate) fn change(&self, edit: impl FnOnce(&mut Pulse)) {
        edit(&mut self.now.lock());
        self.changed.notify_waiters();
    }

    pub(crate) fn listen(self: &Arc<Self>) -> Listener {
        Listener {
            seen: self.now(),
            pulses: Arc::clone(self),
        }
    }
}

/// One who waits.
pub(crate) struct Listener {
    pulses: Arc<Pulses>,
    seen: Pulse,
}

impl Listener {
    /// The pulse now; only another one ends [`Listener::changed`].
    pub(crate) fn look(&mut self) -> Pulse {
        self.seen = self.pulses.now();
        self.seen
    }

    /// Waits for another pulse than the one seen last.
    pub(crate) async fn changed(&mut self) {
        loop {
            let notified = self.pulses.changed.notified();
            tokio::pin!(notified);
            // Registered before the look, so that nothing is missed in between.
            notified.as_mut().enable();
            let now = self.pulses.now();
            if now != self.seen {
                self.seen = now;
                return;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_woken_in_the_order_of_waiting() {
        for _ in 0..20 {
            let pulses = Pulses::new(Pulse::default());
            let order = Arc::new(Mutex::new(Vec::new()));
            let tasks: Vec<_> = (0..9)
                .map(|number| {
                    let (mut listener, order) = (pulses.listen(), order.clone());
                    tokio::spawn(async move {
                        listener.changed().await;
                        order.lock().push(number);
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            pulses.change(|pulse| pulse.revision += 1);
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*order.lock(), (0..9).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn what_came_before_the_wait_is_not_missed() {
        let pulses = Pulses::new(Pulse::default());
        let mut listener = pulses.listen();
        pulses.change(|pulse| pulse.epoch += 1);
        listener.changed().await;
        assert_eq!(listener.look().epoch, 1);
    }
}
