//! Cluster IPs and node ports for Services: each is the one after the last.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::apiserver::object::{list, text};
use crate::apiserver::store::ObjectStore;

/// Within 10.96.0.0/12, the usual range of a real server.
const FIRST_IP: u32 = 0x0a60_000a;
const IPS: u32 = 1 << 20;
const FIRST_PORT: u32 = 30_000;
const PORTS: u32 = 2_768;

/// The offsets of the next address and port from the first.
#[derive(Debug)]
pub struct ServiceAddresses {
    ip: AtomicU32,
    port: AtomicU32,
}

impl ServiceAddresses {
    /// Continues after the highest address and port that are in use.
    pub fn of(store: &ObjectStore) -> Self {
        let (mut ip, mut port) = (0, 0);
        for stored in store.list("services", "").0 {
            let service = stored.value();
            if let Ok(address) = text(&service, &["spec", "clusterIP"]).parse::<Ipv4Addr>() {
                ip = ip.max(address.to_bits().saturating_sub(FIRST_IP) + 1);
            }
            for used in list(&service, &["spec", "ports"]).filter_map(|p| p.get("nodePort")?.as_u64()) {
                port = port.max(u32::try_from(used).unwrap_or(0).saturating_sub(FIRST_PORT) + 1);
            }
        }
        Self { ip: AtomicU32::new(ip % IPS), port: AtomicU32::new(port % PORTS) }
    }

    pub fn next_ip(&self) -> String {
        let next = self.ip.fetch_add(1, Ordering::Relaxed) % IPS;
        Ipv4Addr::from_bits(FIRST_IP + next).to_string()
    }

    pub fn next_port(&self) -> u32 {
        FIRST_PORT + self.port.fetch_add(1, Ordering::Relaxed) % PORTS
    }
}
