//! RAUC, which checks bundles and writes slots, over D-Bus. It runs only while there is something
//! to install.

use std::collections::HashMap;
use std::path::Path;

use zbus::{OwnedVariant, Variant};

use crate::units::Bus;

const UNIT: &str = "rauc.service";
const NAME: &str = "de.pengutronix.rauc";
const INTERFACE: &str = "de.pengutronix.rauc.Installer";

/// What bundles for this product say (image/root/etc/rauc/system.conf).
pub(crate) const COMPATIBLE: &str = "lamplight-x86_64";

/// What a bundle that RAUC trusts says of itself.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// The product that it is for.
    pub(crate) compatible: String,
    /// The memory that it needs, where it says so.
    pub(crate) memory_mib: Option<u64>,
    /// The version of the appliance in it.
    pub(crate) version: String,
}

impl Bus {
    async fn call_rauc<B>(&self, method: &str, body: &B) -> zbus::Result<zbus::Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        self.connection().await?.call_method(Some(NAME), "/", Some(INTERFACE), method, body).await
    }

    /// Starts RAUC.
    pub(crate) async fn start_upgrades(&self) -> zbus::Result<()> {
        self.start_and_wait(UNIT).await
    }

    /// Ends RAUC, and with it what it installs.
    pub(crate) async fn stop_upgrades(&self) -> zbus::Result<()> {
        self.stop(UNIT).await
    }

    /// Checks a bundle's signature, and reads what it says of itself.
    pub(crate) async fn inspect_bundle(&self, path: &Path) -> zbus::Result<Bundle> {
        let path = path.display().to_string();
        let nothing = HashMap::<&str, Variant<'_>>::new();
        let reply = self.call_rauc("InspectBundle", &(path.as_str(), nothing)).await?;
        let body = reply.body();
        let facts: HashMap<String, OwnedVariant> = body.deserialize()?;
        tracing::debug!(?facts, "the bundle");
        let text = |group: &str, name: &str| text_in(&facts, group, name);
        Ok(Bundle {
            compatible: text("update", "compatible").unwrap_or_default(),
            version: text("update", "version").unwrap_or_default(),
            memory_mib: text("meta", "memory-mib").and_then(|mib| mib.parse().ok()),
        })
    }

    /// Begins to install a bundle.
    pub(crate) async fn install_bundle(&self, path: &Path) -> zbus::Result<()> {
        let path = path.display().to_string();
        let nothing = HashMap::<&str, Variant<'_>>::new();
        self.call_rauc("InstallBundle", &(path.as_str(), nothing)).await.map(drop)
    }

    /// How far the installation is, in percent and in words; none once it has ended.
    pub(crate) async fn installation(&self) -> zbus::Result<Option<(u8, String)>> {
        let operation = self.property(NAME, "/", INTERFACE, "Operation").await?;
        if String::try_from(operation)? == "idle" {
            return Ok(None);
        }
        let progress = self.property(NAME, "/", INTERFACE, "Progress").await?;
        let (percent, step, _depth): (i32, String, i32) = OwnedVariant::try_into(progress)?;
        Ok(Some((u8::try_from(percent.clamp(0, 100)).unwrap_or(100), step)))
    }

    /// Why the latest installation failed; empty when it did not.
    pub(crate) async fn last_upgrade_error(&self) -> zbus::Result<String> {
        String::try_from(self.property(NAME, "/", INTERFACE, "LastError").await?)
    }
}

/// A text somewhere in a group of what a bundle says.
fn text_in(facts: &HashMap<String, OwnedVariant>, group: &str, name: &str) -> Option<String> {
    find(facts.get(group)?, name)
}

fn find(value: &Variant<'_>, wanted: &str) -> Option<String> {
    match value {
        Variant::Variant(inner) => find(inner, wanted),
        Variant::Dict(entries) => entries.iter().find_map(|(key, value)| {
            let is_meant = matches!(key, Variant::Str(key) if key.as_str() == wanted);
            let text = if is_meant { text(value) } else { None };
            text.or_else(|| find(value, wanted))
        }),
        _ => None,
    }
}

fn text(value: &Variant<'_>) -> Option<String> {
    match value {
        Variant::Variant(inner) => text(inner),
        Variant::Str(text) => Some(text.to_string()),
        _ => None,
    }
}
