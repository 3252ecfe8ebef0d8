//! Whether this start was a healthy one: the slot that runs is marked good once it does what it is
//! for, and given up where it does not and the other one may do better.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::platform::{Ailment, Platform};
use crate::slot::{self, Slot};
use crate::upgrade;

/// How long a start may take until it is healthy.
const WITHIN: Duration = Duration::from_secs(300);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long SIP may take for an answer on the loopback interface.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Where SIP is answered.
const SIP_PORT: u16 = 5_060;

/// Looks until the slot is good, or until it is given up.
pub(crate) async fn follow(platform: Arc<Platform>, slot: Slot) {
    let deadline = Instant::now() + WITHIN;
    let mut is_late = false;
    loop {
        let Some(ill) = look(&platform, slot).await else { break };
        if !is_late && (ill.is_hopeless || Instant::now() > deadline) {
            is_late = true;
            give_up(&platform, slot, &ill.what).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let config = platform.config();
    let marked = slot::change_counters(&config.efi_device, &config.efi_dir, |counters| {
        counters.mark_good(slot);
    });
    match marked {
        Ok(()) => {
            tracing::info!(%slot, "the slot is good");
            upgrade::conclude(config, slot).await;
        }
        Err(failure) => tracing::error!(%slot, %failure, "the slot cannot be marked good"),
    }
}

async fn look(platform: &Platform, slot: Slot) -> Option<Ailment> {
    if let Some(ill) = platform.ailment().await {
        return Some(ill);
    }
    let missing = match answers_sip(platform.serves_sip().await).await {
        None => upgrade::missing(platform.config(), slot),
        missing => missing,
    };
    missing.map(|what| Ailment { what, is_hopeless: false })
}

/// Restarts the machine, which counts against the slot, where the other slot can be started in
/// its place; stays otherwise, so that whoever administers it can look.
async fn give_up(platform: &Platform, slot: Slot, ill: &str) {
    tracing::error!(%slot, ill, "this start is not healthy");
    let config = platform.config();
    let counters = slot::counters(&config.efi_device, &config.efi_dir);
    match counters.map(|counters| counters.is_startable(slot.other())) {
        Ok(true) => {
            tracing::error!(%slot, "restarting: the start counts against the slot");
            platform.restart_now().await;
        }
        Ok(false) => tracing::error!(%slot, "staying: there is no other slot to start"),
        Err(failure) => tracing::error!(%slot, %failure, "staying: the counters cannot be read"),
    }
}

/// What keeps SIP from being answered here, where it should be.
async fn answers_sip(is_served: bool) -> Option<String> {
    if !is_served {
        return None;
    }
    let asked = tokio::task::spawn_blocking(ask).await;
    match asked {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("SIP is not answered on port {SIP_PORT}: {error}")),
        Err(error) => Some(error.to_string()),
    }
}

/// An OPTIONS (RFC 3261 §11) to ourselves; whatever is answered is an answer.
fn ask() -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let local = socket.local_addr()?;
    socket.connect((Ipv4Addr::LOCALHOST, SIP_PORT))?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    let port = local.port();
    let request = format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKhealth{port}\r\n\
         Max-Forwards: 0\r\nFrom: <sip:health@127.0.0.1>;tag=health\r\nTo: <sip:127.0.0.1>\r\n\
         Call-ID: health{port}@127.0.0.1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send(request.as_bytes())?;
    let mut answer = [0; 2_048];
    let length = socket.recv(&mut answer)?;
    if answer.get(..length).is_some_and(|answer| answer.starts_with(b"SIP/2.0 ")) {
        return Ok(());
    }
    Err(std::io::Error::other("something else answered"))
}
